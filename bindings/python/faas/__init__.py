# SPDX-License-Identifier: MIT
"""Function-as-a-service inside a process.

    import faas

    app = faas.App()

    @app.function(concurrency=2)
    def greet(name: str) -> str:
        return f"hello, {name}"

    greet("world")          # a plain call
    greet.invoke("world")   # through the app: limits, deadline, meters
    greet.submit("world")   # on a worker: a Future, to wait for or to await

    @app.on({"type": ["order.created"], "data": {"total": [{"numeric": [">", 100]}]}})
    def big_order(event: faas.Event) -> None:
        print(event.json())

    app.emit("order.created", {"total": 129.5})
"""

from . import _errors, _faas, _support

_faas._setup(
    _errors.error, _support.log_failure, _support.run_on_loop, _support.cancel_on_loop
)

from ._app import (  # noqa: E402  # what it makes needs the line above
    CACHE_FAILURES,
    FOREVER,
    OFF,
    SINGLE_FLIGHT,
    UNLIMITED,
    App,
    AsyncFunction,
    Function,
    Symbol,
    WorkerFunction,
)
from ._errors import (  # noqa: E402
    Cancelled,
    Closed,
    Exists,
    Expired,
    FaasError,
    HandlerError,
    InitError,
    Invalid,
    LoadError,
    NotAllowed,
    NotFound,
    Throttled,
    Timeout,
    WrongType,
)
from ._faas import Context, Delivery, Event, Future  # noqa: E402
from ._model import Model  # noqa: E402
from ._support import context  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "App",
    "AsyncFunction",
    "CACHE_FAILURES",
    "Cancelled",
    "Closed",
    "Context",
    "Delivery",
    "Event",
    "Exists",
    "Expired",
    "FOREVER",
    "FaasError",
    "Function",
    "Future",
    "HandlerError",
    "InitError",
    "Invalid",
    "LoadError",
    "Model",
    "NotAllowed",
    "NotFound",
    "OFF",
    "SINGLE_FLIGHT",
    "Symbol",
    "Throttled",
    "Timeout",
    "UNLIMITED",
    "WorkerFunction",
    "WrongType",
    "context",
]
