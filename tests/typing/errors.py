"""What a type checker knows of errors and signals. It is read by type checkers and never run."""

from __future__ import annotations

from typing import assert_type

from blinker import NamedSignal
from werkzeug.exceptions import HTTPException

from hardsession import (
    ConfigError,
    ConflictError,
    HardSessionError,
    NotSavedError,
    ReauthenticationRequired,
    SerializationError,
    SessionLimitError,
    SessionTooLargeError,
    StoreError,
    signals,
)
from hardsession.errors import Problem, Refusal, Staleness, TokenRefused


def data(
    config: ConfigError,
    serialization: SerializationError,
    size: SessionTooLargeError,
    limit: SessionLimitError,
    unsaved: NotSavedError,
    refused: TokenRefused,
) -> None:
    assert_type(config.problems, tuple[Problem, ...])
    assert_type(config.problems[0].setting, str)
    assert_type(config.problems[0].fault, str)
    assert_type(config.problems[0].remedy, str)
    assert_type(serialization.fault, str)
    assert_type(serialization.path, tuple[object, ...])
    assert_type(size.size, int)
    assert_type(size.limit, int)
    assert_type(size.largest, dict[str, int])
    assert_type(limit.limit, int)
    assert_type(unsaved.ended, bool)
    assert_type(refused.reason, Refusal)


def one_base_for_all(
    error: ConfigError
    | SerializationError
    | StoreError
    | ConflictError
    | NotSavedError
    | SessionLimitError
    | SessionTooLargeError
    | TokenRefused,
) -> None:
    ours: HardSessionError = error
    print(ours)


def proof_that_is_asked_for(error: ReauthenticationRequired) -> None:
    assert_type(error.reason, Staleness)
    assert_type(error.max_age, int)
    assert_type(error.methods, frozenset[str] | None)
    ours: HardSessionError = error
    of_werkzeug: HTTPException = error
    print(ours, of_werkzeug)


def and_what_python_has(config: ConfigError, serialization: SerializationError) -> None:
    value: ValueError = config
    kind: TypeError = serialization
    print(value, kind)


def events() -> None:
    assert_type(signals.session_created, NamedSignal)
    assert_type(signals.session_regenerated, NamedSignal)
    assert_type(signals.session_expired, NamedSignal)
    assert_type(signals.session_destroyed, NamedSignal)
    assert_type(signals.session_renewed, NamedSignal)
    assert_type(signals.session_cloned, NamedSignal)
    assert_type(signals.session_revoked, NamedSignal)
    assert_type(signals.session_use_after_end, NamedSignal)
    assert_type(signals.session_rejected, NamedSignal)
    assert_type(signals.session_too_large, NamedSignal)
    assert_type(signals.keys_refused, NamedSignal)
    assert_type(signals.write_refused, NamedSignal)
    assert_type(signals.write_merged, NamedSignal)
    assert_type(signals.store_failed, NamedSignal)
