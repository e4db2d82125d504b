"""hardsession's sealing and opening, in the terms of `tests/independent.py`."""

from __future__ import annotations

from typing import Any

from flask import Request
from werkzeug.test import create_environ

from hardsession.carriers import CookieCarrier
from hardsession.crypto.encoding import from_text
from hardsession.crypto.ids import Lineage, SessionSecret
from hardsession.crypto.keys import KeyRing
from hardsession.crypto.seal import Purpose, Sealer
from hardsession.errors import Refusal, TokenRefused
from hardsession.modes.cookie import CookieMode
from hardsession.policy import PROFILES, over
from hardsession.record import (
    Ended,
    EndReason,
    Entry,
    Header,
    Metadata,
    Moved,
    PayloadFormat,
    Record,
    Reference,
    Revocation,
    RevocationKind,
    UserList,
)
from tests.independent import Fields, Place

Plaintext = Record | Reference | Moved | Ended | UserList | Revocation
LAYOUTS: dict[Purpose, type[Plaintext]] = {
    Purpose.SESSION: Record,
    Purpose.REFERENCE: Reference,
    Purpose.RECORD: Record,
    Purpose.MOVED: Moved,
    Purpose.ENDED: Ended,
    Purpose.USER: UserList,
    Purpose.REVOCATION: Revocation,
}


def seal(plaintext: bytes, ring: KeyRing, place: Place) -> bytes:
    """hardsession's blob of a plaintext."""
    return _sealer(place).seal(plaintext, ring.sealing, binding=place.binding, secret=_secret(place))


def unseal(blob: bytes, ring: KeyRing, place: Place) -> bytes:
    """The plaintext that hardsession finds in a blob; TokenRefused."""
    return _sealer(place).open(blob, ring, binding=place.binding, secret=_secret(place))


def read(text: str, ring: KeyRing, place: Place, now: int) -> Fields:
    """What hardsession reads from a token, or from a stored value in a token's spelling; TokenRefused."""
    if place.carrier.startswith("cookie:"):
        text = _through_a_cookie(text, place.carrier.removeprefix("cookie:"))
    value: Plaintext
    if place.purpose == Purpose.SESSION:
        value = CookieMode(app_id=place.app_id, carrier=place.carrier).open(text, ring, now).record
    else:
        value = unpack(place.purpose, unseal(_blob(text), ring, place))
    if isinstance(value, Record):
        over(value.header, PROFILES["standard"], now)
    return fields_of(value)


def unpack(purpose: int, plaintext: bytes) -> Plaintext:
    """hardsession's view of a plaintext; TokenRefused."""
    return LAYOUTS[Purpose(purpose)].unpack(plaintext)


def pack(purpose: int, fields: Fields, *, compress: bool = False, pad_to: int | None = None) -> bytes:
    """hardsession's plaintext that says `fields`."""
    value = value_of(purpose, fields)
    return value.pack(compress=compress, pad_to=pad_to) if isinstance(value, Record) else value.pack()


def fields_of(value: Plaintext) -> Fields:
    """What a plaintext says, all but how its payload was stored."""
    match value:
        case Record(header, payload, format_):
            return _header_fields(header) | {"serializer": format_.value, "payload": payload.hex()}
        case Reference(created, expires, secret):
            return {"created_at": created, "expires_at": expires, "secret": secret.value.hex()}
        case Moved(created, expires, successor, when):
            return {"created_at": created, "expires_at": expires, "secret": successor.value.hex(), "when": when}
        case Ended(when, reason, row):
            return {"when": when, "reason": reason.value, "successor": (row or bytes(32)).hex()}
        case UserList(epoch, user_id, entries):
            return {"epoch": epoch, "user_id": user_id, "entries": [_entry_fields(entry) for entry in entries]}
        case Revocation(kind, number):
            return {"kind": kind.value, "value": number}


def value_of(purpose: int, fields: Fields) -> Plaintext:
    """The object that says `fields`."""
    match Purpose(purpose):
        case Purpose.SESSION | Purpose.RECORD:
            return Record(_header(fields), bytes.fromhex(fields["payload"]), PayloadFormat(fields["serializer"]))
        case Purpose.REFERENCE:
            return Reference(fields["created_at"], fields["expires_at"], _secret_of(fields))
        case Purpose.MOVED:
            return Moved(fields["created_at"], fields["expires_at"], _secret_of(fields), fields["when"])
        case Purpose.ENDED:
            row = bytes.fromhex(fields["successor"])
            return Ended(fields["when"], EndReason(fields["reason"]), row if any(row) else None)
        case Purpose.USER:
            return UserList(fields["epoch"], fields["user_id"], tuple(_entry(entry) for entry in fields["entries"]))
        case Purpose.REVOCATION:
            return Revocation(RevocationKind(fields["kind"]), fields["value"])


def _header_fields(header: Header) -> Fields:
    numbers = ("created_at", "seen_at", "expires_at", "authenticated_at", "renewed_at", "generation")
    texts = ("owner", "user_epoch", "all_epoch", "methods")
    return (
        {name: getattr(header, name) for name in (*numbers, "permanent", "confirmed")}
        | {name: getattr(header.metadata, name) for name in texts}
        | {"lineage": header.lineage.value.hex()}
    )


def _header(fields: Fields) -> Header:
    metadata = Metadata(fields["owner"], fields["user_epoch"], fields["all_epoch"], fields["methods"])
    return Header(
        fields["created_at"],
        fields["seen_at"],
        fields["expires_at"],
        fields["authenticated_at"],
        fields["renewed_at"],
        fields["generation"],
        Lineage(bytes.fromhex(fields["lineage"])),
        permanent=fields["permanent"],
        confirmed=fields["confirmed"],
        metadata=metadata,
    )


def _entry_fields(entry: Entry) -> list[Any]:
    times = [entry.created, entry.seen, entry.expires]
    rows = [row.hex() for row in entry.rows]
    return [entry.lineage.hex(), rows, *times, entry.ending, entry.label, entry.address]


def _entry(fields: list[Any]) -> Entry:
    lineage, rows, *rest = fields
    return Entry(bytes.fromhex(lineage), tuple(bytes.fromhex(row) for row in rows), *rest)


def _secret_of(fields: Fields) -> SessionSecret:
    return SessionSecret(bytes.fromhex(fields["secret"]))


def _sealer(place: Place) -> Sealer:
    return Sealer(Purpose(place.purpose), app_id=place.app_id, carrier=place.carrier)


def _secret(place: Place) -> SessionSecret | None:
    return SessionSecret(place.secret) if place.secret else None


def _through_a_cookie(text: str, name: str) -> str:
    request = Request(create_environ() | {"HTTP_COOKIE": f"{name}={text}"})
    arrived = CookieCarrier(name).read(request)
    assert arrived == text
    return arrived


def _blob(text: str) -> bytes:
    try:
        return from_text(text)
    except ValueError:
        raise TokenRefused(Refusal.ENCODING) from None
