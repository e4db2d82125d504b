"""The sealed blob: its bytes, and every way in which one must not open."""

from __future__ import annotations

import hmac
import os
import subprocess
import sys
from dataclasses import replace
from struct import pack

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hardsession.crypto.encoding import to_text
from hardsession.crypto.ids import SessionSecret
from hardsession.crypto.keys import KeyRing, RingKey
from hardsession.crypto.seal import MAGIC, OVERHEAD, Purpose, Sealer
from hardsession.errors import Refusal, TokenRefused

KEY = RingKey.derive(bytes(range(32)))
OTHER_KEY = RingKey.derive(bytes(range(1, 33)))
RING = KeyRing([KEY, OTHER_KEY])
SECRET = SessionSecret(bytes(range(100, 132)))
OTHER_SECRET = SessionSecret(bytes(range(101, 133)))
CARRIER = "cookie:__Host-Http-session"
CHUNK = 16384


@pytest.fixture
def sealer():
    """The sealer of one application's cookies."""
    return Sealer(Purpose.SESSION, app_id="app", carrier=CARRIER)


@pytest.fixture
def rows():
    """The sealer of one application's rows."""
    return Sealer(Purpose.RECORD, app_id="app")


def refusal(sealer: Sealer, blob: bytes, ring: KeyRing = RING, **place) -> Refusal:
    """Why a blob does not open; a failure if it does."""
    with pytest.raises(TokenRefused) as caught:
        sealer.open(blob, ring, **place)
    return caught.value.reason


def context_by_hand(head: bytes, *, app_id: bytes, carrier: bytes, binding: bytes) -> bytes:
    """The authenticated context as the format's page describes it."""
    pieces = (b"hardsession/v1", head[3:4], app_id, carrier)
    return pack("<Q", 4) + b"".join(pack("<Q", len(piece)) + piece for piece in pieces) + head + binding


def derived_by_hand(key: bytes, salt: bytes, context: bytes) -> tuple[bytes, int, bytes]:
    """One message's AES key, base nonce and commitment: C2SP chunked-encryption, on HMAC-SHA-512 alone."""
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + salt + context
    first = hmac.digest(key, info + b"\x01", "sha512")
    stream = first + hmac.digest(key, first + info + b"\x02", "sha512")
    return stream[:32], int.from_bytes(stream[32:44], "big"), stream[44:76]


def chunks_by_hand(cipher: AESGCM, base: int, data: bytes, size: int, *, decrypt: bool) -> bytes:
    """Every chunk under its own nonce; there is always one that is short."""
    work = cipher.decrypt if decrypt else cipher.encrypt
    count = len(data) // size + 1
    return b"".join(work((base ^ n).to_bytes(12, "big"), data[n * size : (n + 1) * size], None) for n in range(count))


def opened_by_hand(blob: bytes, key: bytes, **place: bytes) -> bytes:
    """What a blob holds, by another hand than the sealer's."""
    head, salt, commitment, sealed = blob[:8], blob[8:32], blob[32:64], blob[64:]
    aes_key, base, expected = derived_by_hand(key, salt, context_by_hand(head, **place))
    assert commitment == expected
    return chunks_by_hand(AESGCM(aes_key), base, sealed, CHUNK + 16, decrypt=True)


def sealed_by_hand(plaintext: bytes, head: bytes, key: bytes, **place: bytes) -> bytes:
    """A blob by another hand than the sealer's."""
    salt = os.urandom(24)
    aes_key, base, commitment = derived_by_hand(key, salt, context_by_hand(head, **place))
    return head + salt + commitment + chunks_by_hand(AESGCM(aes_key), base, plaintext, CHUNK, decrypt=False)


SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5]


class TestBytes:
    """The layout, against the format's page."""

    def test_head(self, sealer):
        """A blob begins with magic, purpose and key id, in the clear."""
        blob = sealer.seal(b"plaintext", KEY)

        assert blob[:8] == b"\x86\xcd\x7f" + b"\x01" + KEY.id

    def test_text_begins_with_hs1(self, sealer):
        """Everybody knows one of ours when they see it."""
        assert to_text(sealer.seal(b"", KEY)).startswith("hs1_")

    def test_purposes_are_numbered_as_published(self):
        """The numbers are part of the format."""
        assert {purpose.name: purpose.value for purpose in Purpose} == {
            "SESSION": 1,
            "REFERENCE": 2,
            "RECORD": 3,
            "MOVED": 4,
            "ENDED": 5,
            "USER": 6,
            "REVOCATION": 7,
        }

    @pytest.mark.parametrize("size", SIZES)
    def test_length(self, sealer, size):
        """A seal adds 80 bytes and 16 for each full 16 KiB."""
        blob = sealer.seal(bytes(size), KEY)

        assert len(blob) == size + OVERHEAD + 16 * (size // CHUNK) == 80 + size + 16 * (size // 16384)

    @pytest.mark.parametrize("size", SIZES)
    def test_round_trip(self, sealer, size):
        """What was sealed opens, on either side of a chunk's end."""
        plaintext = os.urandom(size)

        assert sealer.open(sealer.seal(plaintext, KEY), RING) == plaintext

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("purpose", Purpose)
    def test_agrees_with_another_hand(self, purpose, size):
        """HMAC and AES-GCM alone open what the sealer sealed, and the sealer what they did, for every purpose."""
        sealer, plaintext = Sealer(purpose, app_id="Café", carrier=CARRIER), os.urandom(size)
        place = {"app_id": "Café".encode(), "carrier": CARRIER.encode(), "binding": b"where it stands"}

        ours = sealer.seal(plaintext, KEY, binding=b"where it stands")
        theirs = sealed_by_hand(plaintext, MAGIC + bytes([purpose]) + KEY.id, KEY.token, **place)

        assert opened_by_hand(ours, KEY.token, **place) == plaintext
        assert sealer.open(theirs, RING, binding=b"where it stands") == plaintext

    def test_row_is_sealed_under_its_own_key_and_bound_to_its_name(self, rows):
        """With a secret, the key is the row's and the binding its id."""
        blob = rows.seal(b"a row", KEY, secret=SECRET)

        opened = opened_by_hand(blob, KEY.row_key(SECRET), app_id=b"app", carrier=b"", binding=SECRET.row_id)

        assert opened == b"a row"

    def test_binding_is_empty_unless_given(self, sealer):
        """A cookie is bound to nothing beside purpose, application, carrier and key."""
        blob = sealer.seal(b"a cookie", KEY)

        opened = opened_by_hand(blob, KEY.token, app_id=b"app", carrier=CARRIER.encode(), binding=b"")

        assert opened == b"a cookie"


class TestSalt:
    """Each message has a salt of its own, on which everything else rests."""

    def test_same_plaintext_never_looks_the_same(self, sealer):
        """Sealing one plaintext twice shows nobody that it was one."""
        blobs = [sealer.seal(b"the same", KEY) for _ in range(200)]

        assert len({blob[8:32] for blob in blobs}) == 200
        assert len({blob[64:] for blob in blobs}) == 200

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_salt_unique_across_forks(self):
        """Workers that were forked from one process draw different salts."""
        script = (
            "import os, sys\n"
            "from hardsession.crypto.keys import RingKey\n"
            "from hardsession.crypto.seal import Purpose, Sealer\n"
            "sealer, key = Sealer(Purpose.SESSION, app_id='app'), RingKey.derive(bytes(32))\n"
            "sealer.seal(b'', key)\n"
            "for _ in range(3):\n"
            "    os.fork()\n"
            "os.write(1, (sealer.seal(b'', key)[8:32].hex() + '\\n').encode())\n"
            "try:\n"
            "    while True:\n"
            "        os.wait()\n"
            "except ChildProcessError:\n"
            "    pass\n"
        )
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

        salts = subprocess.check_output([sys.executable, "-c", script], env=environment, text=True).split()

        assert len(salts) == len(set(salts)) == 8


class TestPlace:
    """A blob opens in one place only."""

    def test_other_purpose_is_refused(self):
        """A blob of any purpose is refused by the sealer of any other."""
        sealers = {purpose: Sealer(purpose, app_id="app") for purpose in Purpose}

        reasons = {
            refusal(sealers[other], sealers[purpose].seal(b"", KEY))
            for purpose in Purpose
            for other in set(Purpose) - {purpose}
        }

        assert reasons == {Refusal.PURPOSE}

    def test_purpose_confusion(self):
        """Writing another purpose into a blob does not make it one of that purpose."""
        sealers = {purpose: Sealer(purpose, app_id="app") for purpose in Purpose}

        reasons = set()
        for purpose in Purpose:
            blob = sealers[purpose].seal(b"", KEY)
            reasons |= {
                refusal(sealers[other], blob[:3] + bytes([other]) + blob[4:])
                for other in Purpose
                if other is not purpose
            }

        assert reasons == {Refusal.NOT_AUTHENTIC}

    @pytest.mark.parametrize(
        ("app_id", "carrier"),
        [
            pytest.param("other", CARRIER, id="another application"),
            pytest.param("App", CARRIER, id="another case"),
            pytest.param("", CARRIER, id="no application"),
            pytest.param("app", "cookie:session", id="another cookie"),
            pytest.param("app", "header:__host-http-session", id="a header"),
            pytest.param("app", "", id="no carrier"),
            pytest.param("app" + CARRIER[:6], CARRIER[6:], id="the same text cut elsewhere"),
        ],
    )
    def test_cross_app_and_carrier_confusion(self, sealer, app_id, carrier):
        """A cookie is good for its application and its carrier alone."""
        blob = sealer.seal(b"a cookie", KEY)

        assert refusal(Sealer(Purpose.SESSION, app_id=app_id, carrier=carrier), blob) is Refusal.NOT_AUTHENTIC

    @pytest.mark.parametrize("binding", [b"", b"row", b"row 1 ", b"row 2", b" row 1"])
    def test_other_binding_is_refused(self, rows, binding):
        """A value moved to another name does not open there."""
        blob = rows.seal(b"a value", KEY, binding=b"row 1")

        assert refusal(rows, blob, binding=binding) is Refusal.NOT_AUTHENTIC

    @pytest.mark.parametrize(
        "place",
        [
            pytest.param({"secret": OTHER_SECRET}, id="another secret"),
            pytest.param({}, id="no secret"),
            pytest.param({"binding": SECRET.row_id}, id="the row's name without its secret"),
            pytest.param({"binding": SECRET.value}, id="the secret as a binding"),
        ],
    )
    def test_record_swapped_between_rows(self, rows, place):
        """A row opens with its own secret alone; all keys of the server and the row's name do not do."""
        blob = rows.seal(b"a row", KEY, secret=SECRET)

        assert refusal(rows, blob, **place) is Refusal.NOT_AUTHENTIC
        assert rows.open(blob, RING, secret=SECRET) == b"a row"

    def test_row_secret_does_not_do_without_the_server_key(self, rows):
        """Who has the client's secret and another server's key opens nothing."""
        blob = rows.seal(b"a row", KEY, secret=SECRET)
        forged_ring = KeyRing([replace(OTHER_KEY, id=KEY.id)])

        assert refusal(rows, blob, forged_ring, secret=SECRET) is Refusal.NOT_AUTHENTIC


class TestKeys:
    """Which key opens is said by the blob and by nothing else."""

    def test_any_key_of_the_ring_opens(self, sealer):
        """What an older key sealed still opens after a newer one came."""
        blob = sealer.seal(b"old", OTHER_KEY)

        assert sealer.open(blob, KeyRing([KEY, OTHER_KEY])) == b"old"

    def test_unknown_key(self, sealer):
        """Without its key in the ring a blob is refused, and no other key is tried."""
        blob = sealer.seal(b"foreign", OTHER_KEY)

        assert refusal(sealer, blob, KeyRing([KEY])) is Refusal.UNKNOWN_KEY

    def test_key_id_swap(self, sealer):
        """A blob that names another key of the ring does not open under that, nor under its own."""
        blob = sealer.seal(b"mine", KEY)

        assert refusal(sealer, blob[:4] + OTHER_KEY.id + blob[8:]) is Refusal.NOT_AUTHENTIC

    def test_key_id_is_authenticated(self, sealer):
        """The same key under another id does not open the blob: the id is part of the context."""
        renamed = replace(KEY, id=OTHER_KEY.id)
        blob = sealer.seal(b"mine", KEY)

        assert refusal(sealer, blob[:4] + renamed.id + blob[8:], KeyRing([renamed])) is Refusal.NOT_AUTHENTIC

    def test_no_blob_opens_under_two_keys(self, sealer):
        """Of several keys with one id, each opens what it sealed and nothing that another did."""
        keys = [replace(RingKey.derive(bytes([n]) * 32), id=KEY.id) for n in range(8)]
        blobs = [sealer.seal(bytes([n]), key) for n, key in enumerate(keys)]

        for n, key in enumerate(keys):
            for m, blob in enumerate(blobs):
                if n == m:
                    assert sealer.open(blob, KeyRing([key])) == bytes([n])
                else:
                    assert refusal(sealer, blob, KeyRing([key])) is Refusal.NOT_AUTHENTIC

    def test_two_keys_one_ciphertext(self, sealer):
        """An attacker with both keys makes a ciphertext that AES-GCM takes under one and commits to the other."""
        mine, yours = KEY, replace(OTHER_KEY, id=KEY.id)
        place = {"app_id": b"app", "carrier": CARRIER.encode(), "binding": b""}
        head, salt = MAGIC + b"\x01" + KEY.id, bytes(24)
        context = context_by_hand(head, **place)
        aes_key, base, commitment = derived_by_hand(mine.token, salt, context)
        foreign_commitment = derived_by_hand(yours.token, salt, context)[2]
        ciphertext = chunks_by_hand(AESGCM(aes_key), base, b"pay Mallory", CHUNK, decrypt=False)

        honest = head + salt + commitment + ciphertext
        spliced = head + salt + foreign_commitment + ciphertext

        assert sealer.open(honest, KeyRing([mine])) == b"pay Mallory"
        assert refusal(sealer, spliced, KeyRing([mine])) is Refusal.NOT_AUTHENTIC
        assert refusal(sealer, spliced, KeyRing([yours])) is Refusal.NOT_AUTHENTIC

    def test_two_contexts_one_ciphertext(self, sealer):
        """A commitment made for one place does not do for another, though key, salt and ciphertext are right."""
        head, salt = MAGIC + b"\x01" + KEY.id, bytes(24)
        here = context_by_hand(head, app_id=b"app", carrier=CARRIER.encode(), binding=b"")
        there = context_by_hand(head, app_id=b"app", carrier=b"cookie:session", binding=b"")
        aes_key, base, _ = derived_by_hand(KEY.token, salt, here)
        ciphertext = chunks_by_hand(AESGCM(aes_key), base, b"text", CHUNK, decrypt=False)

        spliced = head + salt + derived_by_hand(KEY.token, salt, there)[2] + ciphertext

        assert refusal(sealer, spliced) is Refusal.NOT_AUTHENTIC


class TestDamage:
    """No blob survives a change."""

    def test_bit_flip_all(self, sealer):
        """Each single bit of a blob counts, and the reason tells where it stood."""
        blob = sealer.seal(b"five!", KEY)
        at = [Refusal.FORMAT] * 3 + [Refusal.PURPOSE] + [Refusal.UNKNOWN_KEY] * 4
        at += [Refusal.NOT_AUTHENTIC] * (len(blob) - len(at))

        for position, reason in enumerate(at):
            for bit in range(8):
                flipped = bytearray(blob)
                flipped[position] ^= 1 << bit
                assert refusal(sealer, bytes(flipped)) is reason, (position, bit)

        assert sealer.open(blob, RING) == b"five!"

    @pytest.mark.parametrize("plaintext", [b"", b"a short one"])
    def test_truncation(self, sealer, plaintext):
        """A blob that lost its end is refused at every length."""
        blob = sealer.seal(plaintext, KEY)

        for length in range(len(blob)):
            expected = Refusal.LENGTH if length < OVERHEAD else Refusal.NOT_AUTHENTIC
            assert refusal(sealer, blob[:length]) is expected, length

    def test_extension(self, sealer):
        """A blob that gained bytes is refused, however many and whichever they are."""
        blob = sealer.seal(b"a short one", KEY)

        for count in range(1, 40):
            for extra in (bytes(count), b"\xff" * count, blob[-count:], os.urandom(count)):
                assert refusal(sealer, blob + extra) is Refusal.NOT_AUTHENTIC, (count, extra)

    def test_lost_front(self, sealer):
        """A blob that lost its beginning is refused at every length."""
        blob = sealer.seal(b"a short one", KEY)

        for lost in range(1, len(blob)):
            expected = Refusal.LENGTH if len(blob) - lost < OVERHEAD else Refusal.FORMAT
            assert refusal(sealer, blob[lost:]) is expected, lost

    @pytest.mark.parametrize("chunks", [1, 2])
    def test_whole_chunks_cannot_be_dropped(self, sealer, chunks):
        """A long blob cut exactly where a chunk ends is refused, though all that is left is authentic."""
        blob = sealer.seal(os.urandom(2 * CHUNK + 5), KEY)

        assert refusal(sealer, blob[: 64 + chunks * (CHUNK + 16)]) is Refusal.NOT_AUTHENTIC

    def test_chunks_cannot_change_places(self, sealer):
        """A long blob with two chunks swapped is refused, though each of them is authentic."""
        blob = sealer.seal(os.urandom(2 * CHUNK + 5), KEY)
        first, second = blob[64 : 64 + CHUNK + 16], blob[64 + CHUNK + 16 : 64 + 2 * (CHUNK + 16)]

        assert refusal(sealer, blob[:64] + second + first + blob[64 + 2 * (CHUNK + 16) :]) is Refusal.NOT_AUTHENTIC

    def test_messages_cannot_be_mixed(self, sealer):
        """Salt and commitment of one blob and the ciphertext of another do not make a third."""
        one, other = sealer.seal(b"one", KEY), sealer.seal(b"two", KEY)

        assert refusal(sealer, one[:64] + other[64:]) is Refusal.NOT_AUTHENTIC
        assert refusal(sealer, one[:32] + other[32:]) is Refusal.NOT_AUTHENTIC

    @pytest.mark.parametrize("length", [0, 1, 8, OVERHEAD - 1])
    def test_too_short_is_refused_before_anything_is_read(self, sealer, length):
        """Length comes first: nothing under 80 bytes is looked into."""
        assert refusal(sealer, bytes(length)) is Refusal.LENGTH
        assert refusal(sealer, sealer.seal(b"", KEY)[:length]) is Refusal.LENGTH

    def test_another_format_is_refused_by_its_first_bytes(self, sealer):
        """A value of another format is refused whatever follows."""
        blob = sealer.seal(b"", KEY)

        assert refusal(sealer, bytes(200)) is Refusal.FORMAT
        assert refusal(sealer, b"\x86\xcd\x80" + blob[3:]) is Refusal.FORMAT

    def test_refusal_tells_nothing(self, sealer):
        """The error carries the reason and nothing else, and no cause that a traceback would print."""
        blob = sealer.seal(b"my secret", KEY)

        with pytest.raises(TokenRefused) as caught:
            sealer.open(blob[:-1], RING)

        assert str(caught.value) == "not_authentic"
        assert caught.value.args == ("not_authentic",)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
