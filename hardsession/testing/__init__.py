"""What a project that uses or extends hardsession tests itself with."""

from .contract import OutageContract, StoreContract

__all__ = ["OutageContract", "StoreContract"]
