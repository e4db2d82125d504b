"""Encrypted, expiring sessions for Flask."""

from .crypto.keys import Key, Passphrase
from .errors import ConfigError, HardSessionError, SerializationError, SessionTooLargeError
from .extension import HardSession, current_session

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "HardSession",
    "HardSessionError",
    "Key",
    "Passphrase",
    "SerializationError",
    "SessionTooLargeError",
    "current_session",
]
