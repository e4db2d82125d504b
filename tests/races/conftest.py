"""The stores and the application that races are run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.servers import redis_server

from .stores import NAMES, Watched, make_store
from .traffic import make_app

__all__ = ["redis_server"]


@pytest.fixture(params=NAMES)
def store(request: Any, tmp_path: Path) -> Watched:
    """Each store in turn, empty."""
    url = request.getfixturevalue("redis_server").url if request.param == "redis" else ""
    return Watched(make_store(request.param, tmp_path, url))


@pytest.fixture
def app(store: Watched) -> Flask:
    """An application on that store."""
    return make_app(store)
