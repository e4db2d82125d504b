"""Make hs1.json, by hand and always the same: `python -m tests.vectors.make_hs1`.

Everything is sealed by `tests/independent.py`, so the vectors say what the specification says and not what hardsession
does. A salt is the beginning of a hash of its vector's name; the keys are as public as this file and protect nothing.
"""

from __future__ import annotations

import hmac
import json
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests import independent as hs1
from tests.independent import ENDED, MOVED, RECORD, REFERENCE, REVOCATION, SESSION, USER, Fields, Place, ServerKey

FILE = Path(__file__).with_name("hs1.json")
ABOUT = [
    "Test vectors of the sealed format hs1. Read the specification first; this says how to use them.",
    "The ring that opens is made of the keys 'newest', 'older' and 'words'; 'stranger' is not in it.",
    "A place is what a blob is opened for: purpose, app id, carrier, and a binding or a secret (S of the row, which "
    "gives its key and, as the binding, its row id).",
    "Bytes are hexadecimal; blobs are base64url without padding, those of stored values only to fit into this file.",
    "The time is the vector's 'now' where it has one, and else the file's.",
    "Open every valid blob and compare with 'opened'; a payload over 1024 bytes is given by length and SHA-256. "
    "'data' is what the payload holds. 'flags' is the first byte of the header. 'salt' is for those who seal.",
    "Refuse every invalid blob, for its reason: length, encoding, format (another magic), purpose, unknown_key, "
    "not_authentic, header (of a header, or of another plaintext that is not laid out as it must be), future "
    "(more than 30 s), payload (padding, compression or size).",
]

NOW = 1_800_000_000
U32 = 2**32 - 1
APP = "newsroom"
COOKIE = "cookie:__Host-Http-session"
NAMES = {1: "session", 2: "reference", 3: "record", 4: "moved", 5: "ended", 6: "user", 7: "revocation"}

MATERIAL = {
    "newest": sha256(b"hs1.json newest").digest(),
    "older": b"an older key may be longer than thirty-two bytes",
    # Argon2id of the passphrase below: 3 passes, 64 MiB, 4 lanes.
    "words": bytes.fromhex("439bbe332e354becbf11ae5a344f6e1b5c4f9b5f6ce730f8e757b0beec8bcffe"),
    "stranger": sha256(b"hs1.json stranger").digest(),
}
PASSPHRASE = {"passphrase": "five words nobody else uses", "passphrase_salt": "newsroom of hs1.json"}
KEYS = {name: ServerKey.derive(material) for name, material in MATERIAL.items()}
RING = [KEYS["newest"], KEYS["older"], KEYS["words"]]

SECRET = sha256(b"hs1.json secret").digest()
SUCCESSOR = sha256(b"hs1.json successor").digest()
LINEAGE = sha256(b"hs1.json lineage").digest()[:16]

FOX = "zo\u00eb \U0001f98a"

PLACES = {
    "session": Place(SESSION, APP, COOKIE),
    "session of another app": Place(SESSION, "r\u00e9daction", COOKIE),
    "session over plain http": Place(SESSION, APP, "cookie:session"),
    "session in a short name": Place(SESSION, APP, "cookie:s"),
    "session in a header": Place(SESSION, APP, "header:x-session"),
    "reference": Place(REFERENCE, APP, COOKIE),
    "reference over plain http": Place(REFERENCE, APP, "cookie:session"),
    "reference in a short name": Place(REFERENCE, APP, "cookie:s"),
    "reference in a header": Place(REFERENCE, APP, "header:authorization"),
    "record": Place(RECORD, APP, secret=SECRET),
    "record of another row": Place(RECORD, APP, secret=SUCCESSOR),
    "moved": Place(MOVED, APP, secret=SECRET),
    "ended": Place(ENDED, APP, binding=hs1.row_id(SECRET)),
    "user": Place(USER, APP, binding=hs1.user_key(KEYS["newest"], APP, "news:", "ada")),
    "user of another id": Place(USER, APP, binding=hs1.user_key(KEYS["newest"], APP, "news:", FOX)),
    "revocation": Place(REVOCATION, APP, binding=hs1.revoked(LINEAGE)),
    "revocation of everybody": Place(REVOCATION, APP, binding=hs1.everybody(APP)),
}

HEADER: Fields = {
    "serializer": 0,
    "permanent": False,
    "confirmed": True,
    "created_at": NOW - 600,
    "seen_at": NOW - 60,
    "expires_at": NOW + 43200,
    "authenticated_at": 0,
    "renewed_at": NOW - 600,
    "generation": 0,
    "lineage": LINEAGE.hex(),
    "owner": None,
    "user_epoch": None,
    "all_epoch": None,
    "methods": {},
    "payload": b'{"cart":["spade"]}'.hex(),
}
ENTRY: list[Any] = [
    *(LINEAGE.hex(), [hs1.row_id(SECRET).hex()]),
    *(NOW - 600, NOW - 60, NOW + 43200),
    *(False, "Firefox", "192.0.2.1"),
]
FIELDS: dict[int, Fields] = {
    SESSION: HEADER,
    REFERENCE: {"created_at": NOW - 600, "expires_at": NOW + 43200, "secret": SECRET.hex()},
    RECORD: HEADER,
    MOVED: {"created_at": NOW - 600, "expires_at": NOW + 43200, "secret": SUCCESSOR.hex(), "when": NOW - 60},
    ENDED: {"when": NOW - 60, "reason": 1, "successor": bytes(32).hex()},
    USER: {"epoch": 0, "user_id": "ada", "entries": [ENTRY]},
    REVOCATION: {"kind": 1, "value": NOW - 60},
}
EVERYTHING: Fields = {
    "owner": "ada",
    "user_epoch": 3,
    "all_epoch": 7,
    "methods": {"password": NOW - 600, "webauthn": NOW - 300},
    "authenticated_at": NOW - 300,
    "generation": 2,
}

# Bytes of zlib's, kept here because another zlib compresses to others.
TEXT = b'{"cart":["rake","rake","rake","rake","rake"]}'
COMPRESSED = bytes.fromhex("78daab564a4e2c2a51b28a562a4acc4e55d2c143c5d6020043f30e0c")
ZEROS_4_MIB, ZEROS_4_MIB_AND_1 = (
    bytes.fromhex("78daedc101010000008220ffaf6e484001") + bytes(4063) + bytes.fromhex(end)
    for end in ("7c1b03c00001", "9c1b03c10001")
)
assert zlib.decompress(COMPRESSED) == TEXT
assert zlib.decompress(ZEROS_4_MIB) == bytes(2**22)
assert zlib.decompress(ZEROS_4_MIB_AND_1) == bytes(2**22 + 1)


def document() -> dict[str, Any]:
    """What stands in hs1.json."""
    return {
        "format": "hs1",
        "about": ABOUT,
        "now": NOW,
        "keys": dict(keys()),
        "names": list(names()),
        "places": {name: place_fields(place) for name, place in PLACES.items()},
        "valid": list(valid()),
        "invalid": list(invalid()),
    }


def text_of(document: dict[str, Any]) -> str:
    """A file's text: one line for each key of a vector, so that a change can be read."""
    return json.dumps(document, indent=1) + "\n"


def shown(payload: str) -> str:
    """A payload in hexadecimal; a long one by its length and hash."""
    data = bytes.fromhex(payload)
    return payload if len(data) <= 1024 else f"{len(data)} bytes with SHA-256 {sha256(data).hexdigest()}"


# Keys and names


def keys() -> Iterator[tuple[str, dict[str, str]]]:
    texts: dict[str, dict[str, str]] = {name: {"text": key_text(MATERIAL[name])} for name in ("newest", "stranger")}
    texts |= {"words": PASSPHRASE, "older": {}}
    for name, key in KEYS.items():
        parts = {"material": MATERIAL[name], "id": key.id, "token": key.token, "rows": key.rows, "index": key.index}
        yield name, texts[name] | {part: value.hex() for part, value in parts.items()}


def key_text(material: bytes) -> str:
    """A configured key's text form."""
    return "hsk1_" + hs1.to_text(material + sha256(b"hs1 key\x00" + material).digest()[:4])


def names() -> Iterator[dict[str, str]]:
    for app_id, key_prefix, user_id, seed in (
        ("newsroom", "news:", "ada", b"hs1.json secret"),
        ("newsroom", "", "", b"hs1.json nobody"),
        ("r\u00e9daction", "\u043d\u043e\u0432\u043e\u0441\u0442\u0438:", "zo\u00eb \U0001f98a", b"hs1.json fox"),
    ):
        secret, lineage = sha256(seed).digest(), sha256(seed + b" lineage").digest()[:16]
        yield {
            "app_id": app_id,
            "key_prefix": key_prefix,
            "user_id": user_id,
            "secret": secret.hex(),
            "lineage": lineage.hex(),
            "row_id": hs1.row_id(secret).hex(),
            "row_key": hs1.row_key(KEYS["newest"], secret).hex(),
            "user_key": hs1.user_key(KEYS["newest"], app_id, key_prefix, user_id).hex(),
            "revoked": hs1.revoked(lineage).hex(),
            "everybody": hs1.everybody(app_id).hex(),
            "log_name": hs1.log_name(lineage).hex(),
            "handle": hs1.to_text(lineage),
        }


# Valid blobs


def valid() -> Iterator[dict[str, Any]]:
    yield from valid_sessions()
    yield from valid_headers("session")
    yield from valid_headers("record")
    yield from valid_records()
    yield from valid_references_and_moves()
    yield from valid_tombstones()
    yield from valid_user_lists()
    yield from valid_revocations()


def opens(
    where: str,
    name: str,
    comment: str,
    changes: Fields | None = None,
    *,
    key: str = "newest",
    compressed: bytes | None = None,
    pad_to: int | None = None,
    now: int = NOW,
) -> dict[str, Any]:
    """A valid vector: the purpose's usual one, with some of its fields changed."""
    place, name = PLACES[where], f"{where}: {name}"
    fields = FIELDS[place.purpose] | (changes or {})
    plaintext = hs1.pack(place.purpose, fields, compressed=compressed, pad_to=pad_to)
    opened = hs1.unpack(place.purpose, plaintext)
    record = {"flags": opened.pop("flags")} | data(opened) if "payload" in opened else {}
    return {
        "name": name,
        "comment": comment,
        "place": where,
        "key": key,
        "salt": salt(name).hex(),
        **({"now": now} if now != NOW else {}),
        **record,
        "opened": opened | ({"payload": shown(opened["payload"])} if record else {}),
        "blob": hs1.to_text(hs1.seal(plaintext, KEYS[key], place, salt(name))),
    }


def data(opened: Fields) -> dict[str, Any]:
    """What a short payload without tags holds."""
    payload = bytes.fromhex(opened["payload"])
    if not payload or len(payload) > 1024 or opened["serializer"] == 3:
        return {}
    return {"data": msgspec.msgpack.decode(payload) if opened["serializer"] else json.loads(payload)}


def place_fields(place: Place) -> dict[str, Any]:
    inside = {"secret": place.secret.hex()} if place.secret else {"binding": place.binding.hex()}
    return {"purpose": NAMES[place.purpose], "app_id": place.app_id, "carrier": place.carrier, **inside}


def salt(name: str) -> bytes:
    return sha256(b"hs1.json " + name.encode()).digest()[:24]


def payload(data: bytes) -> Fields:
    return {"payload": data.hex()}


def sized(length: int) -> Fields:
    """A JSON payload of that many bytes."""
    return payload(b'{"a":"' + b"x" * (length - 8) + b'"}')


def valid_sessions() -> Iterator[dict[str, Any]]:
    yield opens("session of another app", "usual", "an app id is any text, as UTF-8")
    yield opens("session over plain http", "usual", "a cookie of another name")
    yield opens("session in a short name", "longest", "name and value are 4096 bytes together", sized(3071 - 123))
    yield opens("session in a header", "usual", "a token in a header")


def valid_headers(where: str) -> Iterator[dict[str, Any]]:
    """What purposes 01 and 03 have in common."""

    def one(name: str, comment: str, changes: Fields | None = None, **how: Any) -> dict[str, Any]:
        return opens(where, name, comment, changes, **how)

    small = msgspec.msgpack.encode({"cart": ["rake"], "total": 12.5})
    zeros = dict.fromkeys(NUMBERS, 0) | {"lineage": "00" * 16}
    ones = dict.fromkeys(NUMBERS, U32) | {"lineage": "ff" * 16}
    at_once = dict.fromkeys(("created_at", "seen_at", "expires_at"), NOW)
    ahead = dict.fromkeys(("created_at", "seen_at"), NOW + 30)
    looks_padded = {"serializer": 1} | payload(msgspec.msgpack.encode({"a": [{}, 0]}))  # ends in 80 00
    every_flag = {"serializer": 1, "permanent": True} | payload(small)

    yield one("usual", "an anonymous visitor's cart; the flags say confirmed and nothing else")
    yield one("no data", "an empty map", payload(b"{}"))
    yield one("no payload", "nothing stands behind the header; no serializer writes that", payload(b""))
    yield one("older key", "any key of the ring opens", key="older")
    yield one("passphrase", "a key that was derived from words", key="words")
    yield one("unconfirmed", "flags zero: an id that its own token has not used yet", {"confirmed": False})
    yield one("permanent", "the cookie outlives the browser", {"permanent": True})
    yield one("MessagePack", "serializer 1", {"serializer": 1} | payload(small))
    yield one("the application's own", "serializer 3", {"serializer": 3} | payload(b"\xff its own bytes"))
    yield one("compressed", "zlib", payload(TEXT), compressed=COMPRESSED)
    yield one("padded", "the plaintext's length is a multiple of 64", pad_to=64)
    yield one("padded by the marker alone", "no zeros are needed", sized(84), pad_to=64)
    yield one("padded, and looked it before", "only the last 80 is the marker", looks_padded, pad_to=64)
    yield one("padded nothing", "padding may be all there is", payload(b""), pad_to=256)
    yield one("compressed and padded", "the padding is outside", payload(TEXT), compressed=COMPRESSED, pad_to=32)
    yield one("every flag", "flags 3d", every_flag, compressed=stored_by_zlib(small), pad_to=16)
    yield one("all metadata", "every key of the map", EVERYTHING)
    yield one("owner in other scripts", "the owner is any text", {"owner": FOX + " \u0410\u0434\u0430 \u827e\u8fbe"})
    yield one("empty owner", "an owner whose id is the empty text is one", {"owner": ""})
    yield one("epochs of zero", "zero is not absent", {"user_epoch": 0, "all_epoch": 0})
    yield one("highest epochs", "32 bits", {"user_epoch": U32, "all_epoch": U32})
    yield one("one method", "how the user logged in", {"owner": "7", "methods": {"password": NOW - 600}})
    yield one("metadata over 255 bytes", "both bytes of its length count", {"owner": "ada@" + "x" * 300})
    yield one("all zeros", "the least of everything", zeros)
    yield one("all ones", "the most of everything", ones, now=U32)
    yield one("created, seen and over at once", "these times may be equal", at_once)
    yield one("30 s ahead", "another instance's clock may be that far ahead", ahead)


NUMBERS = ("created_at", "seen_at", "expires_at", "authenticated_at", "renewed_at", "generation")


def valid_records() -> Iterator[dict[str, Any]]:
    yield opens("record", "one full chunk", "16384 bytes: a full chunk and an empty one", sized(16384 - 43))
    yield opens("record", "two chunks", "16884 bytes", sized(16884 - 43))
    yield opens("record", "largest", "4 MiB after decompression", payload(bytes(2**22)), compressed=ZEROS_4_MIB)
    yield opens("record of another row", "usual", "another secret")


def valid_references_and_moves() -> Iterator[dict[str, Any]]:
    for where, purpose in (("reference", REFERENCE), ("moved", MOVED)):
        numbers = FIELDS[purpose].keys() - {"secret"}
        zeros = dict.fromkeys(numbers, 0) | {"secret": "00" * 32}
        ones = dict.fromkeys(numbers, U32) | {"secret": "ff" * 32}
        yield opens(where, "usual", "a secret and its times")
        yield opens(where, "older key", "any key of the ring opens", key="older")
        yield opens(where, "passphrase", "a key that was derived from words", key="words")
        yield opens(where, "all zeros", "the least of everything", zeros)
        yield opens(where, "all ones", "the most of everything", ones)
    yield opens("reference over plain http", "usual", "a cookie of another name")
    yield opens("reference in a header", "usual", "a token in a header")


def valid_tombstones() -> Iterator[dict[str, Any]]:
    succeeded = {"reason": 4, "successor": hs1.row_id(SUCCESSOR).hex()}

    words = ("logged out", "revoked", "evicted", "regenerated", "cloned", "expired", "logged in")
    for reason, word in enumerate(words, start=1):
        yield opens("ended", word, f"reason {reason}, no successor", {"reason": reason})
    yield opens("ended", "with a successor", "the successor's row id, not its secret", succeeded)
    yield opens("ended", "older key", "any key of the ring opens", key="older")


def valid_user_lists() -> Iterator[dict[str, Any]]:
    lineage, rows, *_ = ENTRY
    ending = [lineage, [*rows, hs1.row_id(SUCCESSOR).hex()], *ENTRY[2:5], True, "", ""]
    early, late = ([lineage, rows, time, time, time, *ENTRY[5:]] for time in (0, U32))

    yield opens("user", "usual", "one session")
    yield opens("user", "no entry", "no session", {"entries": []})
    yield opens("user", "several", "one of them is being revoked and has two rows", {"entries": [ENTRY, ending]})
    yield opens("user", "no row", "a session whose rows are gone", {"entries": [[lineage, [], *ENTRY[2:]]]})
    yield opens("user", "highest epoch", "32 bits", {"epoch": U32})
    yield opens("user", "times at both ends", "32 bits", {"entries": [early, late]})
    yield opens("user", "older key", "any key of the ring opens", key="older")
    yield opens("user of another id", "other scripts", "the length counts bytes, not characters", {"user_id": FOX})


def valid_revocations() -> Iterator[dict[str, Any]]:
    yield opens("revocation", "ended", "kind 1")
    yield opens("revocation", "least valid generation", "kind 2", {"kind": 2, "value": 3})
    yield opens("revocation", "zero", "the least value", {"value": 0})
    yield opens("revocation", "highest", "the highest value", {"value": U32})
    yield opens("revocation", "older key", "any key of the ring opens", key="older")
    yield opens("revocation of everybody", "epoch", "kind 3", {"kind": 3, "value": 1})


# Invalid blobs


@dataclass(frozen=True)
class Sample:
    """The usual blob of a purpose, and how to seal others in its place."""

    where: str
    plaintext: bytes
    salt: bytes

    @classmethod
    def of(cls, where: str) -> Sample:
        purpose = PLACES[where].purpose
        return cls(where, hs1.pack(purpose, FIELDS[purpose]), salt(f"{where}: usual"))

    @property
    def place(self) -> Place:
        return PLACES[self.where]

    @property
    def blob(self) -> bytes:
        return self.sealed()

    def sealed(
        self, plaintext: bytes | None = None, key: ServerKey = KEYS["newest"], place: Place | None = None
    ) -> bytes:
        return hs1.seal(self.plaintext if plaintext is None else plaintext, key, place or self.place, self.salt)

    def fails(self, name: str, comment: str, reason: str, blob: bytes | str, **more: Any) -> dict[str, Any]:
        """An invalid vector: what an attacker puts into this sample's place."""
        return {
            "name": f"{self.where}: {name}",
            "comment": comment,
            "place": self.where,
            **more,
            "reason": reason,
            "blob": blob if isinstance(blob, str) else hs1.to_text(blob),
        }


SAMPLES = {purpose: Sample.of(name) for purpose, name in NAMES.items()}


def invalid() -> Iterator[dict[str, Any]]:
    for sample in SAMPLES.values():
        yield from flipped(sample)
        yield from cut_and_extended(sample)
        yield from foreign(sample)
        yield from of_another_purpose(sample)
        yield from of_another_place(sample)
        yield from under_another_key(sample)
        yield from built_wrongly(sample)
    yield from built_on_another_construction(SAMPLES[SESSION])
    for purpose in (SESSION, REFERENCE):
        yield from spelled_differently(SAMPLES[purpose])
        yield from tokens_of_others(SAMPLES[purpose])
    yield from unused_bits(SAMPLES[SESSION])
    yield from too_long()
    yield from chunks()
    for purpose in (SESSION, RECORD):
        yield from wrong_headers(SAMPLES[purpose])
        yield from wrong_metadata(SAMPLES[purpose])
        yield from wrong_payloads(SAMPLES[purpose])
        yield from from_the_future(SAMPLES[purpose])
    yield from bombs()
    yield from wrong_layouts()
    yield from wrong_user_lists()


def flip(blob: bytes, index: int, bit: int = 0) -> bytes:
    changed = bytearray(blob)
    changed[index] ^= 1 << bit
    return bytes(changed)


def flipped(sample: Sample) -> Iterator[dict[str, Any]]:
    blob = sample.blob
    regions = [
        ("first byte of the magic", 0, 7, "format"),
        ("last byte of the magic", 2, 0, "format"),
        ("purpose", 3, 3, "purpose"),
        ("first byte of the key id", 4, 7, "unknown_key"),
        ("last byte of the key id", 7, 0, "unknown_key"),
        ("first byte of the salt", 8, 0, "not_authentic"),
        ("last byte of the salt", 31, 7, "not_authentic"),
        ("first byte of the commitment", 32, 0, "not_authentic"),
        ("last byte of the commitment", 63, 7, "not_authentic"),
        ("first byte of the ciphertext", 64, 0, "not_authentic"),
        ("last byte of the ciphertext", -17, 7, "not_authentic"),
        ("first byte of the tag", -16, 0, "not_authentic"),
        ("last byte of the tag", -1, 7, "not_authentic"),
    ]
    for region, index, bit, reason in regions:
        yield sample.fails(
            f"bit flipped, {region}", f"bit {bit} of the {region} is flipped", reason, flip(blob, index, bit)
        )


def cut_and_extended(sample: Sample) -> Iterator[dict[str, Any]]:
    blob = sample.blob

    def fails(name: str, comment: str, blob: bytes, reason: str = "not_authentic") -> dict[str, Any]:
        return sample.fails(name, comment, reason, blob)

    yield fails("empty", "nothing at all", b"", "length")
    yield fails("head only", "eight bytes and no message", blob[:8], "length")
    yield fails("79 bytes", "one byte shorter than the blob of an empty plaintext", blob[:79], "length")
    yield fails("80 bytes", "as long as the blob of an empty plaintext, but not one", blob[:80])
    yield fails("last byte cut off", "the tag is one byte short", blob[:-1])
    yield fails("tag cut off", "the last 16 bytes", blob[:-16], "not_authentic" if len(blob) >= 96 else "length")
    yield fails("first byte of the ciphertext cut out", "the tag is whole", blob[:64] + blob[65:])
    yield fails("a zero byte behind", "something follows the tag", blob + b"\x00")
    yield fails("a tag's length behind", "16 zero bytes follow the tag", blob + bytes(16))
    yield fails("twice", "the blob follows itself", blob + blob)
    yield fails("message twice", "the ciphertext and tag follow themselves", blob + blob[64:])
    yield fails("a byte in front", "one byte before the magic", b"\x00" + blob, "format")


def foreign(sample: Sample) -> Iterator[dict[str, Any]]:
    rest = sample.blob[3:]

    def fails(name: str, comment: str, blob: bytes) -> dict[str, Any]:
        return sample.fails(name, comment, "format", blob)

    yield fails("zeros", "120 zero bytes", bytes(120))
    yield fails("next version", "the magic of hs2, which is none yet", bytes.fromhex("86cdbf") + rest)
    yield fails("no magic", "the blob begins with its purpose", rest + bytes(3))
    if sample.place.purpose not in (SESSION, REFERENCE):
        yield fails("pickle, unsealed", "of another library", b"\x80\x04\x95" + bytes(120))
        yield fails("MessagePack, unsealed", "of another library", msgspec.msgpack.encode({"user_id": "x" * 120}))
        yield fails("JSON, unsealed", "of another library", b'{"user_id": "' + b"x" * 120 + b'"}')


def of_another_purpose(sample: Sample) -> Iterator[dict[str, Any]]:
    blob, purpose = sample.blob, sample.place.purpose
    for other in SAMPLES.values():
        if other is sample:
            continue
        its, name = other.place.purpose, other.where
        # As near to this place as another purpose can come: sealed with its surroundings, then relabelled.
        near = other.sealed(place=replace(sample.place, purpose=its))
        relabelled = near[:3] + bytes([purpose]) + near[4:]
        yield sample.fails(f"a {name} blob", "a sound one, at another purpose's place", "purpose", other.blob)
        yield sample.fails(
            f"a {name} blob relabelled", "the purpose byte is authenticated", "not_authentic", relabelled
        )
    for byte in (0, 8, 255):
        unknown = blob[:3] + bytes([byte]) + blob[4:]
        yield sample.fails(f"purpose {byte}", "a purpose that there is not", "purpose", unknown)


def of_another_place(sample: Sample) -> Iterator[dict[str, Any]]:
    place = sample.place

    def fails(name: str, comment: str, **changes: Any) -> dict[str, Any]:
        return sample.fails(name, comment, "not_authentic", sample.sealed(place=replace(place, **changes)))

    yield fails("other app", "sealed by another application that shares the keys", app_id="newsroom2")
    yield fails("app id in other case", "an app id is compared byte for byte", app_id="Newsroom")
    yield fails("no app id", "sealed under an empty app id", app_id="")
    if place.carrier:
        scheme, name = place.carrier[:7], place.carrier[7:]
        yield fails("app id and carrier shifted", "the same characters in all", app_id=APP + scheme, carrier=name)
        yield fails("other cookie", "sealed for a cookie of another name", carrier="cookie:__Host-session")
        yield fails("cookie in other case", "names of cookies differ by case", carrier=scheme + name.lower())
        yield fails("of a header", "a header's token as a cookie", carrier="header:x-session")
        yield fails("of no carrier", "sealed as stored values are", carrier="")
        yield fails("bound to a row", "tokens are bound to nothing", binding=hs1.row_id(SECRET))
    elif place.secret:
        yield fails("carried", "stored values are sealed without a carrier", carrier=COOKIE)
        yield fails("other row", "sealed for the row of another secret", secret=SUCCESSOR)
        yield fails("not a row's", "bound to the row, but under K_token", secret=None, binding=hs1.row_id(place.secret))
    else:
        yield fails("carried", "stored values are sealed without a carrier", carrier=COOKIE)
        yield fails("other binding", "sealed for another row, user or revocation", binding=hs1.row_id(SUCCESSOR))
        yield fails("no binding", "sealed for none", binding=b"")
        yield fails("binding cut short", "31 of its 32 bytes", binding=place.binding[:31])
        yield fails("under a row's key", "for a row, under K_row", secret=SECRET, binding=b"")
    if place.purpose == USER:
        newest, older = KEYS["newest"], KEYS["older"]
        yield fails("other user", "eve's list", binding=hs1.user_key(newest, APP, "news:", "eve"))
        yield fails(
            "other key's user", "ada's name under the older key", binding=hs1.user_key(older, APP, "news:", "ada")
        )
        yield fails(
            "other prefix's user", "ada's name without the prefix", binding=hs1.user_key(newest, APP, "", "ada")
        )


def under_another_key(sample: Sample) -> Iterator[dict[str, Any]]:
    newest, older, stranger = KEYS["newest"], KEYS["older"], KEYS["stranger"]
    blob, head = sample.blob, sample.blob[:4] + older.id
    pretender, mixed = replace(stranger, id=newest.id), replace(newest, id=older.id)
    *_, commitment = hs1.cobblestone_keys(sample.place.key(older), sample.salt, sample.place.context(head))
    recommitted = head + sample.salt + commitment + blob[64:]

    def fails(name: str, comment: str, blob: bytes, reason: str = "not_authentic") -> dict[str, Any]:
        return sample.fails(name, comment, reason, blob)

    yield fails("unknown key", "sealed under a key that is not in the ring", sample.sealed(key=stranger), "unknown_key")
    yield fails("unknown key under our id", "a stranger's key that claims the id of ours", sample.sealed(key=pretender))
    yield fails("other key's id", "the id of another key of the ring was put in", head + blob[8:])
    yield fails(
        "other key's id, sealed", "sealed under the newest key with the older one's id", sample.sealed(key=mixed)
    )
    yield fails("other key's commitment", "id and commitment of the older key, ciphertext of the newest", recommitted)


def built_wrongly(sample: Sample) -> Iterator[dict[str, Any]]:
    """What a faulty implementation would seal."""
    key, place, head = KEYS["newest"], sample.place, sample.blob[:8]
    right_key, right_context = place.key(key), place.context(head)
    binding = hs1.row_id(place.secret) if place.secret else place.binding
    label = right_context.removesuffix(head + binding)
    joined = b"hardsession/v1" + bytes([place.purpose]) + APP.encode() + place.carrier.encode()

    def fails(name: str, comment: str, key: bytes = right_key, context: bytes = right_context) -> dict[str, Any]:
        message = hs1.cobblestone_seal(sample.plaintext, key, context, sample.salt)
        return sample.fails(f"built wrongly, {name}", comment, "not_authentic", head + message)

    yield fails("no PAE", "the context's pieces are joined without lengths", context=joined + head + binding)
    yield fails("no head", "the context lacks the first eight bytes", context=label + binding)
    yield fails("no context", "the context is empty", context=b"")
    yield fails("rows' key", "sealed under K_rows", key=key.rows)
    yield fails("material", "sealed under the configured key itself", key=MATERIAL["newest"])
    if place.secret:
        keyless = hs1.hkdf_expand(hs1.hkdf_extract(bytes(32), place.secret), b"hs1 row", 32)
        yield fails("secret", "sealed under S, which a token alone would open", key=place.secret)
        yield fails("row's key without K_rows", "derived from S, which a token alone would open", key=keyless)


def built_on_another_construction(sample: Sample) -> Iterator[dict[str, Any]]:
    plaintext, salt, head = sample.plaintext, sample.salt, sample.blob[:8]
    key, context = sample.place.key(KEYS["newest"]), sample.place.context(head)
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + salt + context
    right = hs1.hkdf_expand(key, info, 76, "sha512")
    other_hash = hs1.hkdf_expand(key, info, 76, "sha256")
    extracted = hs1.hkdf_expand(hmac.digest(bytes(64), key, "sha512"), info, 76, "sha512")
    next_nonce = right[:32] + hs1.chunk_nonce(right[32:44], 1) + right[44:]
    no_commitment = right[:44] + bytes(32)
    bare = salt[:12] + AESGCM(key).encrypt(salt[:12], plaintext, context)

    def fails(name: str, comment: str, message: bytes) -> dict[str, Any]:
        return sample.fails(f"built wrongly, {name}", comment, "not_authentic", head + message)

    def under(keys: bytes, additional: bytes | None = None) -> bytes:
        return salt + keys[44:] + AESGCM(keys[:32]).encrypt(keys[32:44], plaintext, additional)

    yield fails("additional data", "the context is AES-GCM's additional data as well", under(right, context))
    yield fails("chunks counted from one", "the nonce is that of the second chunk", under(next_nonce))
    yield fails("no commitment", "32 zero bytes in its place", under(no_commitment))
    yield fails("SHA-256", "derived with another hash", under(other_hash))
    yield fails("extracted first", "HKDF in whole, not its second half", under(extracted))
    yield fails("bare AES-GCM", "nonce, ciphertext and tag, no derivation", bare + bytes(28))
    yield fails("not encrypted", "the plaintext itself and 16 zero bytes", salt + right[44:] + plaintext + bytes(16))


def spelled_differently(sample: Sample) -> Iterator[dict[str, Any]]:
    """One blob has one text."""
    text = with_both(sample)
    middle = len(text) // 2

    def fails(name: str, comment: str, text: str, reason: str = "encoding") -> dict[str, Any]:
        return sample.fails(f"spelled differently, {name}", comment, reason, text)

    def instead(name: str, comment: str, character: str) -> dict[str, Any]:
        return fails(name, comment, text[:middle] + character + text[middle + 1 :])

    def inserted(name: str, comment: str, characters: str) -> dict[str, Any]:
        return fails(name, comment, text[:middle] + characters + text[middle:])

    yield fails("padding where none is due", "one = behind a whole text", text + "=")
    yield fails("four times padding", "a decoder that drops it reads the same bytes", text + "====")
    yield fails("length 1 over a multiple of 4", "no bytes have such a text", text + "A")
    yield fails("line feed behind", "what $ matches in many a regular expression", text + "\n")
    yield fails("carriage return and line feed behind", "a line's end", text + "\r\n")
    yield fails("line feed in front", "white space in front", "\n" + text)
    yield fails("form feed behind", "white space of another kind", text + "\f")
    yield fails("no-break space behind", "white space of Latin-1", text + "\u00a0")
    yield inserted("space inside", "many decoders skip it", " ")
    yield inserted("line broken", "as in MIME", "\r\n")
    yield inserted("tab inside", "many decoders skip it", "\t")
    yield inserted("zero byte inside", "where a C string ends", "\x00")
    yield inserted("character of no alphabet inside", "many decoders skip it", "!")
    yield inserted("padding inside", "many decoders stop there", "=")
    yield inserted("comma inside", "as if two headers were joined", ",")
    yield instead("full stop", "as in a signed cookie", ".")
    yield instead("tilde", "some addresses' base64 has it", "~")
    yield instead("Latin-1 letter", "\u00e9 is in no alphabet", "\u00e9")
    yield instead("full-width letter", "Unicode's other h", "\uff48")
    yield instead("Cyrillic letter", "it looks like an A", "\u0410")
    yield fails("double quotes", "a quoted cookie", f'"{text}"')
    yield fails("single quotes", "a quoted text", f"'{text}'")
    yield fails("quote in front", "an open quote", f'"{text}')
    yield fails("plus", "+ for -, as in the usual alphabet", text.replace("-", "+"))
    yield fails("slash", "/ for _ behind the magic, as in the usual alphabet", "hs1_" + text[4:].replace("_", "/"))
    yield fails("usual alphabet", "+ and / throughout", text.replace("-", "+").replace("_", "/"))
    yield fails("percent encoding", "as in an address", text.replace("-", "%2D").replace("_", "%5F"))
    yield fails("cases swapped", "another alphabet altogether: even the magic is another", text.swapcase(), "format")
    yield fails("text of the text", "encoded twice", hs1.to_text(text.encode()), "format")
    yield fails("hexadecimal", "120 of its bytes in hexadecimal", hs1.from_text(text)[:120].hex(), "format")


def with_both(sample: Sample) -> str:
    """The sample's text, under the first salt that gives it a - and, behind the magic, a _."""
    texts = (hs1.to_text(replace(sample, salt=salt(f"both, {number}")).blob) for number in range(1000))
    return next(text for text in texts if "-" in text and "_" in text[4:])


def unused_bits(sample: Sample) -> Iterator[dict[str, Any]]:
    """A text whose length is no multiple of 4 has a last character with bits that belong to no byte."""

    def fails(name: str, comment: str, text: str) -> dict[str, Any]:
        return sample.fails(f"unused bits, {over} over, {name}", comment, "encoding", text)

    for over, stored, aliases in ((2, b'{"a":1}', (1, 2, 4, 8, 15)), (3, b'{"a":12}', (1, 2, 3))):
        text = hs1.to_text(sample.sealed(hs1.pack(SESSION, HEADER | payload(stored))))
        padding = "=" * (4 - over)
        yield fails("padding", "the padding that other decoders demand", text + padding)
        yield fails("padding too long", "one = more than that", text + padding + "=")
        yield fails("length 1 over", "no bytes have such a text", text[: 1 - over])
        yield fails("line feed behind", "what $ matches in many a regular expression", text + "\n")
        for bits in aliases:
            alias = text[:-1] + ALPHABET[ALPHABET.index(text[-1]) + bits]
            yield fails(f"bits {bits}", "another spelling of the same bytes", alias)


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def tokens_of_others(sample: Sample) -> Iterator[dict[str, Any]]:
    fernet = b"\x80" + bytes(range(130))

    def fails(name: str, comment: str, text: str, reason: str) -> dict[str, Any]:
        return sample.fails(f"token of others, {name}", comment, reason, text)

    yield fails("signed cookie", "Flask's own", "eyJ1c2VyX2lkIjo3fQ.aGk0Uw." + "x" * 120, "encoding")
    yield fails("compressed signed cookie", "Flask's own, compressed", ".eJ" + "x" * 120 + ".aGk0Uw.xyz", "encoding")
    yield fails("JWT", "three parts", ".".join(["eyJhbGciOiJub25lIn0", "x" * 120, ""]), "encoding")
    yield fails("PASETO", "with a version in front", "v4.local." + "x" * 120, "encoding")
    yield fails("Fernet", "base64url with padding", b64encode(fernet, b"-_").decode(), "encoding")
    yield fails("Fernet without padding", "base64url, but another version byte", hs1.to_text(fernet), "format")
    yield fails("session id", "a random text that names a row elsewhere", "Zm9v" * 10 + "Zm9", "length")
    yield fails("UUID", "a random text that names a row elsewhere", "4b1f7c1e-6a0f-4c0e-9d0c-1f0e5d7a9b3c", "length")
    yield fails("row id", "what names a row in a store opens nothing", hs1.row_id(SECRET).hex(), "length")
    yield fails("store's name of a row", "prefix and row id", "news:r." + hs1.to_text(hs1.row_id(SECRET)), "length")
    yield fails("magic alone", "hs1_ and nothing behind", "hs1_", "length")
    yield fails("magic and text", "hs1_ and what anyone can type", "hs1_" + "A" * 156, "purpose")
    yield fails("key", "a configured key", "hsk1_" + hs1.to_text(MATERIAL["newest"] + bytes(4)), "length")


def too_long() -> Iterator[dict[str, Any]]:
    for where in ("session in a short name", "reference in a short name"):
        sample = Sample.of(where)
        blob = sample.sealed(hs1.pack(SESSION, HEADER | sized(3072 - 123)))
        yield sample.fails("4097 bytes", "authentic, but name and value are one byte too long", "length", blob)
    yield SAMPLES[SESSION].fails("5000 characters", "refused before anything is decoded", "length", "hs1_" + "=" * 4996)


def chunks() -> Iterator[dict[str, Any]]:
    sample = SAMPLES[RECORD]
    blob = sample.sealed(hs1.pack(RECORD, HEADER | sized(16884 - 43)))
    start, first, second = blob[:64], blob[64 : 64 + 16400], blob[64 + 16400 :]

    def fails(name: str, comment: str, blob: bytes) -> dict[str, Any]:
        return sample.fails(f"chunks, {name}", comment, "not_authentic", blob)

    yield fails("last one cut off", "the first one is authentic, and full, so another must follow", start + first)
    yield fails("first one cut out", "the last one stands where the first is due", start + second)
    yield fails("bit of the second one flipped", "the first one is authentic", flip(blob, -1))


# Header, metadata and payload


def raw(
    flags: int = 0b1_0000,
    created: int = NOW - 600,
    seen: int = NOW - 60,
    expires: int = NOW + 43200,
    metadata: bytes = b"",
    stored: bytes = b"{}",
    m: int | None = None,
) -> bytes:
    """A plaintext of purposes 01 and 03, right or wrong."""
    length = len(metadata) if m is None else m
    return hs1.HEAD.pack(flags, created, seen, expires, 0, NOW - 600, 0, LINEAGE, length) + metadata + stored


def refuser(sample: Sample, kind: str, reason: str) -> Callable[[str, str, bytes], dict[str, Any]]:
    """Make vectors of one kind: sealed with our key, as if we had a fault or had lost it."""

    def fails(name: str, comment: str, plaintext: bytes) -> dict[str, Any]:
        return sample.fails(f"{kind}, {name}", comment, reason, sample.sealed(plaintext))

    return fails


def wrong_headers(sample: Sample) -> Iterator[dict[str, Any]]:
    fails = refuser(sample, "header", "header")
    owner = msgspec.msgpack.encode({"o": "ada"})
    beyond = raw(metadata=owner, m=len(owner) + 1, stored=b"")

    yield fails("empty plaintext", "not even a header", b"")
    yield fails("one byte", "flags alone", raw()[:1])
    yield fails("42 bytes", "one byte short of a header", raw()[:42])
    yield fails("serializer 2", "a serializer that is not assigned", raw(0b1_0010))
    yield fails("bit 6", "an unknown flag", raw(0b101_0000))
    yield fails("bit 7", "an unknown flag", raw(0b1001_0000))
    yield fails("all bits", "unknown flags among known ones", raw(0xFF))
    yield fails("seen before created", "by one second", raw(created=NOW - 60, seen=NOW - 61))
    yield fails("expired before seen", "by one second", raw(seen=NOW - 60, expires=NOW - 61))
    yield fails("expired before created", "and seen between", raw(created=NOW - 60, seen=NOW - 80, expires=NOW - 100))
    yield fails("never created", "expires_at and seen_at are zero", raw(seen=0, expires=0))
    yield fails("metadata missing", "m is 1, and nothing follows", raw(m=1, stored=b""))
    yield fails("metadata longer than the plaintext", "m is 65535", raw(metadata=owner, m=65535))
    yield fails("metadata one byte too long", "m ends behind the plaintext", raw(metadata=owner, m=len(owner) + 3))
    yield fails("sound metadata, m too high", "the map ends where the plaintext does, m behind it", beyond)
    yield fails("metadata reaches into the payload", "m is one too high", raw(metadata=owner, m=len(owner) + 1))
    yield fails("metadata cut short", "m is one too low", raw(metadata=owner, m=len(owner) - 1))
    yield fails("payload as metadata", "m covers a JSON payload", raw(metadata=b"{}", stored=b""))


def wrong_metadata(sample: Sample) -> Iterator[dict[str, Any]]:
    header = refuser(sample, "metadata", "header")
    encode = msgspec.msgpack.encode

    def fails(name: str, comment: str, metadata: object) -> dict[str, Any]:
        return header(name, comment, raw(metadata=metadata if isinstance(metadata, bytes) else encode(metadata)))

    yield fails("empty map", "without a key there is no map, and m is 0", {})
    yield fails("keys in another order", "o stands before e", {"e": 1, "o": "ada"})
    yield fails("key twice", "the second would count", b"\x82\xa1o\xa3eve\xa1o\xa3ada")
    yield fails("no methods", "an empty map is left out", {"o": "ada", "m": {}})
    yield fails("owner is nil", "what is not there is left out", {"o": None})
    yield fails("epoch in five bytes", "1 takes one byte", b"\x81\xa1e\xce\x00\x00\x00\x01")
    yield fails("unknown key", "a key that is not assigned", {"x": 1})
    yield fails("unknown key beside known ones", "the others are right", {"o": "ada", "e": 1, "a": 1, "z": 1})
    yield fails("key in capitals", "O is not o", {"O": "ada"})
    yield fails("key in full", "owner is not o", {"owner": "ada"})
    yield fails("empty key", "no name", {"": "ada"})
    yield fails("key is a number", "keys are text", {1: "ada"})
    yield fails("key is bytes", "keys are text", b"\x81\xc4\x01o\xa3ada")
    yield fails("array", "not a map", ["ada"])
    yield fails("nil", "not a map", None)
    yield fails("text", "not a map", "ada")
    yield fails("number", "not a map", 7)
    yield fails("JSON", "not MessagePack", b'{"o":"ada"}')
    yield fails("byte of no type", "c1 is never used", b"\xc1")
    yield fails("map cut short", "the map announces two keys and holds one", b"\x82\xa1o\xa3ada")
    yield fails("something behind", "one byte follows the map", encode({"o": "ada"}) + b"\xc0")
    yield fails("two maps", "one map follows another", encode({"o": "ada"}) * 2)
    yield fails("owner is a number", "an owner is text: 7 is not the user 7", {"o": 7})
    yield fails("owner is bytes", "an owner is text", {"o": b"ada"})
    yield fails("owner is an array", "an owner is text", {"o": ["ada", "eve"]})
    yield fails("owner is not UTF-8", "a lone ff", b"\x81\xa1o\xa1\xff")
    yield fails("owner is half a surrogate pair", "UTF-8 has none", b"\x81\xa1o\xa3\xed\xa0\x80")
    yield fails("owner in an overlong form", "UTF-8 has one form for each character", b"\x81\xa1o\xa2\xc1\xa1")
    for key, whose in (("e", "the user"), ("a", "all")):
        yield fails(f"epoch of {whose} is below zero", "-1", {key: -1})
        yield fails(f"epoch of {whose} is too high", "2 to the power of 32", {key: 2**32})
        yield fails(f"epoch of {whose} is a fraction", "1.5", {key: 1.5})
        yield fails(f"epoch of {whose} is true", "true is not 1", {key: True})
        yield fails(f"epoch of {whose} is text", "text is no number", {key: "1"})
    yield fails("methods are an array", "a map of names to times is due", {"m": ["password"]})
    yield fails("methods are text", "a map of names to times is due", {"m": "password"})
    yield fails("method's time is below zero", "-1", {"m": {"password": -1}})
    yield fails("method's time is too high", "2 to the power of 32", {"m": {"password": 2**32}})
    yield fails("method's time is a fraction", "1.5", {"m": {"password": 1.5}})
    yield fails("method's time is text", "text is no time", {"m": {"password": "now"}})
    yield fails("method's time is nil", "nil is no time", {"m": {"password": None}})
    yield fails("method's name is a number", "names are text", {"m": {1: NOW}})
    yield fails("method's name is bytes", "names are text", b"\x81\xa1m\x81\xc4\x01p\x01")


def wrong_payloads(sample: Sample) -> Iterator[dict[str, Any]]:
    fails = refuser(sample, "payload", "payload")
    compressed, padded = 0b01_0100, 0b11_0000
    preset = bytes.fromhex("78f90f1d0439") + COMPRESSED[2:]
    inside = stored_by_zlib(TEXT + b"\x80\x00\x00")

    def squeezed(name: str, comment: str, stored: bytes) -> dict[str, Any]:
        return fails(name, comment, raw(compressed, stored=stored))

    def filled(name: str, comment: str, stored: bytes) -> dict[str, Any]:
        return fails(name, comment, raw(padded, stored=stored))

    yield filled("padding missing", "the flag says padded, and nothing follows", b"")
    yield filled("no marker", "the flag says padded, and the payload is bare", b"{}")
    yield filled("zeros without a marker", "zeros alone", b"{}" + bytes(19))
    yield filled("other byte behind the marker", "one byte of the padding is 01", b"{}\x80\x00\x01\x00")
    yield filled("text behind the marker", "something is hidden in the padding", b"{}\x80hidden")
    yield filled("other marker", "81", b"{}\x81\x00\x00")
    yield squeezed("nothing compressed", "the flag says compressed, and nothing follows", b"")
    yield squeezed("not compressed", "the flag says compressed, and the payload is bare", TEXT)
    yield squeezed("deflate without zlib's header", "RFC 1951 is not RFC 1950", COMPRESSED[2:-4])
    yield squeezed("gzip", "RFC 1952 is not RFC 1950", GZIP)
    yield squeezed("zlib cut short", "the last byte of the checksum is missing", COMPRESSED[:-1])
    yield squeezed("zlib without its checksum", "the last four bytes are missing", COMPRESSED[:-4])
    yield squeezed("zlib with a wrong checksum", "one bit of it", flip(COMPRESSED, -1))
    yield squeezed("zlib and a byte behind", "one byte follows the checksum", COMPRESSED + b"\x00")
    yield squeezed("zlib twice", "one stream follows another", COMPRESSED * 2)
    yield squeezed("zlib with a preset dictionary", "nobody has the dictionary", preset)
    yield squeezed("padding, but no flag for it", "the marker follows the checksum", COMPRESSED + b"\x80\x00")
    yield fails("not padded", "compressed, but the padding is missing", raw(compressed | padded, stored=COMPRESSED))
    yield fails("padded inside", "padding goes outside the compression", raw(compressed | padded, stored=inside))


def stored_by_zlib(data: bytes) -> bytes:
    """A zlib stream (RFC 1950) of one block that is not compressed (RFC 1951, 3.2.4)."""
    length = len(data)
    return b"\x78\x01\x01" + struct.pack("<HH", length, length ^ 0xFFFF) + data + zlib.adler32(data).to_bytes(4, "big")


GZIP = bytes.fromhex("1f8b0800000000000003") + COMPRESSED[2:-4] + struct.pack("<II", zlib.crc32(TEXT), len(TEXT))


def bombs() -> Iterator[dict[str, Any]]:
    fails = refuser(SAMPLES[RECORD], "bomb", "payload")
    bomb, padded = ZEROS_4_MIB_AND_1, ZEROS_4_MIB_AND_1 + b"\x80" + bytes(30)

    yield fails("one byte too large", "4 MiB and one byte after decompression", raw(0b01_0100, stored=bomb))
    yield fails("padded", "the same behind padding", raw(0b11_0100, stored=padded))
    yield fails("without an end", "4 MiB and no checksum", raw(0b01_0100, stored=ZEROS_4_MIB[:-4]))


def from_the_future(sample: Sample) -> Iterator[dict[str, Any]]:
    def fails(name: str, comment: str, plaintext: bytes, now: int = NOW) -> dict[str, Any]:
        return sample.fails(f"future, {name}", comment, "future", sample.sealed(plaintext), now=now)

    yield fails("created", "31 s ahead", raw(created=NOW + 31, seen=NOW + 31))
    yield fails("seen", "31 s ahead, created long ago", raw(seen=NOW + 31))
    yield fails("a day ahead", "created tomorrow", raw(created=NOW + 86400, seen=NOW + 86400, expires=NOW + 90000))
    yield fails("highest time", "32 bits of ones", raw(created=U32, seen=U32, expires=U32))
    yield fails("clock at zero", "a server whose clock was never set judges no session", raw(), 0)


# The other layouts


def wrong_layouts() -> Iterator[dict[str, Any]]:
    for purpose in (REFERENCE, MOVED, ENDED, REVOCATION):
        sample = SAMPLES[purpose]
        fails = refuser(sample, "layout", "header")
        yield fails("empty", "nothing", b"")
        yield fails("one byte short", "the last byte is missing", sample.plaintext[:-1])
        yield fails("one byte long", "a zero byte follows", sample.plaintext + b"\x00")
        yield fails("twice", "the plaintext follows itself", sample.plaintext * 2)
    for reason in (0, 8, 255):
        fails = refuser(SAMPLES[ENDED], "layout", "header")
        yield fails(f"reason {reason}", "not assigned", hs1.pack(ENDED, FIELDS[ENDED] | {"reason": reason}))
    for kind in (0, 4, 255):
        fails = refuser(SAMPLES[REVOCATION], "layout", "header")
        yield fails(f"kind {kind}", "not assigned", hs1.pack(REVOCATION, FIELDS[REVOCATION] | {"kind": kind}))
    for purpose, other in ((REFERENCE, MOVED), (MOVED, REFERENCE), (ENDED, REVOCATION), (REVOCATION, ENDED)):
        fails = refuser(SAMPLES[purpose], "layout", "header")
        yield fails(f"of {NAMES[other]}", "the plaintext of another purpose", SAMPLES[other].plaintext)


def wrong_user_lists() -> Iterator[dict[str, Any]]:
    sealed = refuser(SAMPLES[USER], "layout", "header")
    entry = hs1.pack_entry(ENTRY)

    def fails(name: str, comment: str, entries: object, user: bytes = b"ada", length: int = 0) -> dict[str, Any]:
        start = struct.pack(">IH", 0, length or len(user)) + user
        rest = entries if isinstance(entries, bytes) else msgspec.msgpack.encode(entries)
        return sealed(name, comment, start + rest)

    def changed(name: str, comment: str, index: int, value: object) -> dict[str, Any]:
        return fails(name, comment, [[*entry[:index], value, *entry[index + 1 :]]])

    yield sealed("empty", "nothing", b"")
    yield sealed("5 bytes", "the length is cut", bytes(5))
    yield fails("no entries", "the array is missing", b"")
    yield fails("user id longer than the plaintext", "its length is 65535", [], length=65535)
    yield fails("user id reaches into the entries", "its length is one too high", [], length=4)
    yield fails("user id cut short", "its length is one too low", [], length=2)
    yield fails("user id is not UTF-8", "a lone ff", [], b"\xff")
    yield fails("user id ends inside a character", "half a letter", [], "zo\u00eb".encode()[:-1])
    yield fails("map of entries", "not an array", {"0": entry})
    yield fails("nil", "not an array", None)
    yield fails("number", "not an array", 0)
    yield fails("something behind", "one byte follows the array", msgspec.msgpack.encode([entry]) + b"\xc0")
    yield fails("array cut short", "it announces two entries and holds one", b"\x92" + msgspec.msgpack.encode(entry))
    yield fails("entry is a map", "an entry is an array", [{"lineage": LINEAGE}])
    yield fails("entry is nil", "an entry is an array", [None])
    yield fails("entry of nine", "one value too many", [[*entry, 0]])
    yield fails("entry of four", "expires and all that follows are missing", [entry[:4]])
    yield fails("one wrong entry among right ones", "all are refused", [entry, entry[:1]])
    yield changed("lineage is text", "bytes are due", 0, LINEAGE.hex())
    yield changed("lineage is nil", "bytes are due", 0, None)
    yield changed("rows are bytes", "an array is due", 1, hs1.row_id(SECRET))
    yield changed("row is text", "bytes are due", 1, [hs1.row_id(SECRET).hex()])
    yield changed("row is a number", "bytes are due", 1, [7])
    yield changed("created is below zero", "-1", 2, -1)
    yield changed("seen is too high", "2 to the power of 32", 3, 2**32)
    yield changed("expires is a fraction", "1.5", 4, 1.5)
    yield changed("expires is nil", "a time is due", 4, None)
    yield changed("ending is a number", "true or false is due", 5, 1)
    yield changed("label is bytes", "text is due", 6, b"Firefox")
    yield changed("address is nil", "text is due", 7, None)


if __name__ == "__main__":
    FILE.write_text(text_of(document()), "utf-8", newline="\n")
