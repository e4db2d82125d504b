"""Secrets and names of sessions: which value may be shown to whom.

Each is a type of its own, so that a secret cannot end up where a public name belongs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import sha256

from .encoding import to_text

_SECRET_LENGTH = 32
_LINEAGE_LENGTH = 16


@dataclass(frozen=True, slots=True)
class SessionSecret:
    """S: 256 random bits that only the client's token holds. The row it names is found and opened with it alone."""

    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.value) != _SECRET_LENGTH:
            raise ValueError(f"a session secret has {_SECRET_LENGTH} bytes")

    @classmethod
    def new(cls) -> SessionSecret:
        return cls(os.urandom(_SECRET_LENGTH))

    @property
    def row_id(self) -> bytes:
        """The row's public name. Key-free, so that rotating keys moves no row."""
        return sha256(b"hs1 id\x00" + self.value).digest()


@dataclass(frozen=True, slots=True)
class Lineage:
    """What stays the same while a session's id changes. It opens nothing."""

    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.value) != _LINEAGE_LENGTH:
            raise ValueError(f"a lineage has {_LINEAGE_LENGTH} bytes")

    @classmethod
    def new(cls) -> Lineage:
        return cls(os.urandom(_LINEAGE_LENGTH))

    @property
    def handle(self) -> str:
        """The public name of a session, for lists of devices and for revoking."""
        return to_text(self.value)

    @property
    def log_name(self) -> str:
        """The name a session has in logs: one way, so that a log reader cannot use it as a handle."""
        return sha256(b"hs1 log\x00" + self.value).hexdigest()[:16]

    @property
    def revocation_name(self) -> bytes:
        """Where its revocation stands. Key-free, so that rotating keys revives nothing."""
        return sha256(b"hs1 revoked\x00" + self.value).digest()


def everybody(app_id: str) -> bytes:
    """The name under which an application's epoch of all sessions stands."""
    return sha256(b"hs1 everybody\x00" + app_id.encode()).digest()
