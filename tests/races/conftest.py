"""The application that races are run on, on each store in turn."""

from __future__ import annotations

import pytest
from flask import Flask

from .stores import Watched
from .traffic import make_app


@pytest.fixture
def app(store: Watched) -> Flask:
    """An application on that store."""
    return make_app(store)
