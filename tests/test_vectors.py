"""The token format, proven: vectors, a second implementation that agrees with ours, and what releases have sealed."""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha512
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st

from hardsession import Key, Passphrase, current_session
from hardsession.crypto.encoding import from_text
from hardsession.crypto.ids import Lineage, SessionSecret, everybody
from hardsession.crypto.keys import KeyRing, RingKey
from hardsession.crypto.seal import Purpose
from hardsession.errors import Refusal, TokenRefused
from hardsession.serializers import MessagePack, TaggedJSON
from tests import comparable, independent
from tests.independent import Fields, Place, Refused, ServerKey
from tests.vectors import add_release, make_hs1

DOCUMENT = json.loads(make_hs1.FILE.read_text("utf-8"))
VALID, INVALID = DOCUMENT["valid"], DOCUMENT["invalid"]
RELEASED = json.loads(add_release.FILE.read_text("utf-8"))
CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"

PINNED = {
    "0.1.0": "f59e23615cb9472bdb017429bb00d11b6230b95414a18a66300689b73d18d42f",
}
"""Each release's tokens by their hash: a line is added with a release, and never changed or removed."""

STEPS = {
    Refusal.LENGTH: independent.LENGTH,
    Refusal.ENCODING: independent.TEXT,
    Refusal.FORMAT: independent.MAGIC_BYTES,
    Refusal.PURPOSE: independent.PURPOSE,
    Refusal.UNKNOWN_KEY: independent.KEY_ID,
    Refusal.NOT_AUTHENTIC: independent.OPEN,
    Refusal.HEADER: independent.HEADER,
    Refusal.FUTURE: independent.HEADER,
    Refusal.PAYLOAD: independent.PAYLOAD,
}
"""At which step of the specification's section on reading a reason arises. Two cookies of our name have no vector."""


def material(name: str) -> bytes:
    return bytes.fromhex(DOCUMENT["keys"][name]["material"])


RING = KeyRing([RingKey.derive(material(name)) for name in ("newest", "older", "words")])
KEYS = [ServerKey.derive(material(name)) for name in ("newest", "older", "words")]
PURPOSES = {purpose.name.lower() for purpose in Purpose}


def place_of(vector: dict[str, Any], document: dict[str, Any] = DOCUMENT) -> Place:
    place = document["places"][vector["place"]]
    secret = bytes.fromhex(place["secret"]) if "secret" in place else None
    binding = bytes.fromhex(place.get("binding", ""))
    return Place(Purpose[place["purpose"].upper()], place["app_id"], place["carrier"], binding, secret)


def now_of(vector: dict[str, Any]) -> int:
    return int(vector.get("now", DOCUMENT["now"]))


def read_independently(vector: dict[str, Any]) -> Fields:
    place = place_of(vector)
    if place.carrier:
        return independent.read_token(vector["blob"], KEYS, place, now_of(vector))
    return independent.read_blob(independent.from_text(vector["blob"]), KEYS, place, now_of(vector))


def each_of(vectors: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["name"]) for vector in vectors])


# The file


def test_generator_makes_the_committed_file() -> None:
    """hs1.json is what its generator makes, to the byte."""
    assert make_hs1.text_of(make_hs1.document()) == make_hs1.FILE.read_text("utf-8")


def test_file_is_large_enough() -> None:
    """There are valid and invalid vectors of every purpose, and at least 200 invalid ones, each under its own name."""
    valid, invalid = (
        Counter(DOCUMENT["places"][vector["place"]]["purpose"] for vector in vectors) for vectors in (VALID, INVALID)
    )
    names = [vector["name"] for vector in VALID + INVALID]

    assert (len(VALID), len(INVALID)) == (97, 799)
    assert valid.keys() == invalid.keys() == PURPOSES
    assert min(valid.values()) >= 5
    assert min(invalid.values()) >= 60
    assert len(set(names)) == len(names)
    assert all(vector["comment"] for vector in VALID + INVALID)


def test_every_reason_and_every_flag_is_covered() -> None:
    """Every reason for which a blob is refused has a vector, most of them for each purpose; so has every flag."""
    reasons = {(DOCUMENT["places"][vector["place"]]["purpose"], vector["reason"]) for vector in INVALID}
    flags = [vector["flags"] for vector in VALID if "flags" in vector]

    assert {reason for _, reason in reasons} == {reason.value for reason in STEPS}
    for purpose in PURPOSES:
        for reason in ("length", "format", "purpose", "unknown_key", "not_authentic", "header"):
            assert (purpose, reason) in reasons
    assert STEPS.keys() == set(Refusal) - {Refusal.DUPLICATE}
    for bit in (0, 2, 3, 4, 5):
        assert {flag >> bit & 1 for flag in flags} == {0, 1}


# Keys and names


@pytest.mark.parametrize("name", DOCUMENT["keys"])
def test_keys_are_derived(name: str) -> None:
    """Both implementations read the key as it is configured and derive the file's values from it."""
    entry = DOCUMENT["keys"][name]
    if "passphrase" in entry:
        configured = Passphrase(entry["passphrase"], salt=entry["passphrase_salt"]).material()
    else:
        configured = Key(entry.get("text", material(name))).material()
    if "text" in entry:
        assert independent.key_material(entry["text"]) == material(name)

    ours, theirs = RingKey.derive(configured), ServerKey.derive(material(name))

    assert configured == material(name)
    for part in ("id", "token", "rows", "index"):
        assert getattr(ours, part).hex() == getattr(theirs, part).hex() == entry[part]


@pytest.mark.parametrize("entry", DOCUMENT["names"], ids=lambda entry: entry["user_id"] or "nobody")
def test_names_are_derived(entry: dict[str, str]) -> None:
    """Both implementations give a row, its key, a user, a revocation, everybody and the log the file's names."""
    app_id, prefix, user_id = entry["app_id"], entry["key_prefix"], entry["user_id"]
    secret, lineage = bytes.fromhex(entry["secret"]), bytes.fromhex(entry["lineage"])
    ring_key, server_key = RING.sealing, KEYS[0]

    ours = {
        "row_id": SessionSecret(secret).row_id.hex(),
        "row_key": ring_key.row_key(SessionSecret(secret)).hex(),
        "user_key": ring_key.user_key(app_id, prefix, user_id).hex(),
        "revoked": Lineage(lineage).revocation_name.hex(),
        "everybody": everybody(app_id).hex(),
        "log_name": Lineage(lineage).log_name,
        "handle": Lineage(lineage).handle,
    }
    theirs = {
        "row_id": independent.row_id(secret).hex(),
        "row_key": independent.row_key(server_key, secret).hex(),
        "user_key": independent.user_key(server_key, app_id, prefix, user_id).hex(),
        "revoked": independent.revoked(lineage).hex(),
        "everybody": independent.everybody(app_id).hex(),
        "log_name": independent.log_name(lineage).hex(),
        "handle": independent.to_text(lineage),
    }

    assert ours == theirs
    assert ours.items() <= entry.items()


# Valid and invalid blobs


@each_of(VALID)
def test_valid_blob_opens(vector: dict[str, Any]) -> None:
    """hardsession opens a valid blob to the given fields."""
    fields = comparable.read(vector["blob"], RING, place_of(vector), now_of(vector))

    assert as_shown(fields) == vector["opened"]


@each_of(VALID)
def test_valid_blob_opens_independently(vector: dict[str, Any]) -> None:
    """The independent decoder opens a valid blob to the given fields and flags."""
    fields = read_independently(vector)

    assert fields.pop("flags", None) == vector.get("flags")
    assert as_shown(fields) == vector["opened"]


@each_of(VALID)
def test_valid_blob_is_sealed_to_the_byte(vector: dict[str, Any]) -> None:
    """The independent encoder makes a valid blob again from its plaintext, key and salt."""
    blob, place, key = from_text(vector["blob"]), place_of(vector), ServerKey.derive(material(vector["key"]))
    plaintext = comparable.unseal(blob, RING, place)

    assert independent.seal(plaintext, key, place, bytes.fromhex(vector["salt"])) == blob


@each_of([vector for vector in VALID if not vector.get("flags", 0) & 1 << 2 and len(vector["blob"]) < 2000])
def test_valid_plaintext_is_packed_to_the_byte(vector: dict[str, Any]) -> None:
    """Both implementations lay out a valid blob's fields as the same plaintext, unless zlib has a part in it."""
    place = place_of(vector)
    plaintext = comparable.unseal(from_text(vector["blob"]), RING, place)
    pad_to = len(plaintext) if vector.get("flags", 0) & 1 << 5 else None

    ours = comparable.pack(place.purpose, vector["opened"], pad_to=pad_to)
    theirs = independent.pack(place.purpose, vector["opened"], pad_to=pad_to)

    assert ours == theirs == plaintext


@each_of([vector for vector in VALID if "data" in vector])
def test_valid_payload_is_read(vector: dict[str, Any]) -> None:
    """hardsession's serializers read a valid blob's payload to the given data."""
    serializer = MessagePack() if vector["flags"] & 1 else TaggedJSON()

    assert serializer.loads(bytes.fromhex(vector["opened"]["payload"])) == vector["data"]


@each_of(INVALID)
def test_invalid_blob_is_refused(vector: dict[str, Any]) -> None:
    """hardsession refuses an invalid blob, for the given reason."""
    with pytest.raises(TokenRefused) as caught:
        comparable.read(vector["blob"], RING, place_of(vector), now_of(vector))

    assert caught.value.reason.value == vector["reason"]


@each_of(INVALID)
def test_invalid_blob_is_refused_independently(vector: dict[str, Any]) -> None:
    """The independent decoder refuses an invalid blob, at the step to which the given reason belongs."""
    with pytest.raises(Refused) as caught:
        read_independently(vector)

    assert caught.value.step == STEPS[Refusal(vector["reason"])]


def test_uncompressed_payload_over_the_limit_is_refused() -> None:
    """4 MiB are the most without compression too; a vector of that size would help nobody."""
    fields = make_hs1.HEADER | {"payload": bytes(2**22 + 1).hex()}
    plaintext = independent.pack(Purpose.RECORD, fields)

    with pytest.raises(TokenRefused) as ours:
        comparable.unpack(Purpose.RECORD, plaintext)
    with pytest.raises(Refused) as theirs:
        independent.unpack(Purpose.RECORD, plaintext)

    assert ours.value.reason == Refusal.PAYLOAD
    assert theirs.value.step == independent.PAYLOAD
    assert independent.unpack(Purpose.RECORD, plaintext[:-1])["payload"] == bytes(2**22).hex()
    assert comparable.fields_of(comparable.unpack(Purpose.RECORD, plaintext[:-1]))["payload"] == bytes(2**22).hex()


def as_shown(fields: Fields) -> Fields:
    return fields | ({"payload": make_hs1.shown(fields["payload"])} if "payload" in fields else {})


# Each opens what the other seals

U32 = st.integers(0, 2**32 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
MATERIAL = st.binary(min_size=32, max_size=80)
IDS = st.binary(min_size=32, max_size=32)
CARRIER = st.builds("{}:{}".format, st.sampled_from(["cookie", "header"]), TEXT)
LENGTHS = [0, 1, 16383, 16384, 16385, 32767, 32768, 32769]


@st.composite
def places(draw: st.DrawFn) -> Place:
    purpose = draw(st.sampled_from(Purpose))
    carrier = draw(CARRIER) if purpose in (Purpose.SESSION, Purpose.REFERENCE) else ""
    secret = draw(IDS) if purpose in (Purpose.RECORD, Purpose.MOVED) else None
    binding = draw(IDS) if purpose in (Purpose.ENDED, Purpose.USER, Purpose.REVOCATION) else b""
    return Place(purpose, draw(TEXT), carrier, binding, secret)


@st.composite
def records(draw: st.DrawFn) -> Fields:
    created, seen, expires = sorted(draw(st.tuples(U32, U32, U32)))
    return {
        "serializer": draw(st.sampled_from([0, 1])),
        "permanent": draw(st.booleans()),
        "confirmed": draw(st.booleans()),
        "created_at": created,
        "seen_at": seen,
        "expires_at": expires,
        "authenticated_at": draw(U32),
        "renewed_at": draw(U32),
        "generation": draw(U32),
        "lineage": draw(st.binary(min_size=16, max_size=16)).hex(),
        "owner": draw(st.none() | TEXT),
        "user_epoch": draw(st.none() | U32),
        "all_epoch": draw(st.none() | U32),
        "methods": draw(st.dictionaries(TEXT, U32, max_size=3)),
        "payload": draw(st.binary(max_size=100)).hex(),
    }


HEX = IDS.map(bytes.hex)
ENTRIES = st.tuples(
    st.binary(min_size=16, max_size=16).map(bytes.hex),
    st.lists(HEX, max_size=3),
    U32,
    U32,
    U32,
    st.booleans(),
    TEXT,
    TEXT,
).map(list)
OTHERS = {
    Purpose.REFERENCE: st.fixed_dictionaries({"created_at": U32, "expires_at": U32, "secret": HEX}),
    Purpose.MOVED: st.fixed_dictionaries({"created_at": U32, "expires_at": U32, "secret": HEX, "when": U32}),
    Purpose.ENDED: st.fixed_dictionaries({"when": U32, "reason": st.integers(1, 6), "successor": HEX}),
    Purpose.USER: st.fixed_dictionaries({"epoch": U32, "user_id": TEXT, "entries": st.lists(ENTRIES, max_size=3)}),
    Purpose.REVOCATION: st.fixed_dictionaries({"kind": st.integers(1, 3), "value": U32}),
}


@given(st.binary(max_size=300), MATERIAL, places(), st.binary(min_size=24, max_size=24))
@settings(deadline=None)
def test_each_opens_what_the_other_seals(plaintext: bytes, key: bytes, place: Place, salt: bytes) -> None:
    """For any plaintext, key, app id, carrier and binding, each implementation opens the other's blob."""
    ring, keys = KeyRing([RingKey.derive(key)]), [ServerKey.derive(key)]

    ours = comparable.seal(plaintext, ring, place)
    theirs = independent.seal(plaintext, keys[0], place, salt)

    assert independent.unseal(ours, keys, place) == plaintext
    assert comparable.unseal(theirs, ring, place) == plaintext


@pytest.mark.parametrize("length", LENGTHS)
def test_each_opens_what_the_other_seals_at_the_edge_of_a_chunk(length: int) -> None:
    """Around every multiple of 16 KiB too, and a blob is as long as the specification says."""
    plaintext, place = bytes(range(256)) * 129, make_hs1.PLACES["record"]
    plaintext = plaintext[:length]

    ours = comparable.seal(plaintext, RING, place)
    theirs = independent.seal(plaintext, KEYS[0], place, bytes(24))

    assert len(ours) == len(theirs) == length + 80 + 16 * (length // 16384)
    assert independent.unseal(ours, KEYS, place) == plaintext
    assert comparable.unseal(theirs, RING, place) == plaintext


@given(records(), st.booleans(), st.none() | st.integers(1, 300))
@settings(deadline=None)
def test_each_reads_the_others_records(fields: Fields, compress: bool, pad_to: int | None) -> None:
    """For any header, metadata and payload, stored in any way, each implementation reads the other's plaintext."""
    compressed = zlib.compress(bytes.fromhex(fields["payload"])) if compress else None

    ours = comparable.pack(Purpose.SESSION, fields, compress=compress, pad_to=pad_to)
    theirs = independent.pack(Purpose.SESSION, fields, compressed=compressed, pad_to=pad_to)

    read = independent.unpack(Purpose.SESSION, ours)
    flags = read.pop("flags")
    assert read == comparable.fields_of(comparable.unpack(Purpose.SESSION, theirs)) == fields
    assert (flags >> 2 & 1, flags >> 5 & 1) == (compress, pad_to is not None)
    assert ours == theirs


@given(st.sampled_from(list(OTHERS)).flatmap(lambda purpose: st.tuples(st.just(purpose), OTHERS[purpose])))
@settings(deadline=None)
def test_each_reads_the_others_plaintexts(case: tuple[Purpose, Fields]) -> None:
    """For any fields of the other five purposes, each implementation reads the other's plaintext."""
    purpose, fields = case

    ours, theirs = comparable.pack(purpose, fields), independent.pack(purpose, fields)

    assert ours == theirs
    assert independent.unpack(purpose, ours) == fields
    assert comparable.fields_of(comparable.unpack(purpose, theirs)) == fields


@given(st.sampled_from([Purpose.REFERENCE, Purpose.MOVED, Purpose.ENDED, Purpose.REVOCATION]), st.binary(max_size=60))
def test_both_judge_any_bytes_alike(purpose: Purpose, plaintext: bytes) -> None:
    """What one implementation refuses to read as a layout of fixed length, the other refuses as well."""
    assert our_verdict(purpose, plaintext) == their_verdict(purpose, plaintext)


@given(st.integers(0, 63), st.integers(0, 2), st.tuples(U32, U32, U32), st.binary(max_size=20), st.integers(0, 9))
def test_both_judge_any_header_alike(flags: int, serializer: int, times: Any, stored: bytes, zeros: int) -> None:
    """The same holds for headers without metadata: any flags, any times in any order, any payload in any padding."""
    plaintext = independent.HEAD.pack(flags << 2 | serializer, *times, 0, 0, 0, bytes(16), 0) + stored + bytes(zeros)

    assert our_verdict(Purpose.RECORD, plaintext) == their_verdict(Purpose.RECORD, plaintext)


def our_verdict(purpose: Purpose, plaintext: bytes) -> Fields | int:
    """What hardsession reads, or the step at which it stops."""
    try:
        return comparable.fields_of(comparable.unpack(purpose, plaintext))
    except TokenRefused as refused:
        return STEPS[refused.reason]


def their_verdict(purpose: Purpose, plaintext: bytes) -> Fields | int:
    try:
        fields = independent.unpack(purpose, plaintext)
    except Refused as refused:
        return refused.step
    fields.pop("flags", None)
    return fields


# The second implementation against vectors that neither of ours has made


def test_independent_decoder_passes_wycheproof(vectors: Path) -> None:
    """It opens the valid ones of Wycheproof's 35 messages, derives their keys, and refuses all others."""
    (group,) = json.loads((vectors / "c2sp_chunked_encryption_aes_256_gcm_test.json").read_text("utf-8"))["testGroups"]
    keys = 0

    for test in group["tests"]:
        key, context = bytes.fromhex(test["key"]), bytes.fromhex(test["ctx"])
        message = zlib.decompress(bytes.fromhex(test["ct"]))
        if "aeadKey" in test:
            derived, nonce, _ = independent.cobblestone_keys(key, message[:24], context)
            assert (derived.hex(), nonce.hex()) == (test["aeadKey"], test["baseNonce"])
            keys += 1
        if test["result"] == "valid":
            plaintext = independent.cobblestone_open(message, key, context)
            assert (len(plaintext), sha512(plaintext).hexdigest()) == (test["msgLength"], test["msgSha512"])
            assert independent.cobblestone_seal(plaintext, key, context, message[:24]) == message
        else:
            with pytest.raises(Refused):
                independent.cobblestone_open(message, key, context)

    assert (len(group["tests"]), keys) == (35, 25)


def test_independent_decoder_is_independent() -> None:
    """It imports nothing of hardsession, and of cryptography one cipher and its exception."""
    source = Path(independent.__file__).read_text("utf-8")

    imports = re.findall(r"^\s*(?:from|import) (hardsession|cryptography\S*)(.*)", source, re.MULTILINE)

    assert imports == [
        ("cryptography.exceptions", " import InvalidTag"),
        ("cryptography.hazmat.primitives.ciphers.aead", " import AESGCM"),
    ]


# What releases have sealed

RELEASES = {release["version"]: release for release in RELEASED["releases"]}
TOKENS = [
    pytest.param(token, id=f"{version} {token['place']}")
    for version, release in RELEASES.items()
    for token in release["tokens"]
]


def test_no_release_is_lost() -> None:
    """Every version of the changelog has a token of each purpose, and they are those that it was released with."""
    versions = re.findall(r"^## (\d+\.\d+\.\d+)", CHANGELOG.read_text("utf-8"), re.MULTILINE)

    assert set(versions) <= RELEASES.keys()
    assert {version: add_release.digest(release) for version, release in RELEASES.items()} == PINNED
    for release in RELEASES.values():
        assert {token["place"] for token in release["tokens"]} == PURPOSES


@pytest.mark.parametrize("token", TOKENS)
def test_released_token_opens(token: dict[str, Any]) -> None:
    """Both implementations open what any release has sealed."""
    place = place_of(token, RELEASED)
    key = Key(RELEASED["key"]).material()

    ours = comparable.read(token["blob"], KeyRing([RingKey.derive(key)]), place, RELEASED["now"])
    theirs = independent.unpack(
        place.purpose, independent.unseal(from_text(token["blob"]), [ServerKey.derive(key)], place)
    )

    theirs.pop("flags", None)
    assert ours == theirs == token["opened"]


@pytest.mark.parametrize("version", RELEASES)
def test_released_session_is_kept(make_app: Any, act: Any, version: str) -> None:
    """A browser with the cookie of any release is still logged in, and nothing that was stored has changed."""
    (token,) = (token for token in RELEASES[version]["tokens"] if token["place"] == "session")
    place = place_of(token, RELEASED)
    name = place.carrier.removeprefix("cookie:")
    client = make_app(
        SESSION_SECRET_KEYS=[RELEASED["key"]], SESSION_APP_ID=place.app_id, SESSION_COOKIE_NAME=name
    ).test_client()

    with freeze_time(datetime.fromtimestamp(RELEASED["now"], UTC)):
        client.set_cookie(name, token["blob"])
        answer = act(client, lambda: (repr(current_session.copy()), current_session.authenticated_at))

    data, authenticated_at = answer.value
    assert data == token["data"]
    assert authenticated_at == datetime.fromtimestamp(token["opened"]["authenticated_at"], UTC)
