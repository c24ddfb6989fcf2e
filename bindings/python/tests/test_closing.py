# SPDX-License-Identifier: MIT
"""Closing an app, forks, other interpreters."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest
from conftest import PATIENCE, Gate, Thread, python

import faas


def test_an_app_is_closed_as_often_as_one_likes(app: faas.App) -> None:
    assert app.is_open
    for _ in range(3):
        app.close()
        assert not app.is_open
    assert repr(app) == "<faas.App tests, closed>"


def test_a_closed_app_refuses_everything_clearly(app: faas.App, gate: Gate) -> None:
    made = app.function(name="x")(lambda: 1)
    symbol = app.symbol(None, "labs", "l(l)")
    future = app.function(name="y", concurrency=1)(gate).submit()
    gate.wait()
    queued = app._functions["y"].submit()
    gate.go.set()
    app.close()
    for call in (
        made.invoke,
        made.submit,
        made.stats,
        made.update,
        made.unregister,
        lambda: symbol(1),
        lambda: symbol.submit(1),
        lambda: app.emit("x"),
        lambda: app.publish(faas.Event.new("x")),
        lambda: app.function(name="z")(lambda: 1),
        lambda: app.symbol(None, "abs", "i(i)"),
        lambda: app.on("x", name="w")(lambda event: None),
        lambda: app.on({"type": ["x"]}, name="w")(lambda event: None),
        lambda: app.batch(name="v")(lambda xs: xs),
        app.prometheus,
        app.describe,
        app.stats,
        app.now_ns,
        lambda: asyncio.run(app.aemit("x")),
    ):
        with pytest.raises(faas.Closed) as caught:
            call()
        assert isinstance(caught.value, RuntimeError)
    assert made() == 1
    assert future.result() is None
    with pytest.raises(faas.Closed):
        queued.result()
    assert not queued.cancel() and queued.done() and not queued.running()


@pytest.mark.parametrize("run", ["inline", "worker"])
def test_a_handler_cannot_close_its_app(app: faas.App, run: Any) -> None:
    made = app.function(name="x", run=run)(app.close)
    for _ in range(2):
        with pytest.raises(faas.NotAllowed):
            made.invoke()
    assert app.is_open
    other = faas.App()
    assert app.function(name="y")(other.close).invoke() is None
    assert not other.is_open


def test_a_hook_cannot_close_its_app(app: faas.App, caplog: pytest.LogCaptureFixture) -> None:
    made = app.function(name="x", init=app.close)(lambda: 1)
    with pytest.raises(faas.InitError) as caught:
        made.invoke()
    assert isinstance(caught.value.__cause__, faas.NotAllowed)


def test_close_waits_for_the_handlers_of_other_threads(app: faas.App, gate: Gate) -> None:
    order: list[str] = []

    @app.function
    def slow() -> None:
        gate()
        order.append("handler")

    calls = [Thread(slow.invoke) for _ in range(3)]
    calls.append(Thread(slow.submit().result))
    gate.wait(4)

    def leave() -> None:
        app.close()
        order.append("closed")

    closer = Thread(leave)
    while app.is_open:
        pass
    with pytest.raises(faas.Closed):
        slow.invoke()
    gate.go.set()
    for thread in [closer, *calls]:
        thread.outcome()
    assert order == ["handler"] * 4 + ["closed"]


@pytest.mark.parametrize("how", ["invoke", "submit"])
def test_a_handler_is_told_to_give_up_when_its_app_closes(app: faas.App, how: str) -> None:
    begun = threading.Event()

    @app.function(timeout_ns=faas.FOREVER)
    def patient() -> str:
        begun.set()
        while not faas.context().cancelled:
            pass
        return "told"

    thread = Thread(patient.invoke if how == "invoke" else patient.submit().result)
    assert begun.wait(PATIENCE)
    Thread(app.close).outcome()
    assert thread.outcome() == "told"


def test_a_handler_may_go_on_calling_while_its_app_closes(app: faas.App, gate: Gate) -> None:
    inner = app.function(name="inner")(lambda: 5)

    @app.function
    def outer() -> int:
        gate()
        return inner.invoke()

    thread = Thread(outer.invoke)
    gate.wait()
    closer = Thread(app.close)
    while app.is_open:
        pass
    gate.go.set()
    try:
        assert thread.outcome() == 5
    except faas.Closed:
        pass  # the library was faster
    closer.outcome()


def test_threads_that_wait_for_a_full_function_go_on_or_are_refused(
    app: faas.App, gate: Gate
) -> None:
    made = app.function(name="x", concurrency=1, on_full="wait")(gate)
    first = Thread(made.invoke, 1)
    gate.wait()
    others = [Thread(made.invoke, 2) for _ in range(3)]
    closer = Thread(app.close)
    while app.is_open:
        pass
    gate.go.set()
    assert first.outcome() == 1
    for thread in others:
        try:
            assert thread.outcome() == 2
        except (faas.Closed, faas.Throttled):
            pass
    closer.outcome()


def test_threads_call_until_they_are_refused(app: faas.App) -> None:
    for _ in range(20):
        with faas.App(worker_max=2) as other:
            made = other.function(name="x", on_full="wait")(lambda x: x)
            begun = threading.Barrier(5)

            def many() -> None:
                begun.wait()
                for i in range(100_000):
                    try:
                        assert made.invoke(i) == i
                        assert made.submit(i).result() == i
                        other.emit("x", i)
                    except faas.Closed:
                        return

            threads = [Thread(many) for _ in range(4)]
            begun.wait()
        for thread in threads:
            thread.outcome()


def test_close_with_a_drain_runs_what_is_queued(app: faas.App) -> None:
    seen: list[int] = []
    made = app.function(name="x", concurrency=1)(seen.append)
    futures = [made.submit(i) for i in range(100)]
    app.close(drain=PATIENCE)
    assert sorted(seen) == list(range(100))
    assert [f.result() for f in futures] == [None] * 100


def test_close_without_a_drain_drops_what_is_queued(app: faas.App, gate: Gate) -> None:
    made = app.function(name="x", concurrency=1)(gate)
    first = made.submit(1)
    gate.wait()
    rest = [made.submit(i) for i in range(10)]
    heard: list[Any] = []
    rest[0].add_done_callback(heard.append)
    closer = Thread(app.close)
    while app.is_open:
        pass
    gate.go.set()
    closer.outcome()
    assert first.result() == 1
    for future in rest:
        assert isinstance(future.exception(), faas.Closed)
    assert heard == [rest[0]]


def test_threads_that_wait_for_futures_are_woken_by_closing(app: faas.App, gate: Gate) -> None:
    made = app.function(name="x", concurrency=1)(gate)
    first = made.submit(1)
    gate.wait()
    delayed = made.submit_with((2,), delay=3600.0)
    waits = [Thread(first.result), Thread(delayed.result)]
    closer = Thread(app.close)
    while app.is_open:
        pass
    gate.go.set()
    closer.outcome()
    assert waits[0].outcome() == 1
    with pytest.raises(faas.Closed):
        waits[1].outcome()


def test_two_threads_close_at_once(app: faas.App) -> None:
    for _ in range(20):
        other = faas.App(worker_max=2)
        other.function(name="x")(lambda: 1).submit()
        begin = threading.Barrier(4)

        def leave() -> None:
            begin.wait()
            other.close()

        for thread in [Thread(leave) for _ in range(4)]:
            thread.outcome()
        assert not other.is_open


def test_an_app_that_nobody_holds_closes_itself() -> None:
    closed: list[Any] = []
    app = faas.App()
    app.function(name="x", init=lambda: 7, close=closed.append)(lambda: 1).invoke()
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None and closed == [7]


def test_a_function_that_somebody_holds_keeps_its_app() -> None:
    made = faas.App().function(name="x")(lambda: 1)
    gc.collect()
    assert made.invoke() == 1
    assert made.app.is_open  # type: ignore[attr-defined]


def test_an_app_whose_options_are_wrong_is_none() -> None:
    with pytest.raises(faas.Invalid):
        faas.App(depth_max=5000)
    with pytest.raises(ValueError):
        faas.App(worker_max=-1)
    gc.collect()


def test_apps_share_nothing() -> None:
    with faas.App("a") as one, faas.App("b") as two:
        first = one.function(name="x")(lambda: 1)
        second = two.function(name="x")(lambda: 2)
        assert (first.invoke(), second.invoke()) == (1, 2)
        two.on("e", name="hear")(lambda event: None)
        assert one.emit("e").matched == 0
        one.close()
        assert second.invoke() == 2


# ---- forks


def test_the_child_of_a_fork_is_refused_and_ends_cleanly() -> None:
    done = python(
        """
        import os, sys, faas
        app = faas.App(worker_min=2, worker_max=2)
        f = app.function(name="f")(lambda x=1: x)
        s = app.symbol(None, "labs", "l(l)")
        app.on("x")(f)
        assert f.submit().result() == 1
        future = f.submit_with((5,), delay=3600.0)
        child = os.fork()
        if child == 0:
            for call in (f.invoke, f.submit, lambda: s(1), lambda: app.emit("x"), app.stats,
                         app.prometheus, lambda: app.function(name="g")(f), future.result):
                try:
                    call()
                except RuntimeError as error:
                    assert "forked" in str(error) or "closed" in str(error), error
                else:
                    sys.exit(3)
            assert f() == 1
            with faas.App(worker_max=1) as mine:
                g = mine.function(name="g")(lambda: 2)
                assert g.invoke() == g.submit().result() == 2
            app.close()
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert f.invoke() == 1 and f.submit().result() == 1
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fork_inside_a_handler_and_with_threads_at_work_ends_cleanly() -> None:
    done = python(
        """
        import os, sys, threading, faas
        app = faas.App(worker_max=2)
        f = app.function(name="f")(lambda x=1: x)
        stop = threading.Event()
        def busy():
            while not stop.is_set():
                f.invoke()
                f.submit().result()
        threads = [threading.Thread(target=busy) for _ in range(2)]
        for t in threads: t.start()
        @app.function
        def forks():
            child = os.fork()
            if child == 0:
                os._exit(0)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for _ in range(20):
            assert forks.invoke() == 0
            assert forks.submit().result() == 0
            child = os.fork()
            if child == 0:
                sys.exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stop.set()
        for t in threads: t.join()
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_multiprocessing_by_fork_works_beside_an_app() -> None:
    done = python(
        """
        import multiprocessing, faas
        app = faas.App(worker_max=2)
        f = app.function(name="f")(abs)
        assert f.submit(-1).result() == 1
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(abs, range(-10, 0)) == list(range(10, 0, -1))
        assert f.submit(-1).result() == 1
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


# ---- interpreters


def test_another_interpreter_uses_it_too() -> None:
    done = python(
        """
        import sys
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            try:
                import _interpreters as interpreters
            except ImportError:
                sys.exit(77)
        import faas
        app = faas.App(worker_max=1)
        f = app.function(name="f")(lambda: 1)
        assert f.submit().result() == 1
        code = '''if True:
            import faas, threading
            app = faas.App(worker_min=1, worker_max=2)
            f = app.function(name="f")(lambda x: x + 1)
            assert f.invoke(1) == 2
            done = threading.Event()
            future = f.submit(1)
            future.add_done_callback(lambda f: done.set())
            assert done.wait(30) and future.result() == 2
            seen = []
            app.on("x", name="g")(lambda event: seen.append(event.json()))
            app.emit("x", {"a": 1})
            app.emit("x", bytes(10) + b"{" if False else "5")
            assert seen == [{"a": 1}, 5], seen
            try:
                f.invoke()
            except TypeError:
                pass
            big = faas.Event.new("x", bytearray(5000))
            del big
            app.close()
        '''
        for _ in range(3):
            other = interpreters.create()
            interpreters.run_string(other, code)
            interpreters.destroy(other)
            assert f.submit().result() == f.invoke() == 1
        """
    )
    if done.returncode == 77:
        pytest.skip("this interpreter has no others")
    assert (done.returncode, done.stderr) == (0, "")
