# SPDX-License-Identifier: MIT
"""Four threads of Python and two workers do what comes to their minds. FAAS_STEPS says how
often, FAAS_SEED which."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from typing import Any

from conftest import PATIENCE, Thread

import faas

STEPS = int(os.environ.get("FAAS_STEPS", "20000"))
SEED = int(os.environ.get("FAAS_SEED", "7"))


def test_four_threads_and_two_workers_do_what_they_like() -> None:
    app = faas.App("stress", worker_max=2, blocking_max=2)
    lock = threading.Lock()
    heard = 0

    same = app.function(name="same", on_full="wait", concurrency=4)(lambda x: x)
    twice = app.function(name="twice")(lambda x: (same.invoke(x), same.submit(x).result())[0])
    raw = app.function(name="raw", cache_bytes=1 << 16, cache_mode=faas.SINGLE_FLIGHT)(bytes.upper)
    many = app.batch(name="many", batch_max=8)(
        lambda xs: [ValueError(x) if x % 7 == 0 else x for x in xs]
    )
    warm = app.function(
        name="warm", provisioned=1, init=object, close=lambda s: None, on_full="wait"
    )(lambda: faas.context().state)
    labs = app.symbol(None, "labs", "l(l)")

    @app.on("count.*", name="count", run="worker", concurrency=2)
    def count(event: faas.Event) -> None:
        nonlocal heard
        assert event.data[:1] == b"\1"
        with lock:
            heard += 1

    app.on({"type": ["rule"], "data": {"n": [{"numeric": [">", 5]}]}}, name="rule")(
        lambda event: event.json()["n"] > 5 or 1 / 0
    )

    def play(number: int) -> int:
        dice = random.Random(SEED * 10 + number)
        futures: list[tuple[faas.Future[Any], Any]] = []
        emitted = 0
        for step in range(STEPS):
            x = dice.randrange(1, 1000)
            match dice.randrange(14):
                case 0:
                    assert same.invoke(x) == x
                case 1:
                    assert twice.invoke(x) == x
                case 2:
                    futures.append((same.submit(x), x))
                case 3:
                    futures.append((twice.submit(x), x))
                case 4:
                    assert raw.invoke(b"%d" % (x % 20)) == b"%d" % (x % 20)
                case 5:
                    try:
                        assert many.invoke(x) == x and x % 7
                    except ValueError:
                        assert x % 7 == 0
                case 6:
                    assert warm.invoke() is not None
                case 7:
                    assert labs(-x) == labs.submit(-x).result(PATIENCE) == x
                case 8:
                    emitted += app.emit("count.x", b"\1" * dice.choice((1, 100, 5000))).queued
                case 9:
                    app.emit("rule", {"n": x % 10})
                case 10:
                    future = same.submit_with((x,), delay=3600.0)
                    assert future.cancel()
                case 11:
                    name = f"mine{number}"
                    mine = app.function(name=name, init=object)(lambda: 1)
                    app.on("mine")(mine)
                    assert mine.invoke() == 1
                    mine.unregister()
                case 12:
                    same.update(concurrency=dice.randrange(4, 8))
                    warm.update(provisioned=dice.randrange(1, 3))
                case 13:
                    called = threading.Event()
                    future = same.submit(x)
                    future.add_done_callback(lambda f, e=called: e.set())
                    assert called.wait(PATIENCE)
            while len(futures) > 20:
                future, wanted = futures.pop(dice.randrange(len(futures)))
                assert future.result(PATIENCE) == wanted
        for future, wanted in futures:
            assert future.result(PATIENCE) == wanted
        return emitted

    def loop() -> int:
        async def main() -> int:
            dice = random.Random(SEED)
            for _ in range(STEPS // 20):
                xs = [dice.randrange(1000) for _ in range(dice.randrange(1, 30))]
                assert await asyncio.gather(*[same.submit(x) for x in xs]) == xs
                task = asyncio.ensure_future(same.submit(1))
                if dice.random() < 0.5:
                    await asyncio.sleep(0)
                    task.cancel()
                try:
                    assert await task == 1
                except asyncio.CancelledError:
                    pass
            return 0

        return asyncio.run(main())

    threads = [Thread(play, n) for n in range(3)] + [Thread(loop)]
    emitted = sum(t.outcome() for t in threads)
    app.close(drain=PATIENCE)
    assert heard == emitted


def test_instances_that_come_and_go_hold_nobody_up() -> None:
    """The library waits for an instance that changes hands, also where a full function
    refuses: not with Python's lock, which the other hand may need."""
    app = faas.App("instances", worker_max=2)
    functions = [
        app.function(name="plain", provisioned=1)(lambda x: x),
        app.function(name="few", instance_max=2, invocation_max=1)(lambda x: x),
        app.function(name="old", age_ns=1, idle_ns=1, concurrency=2)(lambda x: x),
        app.function(name="one", instance_max=1, instance_bytes=1 << 20, budget_bytes=1 << 21)(
            lambda x: x
        ),
    ]
    for function in functions:
        app.on("x")(function)
    stop = threading.Event()

    def call() -> int:
        count = 0
        while not stop.is_set():
            for function in functions:
                try:
                    function.invoke(count)
                    if count % 50 == 0:
                        function.submit(count).result(PATIENCE)
                    else:
                        function.submit(count)
                except faas.Throttled:
                    pass
            app.emit("x", count)
            count += 1
        return count

    threads = [Thread(call) for _ in range(3)]
    dice = random.Random(SEED)
    for _ in range(STEPS // 20):
        functions[0].update(provisioned=dice.randrange(1, 4), concurrency=dice.randrange(4, 8))
        functions[2].update(provisioned=dice.randrange(1, 3))
        functions[3].update(instance_max=dice.randrange(1, 3))
    stop.set()
    assert all(t.outcome() > 0 for t in threads)
    app.close()
