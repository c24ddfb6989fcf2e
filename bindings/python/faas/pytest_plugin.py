# SPDX-License-Identifier: MIT
"""Fixtures for pytest, there when faas is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from . import testing
from ._app import App
from ._faas import Context


@pytest.fixture
def faas_app() -> Iterator[App]:
    """A new app, closed after the test."""
    with App("test") as app:
        yield app


@pytest.fixture
def faas_client() -> Iterator[testing.Client]:
    """A client with a new app on a virtual clock: ``faas_client.app``."""
    with testing.Client() as client:
        yield client


@pytest.fixture
def faas_context() -> Iterator[Callable[..., Context]]:
    """Makes the context that faas.context() gives until the test ends:
    ``faas_context(state=..., remaining=1.5)``."""
    with ExitStack() as stack:

        def make(**fields: Any) -> Context:
            return stack.enter_context(testing.context(**fields))

        yield make
