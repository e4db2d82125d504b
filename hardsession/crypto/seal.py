"""The sealed blob, and the only call of a cipher in this package.

A blob is eight bytes in the clear and a Cobblestone-256 message (C2SP chunked-encryption)::

    0  3  magic      86 CD 7F: base64url "hs1_"
    3  1  purpose    what the blob is for
    4  4  key id     which key of the ring sealed it
    8  …  message    24 salt, 32 commitment, AES-256-GCM ciphertext and tag

Every message has an AES-256-GCM key and nonce of its own, derived from its random salt, so no count of messages makes
a nonce repeat; the commitment is compared before anything is decrypted, so no blob opens under two keys or in two
contexts.
"""

from __future__ import annotations

from enum import IntEnum

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from ..errors import Refusal, TokenRefused
from .encoding import pae
from .ids import SessionSecret
from .keys import KeyRing, RingKey

MAGIC = b"\x86\xcd\x7f"
OVERHEAD = 80
"""Bytes that a seal adds to a plaintext under 16 KiB; each further full 16 KiB add 16."""

_HEAD = 8


class Purpose(IntEnum):
    """What a blob is for. It is part of what is authenticated: none opens in another's place."""

    SESSION = 1
    REFERENCE = 2
    RECORD = 3
    MOVED = 4
    ENDED = 5
    USER = 6
    REVOCATION = 7


class Sealer:
    """Seals and opens the blobs of one purpose.

    What identifies the place of a blob is authenticated with it and never sent: purpose, application, carrier, key id
    and `binding` (the row, user or revocation that the value belongs to).

    Args:
        app_id: `SESSION_APP_ID`.
        carrier: `cookie:<name>` or `header:<name>` for tokens, empty for stored values.
    """

    def __init__(self, purpose: Purpose, *, app_id: str, carrier: str = "") -> None:
        self._head = MAGIC + bytes([purpose])
        self._context = pae(b"hardsession/v1", bytes([purpose]), app_id.encode(), carrier.encode())

    def seal(
        self, plaintext: bytes, key: RingKey, *, binding: bytes = b"", secret: SessionSecret | None = None
    ) -> bytes:
        """The blob of a plaintext. With a `secret` it is sealed for that secret's row."""
        head = self._head + key.id
        encryptor = Cobblestone256Encryptor(*self._key_and_context(key, head, binding, secret))
        return head + encryptor.update(plaintext) + encryptor.finalize()

    def open(self, blob: bytes, ring: KeyRing, *, binding: bytes = b"", secret: SessionSecret | None = None) -> bytes:
        """The plaintext of a blob; TokenRefused with the reason for anything else.

        Nothing is returned before the last tag was checked: the decryptor hands out 16 KiB at a time, and what it
        handed out of a truncated or altered message is dropped here.
        """
        head, message = blob[:_HEAD], blob[_HEAD:]
        if len(blob) < OVERHEAD:
            raise TokenRefused(Refusal.LENGTH)
        if head[:3] != MAGIC:
            raise TokenRefused(Refusal.FORMAT)
        if head[:4] != self._head:
            raise TokenRefused(Refusal.PURPOSE)
        if (key := ring.find(head[4:])) is None:
            raise TokenRefused(Refusal.UNKNOWN_KEY)
        decryptor = Cobblestone256Decryptor(*self._key_and_context(key, head, binding, secret))
        try:
            return decryptor.update(message) + decryptor.finalize()
        except InvalidTag:
            raise TokenRefused(Refusal.NOT_AUTHENTIC) from None

    def _key_and_context(
        self, key: RingKey, head: bytes, binding: bytes, secret: SessionSecret | None
    ) -> tuple[bytes, bytes]:
        if secret is None:
            return key.token, self._context + head + binding
        return key.row_key(secret), self._context + head + (binding or secret.row_id)
