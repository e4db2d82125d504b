"""What the tests of all stores need."""

from __future__ import annotations

import pytest

from tests.servers import redis_server

__all__ = ["redis_server"]

pytest.register_assert_rewrite("hardsession.testing.contract")
