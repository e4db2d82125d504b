"""The token format a second time, written from its specification alone, to compare hardsession with.

Nothing of hardsession is imported. HMAC and the hashes are the standard library's, AES-256-GCM is cryptography's and
MessagePack is msgspec's; everything else stands here, in the specification's order. It is for tests: it compares in
variable time and takes the salts of its messages from the caller.
"""

from __future__ import annotations

import hmac
import re
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from struct import error as struct_error
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Fields = dict[str, Any]
"""What a plaintext says, in JSON's types: bytes are hexadecimal text."""


class Refused(Exception):
    """What must not be read. `step` is the step of the specification's section 4 that refuses it."""

    def __init__(self, step: int) -> None:
        self.step = step
        super().__init__(f"refused at step {step}")


LENGTH, TEXT, MAGIC_BYTES, PURPOSE, KEY_ID, OPEN, HEADER, PAYLOAD = range(2, 10)

# Section 1: the sealed blob

MAGIC = bytes.fromhex("86cd7f")
SESSION, REFERENCE, RECORD, MOVED, ENDED, USER, REVOCATION = range(1, 8)
CHUNK = 16384
TAG = 16


def pae(*pieces: bytes) -> bytes:
    """PASETO's pre-authentication encoding."""
    encoded = len(pieces).to_bytes(8, "little")
    for piece in pieces:
        encoded += len(piece).to_bytes(8, "little") + piece
    return encoded


@dataclass(frozen=True)
class Place:
    """Where a blob belongs: what its purpose, its application and its surroundings say, and its bytes do not.

    `secret` is S of the row, for purposes 03 and 04; their binding, the row id, follows from it.
    """

    purpose: int
    app_id: str
    carrier: str = ""
    binding: bytes = b""
    secret: bytes | None = None

    def context(self, head: bytes) -> bytes:
        label = pae(b"hardsession/v1", bytes([self.purpose]), self.app_id.encode(), self.carrier.encode())
        return label + head + (self.binding if self.secret is None else row_id(self.secret))

    def key(self, key: ServerKey) -> bytes:
        return key.token if self.secret is None else row_key(key, self.secret)


def seal(plaintext: bytes, key: ServerKey, place: Place, salt: bytes) -> bytes:
    """The blob of a plaintext."""
    head = MAGIC + bytes([place.purpose]) + key.id
    return head + cobblestone_seal(plaintext, place.key(key), place.context(head), salt)


def unseal(blob: bytes, keys: list[ServerKey], place: Place) -> bytes:
    """The plaintext of a blob."""
    head, message = blob[:8], blob[8:]
    if len(blob) < 80:
        raise Refused(LENGTH)
    if head[:3] != MAGIC:
        raise Refused(MAGIC_BYTES)
    if head[3] != place.purpose:
        raise Refused(PURPOSE)
    for key in keys:
        if key.id == head[4:]:
            return cobblestone_open(message, place.key(key), place.context(head))
    raise Refused(KEY_ID)


def to_text(blob: bytes) -> str:
    """The text form of a blob."""
    return urlsafe_b64encode(blob).decode().rstrip("=")


def from_text(text: str) -> bytes:
    """The blob of a text, in its one spelling."""
    over = len(text) % 4
    if not re.fullmatch("[A-Za-z0-9_-]*", text) or over == 1:
        raise Refused(TEXT)
    if (over == 2 and text[-1] not in "AQgw") or (over == 3 and text[-1] not in "AEIMQUYcgkosw048"):
        raise Refused(TEXT)
    return urlsafe_b64decode(text + "=" * (-over % 4))


# Cobblestone-256: C2SP chunked-encryption with SHA-512 and AES-256-GCM


def cobblestone_keys(key: bytes, salt: bytes, context: bytes) -> tuple[bytes, bytes, bytes]:
    """A message's AES-256-GCM key, its base nonce and its commitment."""
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + salt + context
    derived = hkdf_expand(key, info, 32 + 12 + 32, "sha512")
    return derived[:32], derived[32:44], derived[44:]


def chunk_nonce(base: bytes, index: int) -> bytes:
    """The base nonce, with the chunk's number over its end."""
    return (int.from_bytes(base, "big") ^ index).to_bytes(12, "big")


def cobblestone_seal(plaintext: bytes, key: bytes, context: bytes, salt: bytes) -> bytes:
    """A message: salt, commitment, full chunks, and one that is not full."""
    message_key, base, commitment = cobblestone_keys(key, salt, context)
    sealed = salt + commitment
    for index in range(len(plaintext) // CHUNK + 1):
        chunk = plaintext[index * CHUNK : (index + 1) * CHUNK]
        sealed += AESGCM(message_key).encrypt(chunk_nonce(base, index), chunk, None)
    return sealed


def cobblestone_open(message: bytes, key: bytes, context: bytes) -> bytes:
    """The plaintext of a message, once all of it is authentic."""
    salt, commitment, chunks = message[:24], message[24:56], message[56:]
    message_key, base, expected = cobblestone_keys(key, salt, context)
    full, rest = divmod(len(chunks), CHUNK + TAG)
    if len(key) != 32 or commitment != expected or rest < TAG:
        raise Refused(OPEN)
    plaintext = b""
    for index in range(full + 1):
        chunk = chunks[index * (CHUNK + TAG) : (index + 1) * (CHUNK + TAG)]
        try:
            plaintext += AESGCM(message_key).decrypt(chunk_nonce(base, index), chunk, None)
        except InvalidTag:
            raise Refused(OPEN) from None
    return plaintext


# The plaintexts of section 1's table, and section 2: header and metadata

HEAD = Struct(">B6I16sH")
FIXED: dict[int, tuple[Struct, tuple[str, ...]]] = {
    REFERENCE: (Struct(">II32s"), ("created_at", "expires_at", "secret")),
    MOVED: (Struct(">II32sI"), ("created_at", "expires_at", "secret", "when")),
    ENDED: (Struct(">IB32s"), ("when", "reason", "successor")),
    REVOCATION: (Struct(">BI"), ("kind", "value")),
}
METADATA = {"o": "owner", "e": "user_epoch", "a": "all_epoch", "m": "methods"}
LARGEST = 4 * 1024 * 1024


def pack(purpose: int, fields: Fields, *, compressed: bytes | None = None, pad_to: int | None = None) -> bytes:
    """The plaintext that says `fields`; `compressed` is the payload as zlib made it."""
    if purpose in (SESSION, RECORD):
        return pack_record(fields, compressed, pad_to)
    if purpose == USER:
        name: bytes = fields["user_id"].encode()
        entries = [pack_entry(entry) for entry in fields["entries"]]
        return Struct(">IH").pack(fields["epoch"], len(name)) + name + msgspec.msgpack.encode(entries)
    layout, names = FIXED[purpose]
    values = [fields[name] for name in names]
    return layout.pack(*(bytes.fromhex(value) if isinstance(value, str) else value for value in values))


def unpack(purpose: int, plaintext: bytes) -> Fields:
    """What a plaintext says."""
    if purpose in (SESSION, RECORD):
        return unpack_record(plaintext)
    if purpose == USER:
        return unpack_user(plaintext)
    layout, names = FIXED[purpose]
    if len(plaintext) != layout.size:
        raise Refused(HEADER)
    values = [value.hex() if isinstance(value, bytes) else value for value in layout.unpack(plaintext)]
    fields: Fields = dict(zip(names, values, strict=True))
    if not 1 <= fields.get("reason", 1) <= 7 or not 1 <= fields.get("kind", 1) <= 3:
        raise Refused(HEADER)
    return fields


def pack_record(fields: Fields, compressed: bytes | None, pad_to: int | None) -> bytes:
    map_ = {key: fields[name] for key, name in METADATA.items() if fields[name] not in (None, {})}
    metadata = msgspec.msgpack.encode(map_) if map_ else b""
    stored = bytes.fromhex(fields["payload"]) if compressed is None else compressed
    if pad_to is not None:
        stored += b"\x80"
        stored += bytes(-(HEAD.size + len(metadata) + len(stored)) % pad_to)
    flags = (
        fields["serializer"]
        | (compressed is not None) << 2
        | fields["permanent"] << 3
        | fields["confirmed"] << 4
        | (pad_to is not None) << 5
    )
    times = (fields[name] for name in ("created_at", "seen_at", "expires_at", "authenticated_at", "renewed_at"))
    lineage = bytes.fromhex(fields["lineage"])
    return HEAD.pack(flags, *times, fields["generation"], lineage, len(metadata)) + metadata + stored


def unpack_record(plaintext: bytes) -> Fields:
    try:
        flags, created, seen, expires, authenticated, renewed, generation, lineage, m = HEAD.unpack_from(plaintext)
    except struct_error:
        raise Refused(HEADER) from None
    metadata, stored = plaintext[HEAD.size : HEAD.size + m], plaintext[HEAD.size + m :]
    if flags >= 1 << 6 or flags & 0b11 == 2 or not created <= seen <= expires or len(metadata) != m:
        raise Refused(HEADER)
    owner_and_epochs = unpack_metadata(metadata) if m else dict.fromkeys(METADATA.values()) | {"methods": {}}
    if flags & 1 << 5:
        stored = unpad(stored)
    if flags & 1 << 2:
        stored = decompress(stored)
    if len(stored) > LARGEST:
        raise Refused(PAYLOAD)
    return {
        "flags": flags,
        "serializer": flags & 0b11,
        "permanent": bool(flags & 1 << 3),
        "confirmed": bool(flags & 1 << 4),
        "created_at": created,
        "seen_at": seen,
        "expires_at": expires,
        "authenticated_at": authenticated,
        "renewed_at": renewed,
        "generation": generation,
        "lineage": lineage.hex(),
        **owner_and_epochs,
        "payload": stored.hex(),
    }


def unpack_metadata(data: bytes) -> Fields:
    found = message_pack(data)
    if type(found) is not dict or not found.keys() <= METADATA.keys():
        raise Refused(HEADER)
    fields = {name: found.get(key) for key, name in METADATA.items()}
    fields["methods"] = found.get("m", {})
    owner, methods = fields["owner"], fields["methods"]
    if type(owner) not in (str, type(None)) or type(methods) is not dict:
        raise Refused(HEADER)
    numbers = [found[key] for key in ("e", "a") if key in found] + list(methods.values())
    if not all(map(is_u32, numbers)) or not all(type(method) is str for method in methods):
        raise Refused(HEADER)
    # One spelling only: the keys in their order, none that is empty, and MessagePack's shortest forms.
    canonical = {key: found[key] for key in METADATA if found.get(key, {}) not in (None, {})}
    if not canonical or msgspec.msgpack.encode(canonical) != data:
        raise Refused(HEADER)
    return fields


def unpack_user(plaintext: bytes) -> Fields:
    layout = Struct(">IH")
    try:
        epoch, length = layout.unpack_from(plaintext)
        user_id = plaintext[layout.size : layout.size + length]
        name = user_id.decode()
    except (struct_error, UnicodeDecodeError):
        raise Refused(HEADER) from None
    entries = message_pack(plaintext[layout.size + length :])
    if len(user_id) != length or type(entries) is not list:
        raise Refused(HEADER)
    return {"epoch": epoch, "user_id": name, "entries": [unpack_entry(entry) for entry in entries]}


def pack_entry(entry: list[Any]) -> list[Any]:
    lineage, rows, *rest = entry
    return [bytes.fromhex(lineage), [bytes.fromhex(row) for row in rows], *rest]


def unpack_entry(entry: Any) -> list[Any]:
    if type(entry) is not list or len(entry) != 8:
        raise Refused(HEADER)
    lineage, rows, created, seen, expires, ending, label, address = entry
    if type(lineage) is not bytes or len(lineage) != 16 or type(rows) is not list:
        raise Refused(HEADER)
    if not all(type(row) is bytes and len(row) == 32 for row in rows):
        raise Refused(HEADER)
    if not all(map(is_u32, (created, seen, expires))) or type(ending) is not bool:
        raise Refused(HEADER)
    if type(label) is not str or type(address) is not str:
        raise Refused(HEADER)
    return [lineage.hex(), [row.hex() for row in rows], created, seen, expires, ending, label, address]


def is_u32(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**32


def message_pack(data: bytes) -> Any:
    try:
        return msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Refused(HEADER) from None


def unpad(stored: bytes) -> bytes:
    padded = stored.rstrip(b"\x00")
    if padded[-1:] != b"\x80":
        raise Refused(PAYLOAD)
    return padded[:-1]


def decompress(stored: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        payload = stream.decompress(stored, LARGEST + 1)
    except zlib.error:
        raise Refused(PAYLOAD) from None
    if len(payload) > LARGEST or not stream.eof or stream.unused_data:
        raise Refused(PAYLOAD)
    return payload


# Section 3: keys and names


@dataclass(frozen=True)
class ServerKey:
    """What is derived from one configured key."""

    id: bytes
    token: bytes
    rows: bytes
    index: bytes

    @classmethod
    def derive(cls, material: bytes) -> ServerKey:
        prk = hkdf_extract(b"hardsession/v1", material)
        return cls(
            hkdf_expand(prk, b"hs1 kid", 4),
            hkdf_expand(prk, b"hs1 token", 32),
            hkdf_expand(prk, b"hs1 rows", 32),
            hkdf_expand(prk, b"hs1 index", 32),
        )


def hkdf_extract(salt: bytes, material: bytes) -> bytes:
    return hmac.digest(salt, material, "sha256")


def hkdf_expand(prk: bytes, info: bytes, length: int, hash_name: str = "sha256") -> bytes:
    block, derived, count = b"", b"", 0
    while len(derived) < length:
        count += 1
        block = hmac.digest(prk, block + info + bytes([count]), hash_name)
        derived += block
    return derived[:length]


def key_material(text: str) -> bytes:
    """The key in an `hsk1_` text."""
    data = from_text(text.removeprefix("hsk1_"))
    key, checksum = data[:32], data[32:]
    if len(text) != 53 or checksum != sha256(b"hs1 key\x00" + key).digest()[:4]:
        raise ValueError("the key is damaged")
    return key


def row_id(secret: bytes) -> bytes:
    return sha256(b"hs1 id\x00" + secret).digest()


def row_key(key: ServerKey, secret: bytes) -> bytes:
    return hkdf_expand(hkdf_extract(key.rows, secret), b"hs1 row", 32)


def user_key(key: ServerKey, app_id: str, key_prefix: str, user_id: str) -> bytes:
    return hmac.digest(key.index, pae(app_id.encode(), key_prefix.encode(), user_id.encode()), "sha256")


def revoked(lineage: bytes) -> bytes:
    return sha256(b"hs1 revoked\x00" + lineage).digest()


def everybody(app_id: str) -> bytes:
    return sha256(b"hs1 everybody\x00" + app_id.encode()).digest()


def log_name(lineage: bytes) -> bytes:
    return sha256(b"hs1 log\x00" + lineage).digest()[:8]


# Section 4: reading


def read_token(text: str, keys: list[ServerKey], place: Place, now: int) -> Fields:
    """Steps 2 to 8 for the one cookie or header of ours."""
    _, _, name = place.carrier.partition(":")
    if len(name) + len(text) > 4096 or len(text) < len(to_text(bytes(80))):
        raise Refused(LENGTH)
    return read_blob(from_text(text), keys, place, now)


def read_blob(blob: bytes, keys: list[ServerKey], place: Place, now: int) -> Fields:
    """Steps 4 to 8 for a blob."""
    fields = unpack(place.purpose, unseal(blob, keys, place))
    if place.purpose in (SESSION, RECORD) and max(fields["created_at"], fields["seen_at"]) > now + 30:
        raise Refused(HEADER)
    return fields
