"""What a type checker knows of a view that asks for a recent proof. It is read by type checkers and never run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, assert_type

from hardsession import fresh_required


@fresh_required(300)
def rotate(times: int, *, quietly: bool = False) -> str:
    return "rotated" * times if not quietly else ""


@fresh_required(timedelta(minutes=5), methods={"webauthn"})
async def erase(name: str) -> bytes:
    return name.encode()


def what_is_decorated_keeps_its_type() -> None:
    assert_type(rotate(1, quietly=True), str)
    view: Callable[[str], Coroutine[Any, Any, bytes]] = erase
    rotate("1")  # type: ignore[arg-type]
    print(view)


def what_is_refused() -> None:
    fresh_required()  # type: ignore[call-arg]
    fresh_required("300")  # type: ignore[arg-type]
    fresh_required(300, {"webauthn"})  # type: ignore[call-arg]
    fresh_required(300, methods=7)  # type: ignore[arg-type]
