"""Where a session is used from, in words that a person knows again in a list of his own sessions."""

from __future__ import annotations

from dataclasses import dataclass, field

_BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "Chrome/": "Chrome",
    "CriOS/": "Chrome",
    "Safari/": "Safari",
}
_SYSTEMS = {
    "Windows": "Windows",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "CrOS": "ChromeOS",
    "Mac OS X": "macOS",
    "Linux": "Linux",
}


@dataclass(frozen=True, slots=True)
class Device:
    """Browser and system in words, and the address where that is recorded."""

    label: str = ""
    address: str = field(default="", repr=False)


UNKNOWN = Device()
"""Where nothing is known of it."""


def label_of(user_agent: str) -> str:
    """Browser and system of a `User-Agent` header, such as "Firefox on Linux"; empty for one that is not known.

    Only these words are ever stored, whatever a client sends. It is a help for memory and no proof: a client may claim
    to be any other.
    """
    browser = next((name for mark, name in _BROWSERS.items() if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS.items() if mark in user_agent), "")
    return " on ".join(filter(None, (browser, system)))
