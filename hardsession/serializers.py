"""What an application stores, as bytes: tagged JSON, or MessagePack with extension types.

Tagged JSON is Flask's: a value that JSON has no type for becomes a map of one key, its tag. More types have a tag
than in Flask, and a map that merely looks like a tag is always escaped, so that JSON from a client, kept in a
session, cannot come back as something else. The order of `_UNPACK` numbers MessagePack's extension types; new ones go
to its end.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import NoneType
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import msgspec
from markupsafe import Markup

from .errors import SerializationError

if TYPE_CHECKING:
    from flask.json.tag import JSONTag

MAX_DEPTH = 64
"""Levels of containers in a payload: those of its JSON, or of what its MessagePack comes to."""

MAX_SIZE = 4 * 1024 * 1024
"""Bytes of a payload."""


class Serializer(Protocol):
    """Turns what an application stores into bytes and back.

    The same data gives the same bytes: that is how a session which nobody changed is told from one that was.
    """

    def dumps(self, value: dict[str, Any], /) -> bytes:
        """The bytes of the data. Raise `SerializationError` for a value that cannot be stored."""

    def loads(self, payload: bytes, /) -> dict[str, Any]:
        """The data. Whatever is raised here means that the payload is refused."""


class _Tagged(ABC):
    """What both formats share: which values need a tag, and what each tag holds."""

    _encode: Callable[[Any], bytes]
    _plain: frozenset[type]
    _native: frozenset[type] = frozenset()
    _always_plain: frozenset[type] = frozenset({bool, NoneType})

    def __init__(self) -> None:
        self.tags: dict[str, JSONTag] = {}
        self._early: list[JSONTag] = []
        self._late: list[JSONTag] = []

    def register(self, tag_class: type[JSONTag], force: bool = False, index: int | None = None) -> None:
        """See `Serializers.register`."""
        tag = tag_class(self)  # type: ignore[arg-type]  # a JSONTag calls no more of it than `tag`
        if tag.key and not force and (tag.key in self.tags or tag.key in _UNPACK):
            raise KeyError(f"Tag '{tag.key}' is already registered.")
        if tag.key.endswith(_ESCAPE):
            raise ValueError(f"Tag '{tag.key}' ends like an escaped one.")
        if tag.key:
            self.tags[tag.key] = tag
            self._early, self._late = (
                [other for other in tags if other.key != tag.key] for tags in (self._early, self._late)
            )
        if index is None:
            self._late.append(tag)
        else:
            self._early.insert(index, tag)
            self._plain = self._always_plain

    def tag(self, value: object) -> Any:
        """The value in the format's own types: for a `JSONTag` whose value holds others."""
        return self._value(value, self._always_plain)

    def dumps(self, value: dict[str, Any], /) -> bytes:
        try:
            payload = self._encoded(value)
        except RecursionError:
            raise SerializationError(_TOO_DEEP) from None
        if len(payload) > MAX_SIZE:
            raise SerializationError(f"takes {len(payload)} bytes, and {MAX_SIZE} is the limit.")
        if self._is_too_deep(payload):
            raise SerializationError(_TOO_DEEP)
        return payload

    def _encoded(self, value: dict[str, Any]) -> bytes:
        try:
            return self._encode(self._value(value, self._plain))
        except ValueError:
            # A lone surrogate, which any client can send in JSON, or an int with more digits than Python writes. Look
            # at each text and int now; the fast path looks at none.
            return self._encode(self._value(value, self._always_plain))

    def _value(self, value: Any, plain: frozenset[type]) -> Any:
        kind = type(value)
        if kind in plain:
            return value
        if self._early and (tag := _first(self._early, value)):
            return self._custom(tag, value)
        if kind is dict:
            return self._map(value, plain)
        if kind is list:
            return self._list(value, plain)
        return self._typed(value, plain)

    def _map(self, value: dict[Any, Any], plain: frozenset[type]) -> Any:
        if not {*map(type, value)} <= _TEXT:
            value = {_plain_key(key): item for key, item in value.items()}
        inner = {}
        for key, item in value.items():
            try:
                inner[key] = item if type(item) in plain else self._value(item, plain)
            except SerializationError as error:
                raise error.under(key) from None
        if not {*map(type, value)} <= _TEXT or (str not in plain and not all(map(_is_unicode, value))):
            return self._wrap(" k", [[self._value(key, plain), item] for key, item in inner.items()])
        if len(inner) == 1 and self._looks_like_tag(*inner):
            return self._wrap(" di", {key + _ESCAPE: item for key, item in inner.items()})
        return inner

    def _list(self, value: Iterable[Any], plain: frozenset[type]) -> list[Any]:
        inner = []
        for index, item in enumerate(value):
            try:
                inner.append(item if type(item) in plain else self._value(item, plain))
            except SerializationError as error:
                raise error.under(index) from None
        return inner

    def _typed(self, value: Any, plain: frozenset[type]) -> Any:
        is_class = isinstance(value, type)  # it has its instances' methods, and cannot be asked for their text
        if not is_class and callable(getattr(value, "__html__", None)):
            return self._wrap(" m", self._value(str(value.__html__()), plain))
        match value:
            case str():
                text = str.__str__(value)
                return text if _is_unicode(text) else self._wrap(" x", text.encode("utf-8", "surrogatepass").hex())
            case int():
                return int(value) if -(2**63) <= value < 2**63 else self._wrap(" i", hex(value))
            case float():
                native = float in self._native or math.isfinite(value)
                return float(value) if native else self._wrap(" f", repr(float(value)))
            case dict():
                return self._map(value, plain)
            case list():
                return self._list(value, plain)
            case tuple():
                return self._wrap(" t", self._list(value, plain))
            case set() | frozenset():
                # In the order of their bytes: the order of a set differs from process to process.
                members = sorted(self._list(value, plain), key=self._encode)
                return self._wrap(" s" if isinstance(value, set) else " fs", members)
            case bytes():
                return bytes(value) if bytes in self._native else self._wrap(" b", b64encode(value).decode())
            case UUID():
                return self._wrap(" u", value.hex)
            case datetime():
                return self._wrap(" d", value.isoformat())
            case date():
                return self._wrap(" da", value.isoformat())
            case timedelta():
                return self._wrap(" td", [value.days, value.seconds, value.microseconds])
            case Decimal():
                return self._wrap(" n", str(value))
        if tag := _first(self._late, value):
            return self._custom(tag, value)
        if not is_class and callable(getattr(value, "casefold", None)):  # a lazy translation: it reads like a str
            return self._value(str(value), plain)
        raise SerializationError(
            f"is of the type {type(value).__name__}, which cannot be stored. "
            "Store a plain value, or register a JSONTag for its type."
        )

    def _custom(self, tag: JSONTag, value: object) -> Any:
        tagged = tag.tag(value)
        return self._wrap(tag.key, tagged[tag.key]) if tag.key else tagged

    def _unwrap(self, key: str, inner: Any) -> Any:
        custom = self.tags.get(key)
        return custom.to_python(inner) if custom else _UNPACK[key](inner)

    @abstractmethod
    def _wrap(self, key: str, inner: Any) -> Any: ...

    @abstractmethod
    def _looks_like_tag(self, key: str, /) -> bool: ...

    @abstractmethod
    def _is_too_deep(self, payload: bytes, /) -> bool: ...


class TaggedJSON(_Tagged):
    """Flask's tagged JSON on msgspec. Plain JSON is the case without tags."""

    _plain = frozenset({str, int, bool, NoneType})
    _encode = staticmethod(msgspec.json.Encoder().encode)

    def loads(self, payload: bytes, /) -> dict[str, Any]:
        value = msgspec.json.decode(payload)
        if _has_many_brackets(payload) and _is_deeper(value, MAX_DEPTH):
            raise ValueError(_TOO_DEEP)
        # Every tag begins with a space, unless an application registered another: no such map, no second walk.
        if b'{" ' in payload or self.tags:
            value = self._untagged(value)
        return _session_data(value)

    def _untagged(self, value: Any) -> Any:
        if type(value) is list:
            return [self._untagged(item) for item in value]
        if type(value) is not dict:
            return value
        inner = {key: self._untagged(item) for key, item in value.items()}
        if len(inner) == 1:
            [(key, item)] = inner.items()
            if key in self.tags or key in _UNPACK:
                return self._unwrap(key, item)
        return inner

    def _wrap(self, key: str, inner: Any) -> Any:
        return {key: inner}

    def _looks_like_tag(self, key: str, /) -> bool:
        return key.startswith(" ") or key in self.tags

    def _is_too_deep(self, payload: bytes, /) -> bool:
        return _has_many_brackets(payload) and _is_deeper(msgspec.json.decode(payload), MAX_DEPTH)


class MessagePack(_Tagged):
    """MessagePack: smaller than JSON where a session holds bytes, numbers or typed values."""

    _plain = frozenset({str, float, bool, bytes, NoneType})
    _native = frozenset({float, bytes})
    _encode = staticmethod(msgspec.msgpack.Encoder().encode)

    def __init__(self) -> None:
        super().__init__()
        self._decode = msgspec.msgpack.Decoder(ext_hook=self._extension).decode

    def loads(self, payload: bytes, /) -> dict[str, Any]:
        value = self._decode(payload)
        if _is_deeper(value, MAX_DEPTH):
            raise ValueError(_TOO_DEEP)
        return _session_data(value)

    def _extension(self, code: int, data: memoryview) -> Any:
        inner = self._decode(data)
        key, inner = inner if code == _CUSTOM_CODE else (_KEYS[code], inner)
        return self._unwrap(key, inner)

    def _wrap(self, key: str, inner: Any) -> Any:
        code = _CODES.get(key, _CUSTOM_CODE)
        return msgspec.msgpack.Ext(code, self._encode([key, inner] if code == _CUSTOM_CODE else inner))

    def _looks_like_tag(self, _key: str, /) -> bool:
        return False  # an extension type cannot be taken for a map

    def _is_too_deep(self, payload: bytes, /) -> bool:
        return _is_deeper(self._decode(payload), MAX_DEPTH)


class Serializers:
    """What `app.session_interface.serializer` is: both formats, told of the same tags.

    It dumps and loads tagged JSON.
    """

    def __init__(self) -> None:
        self.json: TaggedJSON = TaggedJSON()
        self.message_pack: MessagePack = MessagePack()
        self.dumps: Callable[[dict[str, Any]], bytes] = self.json.dumps
        self.loads: Callable[[bytes], dict[str, Any]] = self.json.loads

    def register(self, tag_class: type[JSONTag], force: bool = False, index: int | None = None) -> None:
        """Register a tag for a type of the application's, as Flask's `TaggedJSONSerializer.register` does.

        Args:
            tag_class: a subclass of `flask.json.tag.JSONTag`.
            force: replace a tag of the same key, which is a KeyError otherwise.
            index: given, the tag is asked before the built-in ones; else after them.
        """
        for serializer in (self.json, self.message_pack):
            serializer.register(tag_class, force, index)


_UNPACK: dict[str, Callable[[Any], Any]] = {
    " t": tuple,
    " b": b64decode,
    " m": Markup,
    " u": UUID,
    " d": datetime.fromisoformat,
    " di": lambda inner: {key.removesuffix(_ESCAPE): item for key, item in inner.items()},
    " k": dict,
    " da": date.fromisoformat,
    " td": lambda inner: timedelta(*inner),
    " n": Decimal,
    " s": set,
    " fs": frozenset,
    " i": lambda inner: int(inner, 16),
    " f": float,
    " x": lambda inner: bytes.fromhex(inner).decode("utf-8", "surrogatepass"),
}
_KEYS = dict(enumerate(_UNPACK, start=1))
_CODES = {key: code for code, key in _KEYS.items()}
_CUSTOM_CODE = 127
_TEXT = frozenset({str})
_ESCAPE = "__"
_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels."


def _first(tags: list[JSONTag], value: object) -> JSONTag | None:
    return next((tag for tag in tags if tag.check(value)), None)


def _plain_key(key: object) -> object:
    """A key of a type derived from str is its text; markup is not."""
    return str.__str__(key) if isinstance(key, str) and not hasattr(key, "__html__") else key


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _has_many_brackets(payload: bytes) -> bool:
    """Whether JSON can be deep at all: most is spared the walk."""
    return payload.count(b"[") + payload.count(b"{") > MAX_DEPTH


def _is_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, (dict, list, tuple, set, frozenset)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)


def _session_data(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("not a map")
    return value
