"""What is inside each sealed blob, to the byte. All integers are big-endian.

Purposes 01 and 03 hold a `Record`: a header, metadata and what the application stored. The other five are fixed or
short. Whatever does not unpack is TokenRefused: it was sealed with one of our keys, and still is not trusted to be
well-formed.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct
from struct import error as struct_error
from typing import Annotated, Any, TypeVar

import msgspec

from .crypto.ids import Lineage, SessionSecret
from .errors import Refusal, TokenRefused
from .serializers import MAX_SIZE

E = TypeVar("E", bound=IntEnum)
U32 = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class PayloadFormat(IntEnum):
    """Bits 0 and 1 of the flags: which serializer wrote the payload. 2 is not assigned."""

    JSON = 0
    MESSAGE_PACK = 1
    CUSTOM = 3


class Metadata(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename={"owner": "o", "user_epoch": "e", "all_epoch": "a", "methods": "m"},
):
    """What the library knows of a session beside its times: a MessagePack map, its keys absent where empty."""

    owner: str | None = None
    user_epoch: U32 | None = None
    all_epoch: U32 | None = None
    methods: dict[str, U32] = {}


@dataclass(frozen=True, slots=True)
class Header:
    """A session's times and identity. Times are whole Unix seconds.

    In the plaintext::

        0   1  flags             bits 0–1 serializer, 2 compressed, 3 permanent, 4 confirmed, 5 padded, 6–7 zero
        1   4  created_at        base of the absolute timeout
        5   4  seen_at           last activity: base of the idle timeout
        9   4  expires_at        frozen when the session is created
        13  4  authenticated_at  0: anonymous or remembered
        17  4  renewed_at        when this id was made
        21  4  generation        rises with every change of id
        25 16  lineage           what stays the same over these changes
        41  2  m                 length of the metadata
        43  m  metadata
    """

    created_at: int
    seen_at: int
    expires_at: int
    authenticated_at: int
    renewed_at: int
    generation: int
    lineage: Lineage
    permanent: bool = False
    confirmed: bool = True
    metadata: Metadata = field(default=Metadata(), repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """A session as it is sealed: the header, and what the application stored behind it, out of the header's reach."""

    header: Header
    payload: bytes = field(repr=False)
    format: PayloadFormat = PayloadFormat.JSON

    def pack(self, *, compress: bool = False, pad_to: int | None = None) -> bytes:
        """The plaintext of purposes 01 and 03.

        Args:
            compress: zlib (RFC 1950). The length of what is sealed then tells something of its content (CRIME, BREACH).
            pad_to: bytes; the plaintext's length becomes a multiple of it.
        """
        header = self.header
        metadata = b"" if header.metadata == _NO_METADATA else _encode(header.metadata)
        payload = zlib.compress(self.payload) if compress else self.payload
        if pad_to:
            payload += b"\x80"
            payload += bytes(-(_HEADER.size + len(metadata) + len(payload)) % pad_to)
        flags = self.format | compress << 2 | header.permanent << 3 | header.confirmed << 4 | (pad_to is not None) << 5
        return (
            _HEADER.pack(
                flags,
                header.created_at,
                header.seen_at,
                header.expires_at,
                header.authenticated_at,
                header.renewed_at,
                header.generation,
                header.lineage.value,
                len(metadata),
            )
            + metadata
            + payload
        )

    @classmethod
    def unpack(cls, plaintext: bytes) -> Record:
        try:
            flags, created, seen, expires, authenticated, renewed, generation, lineage, length = _HEADER.unpack_from(
                plaintext
            )
            end = _HEADER.size + length
            metadata = _unpack_metadata(plaintext[_HEADER.size : end])
            format_ = _FORMATS[flags & 0b11]
        except (struct_error, msgspec.MsgspecError, KeyError, ValueError):
            raise TokenRefused(Refusal.HEADER) from None
        if flags & 0b1100_0000 or end > len(plaintext) or not created <= seen <= expires:
            raise TokenRefused(Refusal.HEADER)
        header = Header(
            created,
            seen,
            expires,
            authenticated,
            renewed,
            generation,
            Lineage(lineage),
            permanent=bool(flags & 1 << 3),
            confirmed=bool(flags & 1 << 4),
            metadata=metadata,
        )
        payload = plaintext[end:]
        if flags & 1 << 5:
            payload = _unpadded(payload)
        if flags & 1 << 2:
            payload = _decompressed(payload)
        if len(payload) > MAX_SIZE:
            raise TokenRefused(Refusal.PAYLOAD)
        return cls(header, payload, format_)


@dataclass(frozen=True, slots=True)
class Reference:
    """A token that names a row (purpose 02): 4 created_at, 4 expires_at, 32 secret."""

    created_at: int
    expires_at: int
    secret: SessionSecret

    def pack(self) -> bytes:
        return _REFERENCE.pack(self.created_at, self.expires_at, self.secret.value)

    @classmethod
    def unpack(cls, plaintext: bytes) -> Reference:
        created, expires, secret = _unpack(_REFERENCE, plaintext)
        return cls(created, expires, SessionSecret(secret))


@dataclass(frozen=True, slots=True)
class Moved:
    """An id that was renewed (purpose 04): 4 created_at, 4 expires_at, 32 secret of the successor, 4 when."""

    created_at: int
    expires_at: int
    successor: SessionSecret
    when: int

    def pack(self) -> bytes:
        return _MOVED.pack(self.created_at, self.expires_at, self.successor.value, self.when)

    @classmethod
    def unpack(cls, plaintext: bytes) -> Moved:
        created, expires, successor, when = _unpack(_MOVED, plaintext)
        return cls(created, expires, SessionSecret(successor), when)


class EndReason(IntEnum):
    """Why a session ended, as its tombstone keeps it."""

    LOGGED_OUT = 1
    REVOKED = 2
    EVICTED = 3
    REGENERATED = 4
    CLONED = 5
    EXPIRED = 6
    LOGGED_IN = 7


@dataclass(frozen=True, slots=True)
class Ended:
    """A row's tombstone (purpose 05): 4 when, 1 reason, 32 row id of the successor or zeros; never its secret."""

    when: int
    reason: EndReason
    successor: bytes | None = None

    def pack(self) -> bytes:
        return _ENDED.pack(self.when, self.reason, self.successor or _NO_ROW)

    @classmethod
    def unpack(cls, plaintext: bytes) -> Ended:
        when, reason, successor = _unpack(_ENDED, plaintext)
        return cls(when, _member(EndReason, reason), None if successor == _NO_ROW else successor)


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One session in a user's list. Times are Unix seconds; `ending` marks one that is being revoked."""

    lineage: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    rows: tuple[Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)], ...]
    created: U32
    seen: U32
    expires: U32
    ending: bool
    label: str
    address: str


@dataclass(frozen=True, slots=True)
class UserList:
    """A user's sessions (purpose 06): 4 epoch, 2 length, the user id in UTF-8, a MessagePack array of entries."""

    epoch: int
    user_id: str = field(repr=False)
    entries: tuple[Entry, ...] = ()

    def pack(self) -> bytes:
        user_id = self.user_id.encode()
        return _USER.pack(self.epoch, len(user_id)) + user_id + _encode(self.entries)

    @classmethod
    def unpack(cls, plaintext: bytes) -> UserList:
        try:
            epoch, length = _USER.unpack_from(plaintext)
            user_id = plaintext[_USER.size : _USER.size + length].decode()
            entries = _decode_entries(plaintext[_USER.size + length :])
        except (struct_error, msgspec.MsgspecError, UnicodeDecodeError):
            raise TokenRefused(Refusal.HEADER) from None
        return cls(epoch, user_id, entries)


class RevocationKind(IntEnum):
    """What a revocation says of its name."""

    ENDED = 1
    LEAST_GENERATION = 2
    EPOCH = 3


@dataclass(frozen=True, slots=True)
class Revocation:
    """What ends self-contained cookies (purpose 07): 1 kind, 4 value."""

    kind: RevocationKind
    value: int

    def pack(self) -> bytes:
        return _REVOCATION.pack(self.kind, self.value)

    @classmethod
    def unpack(cls, plaintext: bytes) -> Revocation:
        kind, value = _unpack(_REVOCATION, plaintext)
        return cls(_member(RevocationKind, kind), value)


_HEADER = Struct(">B6I16sH")
_REFERENCE = Struct(">2I32s")
_MOVED = Struct(">2I32sI")
_ENDED = Struct(">IB32s")
_USER = Struct(">IH")
_REVOCATION = Struct(">BI")
_NO_ROW = bytes(32)
_FORMATS = {format_.value: format_ for format_ in PayloadFormat}
_NO_METADATA = Metadata()
_encode = msgspec.msgpack.Encoder().encode
_decode_metadata = msgspec.msgpack.Decoder(Metadata).decode
_decode_entries = msgspec.msgpack.Decoder(tuple[Entry, ...]).decode


def _unpack_metadata(data: bytes) -> Metadata:
    """Metadata in the one spelling that `Record.pack` has for it: whatever else would decode to the same is refused."""
    if not data:
        return _NO_METADATA
    metadata = _decode_metadata(data)
    if metadata == _NO_METADATA or _encode(metadata) != data:
        raise TokenRefused(Refusal.HEADER)
    return metadata


def _unpack(layout: Struct, plaintext: bytes) -> tuple[Any, ...]:
    if len(plaintext) != layout.size:
        raise TokenRefused(Refusal.HEADER)
    return layout.unpack(plaintext)


def _member(kinds: type[E], value: int) -> E:
    try:
        return kinds(value)
    except ValueError:
        raise TokenRefused(Refusal.HEADER) from None


def _unpadded(payload: bytes) -> bytes:
    content, marker, zeros = payload.rpartition(b"\x80")
    if not marker or zeros.strip(b"\x00"):
        raise TokenRefused(Refusal.PAYLOAD)
    return content


def _decompressed(payload: bytes) -> bytes:
    """At most `MAX_SIZE` bytes are ever made: a small token must not become a large memory (a decompression bomb)."""
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(payload, MAX_SIZE)
    except zlib.error:
        raise TokenRefused(Refusal.PAYLOAD) from None
    if not stream.eof or stream.unused_data:
        raise TokenRefused(Refusal.PAYLOAD)
    return content
