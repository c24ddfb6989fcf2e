# SPDX-License-Identifier: MIT
"""What the compiled part calls in Python: coroutines on their loop, and the log."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import logging
import math
import threading
from collections.abc import Coroutine, Generator
from typing import Any

from . import _faas

logger = logging.getLogger("faas")

# The context of a coroutine: it runs on another thread than its invocation.
_task_context: contextvars.ContextVar[_faas.Context | None] = contextvars.ContextVar(
    "faas.context", default=None
)


def context() -> _faas.Context:
    """The context of the handler that runs.

    Raises LookupError outside of handlers. Costs a fraction of a microsecond.
    """
    found = _faas.context() or _task_context.get()
    if found is None:
        raise LookupError("no handler runs here")
    return found


def log_failure(name: str, error: BaseException | None) -> None:
    """A handler failed whose caller does not hear of it."""
    logger.error("%s failed", name, exc_info=error)


class Tasks:
    """The coroutines of an app that run now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[_Run, Any] = {}

    def add(self, task: _Run, future: Any) -> None:
        with self._lock:
            self._running[task] = future

    def remove(self, task: _Run) -> None:
        with self._lock:
            self._running.pop(task, None)

    def cancel(self, future: Any = None) -> None:
        """Cancels the one of a future, or all."""
        with self._lock:
            tasks = [t for t, f in self._running.items() if future is None or f is future]
        for task in tasks:
            task.cancel()


class _Body(Coroutine[Any, Any, Any]):
    """A handler's coroutine, which finds its context when it begins. One that is cancelled
    before that has nothing around it that would be missed."""

    def __init__(self, inner: Coroutine[Any, Any, Any], context: _faas.Context) -> None:
        self._inner = inner
        self._context: _faas.Context | None = context

    def _begin(self) -> None:
        if self._context is not None:
            _task_context.set(self._context)
            self._context = None

    def send(self, value: Any) -> Any:
        self._begin()
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        self._begin()
        return self._inner.__await__()


class _Run:
    """A coroutine on its way to its loop, or in it. ``ended`` is how it ended; a loop that
    is closed or stopped for good ends nothing, but whoever waits can be told to give up."""

    def __init__(self, loop: asyncio.AbstractEventLoop, body: _Body) -> None:
        self.ended: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._loop = loop
        self._body = body
        self._task: asyncio.Task[Any] | None = None
        loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        if self.ended.cancelled():
            self._body.close()
            return
        self._task = self._loop.create_task(self._body)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self.ended.cancel()
            return
        error = task.exception()
        if not self.ended.set_running_or_notify_cancel():
            return
        if error is not None:
            self.ended.set_exception(error)
        else:
            self.ended.set_result(task.result())

    def cancel(self) -> None:
        """On any thread; does nothing to what has ended."""
        if self.ended.cancel():
            try:
                self._loop.call_soon_threadsafe(self._stop)
            except RuntimeError:  # the loop is closed: it ends nothing any more
                self._body.close()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()


def _run_apart(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs it on a loop of its own, whatever runs on this thread."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def run_on_loop(
    function: Any, coroutine: Coroutine[Any, Any, Any], context: _faas.Context, future: Any
) -> Any:
    """Runs a handler's coroutine on the app's event loop, and waits for it on this thread."""
    app = function.app
    loop: asyncio.AbstractEventLoop | None = app.loop
    body = _Body(coroutine, context)
    if app.is_virtual:
        return _run_apart(body)
    if loop is None or loop.is_closed():
        body.close()
        raise RuntimeError(
            f"{function.name} is a coroutine, and the app has no event loop: "
            "use `async with app`, or set app.loop"
        )
    try:
        task = _Run(loop, body)
    except RuntimeError:  # it was closed just now
        body.close()
        raise
    app._tasks.add(task, future)
    if context.cancelled:  # who cancels looks there afterwards: one of us sees the other
        task.cancel()
    try:
        left = context.remaining
        return task.ended.result(None if math.isinf(left) else left)
    except concurrent.futures.CancelledError:
        raise asyncio.CancelledError(f"{function.name} was cancelled") from None
    except TimeoutError:
        task.cancel()  # does nothing if it is the handler's own
        raise
    finally:
        app._tasks.remove(task)


def cancel_on_loop(future: Any) -> None:
    """Cancels the coroutine of a future, if it runs."""
    future.function.app._tasks.cancel(future)


