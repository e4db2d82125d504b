"""Keys: what people configure, what is derived from it, and the ring that opens and seals.

Per configured key, once (RFC 5869 with SHA-256)::

    IKM     = 32 or more random bytes, or Argon2id(passphrase, salt) (RFC 9106, second recommended option)
    PRK     = HKDF-Extract(salt = "hardsession/v1", IKM)
    key id  = HKDF-Expand(PRK, "hs1 kid", 4)       names the key in every blob
    K_token = HKDF-Expand(PRK, "hs1 token", 32)    seals what is not a row
    K_rows  = HKDF-Expand(PRK, "hs1 rows", 32)     salts the key of each row
    K_index = HKDF-Expand(PRK, "hs1 index", 32)    names users in a store
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from .encoding import from_text, pae, to_text
from .ids import SessionSecret

_PREFIX = "hsk1_"
_KEY_LENGTH = 32
_CHECKSUM_LENGTH = 4


class KeyMaterial(Protocol):
    """What a ring is derived from: a `Key` or a `Passphrase`."""

    @property
    def seals_from(self) -> float:
        """The Unix time from which this key may seal."""

    def material(self) -> bytes:
        """The bytes to derive from."""


@dataclass(frozen=True, slots=True)
class Key:
    """A configured key: an `hsk1_` text, or at least 32 random bytes.

    Args:
        text: `flask hardsession keygen` prints one. An `hsk1_` text with a wrong checksum is a ValueError, never
            taken as raw bytes: a truncated paste must not become a weak key.
        seal_from: until then the key only opens. Give every instance the key first, let it seal later, and a rotation
            logs nobody out. An aware datetime, or a date for its midnight in UTC; without one the key seals at once.
    """

    text: str | bytes = field(repr=False)
    seal_from: datetime | date | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _unix_time(self.seal_from)
        self.material()

    @property
    def id(self) -> str:
        """What names this key in every blob, in hexadecimal, for people who compare the two. It opens nothing."""
        return RingKey.derive(self.material()).id.hex()

    @property
    def seals_from(self) -> float:
        return _unix_time(self.seal_from)

    @classmethod
    def generate(cls) -> Key:
        """A new random key in its text form, 53 characters."""
        key = os.urandom(_KEY_LENGTH)
        return cls(_PREFIX + to_text(key + _checksum(key)))

    def material(self) -> bytes:
        # No error of a codec may come of it: those carry what they could not encode, which is the key.
        raw = self.text if isinstance(self.text, bytes) else self.text.encode("utf-8", "surrogatepass")
        return _parse(raw.decode("utf-8", "replace")) if _PREFIX.encode() in raw else raw


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A key from words: Argon2id with RFC 9106's second recommended option, once per process (about 0.1 s).

    Args:
        text: at least 12 characters that nobody else uses; five or more random words.
        salt: at least 8 bytes that belong to this deployment. It is no secret, but must not change.
        seal_from: as for `Key`.
    """

    text: str = field(repr=False)
    salt: str | bytes = field(repr=False)
    seal_from: datetime | date | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _unix_time(self.seal_from)
        if len(self.text) < 12:
            raise ValueError("a passphrase needs at least 12 characters")
        if len(self._salt()) < 8:
            raise ValueError("a passphrase needs a salt of at least 8 bytes")

    @property
    def seals_from(self) -> float:
        return _unix_time(self.seal_from)

    def material(self) -> bytes:
        return _argon2id(self.text.encode("utf-8", "surrogatepass"), self._salt())

    def _salt(self) -> bytes:
        return self.salt if isinstance(self.salt, bytes) else self.salt.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class RingKey:
    """The four values derived from one configured key."""

    id: bytes
    token: bytes = field(repr=False)
    rows: bytes = field(repr=False)
    index: bytes = field(repr=False)

    @classmethod
    def derive(cls, material: bytes) -> RingKey:
        prk = HKDF.extract(SHA256(), b"hardsession/v1", material)

        def expand(info: bytes, length: int) -> bytes:
            return HKDFExpand(SHA256(), length, info).derive(prk)

        return cls(expand(b"hs1 kid", 4), expand(b"hs1 token", 32), expand(b"hs1 rows", 32), expand(b"hs1 index", 32))

    def row_key(self, secret: SessionSecret) -> bytes:
        """The key of one row: it takes the server's key and the client's secret, so neither alone opens a row."""
        return HKDF(SHA256(), 32, salt=self.rows, info=b"hs1 row").derive(secret.value)

    def user_key(self, app_id: str, key_prefix: str, user_id: str) -> bytes:
        """The name of a user's list of sessions. Keyed, so that a dump of a store does not tell who has one."""
        mac = HMAC(self.index, SHA256())
        mac.update(pae(app_id.encode(), key_prefix.encode(), user_id.encode()))
        return mac.finalize()


class KeyRing:
    """Every key that opens, and the one that seals.

    The key that seals is given, not found: when a key's time has come is a question of the clock.
    """

    def __init__(self, keys: Sequence[RingKey], *, sealing: int = 0) -> None:
        """Raise ValueError for an empty ring and for a key that stands in it twice."""
        self._keys = {key.id: key for key in keys}
        if not keys or len(self._keys) != len(keys):
            raise ValueError("a ring needs at least one key, and each of them once")
        self.sealing: RingKey = keys[sealing]

    def find(self, key_id: bytes) -> RingKey | None:
        """One look-up by the id a blob carries: a token never gets to try one key after the other."""
        return self._keys.get(key_id)

    def __iter__(self) -> Iterator[RingKey]:
        return iter(self._keys.values())

    def __len__(self) -> int:
        return len(self._keys)


def _parse(text: str) -> bytes:
    if not text.startswith(_PREFIX):
        raise ValueError("something stands before an hsk1_ key")
    try:
        data = from_text(text.removeprefix(_PREFIX))
    except ValueError:
        data = b""
    key, checksum = data[:_KEY_LENGTH], data[_KEY_LENGTH:]
    if len(key) != _KEY_LENGTH or checksum != _checksum(key):
        raise ValueError("an hsk1_ key is damaged: its checksum does not fit")
    return key


def _checksum(key: bytes) -> bytes:
    return sha256(b"hs1 key\x00" + key).digest()[:_CHECKSUM_LENGTH]


def _unix_time(moment: datetime | date | None) -> float:
    if moment is None:
        return 0.0
    if not isinstance(moment, date):
        raise ValueError("seal_from is no date")
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if moment.tzinfo is None:
        raise ValueError("seal_from needs a time zone, such as datetime(2027, 1, 31, 9, tzinfo=UTC)")
    return moment.timestamp()


@lru_cache
def _argon2id(text: bytes, salt: bytes) -> bytes:
    from argon2.low_level import Type, hash_secret_raw

    return hash_secret_raw(
        text, salt, time_cost=3, memory_cost=64 * 1024, parallelism=4, hash_len=_KEY_LENGTH, type=Type.ID
    )
