"""Keys: their text form, what is derived from them, and the ring."""

from __future__ import annotations

import hmac
import os
from base64 import urlsafe_b64encode
from datetime import UTC, date, datetime, timedelta, timezone
from hashlib import sha256
from struct import pack

import argon2.low_level
import pytest

from hardsession.crypto.ids import SessionSecret
from hardsession.crypto.keys import Key, KeyRing, Passphrase, RingKey

RAW = bytes(range(32))
TEXT = "hsk1_" + urlsafe_b64encode(RAW + sha256(b"hs1 key\x00" + RAW).digest()[:4]).decode()


def extract(salt: bytes, material: bytes) -> bytes:
    """HKDF-Extract of RFC 5869, written down once more."""
    return hmac.digest(salt, material, "sha256")


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand of RFC 5869 for one block of output."""
    return hmac.digest(prk, info + b"\x01", "sha256")[:length]


def le64(*pieces: bytes) -> bytes:
    """PASETO's pre-authentication encoding, written down once more."""
    return pack("<Q", len(pieces)) + b"".join(pack("<Q", len(piece)) + piece for piece in pieces)


class TestText:
    """The text form of a key."""

    def test_is_read(self):
        """A text made by hand from the published layout is the key it was made of, as str and as bytes."""
        assert Key(TEXT).material() == RAW
        assert Key(TEXT.encode()).material() == RAW

    def test_has_53_characters(self):
        """A key is `hsk1_` and 48 characters, which no tool has to trim or pad."""
        text = Key.generate().text

        assert len(text) == len(TEXT) == 53
        assert text.startswith("hsk1_")
        assert "=" not in text

    def test_is_drawn_from_the_system(self, monkeypatch):
        """A generated key is 32 bytes of the system's generator and their checksum."""
        monkeypatch.setattr(os, "urandom", lambda count: RAW[:count])

        assert Key.generate().text == TEXT

    def test_differs_each_time(self):
        """No two generated keys are alike."""
        assert len({Key.generate().text for _ in range(100)}) == 100

    @pytest.mark.parametrize("length", range(len("hsk1_"), len(TEXT)))
    def test_truncated_is_refused(self, length):
        """A paste that lost its end is an error at every length, never a weak key."""
        with pytest.raises(ValueError, match="damaged"):
            Key(TEXT[:length])

    @pytest.mark.parametrize("position", range(len("hsk1_"), len(TEXT)))
    def test_mistyped_is_refused(self, position):
        """One wrong character is an error wherever it stands."""
        wrong = "A" if TEXT[position] != "A" else "B"

        with pytest.raises(ValueError, match="damaged"):
            Key(TEXT[:position] + wrong + TEXT[position + 1 :])

    @pytest.mark.parametrize("extra", ["A", "AAAA", "=", "====", "\n", " ", "é", "\x00"])
    def test_extended_is_refused(self, extra):
        """A paste that took something along is an error."""
        with pytest.raises(ValueError, match="damaged"):
            Key(TEXT + extra)

    @pytest.mark.parametrize("before", [" ", "\n", "'", '"', "SESSION_SECRET_KEYS=", "\ufeff"])
    def test_with_something_in_front_is_refused(self, before):
        """A paste that took something along in front is an error, never raw bytes."""
        with pytest.raises(ValueError, match="stands before"):
            Key(before + TEXT)

    def test_swapped_characters_are_refused(self):
        """Two characters in the wrong order are an error."""
        with pytest.raises(ValueError, match="damaged"):
            Key(TEXT[:10] + TEXT[11] + TEXT[10] + TEXT[12:])

    @pytest.mark.parametrize("length", [0, 31, 33])
    def test_other_length_is_refused(self, length):
        """A right checksum does not make a key of 31 or 33 bytes one."""
        key = bytes(length)
        text = urlsafe_b64encode(key + sha256(b"hs1 key\x00" + key).digest()[:4]).decode().rstrip("=")

        with pytest.raises(ValueError, match="damaged"):
            Key("hsk1_" + text)

    def test_bytes_that_are_no_text_are_refused(self):
        """Bytes that begin as a key and are no text are an error like any other damage."""
        with pytest.raises(ValueError, match="damaged"):
            Key(TEXT.encode()[:20] + b"\xff\xfe")

    @pytest.mark.parametrize("damaged", [TEXT[:-1], TEXT + "é", TEXT + "\udcff", TEXT.encode()[:20] + b"\xff"])
    def test_error_tells_nothing_of_the_key(self, damaged):
        """Neither the error nor what it was raised from quotes the key."""
        with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is what is looked at
            Key(damaged)

        error: BaseException | None = caught.value
        while error is not None:
            assert TEXT[5:15] not in f"{error} {error.args}"
            error = error.__context__


class TestRaw:
    """A key without the text form."""

    def test_bytes_stay_as_they_are(self):
        """Raw bytes are the material itself."""
        assert Key(RAW).material() == RAW

    def test_text_from_an_environment_that_is_no_utf_8(self):
        """Text with lone surrogates, as Python makes of such an environment, is a key like any other."""
        assert Key("\udcff" * 11).material() == "\udcff".encode("utf-8", "surrogatepass") * 11

    def test_text_is_its_utf_8(self):
        """Any other text counts as its bytes, as with `SECRET_KEY`."""
        assert Key("grün" * 8).material() == b"gr\xc3\xbcn" * 8


class TestPassphrase:
    """A key from words."""

    def test_is_argon2id_with_the_second_recommended_option(self):
        """RFC 9106, section 4: three passes, 64 MiB, four lanes, 32 bytes."""
        expected = argon2.low_level.hash_secret_raw(
            b"correct horse battery staple",
            b"newsroom-2027",
            time_cost=3,
            memory_cost=65536,
            parallelism=4,
            hash_len=32,
            type=argon2.low_level.Type.ID,
            version=0x13,
        )

        assert Passphrase("correct horse battery staple", "newsroom-2027").material() == expected

    def test_costs_once_per_process(self, monkeypatch):
        """The same words and salt are hashed once, whoever asks; another salt is hashed anew."""
        calls = []

        def count(secret: bytes, salt: bytes, **options: object) -> bytes:
            calls.append((secret, salt))
            return sha256(secret + salt).digest()

        monkeypatch.setattr(argon2.low_level, "hash_secret_raw", count)
        first = Passphrase("asked for more than once", "salt of it")

        materials = [
            first.material(),
            first.material(),
            Passphrase("asked for more than once", b"salt of it").material(),
        ]
        other = Passphrase("asked for more than once", "another salt").material()

        assert materials == materials[:1] * 3
        assert other != materials[0]
        assert calls == [(b"asked for more than once", b"salt of it"), (b"asked for more than once", b"another salt")]

    def test_short_words_are_refused(self):
        """Eleven characters are too few, twelve are taken."""
        with pytest.raises(ValueError, match="12 characters"):
            Passphrase("x" * 11, b"12345678")

        Passphrase("x" * 12, b"12345678")

    @pytest.mark.parametrize(("short", "enough"), [(b"1234567", b"12345678"), ("1234567", "12345678"), ("ééé", "éééé")])
    def test_short_salt_is_refused(self, short, enough):
        """Seven bytes are too few, eight are taken; of a text its bytes count."""
        with pytest.raises(ValueError, match="8 bytes"):
            Passphrase("x" * 12, short)

        Passphrase("x" * 12, enough)


@pytest.mark.parametrize(
    "make", [lambda **options: Key(TEXT, **options), lambda **options: Passphrase("x" * 12, b"12345678", **options)]
)
class TestSealFrom:
    """From when a key seals; alike for both kinds."""

    def test_none_is_at_once(self, make):
        """Without a time the key seals since ever."""
        assert make().seals_from == 0

    def test_date_is_its_midnight_in_utc(self, make):
        """A date begins at the same moment on every server."""
        assert make(seal_from=date(2027, 1, 31)).seals_from == datetime(2027, 1, 31, tzinfo=UTC).timestamp()

    def test_datetime_is_that_moment(self, make):
        """An aware time counts in its own zone."""
        moment = datetime(2027, 1, 31, 9, tzinfo=timezone(timedelta(hours=2)))

        assert make(seal_from=moment).seals_from == datetime(2027, 1, 31, 7, tzinfo=UTC).timestamp()

    def test_naive_datetime_is_refused(self, make):
        """A time without a zone, which each server would read in its own, is an error at once."""
        with pytest.raises(ValueError, match="time zone"):
            make(seal_from=datetime(2027, 1, 31, 9))

    @pytest.mark.parametrize("moment", ["2027-01-31", 1_800_000_000, True])
    def test_what_is_no_time_is_refused(self, make, moment):
        """A text or a number is not guessed to be a time."""
        with pytest.raises(ValueError, match="no date"):
            make(seal_from=moment)


class TestDerived:
    """What is derived from a configured key."""

    def test_four_values(self):
        """Key id and the three keys come out of RFC 5869 as the format's page says."""
        prk = extract(b"hardsession/v1", RAW)

        key = RingKey.derive(RAW)

        assert key.id == expand(prk, b"hs1 kid", 4)
        assert key.token == expand(prk, b"hs1 token", 32)
        assert key.rows == expand(prk, b"hs1 rows", 32)
        assert key.index == expand(prk, b"hs1 index", 32)

    def test_id_for_people(self):
        """What a key is called before people is the key id of its blobs, in hexadecimal."""
        assert Key(TEXT).id == expand(extract(b"hardsession/v1", RAW), b"hs1 kid", 4).hex()

    def test_row_key_takes_both_secrets(self):
        """The key of a row is derived from the client's secret, salted with the server's."""
        key = RingKey.derive(RAW)
        secret = bytes(range(50, 82))

        assert key.row_key(SessionSecret(secret)) == expand(extract(key.rows, secret), b"hs1 row", 32)

    def test_user_key_binds_application_and_prefix(self):
        """A user's list is named by a keyed hash of application, prefix and id, each of its own length."""
        key = RingKey.derive(RAW)
        expected = hmac.digest(key.index, le64(b"app", b"session:", "Zoë".encode()), "sha256")

        assert key.user_key("app", "session:", "Zoë") == expected
        assert key.user_key("apps", "ession:", "Zoë") != expected

    def test_reprs_show_no_key(self):
        """No repr of anything that holds a key shows it, in any usual spelling."""
        passphrase = Passphrase("correct horse battery staple", "newsroom-2027")
        key = RingKey.derive(RAW)
        shown = f"{Key(TEXT)!r} {Key(RAW)!r} {passphrase!r} {key!r} {KeyRing([key])!r}"

        for secret in (RAW, key.token, key.rows, key.index):
            for spelling in (repr(secret)[2:-1], secret.hex(), urlsafe_b64encode(secret).decode()[:40]):
                assert spelling not in shown
        for text in (TEXT, TEXT[5:], "horse", "newsroom"):
            assert text not in shown


class TestRing:
    """Every key that opens, and the one that seals."""

    def test_finds_by_id(self):
        """Each key is found by its id, and no other."""
        keys = [RingKey.derive(bytes([n]) * 32) for n in range(3)]

        ring = KeyRing(keys)

        assert [ring.find(key.id) for key in keys] == keys
        assert ring.find(RingKey.derive(RAW).id) is None
        assert ring.find(b"") is None

    def test_keeps_the_order(self):
        """Walking the ring gives the keys as configured."""
        keys = [RingKey.derive(bytes([n]) * 32) for n in range(3)]

        assert list(KeyRing(keys)) == keys
        assert len(KeyRing(keys)) == 3

    def test_first_seals_unless_told_otherwise(self):
        """The newest key seals; while its time has not come, another does."""
        keys = [RingKey.derive(bytes([n]) * 32) for n in range(3)]

        assert KeyRing(keys).sealing == keys[0]
        assert KeyRing(keys, sealing=1).sealing == keys[1]

    def test_empty_is_refused(self):
        """There is no ring without a key."""
        with pytest.raises(ValueError, match="at least one key"):
            KeyRing([])

    def test_repeated_key_is_refused(self):
        """A key that stands there twice is a mistake, not a rotation."""
        key = RingKey.derive(RAW)

        with pytest.raises(ValueError, match="once"):
            KeyRing([key, RingKey.derive(bytes(32)), key])
