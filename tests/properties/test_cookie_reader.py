"""The cookie header as we split it ourselves, beside what Werkzeug makes of it.

Ours is the narrower reading. Where both differ, and why:

- A name counts only as it is written: Werkzeug 3.1.0 also takes the white space of other alphabets from it, so a cookie
  that a browser lets a page plant under an alias would pass for ours.
- Quotes are part of a value: Werkzeug takes them off, and lets a quoted value hold semicolons, as no browser does.
- Whatever stands behind our name is a value: Werkzeug 3.1.9 passes over one with a blank in it, and so over a pair.

`HARDSESSION_THOROUGH=50` tries 50 times as many headers, others in every run.
"""

from __future__ import annotations

import os

import pytest
from flask import Request
from hypothesis import given, settings
from hypothesis import strategies as st

from hardsession.carriers import CookieCarrier
from hardsession.crypto.encoding import from_text, to_text
from hardsession.errors import Refusal, TokenRefused

THOROUGH = int(os.environ.get("HARDSESSION_THOROUGH", "1"))
LOOK = settings(max_examples=400 * THOROUGH, derandomize=THOROUGH == 1, deadline=None)

NAME = "session"
CARRIER = CookieCarrier(NAME)
LONGEST = (4096 - len(NAME)) * 3 // 4

OTHER_WHITE_SPACE = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\xa0"
plain = st.characters(max_codepoint=255, exclude_characters=f'";{OTHER_WHITE_SPACE}')
blanks = st.text(" \t", max_size=2)
tokens = (st.binary(min_size=78, max_size=90) | st.integers(LONGEST - 2, LONGEST + 1).map(bytes)).map(to_text)
names = st.sampled_from((NAME, NAME, NAME.upper(), f"x{NAME}", f"{NAME}x", f"{NAME} {NAME}", "other", ""))
values = tokens | st.text(plain, max_size=12)
pairs = st.tuples(blanks, names, blanks, st.just("="), blanks, values, blanks).map("".join)
pieces = pairs | names | st.text(plain, max_size=20)
ours = st.tuples(blanks, st.just(NAME), blanks, st.just("="), blanks, tokens, blanks).map("".join)


def between(pieces: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Cookie headers with our cookie among others."""
    return st.tuples(st.lists(pieces, max_size=3), ours, st.lists(pieces, max_size=3)).map(
        lambda parts: ";".join([*parts[0], parts[1], *parts[2]])
    )


def read(header: str) -> str | Refusal | None:
    """What our reader makes of a header. Any other exception than TokenRefused fails the test."""
    try:
        return CARRIER.read(Request({"HTTP_COOKIE": header}))
    except TokenRefused as refused:
        return refused.reason


def werkzeug(header: str) -> list[str]:
    """What Flask's `request.cookies` would give for our name.

    Parts without "=" are left out: Werkzeug takes one for a name without a value, RFC 6265bis and we for a value
    without a name, which any sibling site can set.
    """
    named = ";".join(part for part in header.split(";") if "=" in part)
    return Request({"HTTP_COOKIE": named}).cookies.getlist(NAME)


def is_canonical(text: str | Refusal | None) -> bool:
    """Whether it is a text that decodes: what everything behind the reader goes by."""
    if text is None or isinstance(text, Refusal):
        return False
    try:
        return bool(from_text(text))
    except ValueError:
        return False


@given(between(pieces))
@LOOK
def test_what_we_accept_is_what_werkzeug_reads(header):
    """A token that we take from a header without quotes is the one cookie of our name that Werkzeug sees."""
    text = read(header)

    if is_canonical(text):
        assert werkzeug(header) == [text]


@given(between(pieces))
@LOOK
def test_a_pair_that_werkzeug_sees_is_refused(header):
    """Where Werkzeug sees two cookies of our name we refuse both; not the other way round, for it passes over some."""
    if len(werkzeug(header)) > 1:
        assert read(header) is Refusal.DUPLICATE


@given(between(pieces))
@LOOK
def test_a_token_that_werkzeug_reads_is_not_lost(header):
    """The one token that Werkzeug reads we read as well, unless it stands in a pair or has a length that none has."""
    seen = werkzeug(header)

    if len(seen) == 1 and is_canonical(seen[0]):
        fits = 107 <= len(seen[0]) <= 4096 - len(NAME)
        assert read(header) in (seen[0] if fits else Refusal.LENGTH, Refusal.DUPLICATE)


@given(between(st.text(st.characters(max_codepoint=255))) | st.text(st.characters(max_codepoint=255)))
@LOOK
def test_any_header_is_read_or_refused(header):
    """Any header at all gives no cookie, a text of a length that tokens have, or a refusal for its form."""
    text = read(header)

    if isinstance(text, Refusal):
        assert text in (Refusal.DUPLICATE, Refusal.LENGTH)
    elif text is not None:
        assert 107 <= len(text) <= 4096 - len(NAME)
        assert text in header


class TestOnPurpose:
    """Where we do not follow Werkzeug."""

    TOKEN = to_text(bytes(80))

    @pytest.mark.parametrize("space", OTHER_WHITE_SPACE.replace("\t", ""))
    @pytest.mark.parametrize("alias", ["{space}session", "session{space}"])
    def test_a_name_with_other_white_space_is_not_ours(self, alias, space):
        """An alias of our name is another cookie: it is not read, and makes no pair with ours."""
        header = f"{alias.format(space=space)}={self.TOKEN}"

        assert read(header) is None
        assert read(f"{header}; session=hs1_{self.TOKEN}") == f"hs1_{self.TOKEN}"

    @pytest.mark.parametrize("space", OTHER_WHITE_SPACE.replace("\t", ""))
    @pytest.mark.parametrize("spelling", ["{space}{token}", "{token}{space}"])
    def test_other_white_space_is_part_of_a_value(self, spelling, space):
        """A token with white space of another alphabet around it keeps it, so that it is no second spelling."""
        text = read(f"session={spelling.format(space=space, token=self.TOKEN)}")

        assert text not in (None, self.TOKEN)
        assert not is_canonical(text)

    def test_a_part_without_a_name_is_not_ours(self):
        """A cookie without a name whose value is our name makes no pair with ours."""
        assert read(f"session={self.TOKEN}; session") == self.TOKEN

    def test_quotes_are_not_taken_off(self):
        """A quoted token keeps its quotes, so that it is no second spelling of the token."""
        text = read(f'session="{self.TOKEN}"')

        assert text == f'"{self.TOKEN}"'
        assert not is_canonical(text)

    def test_quotes_hide_no_semicolon(self):
        """Browsers end a cookie at each semicolon, also between quotes, and so do we."""
        assert read(f'other="; session={self.TOKEN}; more="') == self.TOKEN

    def test_a_blank_hides_no_cookie(self):
        """A second cookie of our name with a blank in its value makes a pair."""
        assert read(f"session={self.TOKEN}; session=a b") is Refusal.DUPLICATE
