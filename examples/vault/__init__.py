"""A newsroom's vault: a small application that shows what hardsession does, as it does it.

Run it with ``python -m examples.vault``. Read :mod:`examples.vault.app` first.
"""

from .app import create_app
from .key_file import KeyFile

__all__ = ["KeyFile", "create_app"]
