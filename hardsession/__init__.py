"""Encrypted, expiring sessions for Flask."""

from .crypto.keys import Key, Passphrase
from .errors import (
    ConfigError,
    ConflictError,
    HardSessionError,
    NotSavedError,
    ReauthenticationRequired,
    SerializationError,
    SessionLimitError,
    SessionTooLargeError,
    StoreError,
)
from .extension import HardSession, current_session
from .registry import UserSession
from .step_up import fresh_required

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "ConflictError",
    "HardSession",
    "HardSessionError",
    "Key",
    "NotSavedError",
    "Passphrase",
    "ReauthenticationRequired",
    "SerializationError",
    "SessionLimitError",
    "SessionTooLargeError",
    "StoreError",
    "UserSession",
    "current_session",
    "fresh_required",
]
