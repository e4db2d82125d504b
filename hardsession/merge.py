"""Two requests changed one session: what both meant, in one result. Pure functions of three versions of the data.

`base` is what both had loaded, `ours` what this request made of it, `theirs` what the other one saved first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

FLASHES = "_flashes"


def merge(
    base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any], *, stored_wins: Collection[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """The merged data, and the keys that both sides changed to different values.

    By top-level key: what one side changed counts, what either removed stays removed, and to a list both may have
    appended. Of a key that both changed otherwise, ours counts; of a key in `stored_wins`, theirs: a right that was
    taken away elsewhere does not come back.
    """
    merged: dict[str, Any] = {}
    contested: list[str] = []
    for key in [*theirs, *(key for key in ours if key not in theirs)]:
        before, our, their = (side.get(key, _MISSING) for side in (base, ours, theirs))
        value = _one(key, before, our, their)
        if value is _CONTESTED:
            contested.append(key)
            value = their if key in stored_wins else our
        if value is not _MISSING:
            merged[key] = value
    return merged, contested


def _one(key: str, before: Any, our: Any, their: Any) -> Any:
    if key == FLASHES and all(side is _MISSING or isinstance(side, list) for side in (before, our, their)):
        return _flashes(*([] if side is _MISSING else side for side in (before, our, their)))
    if is_same(our, before):
        return their
    if is_same(their, before):
        return our
    if all(isinstance(side, list) for side in (before, our, their)):
        length = len(before)
        if is_same(our[:length], before) and is_same(their[:length], before):
            return their + our[length:]
    if is_same(our, their):
        return our
    if before is _MISSING and isinstance(our, list) and isinstance(their, list):
        return their + our
    if before is not _MISSING and (our is _MISSING or their is _MISSING):
        return _MISSING
    return _CONTESTED


def is_same(one: Any, other: Any) -> bool:
    """Whether two values would be stored alike: 1, 1.0 and True are equal in Python, and three values in a session."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other or (one != one and other != other))


def _flashes(before: list[Any], our: list[Any], their: list[Any]) -> Any:
    """Messages that either side showed are gone, those that either appended are there."""
    shown = _without(before, our) + _without(before, their)
    return _without(before, shown) + _without(their, before) + _without(our, before) or _MISSING


def _without(messages: list[Any], gone: list[Any]) -> list[Any]:
    gone, left = list(gone), []
    for message in messages:
        if message in gone:
            gone.remove(message)
        else:
            left.append(message)
    return left


_MISSING = object()
_CONTESTED = object()
