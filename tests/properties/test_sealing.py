"""What is sealed opens as it was, in its own place alone; whatever else is made of it opens nowhere.

`HARDSESSION_THOROUGH=50` tries 50 times as many examples, others in every run.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hardsession.crypto.encoding import from_text, pae, to_text
from hardsession.crypto.ids import Lineage, SessionSecret
from hardsession.crypto.keys import Key, KeyRing, RingKey
from hardsession.crypto.seal import OVERHEAD, Purpose, Sealer
from hardsession.errors import Refusal, TokenRefused
from hardsession.modes import Change, Opened
from hardsession.modes.cookie import CookieMode
from hardsession.record import Header, Metadata, PayloadFormat, Record

THOROUGH = int(os.environ.get("HARDSESSION_THOROUGH", "1"))
TRY = settings(max_examples=150 * THOROUGH, derandomize=THOROUGH == 1, deadline=None)

SALT = slice(8, 32)

u32 = st.integers(0, 2**32 - 1)
words = st.text(st.characters(codec="utf-8"), max_size=20)
keys = st.binary(min_size=32, max_size=40)
metadata = st.builds(
    Metadata,
    owner=st.none() | words,
    user_epoch=st.none() | u32,
    all_epoch=st.none() | u32,
    methods=st.dictionaries(words, u32, max_size=3),
)


@st.composite
def headers(draw):
    """Any header that a reader must take: its times are in order."""
    created, seen, expires = sorted(draw(st.tuples(u32, u32, u32)))
    rest = draw(st.tuples(u32, u32, u32))
    lineage = Lineage(draw(st.binary(min_size=16, max_size=16)))
    permanent, confirmed = draw(st.booleans()), draw(st.booleans())
    return Header(created, seen, expires, *rest, lineage, permanent, confirmed, draw(metadata))


payloads = st.binary(max_size=300) | st.integers(0, 40_000).map(bytes) | st.just(b"\x80" + bytes(20))
records = st.builds(Record, headers(), payloads, st.sampled_from(PayloadFormat))
small = st.builds(Record, headers(), st.binary(max_size=40), st.sampled_from(PayloadFormat))
modes = st.builds(
    CookieMode,
    app_id=st.just("app"),
    carrier=st.just("cookie:session"),
    compress=st.booleans(),
    pad_to=st.none() | st.integers(2, 2048),
)


def ring(*materials: bytes) -> KeyRing:
    return KeyRing([RingKey.derive(material) for material in materials])


RING = ring(bytes(range(32)), bytes(range(32, 64)))
MODE = CookieMode(app_id="app", carrier="cookie:session")


def refusal(mode: CookieMode, text: str) -> Refusal:
    """Why a token is refused. One that opens, and any other exception, fails the test."""
    with pytest.raises(TokenRefused) as caught:
        reopen(mode, text, RING)
    return caught.value.reason


def decoded(text: str) -> bytes | None:
    try:
        return from_text(text)
    except ValueError:
        return None


class TestPlace:
    """A blob and the place it belongs to: purpose, application, carrier, key, and a binding or the secret of a row."""

    places = st.fixed_dictionaries(
        {
            "purpose": st.sampled_from(Purpose),
            "app_id": words,
            "carrier": words,
            "key": keys,
            "bound": st.fixed_dictionaries({"binding": st.binary(max_size=40)})
            | st.fixed_dictionaries({"secret": st.binary(min_size=32, max_size=32).map(SessionSecret)}),
        }
    )

    def seal(self, plaintext, place):
        sealer = Sealer(place["purpose"], app_id=place["app_id"], carrier=place["carrier"])
        return sealer.seal(plaintext, RingKey.derive(place["key"]), **place["bound"])

    def open(self, blob, place):
        sealer = Sealer(place["purpose"], app_id=place["app_id"], carrier=place["carrier"])
        return sealer.open(blob, ring(place["key"]), **place["bound"])

    @given(payloads, places)
    @TRY
    def test_opens_in_its_own(self, plaintext, place):
        """A blob opens where it was sealed, as what it was, and is as long as the format says."""
        blob = self.seal(plaintext, place)

        assert self.open(blob, place) == plaintext
        assert len(blob) == OVERHEAD + len(plaintext) + len(plaintext) // 16384 * 16

    @pytest.mark.parametrize("piece", ["purpose", "app_id", "carrier", "key", "bound"])
    @given(st.binary(max_size=40), places, places)
    @TRY
    def test_opens_in_no_other(self, piece, plaintext, place, other):
        """A blob that is brought to a place that differs in one piece alone is refused."""
        elsewhere = place | {piece: other[piece]}
        assume(elsewhere != place)
        blob = self.seal(plaintext, place)

        with pytest.raises(TokenRefused):
            self.open(blob, elsewhere)

    @given(st.binary(max_size=40), places, words, words)
    @TRY
    @example(b"", {"purpose": Purpose.SESSION, "key": bytes(32), "bound": {}}, "ab", "c")
    def test_pieces_of_a_place_do_not_run_together(self, plaintext, place, app_id, carrier):
        """A character that moves from the application's id to the carrier makes another place."""
        assume(app_id)
        blob = self.seal(plaintext, place | {"app_id": app_id, "carrier": carrier})

        with pytest.raises(TokenRefused):
            self.open(blob, place | {"app_id": app_id[:-1], "carrier": app_id[-1] + carrier})

    @given(st.binary(max_size=40), places, st.lists(keys, min_size=1, max_size=4, unique=True), st.data())
    @TRY
    def test_any_key_of_the_ring_opens(self, plaintext, place, materials, data):
        """Which key of the ring sealed a blob does not matter, nor where in the ring it stands."""
        sealing = data.draw(st.integers(0, len(materials) - 1))
        whole = KeyRing([RingKey.derive(material) for material in materials], sealing=sealing)
        sealer = Sealer(place["purpose"], app_id=place["app_id"], carrier=place["carrier"])

        blob = sealer.seal(plaintext, whole.sealing, **place["bound"])

        assert sealer.open(blob, whole, **place["bound"]) == plaintext
        assert blob[4:8] == RingKey.derive(materials[sealing]).id


@given(st.lists(st.binary(max_size=20), max_size=4), st.lists(st.binary(max_size=20), max_size=4))
@TRY
def test_two_lists_of_pieces_never_join_alike(one, other):
    """What is authenticated with a blob names its pieces without ambiguity."""
    assert (pae(*one) == pae(*other)) == (one == other)


@given(st.binary(min_size=1, max_size=60))
@TRY
def test_bytes_have_one_spelling(data):
    """Of all texts that differ in their last character one alone stands for the bytes: no unused bit makes an alias."""
    text = to_text(data)
    ascii_texts = [text[:-1] + chr(code) for code in range(128)]

    assert [other for other in ascii_texts if decoded(other) == data] == [text]
    assert decoded(text + "=" * (-len(text) % 4)) == (data if len(text) % 4 == 0 else None)


class TestToken:
    """A session's cookie, as text."""

    @given(records, modes, modes)
    @TRY
    def test_opens_as_it_was(self, record, mode, reader):
        """Header, metadata, payload and format come back, packed, padded or not, whatever the reader's settings are."""
        token = seal(mode, record, RING)

        assert token.startswith("hs1_")
        assert reopen(reader, token, RING) == record

    @given(headers(), st.integers(2, 2048), st.binary(max_size=600), st.binary(max_size=600))
    @TRY
    def test_padding_hides_the_length(self, header, pad_to, one, other):
        """Two padded tokens tell no more of their payloads' lengths than in steps of the setting."""
        mode = CookieMode(app_id="app", carrier="cookie:session", pad_to=pad_to)
        steps = {-(-(len(Record(header, payload).pack()) + 1) // pad_to) for payload in (one, other)}

        lengths = {len(seal(mode, Record(header, payload), RING)) for payload in (one, other)}

        assert len(lengths) == len(steps)

    @given(records)
    @TRY
    def test_never_repeats(self, record):
        """The same session sealed twice gives two tokens with nothing in common but magic, purpose and key id."""
        one, other = (from_text(seal(MODE, record, RING)) for _ in range(2))

        assert one[:8] == other[:8]
        assert one[SALT] != other[SALT]
        assert one[32:64] != other[32:64]
        assert one[-16:] != other[-16:]

    def test_every_flipped_bit(self):
        """Each bit of a token, flipped alone, makes it refused, and so does each bit of each character of its text."""
        record = Record(Header(1, 2, 3, 0, 1, 0, Lineage(bytes(16)), metadata=Metadata(owner="ada")), b'{"a":1}')
        text = seal(MODE, record, RING)
        blob = from_text(text)
        flipped = [
            blob[: bit // 8] + bytes([blob[bit // 8] ^ 1 << bit % 8]) + blob[bit // 8 + 1 :]
            for bit in range(len(blob) * 8)
        ]
        garbled = [
            text[: bit // 8] + chr(ord(text[bit // 8]) ^ 1 << bit % 8) + text[bit // 8 + 1 :]
            for bit in range(len(text) * 8)
        ]

        reasons = [refusal(MODE, to_text(other)) for other in flipped]

        assert reasons[:24] == [Refusal.FORMAT] * 24
        assert reasons[24:32] == [Refusal.PURPOSE] * 8
        assert reasons[32:64] == [Refusal.UNKNOWN_KEY] * 32
        assert set(reasons[64:]) == {Refusal.NOT_AUTHENTIC}
        assert reopen(MODE, text, RING) == record
        for other in garbled:
            assert refusal(MODE, other)

    @given(small, modes, st.data())
    @TRY
    def test_any_flipped_bits(self, record, mode, data):
        """Any flipped bits make any token refused, also a packed or padded one."""
        blob = bytearray(from_text(seal(mode, record, RING)))
        for bit in data.draw(st.sets(st.integers(0, len(blob) * 8 - 1), min_size=1, max_size=4)):
            blob[bit // 8] ^= 1 << bit % 8

        refusal(mode, to_text(bytes(blob)))

    @given(small, small, st.data())
    @TRY
    def test_any_splice_of_two(self, one, other, data):
        """The beginning of one token and the end of another never open, wherever both are cut, as bytes or as text."""
        tokens = [seal(MODE, one, RING), seal(MODE, other, RING)]
        for first, second, read in (*tokens, str), (*map(from_text, tokens), to_text):
            until = data.draw(st.integers(0, len(first)))
            beginning = data.draw(
                st.sampled_from((until, len(second) - len(first) + until)) | st.integers(0, len(second))
            )
            spliced = first[:until] + second[max(0, beginning) :]
            assume(spliced not in (first, second))

            refusal(MODE, read(spliced))

    @given(small, st.data())
    @TRY
    def test_any_cut_or_addition(self, record, data):
        """A token that lost bytes anywhere or gained some anywhere is refused."""
        blob = from_text(seal(MODE, record, RING))
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(blob))] * 2)))
        added = data.draw(st.binary(max_size=20))
        altered = blob[:start] + added + blob[end:]
        assume(altered != blob)

        refusal(MODE, to_text(altered))

    @given(small, small, st.sampled_from((slice(8, 32), slice(32, 64), slice(64, -16), slice(-16, None))))
    @TRY
    def test_any_field_of_another(self, one, other, field):
        """Salt, commitment, ciphertext and tag of another token, each put into its place, are refused."""
        blob, source = (bytearray(from_text(seal(MODE, record, RING))) for record in (one, other))
        blob[field] = source[field]

        refusal(MODE, to_text(bytes(blob)))

    @given(small)
    @TRY
    def test_another_key_id_is_no_key(self, record):
        """A token whose key id is changed to that of the ring's other key is refused, not tried with each."""
        blob = from_text(seal(MODE, record, RING))
        others = [key.id for key in RING if key is not RING.sealing]

        assert refusal(MODE, to_text(blob[:4] + others[0] + blob[8:])) is Refusal.NOT_AUTHENTIC

    @given(small, keys)
    @TRY
    def test_a_dropped_key_opens_nothing(self, record, material):
        """Without its key in the ring a token is refused, and with it anywhere in the ring it opens."""
        dropped, kept = RingKey.derive(material), RingKey.derive(Key.generate().material())
        token = seal(MODE, record, KeyRing([dropped]))

        assert reopen(MODE, token, KeyRing([kept, dropped])) == record
        with pytest.raises(TokenRefused) as caught:
            reopen(MODE, token, KeyRing([kept]))
        assert caught.value.reason is Refusal.UNKNOWN_KEY

    @given(small, st.sampled_from(("created_at", "seen_at", "expires_at")), u32)
    @TRY
    def test_times_out_of_order_are_refused(self, record, name, moment):
        """Even under our own key a header opens only while its three times are in order."""
        header = replace(record.header, **{name: moment})
        token = seal(MODE, replace(record, header=header), RING)

        if header.created_at <= header.seen_at <= header.expires_at:
            assert reopen(MODE, token, RING).header == header
        else:
            assert refusal(MODE, token) is Refusal.HEADER


def seal(mode, record, ring):
    """The token of a record."""
    return mode.save(Change(Opened(), record), ring, 0).token


def reopen(mode, token, ring):
    """The record in a token."""
    return mode.open(token, ring, 0).record
