"""Events of a session's life and of its keys, as blinker signals. The sender is the application.

Every receiver gets `session`, the log name of the session it concerns (None where there is none): it names one
session in logs and opens nothing. No signal carries a token, a key or what a session holds.
"""

from __future__ import annotations

from blinker import NamedSignal, Namespace

_signals = Namespace()

session_created: NamedSignal = _signals.signal("session_created")
"""A session began: its first token was set."""

session_regenerated: NamedSignal = _signals.signal("session_regenerated")
"""A session got a new id, at a login, a change of privilege or on demand. `previous`: its log name before."""

session_renewed: NamedSignal = _signals.signal("session_renewed")
"""A session got a new id because its old one had been in use for `SESSION_RENEWAL_INTERVAL`."""

session_cloned: NamedSignal = _signals.signal("session_cloned")
"""A request brought an id that was renewed, long after its successor was in use: one of two holds a copy.

It is a sign, and no proof. `revoked`: whether the session was ended for it.
"""

session_expired: NamedSignal = _signals.signal("session_expired")
"""A request brought a session that is over. `reason`: `idle_timeout` or `absolute_timeout`."""

session_destroyed: NamedSignal = _signals.signal("session_destroyed")
"""A session was ended. `reason`: `logged_out`."""

session_revoked: NamedSignal = _signals.signal("session_revoked")
"""A session was ended from elsewhere. `session` is None when all of an application were ended at once."""

session_use_after_end: NamedSignal = _signals.signal("session_use_after_end")
"""A request brought the token of a session that was ended on the server. `reason`: why it ended."""

write_refused: NamedSignal = _signals.signal("write_refused")
"""A request changed a session that was ended meanwhile: the change was dropped, and no token was set."""

write_merged: NamedSignal = _signals.signal("write_merged")
"""Two requests changed the same keys at once. `keys`: which; the later one's values count, except for privileges."""

store_failed: NamedSignal = _signals.signal("store_failed")
"""The store could not answer when a session was to be read."""

session_rejected: NamedSignal = _signals.signal("session_rejected")
"""A request brought a token that is not ours. `reason`: one of `hardsession.errors.Refusal`."""

session_too_large: NamedSignal = _signals.signal("session_too_large")
"""A session did not fit into its cookie.

`size`: the bytes it would have taken; `kept`: whether the old cookie stays.
"""

keys_refused: NamedSignal = _signals.signal("keys_refused")
"""The file of keys changed and cannot be used; the keys read before stay in force. `reason`: what is wrong with it."""

ALL: tuple[NamedSignal, ...] = (
    session_created,
    session_regenerated,
    session_renewed,
    session_cloned,
    session_expired,
    session_destroyed,
    session_revoked,
    session_use_after_end,
    session_rejected,
    session_too_large,
    keys_refused,
    write_refused,
    write_merged,
    store_failed,
)
