# SPDX-License-Identifier: MIT
"""Testing handlers: without an app, or with one whose time stands still.

    def test_greet():
        assert greet("world") == "hello, world"          # a plain call

    def test_state():
        with testing.context(state={"model": fake}):     # what faas.context() gives
            assert classify(b"...") == "cat"

    def test_retries():
        with testing.Client(app) as client:              # on a virtual clock, no threads
            client.emit("order.created", {"total": 129.5})
            client.advance(3600)
            assert [e.type for e in client.events] == ["order.created", "order.failed"]
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from . import _support
from ._app import App
from ._faas import Context, Delivery, Event

__all__ = ["Client", "context", "event"]


def event(type: str = "test", data: Any = None, /, **attributes: Any) -> Event:
    """Makes an event, as Event.new() does."""
    return Event.new(type, data, **attributes)


@contextmanager
def context(made: Context | None = None, /, **fields: Any) -> Iterator[Context]:
    """Has faas.context() give a context made by hand: ``state``, ``remaining``, ``tenant``
    and so on, as of faas.Context()."""
    made = made if made is not None else Context(**fields)
    token = _support._task_context.set(made)
    try:
        yield made
    finally:
        _support._task_context.reset(token)


class Client:
    """An app on a virtual clock, without threads: everything happens here and now, in an
    order that does not change from run to run.

    Inside the ``with`` block the app has a new runtime with the same functions,
    subscriptions and rules; warm instances are gone. Afterwards it has one of the machine's
    clock again. Without an app it makes one.
    """

    app: App
    events: list[Event]
    """Every event that was published, in order."""

    def __init__(self, app: App | None = None) -> None:
        self._own = app is None
        self.app = App("test", clock="virtual") if app is None else app
        self.events = []

    def __enter__(self) -> Client:
        if not self._own:
            self.app._reopen(True)
        self.events = []
        self._recorder = self.app._make(
            self._record, "faas.testing", None, False, None, None, {}
        )
        self.app._subscribe(self._recorder, None, None, False)
        return self

    def _record(self, event: Event) -> None:
        self.events.append(event)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.app._functions.pop("faas.testing", None)
        self.app._registered.pop("faas.testing", None)
        if self._own:
            self.app.close()
        else:
            self.app._reopen(False)

    def emit(self, type: str, data: Any = None, /, **attributes: Any) -> Delivery:
        """Publishes an event, and does what is due at once, on workers too."""
        delivery = self.app.emit(type, data, **attributes)
        self.app._advance(0)
        return delivery

    def advance(self, seconds: float) -> int:
        """Moves the clock, and does what comes due on the way, at its time: queued calls,
        retries, deadlines, idle instances. Returns how many handlers ran."""
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds}")
        return self.app._advance(int(seconds * 1e9))

    @property
    def now(self) -> float:
        """Seconds that the clock was moved."""
        return self.app.now_ns() / 1e9
