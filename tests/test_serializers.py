"""What an application stores, as bytes and back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import OrderedDict, defaultdict, namedtuple
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from uuid import UUID

import msgspec
import pytest
from flask.json.tag import JSONTag, TaggedJSONSerializer
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from markupsafe import Markup

from hardsession.errors import HardSessionError, SerializationError
from hardsession.serializers import MAX_DEPTH, MAX_SIZE, MessagePack, Serializers, TaggedJSON

# Less than a second beside UTC is lost by Python's own fromisoformat, and is the offset of no place.
OFFSETS = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).filter(
    lambda offset: not offset or abs(offset) >= timedelta(seconds=1)
)


def named(value: object) -> str:
    """A test's id that is the same in every process: the order of a set is not."""
    return str(sorted(value)) if isinstance(value, frozenset) else str(value)


FORMATS = pytest.mark.parametrize("serializer", [TaggedJSON(), MessagePack()], ids=["json", "msgpack"])
BOTH = pytest.mark.parametrize("format", ["json", "message_pack"])
TAGS = (" t", " b", " m", " u", " d", " di", " k", " da", " td", " n", " s", " fs", " i", " f", " x")
PLUS_TWO = timezone(timedelta(hours=2))
BEFORE_LONDON_WAS_UTC = timezone(-timedelta(minutes=1, seconds=15, microseconds=7))


def described(value):
    """A value with the type of all its parts: equality alone takes 1 for True, a tuple for a named one, -0.0 for 0."""
    kind = type(value).__name__
    match value:
        case dict():
            return kind, [(described(key), described(item)) for key, item in value.items()]
        case list() | tuple():
            return kind, [described(item) for item in value]
        case set() | frozenset():
            return kind, sorted(repr(described(item)) for item in value)
        case datetime():
            return kind, value.isoformat()
        case int():
            return kind, hex(value)
        case _:
            return kind, repr(value)


def round_trip(serializer, value):
    """A value through bytes and back."""
    return serializer.loads(serializer.dumps({"value": value}))["value"]


def nested(levels, innermost=None):
    """A session with so many levels of containers."""
    value = innermost
    for _ in range(levels - 1):
        value = [value]
    return {"value": value}


VALUES = {
    "nothing": None,
    "true": True,
    "false": False,
    "text": 'grün \u2028 \U0001f370 " \\ \x00 \x7f </script>',
    "empty text": "",
    "zero": 0,
    "negative": -1,
    "largest of 64 bits": 2**63 - 1,
    "smallest of 64 bits": -(2**63),
    "above 64 bits": 2**63,
    "largest unsigned": 2**64 - 1,
    "above unsigned": 2**64,
    "below 64 bits": -(2**63) - 1,
    "big": 3**500,
    "too big for a decimal text": 10**5000,
    "fraction": 0.1,
    "whole fraction": 1.0,
    "negative zero": -0.0,
    "smallest fraction": 5e-324,
    "largest fraction": 1.7976931348623157e308,
    "exponent": 1e16,
    "infinity": float("inf"),
    "negative infinity": float("-inf"),
    "not a number": float("nan"),
    "empty list": [],
    "list": [1, [2, ["three"]], None],
    "empty tuple": (),
    "tuple": (1, ("two", [3]), {"four": (5,)}),
    "empty map": {},
    "map": {"a": {"b": {}}, "": 0},
    "int keys": {1: "one", 0: "zero", -1: "minus"},
    "one int key": {1: "one"},
    "mixed keys": {"a": 1, None: 2, True: 3, 2.5: 4, (1, "b"): 5, b"c": 6, date(2027, 1, 31): 7, 2**70: 8},
    "keys of one look": {1: "number", "1": "text"},
    "bytes": b"\x00\xff plain",
    "empty bytes": b"",
    "markup": Markup("<b>bold</b> &amp;"),
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "naive datetime": datetime(2027, 1, 31, 9, 30),
    "naive datetime with microseconds": datetime(2027, 1, 31, 9, 30, 15, 1),
    "aware datetime": datetime(2027, 1, 31, 9, 30, tzinfo=UTC),
    "offset and microseconds": datetime(2027, 1, 31, 9, 30, 15, 999999, tzinfo=PLUS_TWO),
    "odd offset": datetime(1847, 11, 30, tzinfo=BEFORE_LONDON_WAS_UTC),
    "first datetime": datetime.min,
    "last datetime": datetime.max,
    "date": date(2027, 1, 31),
    "first date": date.min,
    "timedelta": timedelta(days=3, seconds=4, microseconds=5),
    "negative timedelta": timedelta(microseconds=-1),
    "longest timedelta": timedelta.max,
    "decimal": Decimal("1.10"),
    "decimal with exponent": Decimal("1E+30"),
    "decimal infinity": Decimal("-Infinity"),
    "empty set": set(),
    "set": {1, "two", 2.5, None, b"x"},
    "tuples in a set": {(1, 2), ("a", (b"b", frozenset({3})))},
    "frozenset": frozenset({Decimal("1.5"), UUID(int=7)}),
    "sets in a set": {frozenset({1}), frozenset({1, 2}), frozenset()},
    "lone surrogate": "\ud800",
    "surrogates the wrong way round": "\udc00\ud800",
    "surrogate beside other types": ["\udfff", 2**70, b"x", 1.5, {"\ud800": ("\ud800",)}, {"\ud83c"}, {1: "\ud800"}],
    "markup with a surrogate": Markup("\ud800"),
    "tag": {" t": [1, 2]},
    "escaped tag": {" di": {" t__": [1]}},
    "key with a space": {" ": 1},
    "key like an escaped tag": {" t__": 1},
    "tag beside another key": {" t": [1], "a": 2},
}


@FORMATS
class TestTypes:
    """Which values come back, and as what."""

    @pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
    def test_comes_back(self, serializer, value):
        """Every supported value comes back as itself, of the same type to the last part."""
        assert described(round_trip(serializer, value)) == described(value)

    @pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
    def test_comes_back_from_deep_inside(self, serializer, value):
        """What surrounds a value does not change it."""
        surrounded = [{"a": ({"b": [value]}, value)}]

        assert described(round_trip(serializer, surrounded)) == described(surrounded)

    @pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
    def test_bytes_are_stable(self, serializer, value):
        """What was loaded gives the bytes it was loaded from, so that an unchanged session is known as one."""
        payload = serializer.dumps({"value": value})

        assert serializer.dumps(serializer.loads(payload)) == payload

    def test_whole_session(self, serializer):
        """All of them at once come back in their order."""
        assert described(serializer.loads(serializer.dumps(VALUES))) == described(VALUES)

    @pytest.mark.parametrize("data", [{}, {1: "one"}, {" t": [1]}, {" m": "<b>"}, {"\ud800": 1}, {None: {None: None}}])
    def test_session_itself(self, serializer, data):
        """The session itself may be empty, have other keys than text, or look like a tag."""
        assert described(serializer.loads(serializer.dumps(data))) == described(data)


HASHABLE = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False),
        st.text(st.characters(), max_size=8),
        st.binary(max_size=8),
        st.text(max_size=8).map(Markup),
        st.uuids(),
        st.datetimes(),
        st.datetimes(timezones=OFFSETS.map(timezone)),
        st.dates(),
        st.timedeltas(),
        st.decimals(allow_nan=False),
    ),
    lambda inner: st.one_of(st.tuples(inner, inner), st.tuples(inner), st.frozensets(inner, max_size=3)),
    max_leaves=4,
)
TAG_LIKE = st.builds("{}{}".format, st.sampled_from([*TAGS, " ", " zz", "t"]), st.sampled_from(["", "__", "____"]))
KEYS = st.one_of(st.text(st.characters(), max_size=4), TAG_LIKE, TAG_LIKE, HASHABLE)
ANYTHING = st.recursive(
    HASHABLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.sets(HASHABLE, max_size=3),
        st.dictionaries(KEYS, inner, max_size=3),
        st.dictionaries(TAG_LIKE, inner, min_size=1, max_size=1),
    ),
    max_leaves=10,
)
JSON_OF_A_CLIENT = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(st.characters(), max_size=4)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(TAG_LIKE, inner, min_size=1, max_size=2),
        st.dictionaries(st.text(max_size=4), inner, max_size=3),
    ),
    max_leaves=10,
)


@FORMATS
class TestProperties:
    """What holds for any data whatever."""

    @hypothesis_settings(deadline=None)
    @given(data=st.dictionaries(KEYS, ANYTHING, max_size=4))
    def test_comes_back_with_stable_bytes(self, serializer, data):
        """Any nesting of supported values comes back as itself, and gives the same bytes again."""
        payload = serializer.dumps(data)
        loaded = serializer.loads(payload)

        assert described(loaded) == described(data)
        assert serializer.dumps(loaded) == payload

    @hypothesis_settings(deadline=None)
    @given(data=st.dictionaries(TAG_LIKE, JSON_OF_A_CLIENT, max_size=2))
    def test_json_of_a_client_stays_json(self, serializer, data):
        """Whatever a client can say in JSON comes back as plain JSON, however hard it tries to look like our tags."""
        loaded = serializer.loads(serializer.dumps(data))

        assert json.dumps(loaded) == json.dumps(data)


@FORMATS
class TestTagInjection:
    """JSON from a client, kept in a session, cannot come back as something else."""

    @pytest.mark.parametrize("tag", TAGS)
    @pytest.mark.parametrize("suffix", ["", "__", "____"])
    @pytest.mark.parametrize("content", ["<script>", [[1, 2]], {" m__": "<script>"}, {" m": "<script>"}, 0, None])
    def test_tag_injection_from_client_json(self, serializer, tag, suffix, content):
        """A client sends JSON that imitates a tag; it stays the map that it was, wherever it is stored."""
        sent = json.loads(json.dumps({tag + suffix: content}))

        for stored in (sent, [sent], (sent, 1), {"a": sent}, {1: sent}, {" t": sent}, {" di": sent}):
            assert described(round_trip(serializer, stored)) == described(stored)

    def test_doubly_escaped(self, serializer):
        """A client who knows how the escaping looks gains nothing by sending it escaped already."""
        escaped = json.loads(TaggedJSON().dumps({"a": {" m": "<script>"}}))
        twice = json.loads(TaggedJSON().dumps(escaped))

        assert round_trip(serializer, escaped) == escaped
        assert round_trip(serializer, twice) == twice
        assert not isinstance(round_trip(serializer, escaped)["a"], Markup)


class Colour(StrEnum):
    """Text of a type of its own."""

    RED = "red"


class Level(IntEnum):
    """A number of a type of its own."""

    HIGH = 3


class Text(str):
    """Text of a type of its own, with a `__str__` that says something else."""

    __slots__ = ()

    def __str__(self):
        return "something else"


class Number(float):
    """A fraction of a type of its own."""


class Blob(bytes):
    """Bytes of a type of their own."""


class Listing(list):
    """A list of a type of its own."""


class Lazy:
    """A translation that is made when it is looked at: no str, but it reads like one."""

    def __str__(self):
        return "Straße"

    def __getattr__(self, name):
        return getattr(str(self), name)


class Widget:
    """Something that renders itself."""

    def __html__(self):
        return "<input>"


Point = namedtuple("Point", "x y")


@FORMATS
class TestKinsmen:
    """Values that stand in for a supported one come back as that."""

    @pytest.mark.parametrize(
        ("value", "comes_back"),
        [
            pytest.param(Colour.RED, "red", id="text enumeration"),
            pytest.param(Text("text"), "text", id="text"),
            pytest.param(Text("\ud800"), "\ud800", id="text with a surrogate"),
            pytest.param(Level.HIGH, 3, id="int enumeration"),
            pytest.param(Number(1.5), 1.5, id="fraction"),
            pytest.param(Number("inf"), float("inf"), id="infinity"),
            pytest.param(Blob(b"blob"), b"blob", id="bytes"),
            pytest.param(Listing([1, Listing([2])]), [1, [2]], id="list"),
            pytest.param(OrderedDict(b=1, a=2), {"b": 1, "a": 2}, id="ordered dict"),
            pytest.param(defaultdict(list, a=[1]), {"a": [1]}, id="default dict"),
            pytest.param(OrderedDict({" m": "<b>"}), {" m": "<b>"}, id="ordered dict like a tag"),
            pytest.param(Point(1, 2), (1, 2), id="named tuple"),
            pytest.param(Lazy(), "Straße", id="lazy text"),
            pytest.param(Widget(), Markup("<input>"), id="markup"),
            pytest.param({Colour.RED: 1}, {"red": 1}, id="key of a text enumeration"),
            pytest.param({Text("text"): 1, "other": 2}, {"text": 1, "other": 2}, id="key of text"),
            pytest.param({Text(" m"): "<b>"}, {" m": "<b>"}, id="key of text like a tag"),
            pytest.param({Level.HIGH: 1}, {3: 1}, id="key of an int enumeration"),
            pytest.param({Colour.RED, Level.HIGH}, {"red", 3}, id="members of a set"),
            pytest.param({"a": [Lazy(), (Lazy(),)]}, {"a": ["Straße", ("Straße",)]}, id="deep inside"),
        ],
    )
    def test_comes_back_as_what_it_stands_for(self, serializer, value, comes_back):
        """A value of a derived type, or one that behaves like text or markup, becomes the plain one."""
        payload = serializer.dumps({"value": value})
        loaded = serializer.loads(payload)

        assert described(loaded["value"]) == described(comes_back)
        assert serializer.dumps(loaded) == payload


class Colourless(Enum):
    """An enumeration without a plain value."""

    GREY = "hunter2"


class Password:
    """A value that must not be quoted."""

    def __repr__(self):
        return "hunter2"


@FORMATS
class TestUnstorable:
    """A value that cannot be stored is an error that says where it is."""

    @pytest.mark.parametrize(
        ("data", "path"),
        [
            ({"a": Password()}, ["a"]),
            ({"a": {"b": Password()}}, ["a", "b"]),
            ({"a": [0, Password()]}, ["a", 1]),
            ({"a": (0, (Password(),))}, ["a", 1, 0]),
            ({"a": frozenset({Password()})}, ["a", 0]),
            ({"a": [{"b": ({"c": Password()},)}]}, ["a", 0, "b", 0, "c"]),
            ({"a": {" t": Password()}}, ["a", " t"]),
            ({" t": Password()}, [" t"]),
            ({"a": OrderedDict(b=Password())}, ["a", "b"]),
            ({"a": {7: Password()}}, ["a", 7]),
            ({7: {"b": [Password()]}}, [7, "b", 0]),
        ],
        ids=str,
    )
    def test_names_its_path(self, serializer, data, path):
        """The error names the path as one would write it, and the type, never the value."""
        with pytest.raises(SerializationError) as caught:
            serializer.dumps(data)

        written = "session" + "".join(f"[{key!r}]" for key in path)
        assert list(caught.value.path) == path
        assert str(caught.value).startswith(f"{written} is of the type Password, which cannot be stored.")
        assert "hunter2" not in f"{caught.value} {caught.value!r}"
        assert caught.value.__suppress_context__

    @pytest.mark.parametrize(
        "value",
        [
            1j,
            bytearray(b"x"),
            memoryview(b"x"),
            Colourless.GREY,
            Fraction(1, 3),
            Ellipsis,
            range(3),
            len,
            lambda: None,
            iter([]),
            object,
            str,
            Lazy,
            Markup,
        ],
        ids=lambda value: getattr(value, "__name__", type(value).__name__),
    )
    def test_other_types(self, serializer, value):
        """What is none of the supported types is refused, a class of a supported type too."""
        with pytest.raises(SerializationError) as caught:
            serializer.dumps({"a": [value]})

        assert caught.value.path == ("a", 0)
        assert type(value).__name__ in str(caught.value)

    def test_is_a_type_error(self, serializer):
        """Code that catches what Flask raises catches it, and so does code that catches ours."""
        with pytest.raises(TypeError):
            serializer.dumps({"a": object()})
        with pytest.raises(HardSessionError):
            serializer.dumps({"a": object()})

    def test_key_of_another_type(self, serializer):
        """A key that cannot be stored is an error as well."""
        with pytest.raises(SerializationError, match="type Password"):
            serializer.dumps({"a": {Password(): 1}})

    def test_says_what_to_do(self, serializer):
        """The message has a remedy."""
        with pytest.raises(SerializationError, match="Store a plain value, or register a JSONTag for its type"):
            serializer.dumps({"a": object()})


LEAVES = {
    "nothing": None,
    "text": "a",
    "int": 1,
    "big int": 2**70,
    "fraction": 1.5,
    "infinity": float("inf"),
    "bytes": b"x",
    "surrogate": "\ud800",
    "markup": Markup("<b>"),
    "timedelta": timedelta(1),
    "decimal": Decimal(1),
    "empty list": [],
    "empty map": {},
    "empty tuple": (),
    "tuple": (1,),
    "set": {1},
    "frozenset": frozenset({(1,)}),
    "int key": {1: 1},
    "tag alike": {" a": 1},
    "tag alike with a list": {" a": [1]},
}


@FORMATS
class TestCaps:
    """How deep and how much."""

    def test_depth(self, serializer):
        """64 levels of containers are stored and loaded; one more is an error when stored."""
        at = nested(MAX_DEPTH)

        assert MAX_DEPTH == 64
        assert serializer.loads(serializer.dumps(at)) == at
        with pytest.raises(SerializationError, match="nested deeper than 64 levels"):
            serializer.dumps(nested(MAX_DEPTH + 1))

    def test_depth_of_maps(self, serializer):
        """A map is a level as a list is."""
        at: dict = {}
        for _ in range(63):
            at = {"a": at}

        assert serializer.loads(serializer.dumps(at)) == at
        with pytest.raises(SerializationError, match="nested deeper"):
            serializer.dumps({"a": at})

    @pytest.mark.parametrize("leaf", LEAVES.values(), ids=LEAVES)
    def test_what_is_stored_is_loaded(self, serializer, leaf):
        """Whatever stands innermost: what is not too deep to be stored is not too deep to be loaded."""
        refused = []

        for levels in range(55, 70):
            data = nested(levels, leaf)
            try:
                payload = serializer.dumps(data)
            except SerializationError:
                refused.append(levels)
            else:
                assert described(serializer.loads(payload)) == described(data), levels

        assert refused
        assert refused[0] >= 60
        assert refused == list(range(refused[0], 70))

    def test_endless(self, serializer):
        """A container that holds itself is too deep, not a crash."""
        endless: list = []
        endless.append(endless)

        with pytest.raises(SerializationError, match="nested deeper"):
            serializer.dumps({"a": endless})

    @pytest.mark.parametrize("size", [MAX_SIZE - 1, MAX_SIZE])
    def test_size(self, serializer, size):
        """Up to 4 MiB are stored."""
        payload = serializer.dumps({"a": "x" * (size - 8)})  # both formats take eight bytes around it

        assert len(payload) == size
        assert len(serializer.loads(payload)["a"]) == size - 8

    def test_too_much(self, serializer):
        """One byte more is an error that says how much it is."""
        with pytest.raises(SerializationError, match=f"takes {MAX_SIZE + 1} bytes, and 4194304 is the limit") as caught:
            serializer.dumps({"a": "x" * (MAX_SIZE - 7)})

        assert caught.value.path == ()


class TestRefused:
    """What `loads` does not take: it raises, and the caller refuses the payload."""

    REFUSED = (
        ValueError,
        LookupError,
        TypeError,
        ArithmeticError,
        AttributeError,
        RecursionError,
        msgspec.MsgspecError,
    )

    @pytest.mark.parametrize(
        "payload",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"{", id="cut off"),
            pytest.param(b"{}{}", id="two"),
            pytest.param(b"[]", id="list"),
            pytest.param(b"null", id="nothing"),
            pytest.param(b'"text"', id="text"),
            pytest.param(b"1", id="number"),
            pytest.param(b'{" t":[1]}', id="tuple"),
            pytest.param(b'{" m":"text"}', id="markup"),
            pytest.param(b'{"a":NaN}', id="not a number"),
            pytest.param(b'{"a":"\xff"}', id="no UTF-8"),
            pytest.param(b"{'a':1}", id="Python"),
            pytest.param(b'{"a":{" u":"x"}}', id="no UUID"),
            pytest.param(b'{"a":{" b":"x"}}', id="no base64"),
            pytest.param(b'{"a":{" d":"x"}}', id="no datetime"),
            pytest.param(b'{"a":{" n":"x"}}', id="no decimal"),
            pytest.param(b'{"a":{" td":["x"]}}', id="no timedelta"),
            pytest.param(b'{"a":{" k":[1]}}', id="no pairs"),
            pytest.param(b'{"a":{" di":1}}', id="no map"),
            pytest.param(b'{"a":{" s":[[1]]}}', id="list in a set"),
            pytest.param(b'{"a":{" i":"x"}}', id="no int"),
            pytest.param(b'{"a":{" x":"zz"}}', id="no hexadecimal"),
        ],
    )
    def test_json(self, payload):
        """JSON that is none, or no map, or has a tag around what it cannot hold."""
        with pytest.raises(self.REFUSED):
            TaggedJSON().loads(payload)

    @pytest.mark.parametrize(
        "payload",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"\x81\xa1a", id="cut off"),
            pytest.param(b"\x80\x80", id="two"),
            pytest.param(b"\x90", id="list"),
            pytest.param(b"\xc0", id="nothing"),
            pytest.param(b"\xa4text", id="text"),
            pytest.param(b"\x81\xa1a\xa1\xff", id="no UTF-8"),
            pytest.param(b"\x81\xa1a\xd4\x00\xc0", id="extension that is not assigned"),
            pytest.param(b"\x81\xa1a\xd4\x63\xc0", id="extension of nobody"),
            pytest.param(b"\x81\xa1a\xc7\x04\x7f\x92\xa1g\x01", id="tag of nobody"),
            pytest.param(b"\x81\xa1a\xd4\x04\xc0", id="no UUID"),
            pytest.param(b"\x81\xa1a\xc7\x00\x01", id="tuple of nothing"),
            pytest.param(b"\x81\xa1a\xd5\x01\x90\x90", id="two in an extension"),
        ],
    )
    def test_message_pack(self, payload):
        """MessagePack that is none, or no map, or has an extension that means nothing here."""
        with pytest.raises(self.REFUSED):
            MessagePack().loads(payload)

    @pytest.mark.parametrize("bracket", [b"[]", b"{}"])
    def test_deep_nesting_in_json(self, bracket):
        """JSON of 64 levels is loaded, one level more is refused, and ten thousand do not end the process."""
        start, end = (b"[", b"]") if bracket == b"[]" else (b'{"a":', b"}")

        def payload(levels):
            return b'{"a":' + start * (levels - 1) + b"1" + end * (levels - 1) + b"}"

        assert "a" in TaggedJSON().loads(payload(64))
        for levels in (65, 10_000):
            with pytest.raises(self.REFUSED):
                TaggedJSON().loads(payload(levels))

    def test_wide_json_is_not_deep(self):
        """Many brackets side by side are no depth."""
        data = {"a": [[] for _ in range(1000)]}

        assert TaggedJSON().loads(TaggedJSON().dumps(data)) == data

    @pytest.mark.parametrize("start", [b"\x91", b"\x81\xa1a"])
    def test_deep_nesting_in_message_pack(self, start):
        """MessagePack of 64 levels is loaded, one level more is refused, and ten thousand do not end the process."""

        def payload(levels):
            return b"\x81\xa1a" + start * (levels - 1) + b"\x01"

        assert "a" in MessagePack().loads(payload(64))
        for levels in (65, 10_000):
            with pytest.raises(self.REFUSED):
                MessagePack().loads(payload(levels))

    def test_deep_nesting_in_extensions(self):
        """Tuples inside tuples count as levels in MessagePack too."""

        def payload(levels):
            value = 1
            for _ in range(levels - 1):
                value = msgspec.msgpack.Ext(1, msgspec.msgpack.encode([value]))
            return msgspec.msgpack.encode({"a": value})

        assert "a" in MessagePack().loads(payload(64))
        with pytest.raises(self.REFUSED):
            MessagePack().loads(payload(65))


OF_FLASK = {
    "tuple": (1, ("two", [3]), ()),
    "bytes": b"\x00\xff",
    "markup": Markup("<b>"),
    "uuid": UUID(int=7),
    "tag": {" t": [1, (2,)]},
    "escaped": {" di": {" t__": [1]}},
    "list": [{"a": (Markup("x"), [b"y"])}],
}


class TestJSON:
    """Tagged JSON is JSON."""

    @pytest.mark.parametrize(
        "data",
        [
            {},
            {"cart": ["tea", 2, None, True, 1.5, {"a": [], "b": {}}], "grün": "\u2028"},
            {" a": 1, "b": 2},
            {"a": {"b": {"c": [[[]]]}}},
        ],
    )
    def test_plain_json_stays_plain(self, data):
        """Data that JSON has types for are JSON without tags, compact and in UTF-8."""
        payload = TaggedJSON().dumps(data)

        assert json.loads(payload) == data
        assert payload == json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()

    def test_flask_reads_ours(self):
        """Flask's own serializer reads our tuples, bytes, markup, UUIDs and escaped tags."""
        theirs = TaggedJSONSerializer().loads(TaggedJSON().dumps(OF_FLASK).decode())

        assert described(theirs) == described(OF_FLASK)

    def test_ours_reads_flasks(self):
        """The same the other way round."""
        payload = TaggedJSONSerializer().dumps(OF_FLASK).encode()

        assert described(TaggedJSON().loads(payload)) == described(OF_FLASK)

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ((1, "a"), '{" t":[1,"a"]}'),
            (b"\xff", '{" b":"/w=="}'),
            (Markup("<b>"), '{" m":"<b>"}'),
            (UUID(int=7), '{" u":"00000000000000000000000000000007"}'),
            (datetime(2027, 1, 31, 9, 30, 0, 5, tzinfo=UTC), '{" d":"2027-01-31T09:30:00.000005+00:00"}'),
            ({" t": 1}, '{" di":{" t__":1}}'),
            ({1: "a"}, '{" k":[[1,"a"]]}'),
            (date(2027, 1, 31), '{" da":"2027-01-31"}'),
            (timedelta(days=1, seconds=2, microseconds=3), '{" td":[1,2,3]}'),
            (Decimal("1.10"), '{" n":"1.10"}'),
            ({2, 1}, '{" s":[1,2]}'),
            (frozenset({"b", "a"}), '{" fs":["a","b"]}'),
            (float("inf"), '{" f":"inf"}'),
            ("\ud800", '{" x":"eda080"}'),
        ],
        ids=named,
    )
    def test_tags(self, value, written):
        """Each tag looks as it is published, since what is stored today is read by later versions."""
        assert TaggedJSON().dumps({"a": value}) == f'{{"a":{written}}}'.encode()


class TestMessagePack:
    """MessagePack with extension types."""

    @pytest.mark.parametrize(
        ("code", "value", "inner"),
        [
            (1, (1,), [1]),
            (3, Markup("<b>"), "<b>"),
            (4, UUID(int=7), f"{7:032x}"),
            (5, datetime(2027, 1, 31, 9, 30), "2027-01-31T09:30:00"),
            (7, {1: "a"}, [[1, "a"]]),
            (8, date(2027, 1, 31), "2027-01-31"),
            (9, timedelta(1, 2, 3), [1, 2, 3]),
            (10, Decimal("1.10"), "1.10"),
            (11, {2, 1}, [1, 2]),
            (12, frozenset({"b", "a"}), ["a", "b"]),
            (13, 2**63, "0x8000000000000000"),
            (15, "\ud800", "eda080"),
        ],
        ids=named,
    )
    def test_extensions(self, code, value, inner):
        """The numbers are those of the published tags in their order."""
        expected = msgspec.msgpack.encode({"a": msgspec.msgpack.Ext(code, msgspec.msgpack.encode(inner))})

        assert MessagePack().dumps({"a": value}) == expected

    def test_plain_data_are_plain(self):
        """What MessagePack has types for needs no extension, bytes and fractions among it."""
        data = {"a": [1, -1, None, True, 1.5, "x", b"y", {" t": [1]}]}

        assert MessagePack().dumps(data) == msgspec.msgpack.encode(data)


def test_same_data_give_same_bytes_in_every_process():
    """The order in which a set is written does not depend on the process; else every session would look changed."""
    script = (
        "import sys\n"
        "from hardsession.serializers import MessagePack, TaggedJSON\n"
        "members = set('abcdefghij') | {frozenset('klmnopqr'), ('s', frozenset('tuvwxyz'))}\n"
        "print(list(members))\n"
        "for kind in (TaggedJSON, MessagePack):\n"
        "    print(kind().dumps({'a': members}).hex())\n"
    )

    def run(seed):
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": seed}
        return subprocess.check_output([sys.executable, "-c", script], env=environment, text=True).splitlines()

    first, second = run("1"), run("2")

    assert first[0] != second[0], "the seeds show no difference, so this test would show none either"
    assert first[1:] == second[1:]


class Money:
    """A type of the application's."""

    def __init__(self, amount, unit="EUR"):
        self.amount = amount
        self.unit = unit

    def __eq__(self, other):
        return isinstance(other, Money) and (self.amount, self.unit) == (other.amount, other.unit)

    def __hash__(self):
        return hash((self.amount, self.unit))


class MoneyTag(JSONTag):
    """The application's tag for it, whose value holds another type."""

    key = " mo"

    def check(self, value):
        return isinstance(value, Money)

    def to_json(self, value):
        return self.serializer.tag([value.amount, value.unit])

    def to_python(self, value):
        return Money(*value)


class OrderedDictTag(JSONTag):
    """The example of Flask's documentation."""

    key = " od"

    def check(self, value):
        return isinstance(value, OrderedDict)

    def to_json(self, value):
        return [[key, self.serializer.tag(item)] for key, item in value.items()]

    def to_python(self, value):
        return OrderedDict(value)


class CentTag(MoneyTag):
    """Another tag for the same key: it keeps cents."""

    def to_json(self, value):
        return int(value.amount * 100)

    def to_python(self, value):
        return Money(Decimal(value) / 100)


class WordyTag(MoneyTag):
    """A tag whose key does not begin with a space."""

    key = "money"


class SlashedDateTag(JSONTag):
    """A tag with the key of a built-in one."""

    key = " da"

    def check(self, value):
        return type(value) is date

    def to_json(self, value):
        return f"{value.year}/{value.month}/{value.day}"

    def to_python(self, value):
        return date(*map(int, value.split("/")))


class ShoutedTag(JSONTag):
    """A tag for some values of a type that needs none."""

    key = " sh"

    def check(self, value):
        return type(value) in (str, bytes) and value.isupper()

    def to_json(self, value):
        return [value.lower() if isinstance(value, str) else value.lower().decode(), isinstance(value, str)]

    def to_python(self, value):
        return value[0].upper() if value[1] else value[0].upper().encode()


class KeylessTag(JSONTag):
    """A tag without a key, such as Flask's own for lists: it makes a plain value and reads none."""

    def check(self, value):
        return isinstance(value, Money)

    def to_json(self, value):
        return {"amount": str(value.amount)}

    def to_python(self, value):
        raise AssertionError("there is nothing to read")

    tag = to_json


@pytest.fixture
def serializers():
    """What an application finds as its interface's serializer."""
    return Serializers()


@BOTH
class TestRegister:
    """Tags of the application's, as with Flask's serializer; both formats learn them."""

    def test_type_of_the_application(self, serializers, format):
        """A registered type comes back, wherever it stands."""
        serializers.register(MoneyTag)
        stored = {"a": Money(Decimal("1.10")), "b": [(Money(2),), {Money(3)}], "c": {Money(4): Money(5)}}

        assert getattr(serializers, format).loads(getattr(serializers, format).dumps(stored)) == stored

    def test_unregistered_is_refused(self, serializers, format):
        """Without its tag the type cannot be stored."""
        with pytest.raises(SerializationError, match="type Money"):
            getattr(serializers, format).dumps({"a": Money(1)})

    def test_bytes_are_stable(self, serializers, format):
        """What was loaded gives the bytes it was loaded from."""
        serializers.register(MoneyTag)
        serializer = getattr(serializers, format)
        payload = serializer.dumps({"a": Money(Decimal("1.10"), b"\xff"), "b": ["x", 2**70, b"y", 1.5, None]})

        assert serializer.dumps(serializer.loads(payload)) == payload

    def test_after_the_built_in_ones(self, serializers, format):
        """Without an index a tag is asked last: a type that a built-in one knows stays with that."""
        serializers.register(OrderedDictTag)

        assert type(round_trip(getattr(serializers, format), OrderedDict(a=1))) is dict

    @pytest.mark.parametrize("index", [0, 3])
    def test_before_the_built_in_ones(self, serializers, format, index):
        """With an index a tag is asked first, and everything else comes back as before."""
        serializers.register(OrderedDictTag, index=index)
        first = OrderedDict([("b", (1,)), ("a", OrderedDict())])
        stored = [first, {"c": OrderedDict(d=b"x")}, "text", 2**70, b"y", 1.5]

        assert described(round_trip(getattr(serializers, format), stored)) == described(stored)

    def test_before_the_plain_ones(self, serializers, format):
        """With an index a tag is asked about values that need no tag, too."""
        serializers.register(ShoutedTag, index=0)
        serializer = getattr(serializers, format)
        stored = {"a": "LOUD", "b": ["LOUD", "quiet", (b"LOUD", b"quiet", 1, None)]}

        payload = serializer.dumps(stored)

        assert b"LOUD" not in payload
        assert serializer.loads(payload) == stored

    def test_taken_key_is_an_error(self, serializers, format):
        """Two tags of one key are an error, and so is the key of a built-in tag."""
        serializers.register(MoneyTag)

        with pytest.raises(KeyError, match="' mo' is already registered"):
            getattr(serializers, format).register(CentTag)
        with pytest.raises(KeyError, match="' da' is already registered"):
            getattr(serializers, format).register(SlashedDateTag)

    def test_taken_key_changes_nothing(self, serializers, format):
        """A tag that was refused leaves the one that was there at work."""
        serializers.register(MoneyTag)
        with pytest.raises(KeyError):
            serializers.register(CentTag)

        assert round_trip(getattr(serializers, format), Money(Decimal("0.001"))) == Money(Decimal("0.001"))

    def test_key_that_ends_as_an_escaped_one_is_refused(self, serializers, format):
        """A tag `x__` would be reached by escaping a client's `x`, so there is none."""

        class Deceptive(CentTag):
            key = " x__"

        with pytest.raises(ValueError, match="ends like an escaped one"):
            serializers.register(Deceptive)

    @pytest.mark.parametrize("index", [None, 0])
    def test_force_replaces(self, serializers, format, index):
        """By force the later tag of a key does the work of the earlier, in both directions."""
        serializers.register(MoneyTag, index=index)
        serializers.register(CentTag, force=True, index=index)

        assert round_trip(getattr(serializers, format), Money(Decimal("1.25"), "USD")) == Money(Decimal("1.25"))

    def test_force_replaces_a_built_in_one(self, serializers, format):
        """By force and in front, a tag takes the place of a built-in one."""
        serializers.register(SlashedDateTag, force=True, index=0)
        serializer = getattr(serializers, format)

        payload = serializer.dumps({"a": date(2027, 1, 31)})

        assert b"2027/1/31" in payload
        assert serializer.loads(payload) == {"a": date(2027, 1, 31)}

    def test_key_without_a_space(self, serializers, format):
        """A key that begins with no space works as well, and a client's map of that look stays a map."""
        serializers.register(WordyTag)
        alone = {"a": Money(1)}
        imitated = {"a": Money(1), "b": {"money": [1, "EUR"]}, "c": {"money__": 1}, "d": {"money": 1, "more": 2}}

        for stored in (alone, imitated):
            assert getattr(serializers, format).loads(getattr(serializers, format).dumps(stored)) == stored

    @pytest.mark.parametrize("tag", [MoneyTag, WordyTag])
    def test_tag_injection_from_client_json(self, serializers, format, tag):
        """A client who knows the application's tags cannot have them made of his JSON."""
        serializers.register(tag)

        for sent in ({tag.key: [1, "EUR"]}, {tag.key + "__": [1]}, {" di": {tag.key + "__": [1]}}):
            assert round_trip(getattr(serializers, format), sent) == sent
            assert getattr(serializers, format).loads(getattr(serializers, format).dumps(sent)) == sent

    @pytest.mark.parametrize("index", [None, 0])
    def test_key_less(self, serializers, format, index):
        """A tag without a key only makes a plain value of one that is not, and several may be registered."""
        serializers.register(KeylessTag, index=index)
        serializers.register(KeylessTag, index=index)

        assert round_trip(getattr(serializers, format), [Money(Decimal("1.10"))]) == [{"amount": "1.10"}]

    def test_surrogate_inside_a_tag(self, serializers, format):
        """What a client sent as text is stored inside a type of the application's as anywhere else."""
        serializers.register(MoneyTag)

        assert round_trip(getattr(serializers, format), Money(1, "\ud800")) == Money(1, "\ud800")


class TestSerializers:
    """What `app.session_interface.serializer` is."""

    def test_dumps_and_loads_tagged_json(self, serializers):
        """Used directly it is the JSON one, as Flask's is, and knows the same tags."""
        serializers.register(MoneyTag)
        payload = serializers.dumps({"a": Money(1)})

        assert payload == b'{"a":{" mo":[1,"EUR"]}}'
        assert serializers.loads(payload) == {"a": Money(1)}
