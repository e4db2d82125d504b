"""What the tests of all stores need."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("hardsession.testing.contract", "tests.stores.common")
