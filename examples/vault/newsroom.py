"""The people who may log in. A real application keeps them in its database."""

from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError


@dataclass(frozen=True)
class Reporter:
    """A user. Only a demo also shows the password."""

    name: str
    desk: str
    password: str
    password_hash: str
    first_note: str


_hasher = PasswordHasher()


def _reporter(name: str, desk: str, password: str, first_note: str) -> Reporter:
    return Reporter(name, desk, password, _hasher.hash(password), first_note)


REPORTERS = (
    _reporter("ida", "Investigations", "front page", "Source HERON: pier 14, Thursday at six. Never call the office."),
    _reporter("nellie", "City desk", "late edition", "The mayor's ledger is with the night porter. Ask for Mr. Finch."),
)


def check(name: str, password: str) -> Reporter | None:
    """Return the reporter, or None. An unknown name takes as much time as a wrong password."""
    reporter = next((reporter for reporter in REPORTERS if reporter.name == name), None)
    try:
        _hasher.verify((reporter or REPORTERS[0]).password_hash, password)
    except VerifyMismatchError:
        return None
    return reporter
