"""What a type checker knows of keys. It is read by type checkers and never run."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import assert_type

from hardsession import Key, Passphrase


def keys() -> None:
    key = Key.generate()
    assert_type(key, Key)
    assert_type(key.text, str | bytes)
    assert_type(key.id, str)
    assert_type(key.seal_from, datetime | date | None)
    Key(bytes(32))
    Key("hsk1_", seal_from=date(2027, 1, 31))
    Key("hsk1_", seal_from=datetime(2027, 1, 31, tzinfo=UTC))


def passphrases() -> None:
    assert_type(Passphrase("staple-otter-velvet-ninety-comet", "shop, production"), Passphrase)
    Passphrase("staple-otter-velvet-ninety-comet", salt=b"shop, production", seal_from=date(2027, 1, 31))


def what_is_refused() -> None:
    key = Key.generate()
    key.text = "hsk1_"  # type: ignore[misc]
    Key(7)  # type: ignore[arg-type]
    Key("hsk1_", date(2027, 1, 31))  # type: ignore[call-arg]
    Passphrase("staple-otter-velvet-ninety-comet")  # type: ignore[call-arg]
