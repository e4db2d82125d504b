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
"""Levels of containers in a payload, counted in its encoded form."""

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
        if tag.key:
            self.tags[tag.key] = tag
        if index is None:
            self._late.append(tag)
        else:
            self._early.append(tag)
            self._plain = self._always_plain

    def tag(self, value: object) -> Any:
        """The value in the format's own types: for a `JSONTag` whose value holds others."""
        return self._value(value, self._plain, 2)

    def _dumps(self, value: dict[str, Any]) -> bytes:
        try:
            payload = self._encode(self._value(value, self._plain, 1))
        except UnicodeEncodeError:
            # A lone surrogate, which any client can send in JSON. Look at each text now; the fast path looks at none.
            payload = self._encode(self._value(value, self._always_plain, 1))
        if len(payload) > MAX_SIZE:
            raise SerializationError(f"takes {len(payload)} bytes, and {MAX_SIZE} is the limit.")
        return payload

    def _value(self, value: Any, plain: frozenset[type], level: int) -> Any:
        kind = type(value)
        if kind in plain:
            return value
        if level > MAX_DEPTH:
            raise SerializationError(f"is nested deeper than {MAX_DEPTH} levels.")
        if self._early and (tag := _first(self._early, value)):
            return self._custom(tag, value)
        if kind is dict:
            return self._map(value, plain, level)
        if kind is list:
            return self._list(value, plain, level)
        return self._typed(value, plain, level)

    def _map(self, value: dict[Any, Any], plain: frozenset[type], level: int) -> Any:
        if not ({*map(type, value)} <= _TEXT and (str in plain or all(map(_is_unicode, value)))):
            return self._wrap(" k", [self._list(pair, plain, level + 2) for pair in value.items()])
        disguised = len(value) == 1 and self._looks_like_tag(*value)
        inner = {}
        for key, item in value.items():
            try:
                inner[key] = item if type(item) in plain else self._value(item, plain, level + 1 + disguised)
            except SerializationError as error:
                raise error.under(key) from None
        return self._wrap(" di", {f"{key}__": item for key, item in inner.items()}) if disguised else inner

    def _list(self, value: Iterable[Any], plain: frozenset[type], level: int) -> list[Any]:
        inner = []
        for index, item in enumerate(value):
            try:
                inner.append(item if type(item) in plain else self._value(item, plain, level + 1))
            except SerializationError as error:
                raise error.under(index) from None
        return inner

    def _typed(self, value: Any, plain: frozenset[type], level: int) -> Any:
        if callable(getattr(value, "__html__", None)):
            return self._wrap(" m", str(value.__html__()))
        match value:
            case str():
                text = str.__str__(value)
                return text if _is_unicode(text) else self._wrap(" x", text.encode("utf-8", "surrogatepass").hex())
            case int():
                return int(value) if -(2**63) <= value < 2**63 else self._wrap(" i", hex(value))
            case float():
                return float(value) if math.isfinite(value) else self._wrap(" f", repr(float(value)))
            case dict():
                return self._map(value, plain, level)
            case list():
                return self._list(value, plain, level)
            case tuple():
                return self._wrap(" t", self._list(value, plain, level + 1))
            case set() | frozenset():
                # In the order of their bytes: the order of a set differs from process to process.
                members = sorted(self._list(value, plain, level + 1), key=self._encode)
                return self._wrap(" s" if isinstance(value, set) else " fs", members)
            case bytes():
                return self._wrap(" b", b64encode(value).decode())
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
        if callable(getattr(value, "casefold", None)):  # a lazy translation: no str, but it reads like one
            return self._value(str(value), plain, level)
        raise SerializationError(f"is of the type {type(value).__name__}, which cannot be stored.")

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


class TaggedJSON(_Tagged):
    """Flask's tagged JSON on msgspec. Plain JSON is the case without tags."""

    _plain = frozenset({str, int, bool, NoneType})
    _encode = staticmethod(msgspec.json.Encoder().encode)

    def dumps(self, value: dict[str, Any], /) -> bytes:
        return self._dumps(value)

    def loads(self, payload: bytes, /) -> dict[str, Any]:
        value = msgspec.json.decode(payload)
        # Few brackets cannot be deep: most payloads are spared the walk.
        if payload.count(b"[") + payload.count(b"{") > MAX_DEPTH:
            _check_depth(value)
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


class MessagePack(_Tagged):
    """MessagePack: smaller than JSON where a session holds bytes, numbers or typed values."""

    _plain = frozenset({str, float, bool, bytes, NoneType})
    _encode = staticmethod(msgspec.msgpack.Encoder().encode)

    def __init__(self) -> None:
        super().__init__()
        self._decode = msgspec.msgpack.Decoder(ext_hook=self._extension).decode

    def dumps(self, value: dict[str, Any], /) -> bytes:
        return self._dumps(value)

    def loads(self, payload: bytes, /) -> dict[str, Any]:
        value = self._decode(payload)
        _check_depth(value)
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


class Serializers:
    """What `app.session_interface.serializer` is: both formats, told of the same tags.

    It dumps and loads tagged JSON.
    """

    def __init__(self) -> None:
        self.json = TaggedJSON()
        self.message_pack = MessagePack()
        self.dumps = self.json.dumps
        self.loads = self.json.loads

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
    " di": lambda inner: {key.removesuffix("__"): item for key, item in inner.items()},
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


def _first(tags: list[JSONTag], value: object) -> JSONTag | None:
    return next((tag for tag in tags if tag.check(value)), None)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_depth(value: object, levels: int = MAX_DEPTH) -> None:
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        if not levels:
            raise ValueError("nested too deep")
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, levels - 1)


def _session_data(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("not a map")
    return value
