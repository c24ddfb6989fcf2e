# SPDX-License-Identifier: MIT
"""App and what its decorators make."""

from __future__ import annotations

import asyncio
import atexit
import functools
import inspect
import itertools
import json
import logging
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from os import PathLike, environ, fspath
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, ParamSpec, TypeVar, cast, overload

from . import _faas, _support
from ._faas import Delivery, Event, Future
from ._model import Model
from ._registered import NAMES, Registered, check_names, check_policy

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

OFF = 0xFFFFFFFE
"""Zero, for an option of 32 bits whose 0 means its default: ``concurrency=faas.OFF``."""
UNLIMITED = 0xFFFFFFFF
"""No limit, for an option of 32 bits."""
FOREVER = 0xFFFFFFFFFFFFFFFF
"""No limit, for a duration in nanoseconds."""
SINGLE_FLIGHT = 1
"""``cache_mode``: calls with the same input, made while one such runs, share its answer."""
CACHE_FAILURES = 2
"""``cache_mode``: what failed is remembered, too."""

Run = Literal["inline", "worker"]
_INLINE, _WORKER, _LOOP = range(3)
_apps: weakref.WeakSet[App] = weakref.WeakSet()


def _is_coroutine(callable: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(callable) or inspect.iscoroutinefunction(
        getattr(callable, "__call__", None)
    )


def _name_of(callable: Callable[..., Any]) -> str:
    name = getattr(callable, "__name__", None)
    if not isinstance(name, str):
        raise TypeError(f"{callable!r} has no name: give name=")
    return name


class Function(Registered[P, R]):
    """A callable as a function of an app; made by ``app.function()`` and ``app.on()``.

    Calling it is calling what was decorated, without the app: a unit test needs nothing
    else. ``invoke`` and ``submit`` go through the app.
    """

    def __init__(
        self, app: App, callable: Callable[P, R], name: str, run: int, batch: bool
    ) -> None:
        super().__init__(app, callable, name, run, batch)
        for attribute in functools.WRAPPER_ASSIGNMENTS:
            if hasattr(callable, attribute):
                setattr(self, attribute, getattr(callable, attribute))
        self._queued = run != _INLINE

    def init(self, hook: Callable[[], T]) -> Callable[[], T]:
        """Decorates what makes an instance, a cold start: ``faas.context().state`` is what
        it returns. Before the first call."""
        self._hooks(hook, None)
        return hook

    def close(self, hook: Callable[[Any], object]) -> Callable[[Any], object]:
        """Decorates what ends an instance, with its state: it always runs. Before the first
        call."""
        self._hooks(None, hook)
        return hook

    def __repr__(self) -> str:
        return f"<faas.{type(self).__name__} {self.name}>"


class WorkerFunction(Function[P, R]):
    """A function whose handler runs on a worker, also when it is invoked."""

    def invoke(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Submits the call, and waits for its result."""
        return self.submit(*args, **kwargs).result()


class AsyncFunction(Function[P, R]):
    """A function whose handler is a coroutine: it runs on the app's event loop, and holds
    its place within the limits until it has ended."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:  # type: ignore[override]
        return cast("Coroutine[Any, Any, R]", super().__call__(*args, **kwargs))

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Has it run on the event loop, this thread's if one runs here; returns a Future."""
        self._find_loop()
        return super().submit(*args, **kwargs)

    def submit_with(self, *args: Any, **options: Any) -> Future[R]:
        """As Function.submit_with(), on the event loop."""
        self._find_loop()
        return super().submit_with(*args, **options)

    async def invoke(self, *args: P.args, **kwargs: P.kwargs) -> R:  # type: ignore[override]
        """Has it run on this event loop, under the limits; ``await`` it."""
        return await self.submit(*args, **kwargs)

    def _find_loop(self) -> None:
        app = cast(App, self.app)
        if app.loop is None or app.loop.is_closed():
            try:
                app.loop = asyncio.get_running_loop()
            except RuntimeError:
                pass


class App(_faas.Runtime):
    """One embedded platform: functions, events, limits, instances, workers.

    Several may live in one process; they share nothing. A context manager: leaving it
    closes it, as the end of the interpreter does. May be used on any thread.

    :param name: the source of its events, ``/name``, unless ``source`` is given.
    :param clock: ``"virtual"`` for tests: time stands still until ``faas.testing`` moves it,
        and there are no threads.
    :param report: whether every call writes a REPORT line to the logger ``faas.report``.
    :param options: those of ``faas_runtime_options`` by their names in C, as
        ``worker_max=2``, ``memory_bytes=1 << 30``; durations in nanoseconds.
    """

    loop: asyncio.AbstractEventLoop | None
    """Where coroutines run. Set by ``async with``, or by hand."""

    def __init__(
        self,
        name: str = "app",
        *,
        source: str | None = None,
        clock: Literal["machine", "virtual"] = "machine",
        report: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        check_names(options, NAMES["app"], "an App")
        if clock not in ("machine", "virtual"):
            raise ValueError(f"clock is 'machine' or 'virtual', not {clock!r}")
        self.name = name
        self.loop = None
        self._source_text = source if source is not None else "/" + name
        self._options = options
        self._report = logging.getLogger("faas.report").info if report else None
        self._functions: dict[str, _faas.Function[..., Any]] = {}
        self._registered: dict[str, tuple[Any, ...]] = {}
        self._wishes: list[tuple[Any, ...]] = []
        self._rule_numbers = itertools.count(1)
        self._tasks = _support.Tasks()
        self._start(clock == "virtual")
        _apps.add(self)

    # ---- opening and closing

    def _start(self, virtual: bool) -> None:
        self._open(self._options, virtual, self._source_text, self._report)

    def _reopen(self, virtual: bool) -> None:
        """Ends the runtime, and begins another one with the same functions, on a clock that
        tests move or on the machine's."""
        wishes, self._wishes = self._wishes, []
        self.close()
        self._start(virtual)
        for name, function in self._functions.items():
            cast(Any, function)._register(*self._registered[name])
        for wish in wishes:
            self._wish(*wish)

    def close(self, drain: float = 0.0) -> None:
        """Closes it: refuses new calls, waits for those that run, closes every instance.
        What is queued may run for ``drain`` seconds more. A second time does nothing.

        Raises NotAllowed from inside one of its handlers.
        """
        if drain <= 0:
            self._close(0, self._tasks.cancel)
            return
        timer = threading.Timer(drain, self._tasks.cancel)
        timer.daemon = True
        self._close(int(drain * 1e9), timer.start)
        timer.cancel()

    async def aclose(self, drain: float = 0.0) -> None:
        """As close(), while the event loop goes on."""
        await asyncio.get_running_loop().run_in_executor(None, self.close, drain)

    def __enter__(self) -> App:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> App:
        self.loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    # ---- functions

    def _make(
        self,
        callable: Callable[..., Any],
        name: str | None,
        run: Run | None,
        batch: bool,
        init: Callable[[], Any] | None,
        close: Callable[[Any], Any] | None,
        options: dict[str, Any],
    ) -> Function[..., Any]:
        check_policy(options)
        if run not in (None, "inline", "worker"):
            raise ValueError(f"run is 'inline' or 'worker', not {run!r}")
        kind: type[Function[..., Any]] = Function
        where = _INLINE
        if _is_coroutine(callable):
            if batch or run is not None:
                raise TypeError("a coroutine runs on the event loop, one call at a time")
            if (options.get("async_") or {}).get("on_queue_full") == "run_here":
                raise ValueError("a coroutine cannot run on who submits it: on_queue_full")
            kind, where = AsyncFunction, _LOOP
        elif run == "worker":
            kind, where = WorkerFunction, _WORKER
        function = kind(self, callable, name or _name_of(callable), where, batch)
        if init is not None or close is not None:
            function._hooks(init, close)
        function._register(options)
        self._functions[function.name] = function
        self._registered[function.name] = (options,)
        return function

    def _changed(self, name: str, policy: Mapping[str, Any]) -> None:
        options = self._registered[name][0]
        options.update((k, v) for k, v in policy.items() if v is not None)

    def _forget(self, function: _faas.Function[..., Any]) -> None:
        if self._functions.get(function.name) is function:
            del self._functions[function.name]
            del self._registered[function.name]
        self._wishes = [wish for wish in self._wishes if wish[0] is not function]

    @overload
    def function(  # type: ignore[misc]
        self, f: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncFunction[P, R]: ...
    @overload
    def function(self, f: Callable[P, R], /) -> Function[P, R]: ...
    @overload
    def function(
        self,
        *,
        name: str | None = None,
        run: Run | None = None,
        init: Callable[[], Any] | None = None,
        close: Callable[[Any], Any] | None = None,
        **policy: Any,
    ) -> _Decorator: ...
    def function(  # type: ignore[misc]
        self,
        f: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        run: Run | None = None,
        init: Callable[[], Any] | None = None,
        close: Callable[[Any], Any] | None = None,
        **policy: Any,
    ) -> Any:
        """Makes a callable a function of this app.

        :param name: in the app; default: the callable's.
        :param run: where the handler runs when it is invoked or an event comes: on the
            caller (``"inline"``, the default), or on a worker. Worth it for handlers that
            release the interpreter's lock. A coroutine runs on the event loop.
        :param init: makes an instance's state, see Function.init(); needed here, and not as
            a decorator, with ``provisioned``.
        :param close: ends one.
        :param policy: the fields of ``faas_function`` by their names in C:
            ``concurrency=2``, ``on_full="wait"``, ``timeout_ns=50_000_000``,
            ``async_={"retries": 3}``, ``limiter={"rate": 100}`` and so on. Unlike in C a
            failed call is not retried unless ``async_`` says so.

        With ``cache_bytes`` or ``cache_mode`` the handler takes one argument, bytes, and
        returns bytes: the library compares them.

        Raises TypeError for an option that there is not, Invalid, Exists.
        """

        def decorate(callable: Callable[..., Any]) -> Function[..., Any]:
            return self._make(callable, name, run, False, init, close, dict(policy))

        return decorate if f is None else decorate(f)

    def batch(
        self,
        *,
        name: str | None = None,
        init: Callable[[], Any] | None = None,
        close: Callable[[Any], Any] | None = None,
        **policy: Any,
    ) -> Callable[[Callable[[list[T]], Sequence[R]]], Function[[T], R]]:
        """Makes a callable that takes a list of inputs, and returns as many results, a
        function of one input: calls that meet are run as one, where that pays.

        A result that is an exception is raised for its own call alone. ``batch_max`` and
        ``batch_delay_ns`` among the options. A plain call of it takes and returns lists.
        """

        def decorate(callable: Callable[[list[T]], Sequence[R]]) -> Function[[T], R]:
            return self._make(callable, name, None, True, init, close, dict(policy))

        return decorate

    def symbol(self, library: str | None, name: str, signature: str, **policy: Any) -> Symbol:
        """Makes a C function of a shared object a function of this app, by its signature:
        ``app.symbol("libm.so.6", "hypot", "d(dd)")``. The fast way: no Python runs, and the
        interpreter's lock is free meanwhile.

        :param library: as for dlopen(3); None is the program itself.
        :param signature: as in ``faas/signature.h``. Nobody can check that it is right.
        :param policy: as of function(), and ``as_name``, its name in the app.

        Raises Invalid for a signature that is none, LoadError.
        """
        as_name = policy.pop("as_name", None) or name
        check_policy(policy)
        symbol = Symbol(self, as_name, signature)
        symbol._register(policy, library, name)
        self._functions[as_name] = symbol
        self._registered[as_name] = (policy, library, name)
        return symbol

    def model(
        self,
        path: str | PathLike[str],
        *,
        name: str | None = None,
        library: str | None = None,
        batch_axes: str | None = None,
        **policy: Any,
    ) -> Model:
        """Makes an ONNX model a function of this app. Nothing is loaded before its first
        call.

        :param path: its file.
        :param name: in the app; default: the file's, without its ending.
        :param library: ONNX Runtime's shared object (1.14 or newer); default: the one in
            the environment variable ``FAAS_ONNXRUNTIME``, else the system's.
        :param batch_axes: ``"input=0,state=1"``: along which dimension items lie side by
            side, where the model does not tell.
        :param policy: as of function(); with ``batch_max`` calls that meet are run as one.

        Raises LoadError if there is no ONNX Runtime.
        """
        check_policy(policy)
        where = fspath(path)
        model = Model(self, name if name is not None else Path(where).stem)
        what = (policy, where, library or environ.get("FAAS_ONNXRUNTIME"), batch_axes)
        model._register(*what)
        self._functions[model.name] = model
        self._registered[model.name] = what
        return model

    # ---- events

    def on(
        self,
        pattern: str | Mapping[str, Any] | None = None,
        /,
        *,
        source: str | None = None,
        name: str | None = None,
        run: Run | None = None,
        init: Callable[[], Any] | None = None,
        close: Callable[[Any], Any] | None = None,
        **policy: Any,
    ) -> Callable[[Callable[[Event], R]], Function[[Event], R]]:
        """Sends events to a handler: ``@app.on("order.created")``, ``@app.on("order.*")``,
        ``@app.on({"type": ["order.created"], "data": {"total": [{"numeric": [">", 100]}]}})``.

        :param pattern: a type, or the beginning of one and ``*``; or a rule, as a dict or
            its JSON, in EventBridge's language. None is every event.
        :param source: only events from there; not with a rule.
        :param name: and the others: as of function(). Of what is a Function already they
            have been said.

        Raises Invalid, with the byte, for what is no pattern.
        """
        rule: str | None = None
        kind: str | None = None
        if isinstance(pattern, Mapping):
            rule = json.dumps(pattern)
        elif isinstance(pattern, str) and pattern.lstrip().startswith("{"):
            rule = pattern
        elif isinstance(pattern, str) or pattern is None:
            kind = pattern
        else:
            raise TypeError(f"a pattern is a str or a dict, not {pattern!r}")
        if rule is not None:
            _faas.check_pattern(rule)
            if source is not None:
                raise TypeError("a rule asks for the source itself: {'source': [...]}")

        def decorate(handler: Callable[[Event], R]) -> Function[[Event], R]:
            function: Function[..., Any]
            if isinstance(handler, Function):
                function = handler
                if name or run or init or close or policy:
                    raise TypeError(f"{function.name} is a function: its options are said")
            else:
                function = self._make(handler, name, run, False, init, close, dict(policy))
            name_of_rule = f"{function.name}#{next(self._rule_numbers)}"
            try:
                self._wish(function, kind if rule is None else name_of_rule, source, rule)
            except BaseException:
                if not isinstance(handler, Function):
                    function.unregister()
                raise
            return function

        return decorate

    def _wish(
        self, function: Function[..., Any], what: str | None, source: str | None, rule: str | None
    ) -> None:
        """Subscribes a function to a type, or puts a rule of a name; again when reopened."""
        if rule is None:
            self._subscribe(function, what, source, function._queued)
        else:
            self._rule_put(cast(str, what), rule, function, function._queued)
        self._wishes.append((function, what, source, rule))

    async def aemit(self, type: str, data: Any = None, /, **attributes: Any) -> Delivery:
        """As emit(), and waits for the handlers on workers and on the event loop, too."""
        loop = asyncio.get_running_loop()
        if self.loop is None or self.loop.is_closed():
            self.loop = loop
        attributes.setdefault("source", self._source_text)
        event = Event.new(type, data, **attributes)
        ended = loop.create_future()
        left = 0

        def one_less() -> None:  # on any thread
            loop.call_soon_threadsafe(count, -1)

        def count(more: int) -> None:
            nonlocal left
            left += more
            if left == 0 and published and not ended.done():
                ended.set_result(None)

        published = False
        self._on_ended(event, one_less)
        try:
            delivery = self.publish(event)
            published = True
            count(delivery.queued)
            await ended
        finally:
            self._on_ended(event, None)
        return delivery

    # ---- numbers

    def stats(self) -> dict[str, Any]:
        """The numbers of its asynchronous work, and under ``functions`` those of each."""
        return {
            **self._async_stats(),
            "functions": {name: f.stats() for name, f in self._functions.items()},
        }

    def describe(self) -> dict[str, Any]:
        """The runtime and all functions, with their policy and numbers."""
        return cast("dict[str, Any]", json.loads(self._describe_json()))

    def __repr__(self) -> str:
        return f"<faas.App {self.name}{'' if self.is_open else ', closed'}>"


class Symbol(Registered[..., Any], _faas.Symbol):
    """A C function by its signature; made by ``app.symbol()``. Calling it is invoking it."""

    def __repr__(self) -> str:
        return f"<faas.Symbol {self.name} {self.signature}>"


class _Decorator:
    """For type checkers: what ``app.function(...)`` returns."""

    @overload
    def __call__(  # type: ignore[misc]
        self, f: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncFunction[P, R]: ...
    @overload
    def __call__(self, f: Callable[P, R], /) -> Function[P, R]: ...
    def __call__(self, f: Callable[..., Any], /) -> Any:
        raise NotImplementedError


@atexit.register
def _close_all() -> None:
    """The interpreter ends: threads of ours must not come back to it."""
    for app in list(_apps):
        try:
            app.close()
        except Exception:
            _support.logger.exception("%r does not close", app)
