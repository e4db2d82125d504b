"""Encrypted, expiring sessions for Flask."""

from .crypto.keys import Key, Passphrase
from .errors import (
    ConfigError,
    ConflictError,
    HardSessionError,
    NotSavedError,
    SerializationError,
    SessionLimitError,
    SessionTooLargeError,
    StoreError,
)
from .extension import HardSession, current_session

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "ConflictError",
    "HardSession",
    "HardSessionError",
    "Key",
    "NotSavedError",
    "Passphrase",
    "SerializationError",
    "SessionLimitError",
    "SessionTooLargeError",
    "StoreError",
    "current_session",
]
