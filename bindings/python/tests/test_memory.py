# SPDX-License-Identifier: MIT
"""Nothing grows: a hundred thousand of each operation, FAAS_LOOPS of them if that is set.

References are counted on what goes through; memory by the resident set, of which the first
rounds may take as much as they like."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE

import faas

LOOPS = int(os.environ.get("FAAS_LOOPS", "100000"))
GROWTH = 3 << 20
"""Bytes: a leak of 32 in each operation is more."""
if "libasan" in Path("/proc/self/maps").read_text():
    GROWTH = 1 << 40  # it keeps for a while what was freed


class Thing:
    """What goes through."""


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fail(*args: Any) -> None:
    raise ValueError("x")


class Stage:
    """An app with one of everything, and what is counted."""

    def __init__(self, app: faas.App, library: str) -> None:
        self.app = app
        self.thing = Thing()
        self.data = bytes(5000)
        self.error = ValueError("of mine")
        self.same = app.function(name="same")(lambda x, **k: x)
        self.asks = app.function(name="asks", init=Thing)(lambda x: faas.context())
        self.fails = app.function(name="fails")(self.raises)
        self.off = app.function(name="off", concurrency=faas.OFF)(lambda x: x)
        self.broken = app.function(name="broken", init=fail)(lambda: 1)
        self.many = app.batch(name="many")(
            lambda xs: [self.error if x is None else x for x in xs]
        )
        self.raw = app.function(name="raw", cache_bytes=1 << 16)(lambda data: data)
        self.raw_fails = app.function(name="raw fails", cache_bytes=1 << 16)(fail)
        self.sum = app.symbol(library, "sum", "L(y)")
        self.turn = app.symbol(library, "turn", "{id}({id})")
        self.text = app.symbol(library, "z", "z(z)")
        app.on("x", name="hear")(lambda event: event.data)
        app.on({"type": ["y"]}, name="ruled")(lambda event: event.json())

    def raises(self, x: Any) -> None:
        raise self.error

    def expect(self, kind: type[BaseException], call: Callable[..., Any], *args: Any) -> None:
        try:
            call(*args)
        except kind as error:
            error.__traceback__ = None
            self.error.__traceback__ = None
        else:
            raise AssertionError("nothing was raised")

    def counts(self) -> list[int]:
        gc.collect()
        return [
            sys.getrefcount(x)
            for x in (self.thing, self.data, self.error, self.app, self.same, self.sum, None)
        ][:-1]


OPERATIONS: dict[str, Callable[[Stage], Any]] = {
    "invoke": lambda s: s.same.invoke(s.thing),
    "invoke with names": lambda s: s.same.invoke(s.thing, a=s.thing),
    "invoke of what raises": lambda s: s.expect(ValueError, s.fails.invoke, s.thing),
    "invoke refused": lambda s: s.expect(faas.Throttled, s.off.invoke, s.thing),
    "invoke without instance": lambda s: s.expect(faas.InitError, s.broken.invoke),
    "invoke with wrong arguments": lambda s: s.expect(TypeError, s.same.invoke),
    "context": lambda s: s.asks.invoke(s.thing).state,
    "submit": lambda s: s.same.submit(s.thing).result(PATIENCE),
    "submit of what raises": lambda s: s.expect(ValueError, s.fails.submit(s.thing).result),
    "submit refused": lambda s: s.expect(TypeError, s.many.submit),
    "submit and forget": lambda s: s.same.submit(s.thing) and None,
    "submit and cancel": lambda s: s.same.submit_with((s.thing,), delay=3600.0).cancel(),
    "submit with a key": lambda s: s.same.submit_with((s.thing,), key="k").result(PATIENCE),
    "callback": lambda s: s.same.submit(s.thing).add_done_callback(lambda f: s.thing),
    "batch": lambda s: s.many.invoke(s.thing),
    "batch that fails": lambda s: s.expect(ValueError, s.many.invoke, None),
    "batch submitted": lambda s: s.many.submit(s.thing).result(PATIENCE),
    "bytes": lambda s: s.raw.invoke(s.data),
    "bytes submitted": lambda s: s.raw.submit(s.data).result(PATIENCE),
    "bytes that fail": lambda s: s.expect(ValueError, s.raw_fails.invoke, s.data),
    "bytes refused": lambda s: s.expect(TypeError, s.raw.invoke, s.thing),
    "symbol": lambda s: s.sum(s.data),
    "symbol submitted": lambda s: s.sum.submit(s.data).result(PATIENCE),
    "symbol refused": lambda s: s.expect(TypeError, s.sum, s.thing),
    "symbol refused, submitted": lambda s: s.expect(TypeError, s.sum.submit, s.thing),
    "symbol of a struct": lambda s: s.turn(bytes(16)) + s.turn.submit(bytes(16)).result(),
    "symbol of a text": lambda s: s.text("grüße" + str(id(s))),
    "emit": lambda s: s.app.emit("x", s.data, subject="s", count=5),
    "emit by a rule": lambda s: s.app.emit("y", {"a": [1, 2, 3]}),
    "emit refused": lambda s: s.expect(faas.Invalid, lambda: s.app.emit("x", s.data, id="")),
    "emit of what is none": lambda s: s.expect(TypeError, s.app.emit, "x", s.thing),
    "event": lambda s: faas.Event.new("x", s.data, ext=b"1").data,
    "event's attributes": lambda s: (
        lambda e: (e.id, e.time, e.extensions, e.json(), e.to_json(), repr(e))
    )(faas.Event.new("x", {"a": 1}, time="2026-01-02T03:04:05Z", b=True, c="d", e=b"f")),
    "context by hand": lambda s: faas.Context(state=s.thing, tenant="t"),
    "stats": lambda s: s.same.stats(),
    "update": lambda s: s.same.update(concurrency=100),
    "update refused": lambda s: s.expect(ValueError, lambda: s.same.update(on_full="x")),
}
SLOW = {"stats": 20, "update": 20, "invoke without instance": 5}
"""So many times fewer: they are no operations of each call."""


@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_grows_with(name: str, library: str) -> None:
    operation = OPERATIONS[name]
    loops = LOOPS // SLOW.get(name, 1)
    with faas.App("memory", worker_max=2) as app:
        stage = Stage(app, library)

        def run(count: int) -> None:
            for number in range(count):
                operation(stage)
                if number % 64 == 63:
                    settle()
            settle()

        def settle() -> None:
            """What was submitted and forgotten ends, and is let go."""
            stage.same.submit(None).result(PATIENCE)
            while app._async_stats()["queued"] + app._async_stats()["running"] > 0:
                pass
            stage.same.submit(None).result(PATIENCE)

        run(loops // 4)
        before, bytes_before = stage.counts(), resident()
        run(loops)
        after, grown = stage.counts(), resident() - bytes_before
        # What has just ended on a worker may not have been let go yet, before as after.
        assert max(a - b for a, b in zip(after, before, strict=True)) < max(8, loops // 100)
        assert grown < GROWTH, f"{grown / loops:.1f} bytes in each"


def test_nothing_grows_with_awaiting() -> None:
    async def main() -> None:
        async with faas.App(worker_max=2) as app:
            same = app.function(name="same")(lambda x: x)
            thing = Thing()

            @app.function
            async def coroutine(x: Thing) -> Thing:
                return x

            app.on("x", name="hear", run="worker")(lambda event: None)

            async def run(count: int) -> None:
                for _ in range(count // 100):
                    await asyncio.gather(*[same.submit(thing) for _ in range(98)])
                    await coroutine.invoke(thing)
                    await app.aemit("x", {"a": 1})

            await run(LOOPS // 4)
            gc.collect()
            before, bytes_before = sys.getrefcount(thing), resident()
            await run(LOOPS)
            gc.collect()
            assert sys.getrefcount(thing) == before
            assert resident() - bytes_before < GROWTH

    asyncio.run(main())


def test_nothing_grows_with_apps_that_come_and_go() -> None:
    thing = Thing()

    def run(count: int) -> None:
        for _ in range(count):
            with faas.App(worker_max=1) as app:
                made = app.function(name="x", init=lambda: thing)(lambda: faas.context().state)
                app.on("x", name="y")(lambda event: thing)
                assert made.invoke() is made.submit().result() is thing
                app.emit("x", bytes(5000))
                made.unregister()
            del app, made
        gc.collect()

    run(LOOPS // 500)
    before, bytes_before = sys.getrefcount(thing), resident()
    descriptors = len(os.listdir("/proc/self/fd"))
    run(LOOPS // 200)
    assert sys.getrefcount(thing) == before
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert resident() - bytes_before < 2 * GROWTH


def test_nothing_grows_with_functions_that_come_and_go(app: faas.App) -> None:
    def run(count: int) -> None:
        for i in range(count):
            made = app.function(name=f"f{i % 10}", init=Thing)(lambda: 1)
            made.invoke()
            app.on({"type": ["x"], "subject": [str(i % 10)]})(made)
            made.unregister()
        gc.collect()

    run(LOOPS // 40)
    objects, bytes_before = len(gc.get_objects()), resident()
    run(LOOPS // 20)
    assert abs(len(gc.get_objects()) - objects) < 50
    assert resident() - bytes_before < GROWTH
