# SPDX-License-Identifier: MIT
"""The interpreter ends, whatever is under way: each case many times, without a hang and
without a crash. FAAS_EXITS says how many."""

from __future__ import annotations

import os
import signal

import pytest
from conftest import PATIENCE, python

RUNS = int(os.environ.get("FAAS_EXITS", "20"))

CASES = {
    "workers busy": """
        f = app.function(name="f")(lambda: sum(range(20000)))
        futures = [f.submit() for _ in range(50)]
        futures[0].result()
    """,
    "workers busy in C": """
        f = app.symbol("libc.so.6", "usleep", "i(I)")
        futures = [f.submit(1000) for _ in range(50)]
    """,
    "handlers raising": """
        def fail(*args): raise ValueError("x")
        f = app.function(name="f", async_={"retries": 5, "backoff_ns": 1000})(fail)
        app.on("x", name="g", run="worker")(fail)
        import logging; logging.disable()
        futures = [f.submit() for _ in range(50)]
        for _ in range(50): app.emit("x")
    """,
    "futures pending": """
        f = app.function(name="f", concurrency=1)(lambda: 1)
        futures = [f.submit() for _ in range(200)]
        later = f.submit_with(delay=3600.0)
    """,
    "callbacks pending": """
        f = app.function(name="f", concurrency=1)(lambda: 1)
        def callback(future):
            try: future.result(0)
            except faas.Closed: pass
        for _ in range(200): f.submit().add_done_callback(callback)
    """,
    "loop closed": """
        import asyncio, logging
        logging.disable()  # asyncio's own complaint of tasks that came after its last look
        @app.function
        async def f(): await asyncio.sleep(0)
        g = app.function(name="g")(lambda: 1)
        async def main():
            await asyncio.gather(*[f.invoke() for _ in range(10)], *[g.submit() for _ in range(10)])
            return [f.submit() for _ in range(3)] + [g.submit() for _ in range(3)]
        futures = asyncio.run(main())
    """,
    "loop stopped with coroutines in it": """
        import asyncio, logging, warnings
        logging.disable()  # asyncio's own complaints of what nobody ends
        warnings.simplefilter("ignore")
        loop = asyncio.new_event_loop()
        @app.function
        async def f(): await asyncio.sleep(3600)
        async def main():
            app.loop = loop
            futures.extend(f.submit() for _ in range(3))
            await asyncio.sleep(0.001)
        futures = []
        loop.run_until_complete(main())
    """,
    "a loop in another thread": """
        import asyncio, threading
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        app.loop = loop
        @app.function
        async def f(): await asyncio.sleep(3600)
        futures = [f.submit() for _ in range(3)]
    """,
    "an exception": """
        f = app.function(name="f")(lambda: 1)
        futures = [f.submit() for _ in range(50)]
        raise SystemExit(0)
    """,
    "threads calling": """
        import threading
        f = app.function(name="f", on_full="wait")(lambda: sum(range(100)))
        def call():
            try:
                while True: f.invoke(); f.submit().result()
            except faas.Closed: pass
        for _ in range(3): threading.Thread(target=call, daemon=True).start()
    """,
    "hooks": """
        f = app.function(name="f", init=lambda: [1], close=lambda s: s.append(2))(lambda: 1)
        futures = [f.submit() for _ in range(50)]
        f.invoke()
    """,
    "events and views": """
        views = []
        app.on("x", name="f")(lambda e: views.append(e.data))
        app.on("x", name="g", run="worker")(lambda e: views.append(e.data))
        for _ in range(50): app.emit("x", bytearray(5000))
    """,
    "reports": """
        import logging; logging.basicConfig(level=logging.CRITICAL)
        app = faas.App(report=True, worker_max=2)
        f = app.function(name="f")(lambda: 1)
        futures = [f.submit() for _ in range(50)]
    """,
    "nothing at all": "",
    "never opened": """
        app = faas.App.__new__(faas.App)
    """,
    "in a cycle": """
        f = app.function(name="f")(lambda: f)
        app.cycle = [app, f, f.submit()]
        del app, f
    """,
}


@pytest.mark.parametrize("case", CASES)
def test_the_interpreter_ends_with(case: str) -> None:
    body = "\n".join(line[8:] for line in CASES[case].splitlines())
    code = f"import faas\napp = faas.App(worker_max=2)\n{body}\n"
    signal.alarm(0)  # each run has a limit of its own
    for run in range(RUNS):
        done = python(code, PATIENCE)
        assert (done.returncode, done.stderr) == (0, ""), f"run {run}"
