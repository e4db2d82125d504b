"""Cookie mode: the token is the session, sealed. No server keeps anything."""

from __future__ import annotations

from ..crypto.encoding import from_text, to_text
from ..crypto.keys import KeyRing
from ..crypto.seal import Purpose, Sealer
from ..errors import Refusal, TokenRefused
from ..record import Header, Record
from ..registry import Admission
from . import Change, Opened, Saved


class CookieMode:
    """Opens and makes self-contained tokens.

    Args:
        app_id: `SESSION_APP_ID`.
        carrier: what the token travels in; part of what is authenticated.
        compress, pad_to: as `Record.pack` takes them.
    """

    def __init__(self, *, app_id: str, carrier: str, compress: bool = False, pad_to: int | None = None) -> None:
        self._sealer = Sealer(Purpose.SESSION, app_id=app_id, carrier=carrier)
        self._compress = compress
        self._pad_to = pad_to

    def open(self, token: str, ring: KeyRing, _now: int) -> Opened:
        """The session in a token; TokenRefused for whatever is not one."""
        return Opened(self.record(token, ring))

    def record(self, token: str, ring: KeyRing) -> Record:
        """What is sealed in a token; TokenRefused for whatever is not one."""
        try:
            blob = from_text(token)
        except ValueError:
            raise TokenRefused(Refusal.ENCODING) from None
        return Record.unpack(self._sealer.open(blob, ring))

    def admit(self, _header: Header, _ring: KeyRing, _now: int) -> Admission | None:
        """Nobody counts sessions that nobody keeps."""
        return None

    def save(self, change: Change, ring: KeyRing, _now: int) -> Saved:
        """The token that holds a session, under the key that seals now.

        There is nothing else that a write could lose to.
        """
        if change.record is None:
            return Saved()
        plaintext = change.record.pack(compress=self._compress, pad_to=self._pad_to)
        return Saved(change.record, to_text(self._sealer.seal(plaintext, ring.sealing)))
