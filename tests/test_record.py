"""What is inside each sealed blob, to the byte."""

from __future__ import annotations

import os
import tracemalloc
import zlib
from dataclasses import replace
from struct import pack

import msgspec
import pytest

from hardsession.crypto.ids import Lineage, SessionSecret
from hardsession.crypto.keys import KeyRing, RingKey
from hardsession.crypto.seal import Purpose, Sealer
from hardsession.errors import Refusal, TokenRefused
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
from hardsession.serializers import MAX_SIZE

LINEAGE = bytes(range(16))
SECRET = bytes(range(32))
ROW = bytes(range(200, 232))
CREATED, SEEN, EXPIRES, AUTHENTICATED, RENEWED, GENERATION = 0x11111111, 0x22222222, 0x33333333, 0x44, 0x55, 0x66
HEADER = Header(CREATED, SEEN, EXPIRES, AUTHENTICATED, RENEWED, GENERATION, Lineage(LINEAGE))
PAYLOAD = b'{"cart":["tea"]}'
TIMES = pack(">6I", CREATED, SEEN, EXPIRES, AUTHENTICATED, RENEWED, GENERATION)
METADATA = (
    b"\x84"  # a map of four
    b"\xa1o\xa242"  # owner
    b"\xa1e\x03"  # epoch of that user
    b"\xa1a\xcd\x01\x00"  # epoch of all
    b"\xa1m\x81\xa8password\xce\x22\x22\x22\x22"  # methods
)


def plaintext(
    *, flags: int = 0b0001_0000, times: bytes = TIMES, metadata: bytes = b"", payload: bytes = PAYLOAD
) -> bytes:
    """A plaintext of purposes 01 and 03 as the format's page draws it."""
    return bytes([flags]) + times + LINEAGE + pack(">H", len(metadata)) + metadata + payload


def refusal(kind: type, data: bytes) -> Refusal:
    """Why a plaintext does not unpack; a failure if it does."""
    with pytest.raises(TokenRefused) as caught:
        kind.unpack(data)
    assert caught.value.__cause__ is None
    return caught.value.reason


class TestRoundTrip:
    """Every purpose, through its seal."""

    KEY = RingKey.derive(bytes(32))
    SUCCESSOR = SessionSecret(bytes(range(1, 33)))
    S = SessionSecret(SECRET)
    RECORD = Record(replace(HEADER, metadata=Metadata(owner="42", methods={"password": 7})), PAYLOAD)
    USER = KEY.user_key("app", "session:", "42")

    @pytest.mark.parametrize(
        ("purpose", "value", "carrier", "place"),
        [
            (Purpose.SESSION, RECORD, "cookie:session", {}),
            (Purpose.REFERENCE, Reference(CREATED, EXPIRES, S), "cookie:session", {}),
            (Purpose.RECORD, RECORD, "", {"secret": S}),
            (Purpose.MOVED, Moved(CREATED, EXPIRES, SUCCESSOR, SEEN), "", {"secret": S}),
            (Purpose.ENDED, Ended(SEEN, EndReason.REGENERATED, SUCCESSOR.row_id), "", {"binding": S.row_id}),
            (
                Purpose.USER,
                UserList(3, "42", (Entry(LINEAGE, (S.row_id,), CREATED, SEEN, EXPIRES, True, "Firefox", "192.0.2.7"),)),
                "",
                {"binding": USER},
            ),
            (
                Purpose.REVOCATION,
                Revocation(RevocationKind.LEAST_GENERATION, 5),
                "",
                {"binding": Lineage(LINEAGE).revocation_name},
            ),
        ],
        ids=[purpose.name for purpose in Purpose],
    )
    def test_every_purpose(self, purpose, value, carrier, place):
        """What was packed and sealed in its place opens and unpacks as the same."""
        sealer = Sealer(purpose, app_id="app", carrier=carrier)

        blob = sealer.seal(value.pack(), self.KEY, **place)

        assert type(value).unpack(sealer.open(blob, KeyRing([self.KEY]), **place)) == value


class TestLayout:
    """The header, metadata and payload of purposes 01 and 03."""

    def test_bytes_of_a_record(self):
        """Each field stands where the page draws it, big-endian."""
        packed = Record(HEADER, PAYLOAD).pack()

        assert packed == plaintext()
        assert len(packed) == 43 + len(PAYLOAD)
        assert packed[1:5] == b"\x11\x11\x11\x11"
        assert packed[25:41] == LINEAGE
        assert packed[41:43] == b"\0\0"

    def test_bytes_of_the_metadata(self):
        """Metadata are a MessagePack map with short keys in a fixed order, between header and payload."""
        metadata = Metadata(owner="42", user_epoch=3, all_epoch=256, methods={"password": SEEN})
        record = Record(replace(HEADER, metadata=metadata), PAYLOAD)

        assert record.pack() == plaintext(metadata=METADATA)
        assert Record.unpack(plaintext(metadata=METADATA)) == record

    @pytest.mark.parametrize(
        ("metadata", "encoded"),
        [
            (Metadata(), b""),
            (Metadata(owner="42"), b"\x81\xa1o\xa242"),
            (Metadata(owner=""), b"\x81\xa1o\xa0"),
            (Metadata(user_epoch=0), b"\x81\xa1e\x00"),
            (Metadata(all_epoch=0), b"\x81\xa1a\x00"),
            (Metadata(methods={"otp": 1}), b"\x81\xa1m\x81\xa3otp\x01"),
        ],
    )
    def test_empty_metadata_are_absent(self, metadata, encoded):
        """A key stands there only where there is something to say; zero is something."""
        record = Record(replace(HEADER, metadata=metadata), PAYLOAD)

        assert record.pack() == plaintext(metadata=encoded)
        assert Record.unpack(plaintext(metadata=encoded)) == record

    @pytest.mark.parametrize(
        ("flags", "fields", "format"),
        [
            (0b0000_0000, {"confirmed": False}, PayloadFormat.JSON),
            (0b0000_0001, {"confirmed": False}, PayloadFormat.MESSAGE_PACK),
            (0b0000_0011, {"confirmed": False}, PayloadFormat.CUSTOM),
            (0b0000_1000, {"confirmed": False, "permanent": True}, PayloadFormat.JSON),
            (0b0001_0000, {"confirmed": True}, PayloadFormat.JSON),
            (0b0001_1001, {"confirmed": True, "permanent": True}, PayloadFormat.MESSAGE_PACK),
        ],
    )
    def test_flags(self, flags, fields, format):
        """Each flag has its bit, written and read."""
        record = Record(replace(HEADER, **fields), PAYLOAD, format)

        assert record.pack() == plaintext(flags=flags)
        assert Record.unpack(plaintext(flags=flags)) == record

    def test_flag_of_compression(self):
        """Bit 2 says that the payload is a zlib stream."""
        packed = Record(HEADER, PAYLOAD).pack(compress=True)

        assert packed[0] == 0b0001_0100
        assert zlib.decompress(packed[43:]) == PAYLOAD

    def test_flag_of_padding(self):
        """Bit 5 says that 80 and zeros follow the payload."""
        packed = Record(HEADER, PAYLOAD).pack(pad_to=64)

        assert packed[0] == 0b0011_0000
        assert packed[43:] == PAYLOAD + b"\x80" + bytes(64 - 43 - len(PAYLOAD) - 1)

    def test_payload_may_be_empty(self):
        """Nothing is required behind the metadata."""
        assert Record.unpack(plaintext(metadata=METADATA, payload=b"")).payload == b""

    def test_metadata_out_of_reach_of_payload(self):
        """A payload that imitates metadata, or a whole record, stays payload."""
        imitation = plaintext(metadata=METADATA)

        record = Record.unpack(Record(HEADER, imitation).pack())

        assert record == Record(HEADER, imitation)
        assert record.header.metadata == Metadata()


class TestHeaderRules:
    """What a reader refuses, though it was sealed with our key."""

    @pytest.mark.parametrize("bit", [6, 7])
    def test_unknown_flag(self, bit):
        """A flag that means nothing yet is refused."""
        assert refusal(Record, plaintext(flags=0b0001_0000 | 1 << bit)) is Refusal.HEADER

    def test_unknown_serializer(self):
        """The serializer's number that is not assigned is refused."""
        assert refusal(Record, plaintext(flags=0b0001_0010)) is Refusal.HEADER

    @pytest.mark.parametrize("times", [(5, 5, 5), (0, 0, 0), (4, 5, 5), (5, 5, 6), (0, 2**32 - 1, 2**32 - 1)])
    def test_times_in_order(self, times):
        """Two times may be the same second."""
        header = Record.unpack(plaintext(times=pack(">6I", *times, 0, 0, 0))).header

        assert (header.created_at, header.seen_at, header.expires_at) == times

    @pytest.mark.parametrize("times", [(5, 4, 9), (5, 9, 8), (6, 5, 4), (2**32 - 1, 0, 0)])
    def test_times_out_of_order(self, times):
        """Created before seen before expired: anything else is refused, by one second too."""
        assert refusal(Record, plaintext(times=pack(">6I", *times, 0, 0, 0))) is Refusal.HEADER

    @pytest.mark.parametrize("length", range(43))
    def test_too_short_for_a_header(self, length):
        """A plaintext that ends inside the header is refused at every length."""
        assert refusal(Record, plaintext()[:length]) is Refusal.HEADER

    @pytest.mark.parametrize("length", range(43, 43 + len(METADATA)))
    def test_metadata_cut_off(self, length):
        """A plaintext that ends inside the metadata is refused at every length."""
        assert refusal(Record, plaintext(metadata=METADATA, payload=b"")[:length]) is Refusal.HEADER

    @pytest.mark.parametrize("beyond", [1, 100, 60000])
    def test_metadata_longer_than_the_plaintext(self, beyond):
        """A length that reaches beyond the end is refused, whether what is there could be read or not."""
        data = plaintext()[:41] + pack(">H", len(METADATA) + beyond) + METADATA

        assert refusal(Record, data) is Refusal.HEADER

    @pytest.mark.parametrize(
        "metadata",
        [
            pytest.param(b"\x81\xa1x\x00", id="unknown key"),
            pytest.param(b"\x82\xa1o\xa242\xa1x\x00", id="unknown key beside a known one"),
            pytest.param(b"\x81\xa5owner\xa242", id="long name of a key"),
            pytest.param(b"\x81\xa1o\x2a", id="owner is a number"),
            pytest.param(b"\x81\xa1o\xa1\xff", id="owner is no UTF-8"),
            pytest.param(b"\x81\xa1e\xff", id="negative epoch"),
            pytest.param(b"\x81\xa1a\xcf\0\0\0\x01\0\0\0\0", id="epoch beyond 32 bits"),
            pytest.param(b"\x81\xa1e\xca\x3f\xc0\0\0", id="epoch is a fraction"),
            pytest.param(b"\x81\xa1m\x91\xa3otp", id="methods are a list"),
            pytest.param(b"\x81\xa1m\x81\x01\x01", id="method is a number"),
            pytest.param(b"\x81\xa1m\x81\xa3otp\xff", id="negative time of a method"),
            pytest.param(b"\x81\xa1m\x81\xa3otp\xcf\0\0\0\x01\0\0\0\0", id="time of a method beyond 32 bits"),
            pytest.param(b"\x90", id="list"),
            pytest.param(b"\xc0", id="nothing"),
            pytest.param(b"\xa3otp", id="text"),
            pytest.param(b"\x80\x80", id="two maps"),
            pytest.param(METADATA + b"\x00", id="a byte too many"),
            pytest.param(METADATA[:-1], id="a byte too few"),
            pytest.param(b"\xc1", id="no MessagePack"),
        ],
    )
    def test_metadata_that_are_none(self, metadata):
        """Metadata of any other shape are refused whole."""
        assert refusal(Record, plaintext(metadata=metadata)) is Refusal.HEADER


class TestPadding:
    """Where the length itself tells something."""

    @pytest.mark.parametrize("pad_to", [2, 16, 100])
    @pytest.mark.parametrize("length", range(40))
    def test_length_is_a_multiple(self, length, pad_to):
        """The plaintext becomes the next multiple, never more, and the payload comes back."""
        record = Record(HEADER, b"x" * length)

        packed = record.pack(pad_to=pad_to)

        assert len(packed) % pad_to == 0
        assert 1 <= len(packed) - 43 - length <= pad_to
        assert Record.unpack(packed) == record

    @pytest.mark.parametrize("payload", [b"\x80", b"\x80\0\0", b"\0\0\0", b"a\x80\x80", b"\x80\0\x80\0", b""])
    def test_payload_that_looks_like_padding(self, payload):
        """A payload that ends as padding does comes back whole."""
        record = Record(HEADER, payload)

        assert Record.unpack(record.pack(pad_to=16)) == record

    def test_metadata_count(self):
        """It is the whole plaintext that becomes a multiple, whatever stands before the payload."""
        record = Record(replace(HEADER, metadata=Metadata(owner="a user's long name")), PAYLOAD)

        assert len(record.pack(pad_to=256)) == 256
        assert Record.unpack(record.pack(pad_to=256)) == record

    @pytest.mark.parametrize(
        "payload", [b"", b"\0", b"\0\0\0", b"text", b"text\x80\0\x01", b"text\x80x", b"text\x81\0"]
    )
    def test_wrong_padding_is_refused(self, payload):
        """Without its mark, or with anything but zeros behind it, padding is refused."""
        assert refusal(Record, plaintext(flags=0b0011_0000, payload=payload)) is Refusal.PAYLOAD


class TestCompression:
    """For an application that knows better."""

    @pytest.mark.parametrize("pad_to", [None, 64])
    def test_comes_back(self, pad_to):
        """A compressed payload comes back, padded or not, and is shorter meanwhile."""
        record = Record(HEADER, b'{"text":"' + b"again " * 500 + b'"}')

        packed = record.pack(compress=True, pad_to=pad_to)

        assert len(packed) < 200
        assert Record.unpack(packed) == record

    @pytest.mark.parametrize(
        "stream",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"{}", id="not compressed"),
            pytest.param(zlib.compress(PAYLOAD)[:-1], id="checksum cut off"),
            pytest.param(zlib.compress(PAYLOAD)[:5], id="data cut off"),
            pytest.param(zlib.compress(PAYLOAD)[:-1] + b"\x00", id="wrong checksum"),
            pytest.param(zlib.compress(PAYLOAD) + b"\x00", id="a byte too many"),
            pytest.param(zlib.compress(PAYLOAD) * 2, id="two streams"),
            pytest.param(zlib.compress(PAYLOAD, wbits=-15), id="raw deflate"),
            pytest.param(zlib.compress(PAYLOAD, wbits=31), id="gzip"),
        ],
    )
    def test_anything_but_one_whole_stream_is_refused(self, stream):
        """What is not exactly one zlib stream is refused."""
        assert refusal(Record, plaintext(flags=0b0001_0100, payload=stream)) is Refusal.PAYLOAD

    @pytest.mark.parametrize("compress", [False, True])
    def test_cap(self, compress):
        """A payload of 4 MiB is read, one byte more is refused; compressed or not."""
        at, over = Record(HEADER, bytes(MAX_SIZE)), Record(HEADER, bytes(MAX_SIZE + 1))

        assert Record.unpack(at.pack(compress=compress)) == at
        assert refusal(Record, over.pack(compress=compress)) is Refusal.PAYLOAD

    def test_cap_of_what_does_not_compress(self):
        """The cap is where it is for random bytes as well, whose stream is longer than they are."""
        at, over = Record(HEADER, os.urandom(MAX_SIZE)), Record(HEADER, os.urandom(MAX_SIZE + 1))

        assert Record.unpack(at.pack(compress=True)) == at
        assert refusal(Record, over.pack(compress=True)) is Refusal.PAYLOAD

    def test_decompression_bomb(self):
        """A token of 64 kB that stands for 64 MiB is refused, and never takes more than twice the cap of memory."""
        squeeze = zlib.compressobj(9)
        bomb = b"".join(squeeze.compress(bytes(2**20)) for _ in range(64)) + squeeze.flush()
        packed = plaintext(flags=0b0001_0100, payload=bomb)

        tracemalloc.start()
        try:
            reason = refusal(Record, packed)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert len(bomb) < 2**16 + 2**10
        assert reason is Refusal.PAYLOAD
        assert peak < 2.5 * MAX_SIZE


class TestReference:
    """A token that names a row."""

    def test_bytes(self):
        """Two times and the secret: 40 bytes."""
        packed = Reference(CREATED, EXPIRES, SessionSecret(SECRET)).pack()

        assert packed == pack(">2I", CREATED, EXPIRES) + SECRET
        assert len(packed) == 40

    @pytest.mark.parametrize("length", [0, 39, 41, 80])
    def test_other_length_is_refused(self, length):
        """It has one length."""
        assert refusal(Reference, bytes(length)) is Refusal.HEADER


class TestMoved:
    """An id that was renewed."""

    def test_bytes(self):
        """Two times, the successor's secret, and when: 44 bytes."""
        packed = Moved(CREATED, EXPIRES, SessionSecret(SECRET), SEEN).pack()

        assert packed == pack(">2I", CREATED, EXPIRES) + SECRET + pack(">I", SEEN)
        assert len(packed) == 44

    @pytest.mark.parametrize("length", [0, 40, 43, 45])
    def test_other_length_is_refused(self, length):
        """It has one length."""
        assert refusal(Moved, bytes(length)) is Refusal.HEADER


class TestEnded:
    """A row's tombstone."""

    @pytest.mark.parametrize(("successor", "written"), [(None, bytes(32)), (ROW, ROW)])
    def test_bytes(self, successor, written):
        """When, why, and the successor's row or zeros: 37 bytes."""
        ended = Ended(SEEN, EndReason.REGENERATED, successor)

        assert ended.pack() == pack(">IB", SEEN, 4) + written
        assert len(ended.pack()) == 37
        assert Ended.unpack(ended.pack()) == ended

    def test_reasons_are_numbered_as_published(self):
        """The numbers are part of the format, and each comes back."""
        assert {reason.name: reason.value for reason in EndReason} == {
            "LOGGED_OUT": 1,
            "REVOKED": 2,
            "EVICTED": 3,
            "REGENERATED": 4,
            "CLONED": 5,
            "EXPIRED": 6,
            "LOGGED_IN": 7,
        }
        for reason in EndReason:
            assert Ended.unpack(Ended(SEEN, reason).pack()).reason is reason

    @pytest.mark.parametrize("reason", [0, 8, 255])
    def test_unknown_reason_is_refused(self, reason):
        """A reason that means nothing is refused."""
        assert refusal(Ended, pack(">IB", SEEN, reason) + ROW) is Refusal.HEADER

    @pytest.mark.parametrize("length", [0, 36, 38])
    def test_other_length_is_refused(self, length):
        """It has one length."""
        assert refusal(Ended, b"\x01" * length) is Refusal.HEADER


class TestRevocation:
    """What ends self-contained cookies."""

    def test_bytes(self):
        """Kind and value: 5 bytes."""
        assert Revocation(RevocationKind.EPOCH, 0x01020304).pack() == b"\x03\x01\x02\x03\x04"

    def test_kinds_are_numbered_as_published(self):
        """The numbers are part of the format, and each comes back."""
        assert {kind.name: kind.value for kind in RevocationKind} == {"ENDED": 1, "LEAST_GENERATION": 2, "EPOCH": 3}
        for kind in RevocationKind:
            assert Revocation.unpack(Revocation(kind, 9).pack()) == Revocation(kind, 9)

    @pytest.mark.parametrize("kind", [0, 4, 255])
    def test_unknown_kind_is_refused(self, kind):
        """A kind that means nothing is refused."""
        assert refusal(Revocation, pack(">BI", kind, 1)) is Refusal.HEADER

    @pytest.mark.parametrize("length", [0, 4, 6])
    def test_other_length_is_refused(self, length):
        """It has one length."""
        assert refusal(Revocation, b"\x01" * length) is Refusal.HEADER


class TestUserList:
    """A user's sessions."""

    ENTRY = Entry(LINEAGE, (ROW, SECRET), CREATED, SEEN, EXPIRES, True, "Firefox", "192.0.2.7")
    LIST = UserList(0x01020304, "Zoë", (ENTRY, Entry(LINEAGE, (), 1, 2, 3, False, "", "")))
    PACKED = (
        b"\x01\x02\x03\x04"  # epoch
        b"\x00\x04Zo\xc3\xab"  # user id
        b"\x92"  # two entries
        b"\x98\xc4\x10" + LINEAGE + b"\x92\xc4\x20" + ROW + b"\xc4\x20" + SECRET + b"\xce\x11\x11\x11\x11"
        b"\xce\x22\x22\x22\x22\xce\x33\x33\x33\x33\xc3\xa7Firefox\xa9192.0.2.7"
        b"\x98\xc4\x10" + LINEAGE + b"\x90\x01\x02\x03\xc2\xa0\xa0"
    )

    def test_bytes(self):
        """Epoch, the user's id with its length, and an array of entries that are arrays."""
        assert self.LIST.pack() == self.PACKED
        assert UserList.unpack(self.PACKED) == self.LIST

    def test_empty(self):
        """A list without entries, and one of nobody's name, are lists."""
        assert UserList.unpack(b"\0\0\0\0\0\0\x90") == UserList(0, "")

    @pytest.mark.parametrize("length", range(len(PACKED)))
    def test_truncated_is_refused(self, length):
        """A list that lost its end is refused at every length."""
        assert refusal(UserList, self.PACKED[:length]) is Refusal.HEADER

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(PACKED + b"\0", id="a byte too many"),
            pytest.param(b"\0\0\0\0\0\x01\xff\x90", id="user id is no UTF-8"),
            pytest.param(b"\0\0\0\0\xff\xff\x90", id="user id longer than the plaintext"),
            pytest.param(b"\0\0\0\0\0\0\x80", id="map for entries"),
            pytest.param(b"\0\0\0\0\0\0\x91\x80", id="map for an entry"),
            pytest.param(b"\0\0\0\0\0\0\x91\x94\xc4\0\x90\x01\x02", id="entry without its end"),
            pytest.param(b"\0\0\0\0\0\0\x91\x99\xc4\0\x90\x01\x02\x03\xc2\xa0\xa0\xc0", id="unknown field"),
            pytest.param(b"\0\0\0\0\0\0\x91\x98\xc4\0\x90\xff\x02\x03\xc2\xa0\xa0", id="negative time"),
            pytest.param(b"\0\0\0\0\0\0\x91\x98\xc4\0\xa0\x01\x02\x03\xc2\xa0\xa0", id="text for rows"),
            pytest.param(b"\0\0\0\0\0\0\x91\x98\xc4\0\x90\x01\x02\x03\x01\xa0\xa0", id="number for a mark"),
        ],
    )
    def test_other_shape_is_refused(self, data):
        """A list of any other shape is refused whole."""
        assert refusal(UserList, data) is Refusal.HEADER


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        (Record(replace(HEADER, metadata=Metadata(owner="Mallory", methods={"otp": 7})), b"hunter2"), "hunter2"),
        (Record(replace(HEADER, metadata=Metadata(owner="Mallory", methods={"otp": 7})), b"hunter2"), "Mallory"),
        (replace(HEADER, metadata=Metadata(owner="Mallory")), "Mallory"),
        (Reference(CREATED, EXPIRES, SessionSecret(b"s3cret!!" * 4)), "s3cret"),
        (Moved(CREATED, EXPIRES, SessionSecret(b"s3cret!!" * 4), SEEN), "s3cret"),
        (UserList(1, "Mallory"), "Mallory"),
    ],
)
def test_repr_hides(value, hidden):
    """No repr shows a payload, a secret or who it is about."""
    assert hidden not in f"{value!r} {value}"
    assert type(value).__name__ in repr(value)


def test_values_are_frozen():
    """What was unpacked is replaced, never changed."""
    for value in (Metadata(owner="a"), TestUserList.ENTRY):
        name = value.__struct_fields__[0]
        with pytest.raises(AttributeError):
            setattr(value, name, msgspec.UNSET)

    for value in (HEADER, Record(HEADER, b""), Revocation(RevocationKind.EPOCH, 1)):
        name = value.__slots__[0]
        with pytest.raises(AttributeError):
            setattr(value, name, None)
