# SPDX-License-Identifier: MIT
"""Futures: waiting, awaiting, callbacks, cancelling."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading
import weakref
from typing import Any

import pytest
from conftest import PATIENCE, Gate, Thread

import faas

# ---- waiting


def test_a_result_is_had_as_often_as_one_asks(app: faas.App) -> None:
    thing = object()
    future = app.function(name="x")(lambda: thing).submit()
    assert future.result() is thing and future.result(0) is thing
    assert future.exception() is None
    assert future.done() and not future.cancelled() and not future.running()
    assert future.function.name == "x"


def test_an_exception_is_had_as_often_as_one_asks(app: faas.App) -> None:
    raised = ValueError("x")

    @app.function
    def fail() -> None:
        raise raised

    future = fail.submit()
    for _ in range(3):
        assert future.exception() is raised
        with pytest.raises(ValueError) as caught:
            future.result()
        assert caught.value is raised


def test_a_result_that_is_not_there_in_time_is_a_timeout_error(app: faas.App, gate: Gate) -> None:
    future = app.function(name="x")(gate).submit(5)
    gate.wait()
    for timeout in (0, 0.001, -1, 1e-9):
        with pytest.raises(TimeoutError):
            future.result(timeout)
        with pytest.raises(concurrent.futures.TimeoutError):
            future.exception(timeout)
    assert not future.done() and future.running()
    gate.go.set()
    assert future.result(PATIENCE) == 5


def test_a_timeout_is_a_number_or_none(app: faas.App) -> None:
    future = app.function(name="x")(lambda: 1).submit()
    assert future.result(timeout=None) == 1
    assert future.result(1e300) == 1
    assert future.result(float("inf")) == 1
    with pytest.raises(TypeError):
        future.result("x")  # type: ignore[arg-type]


def test_many_threads_wait_for_one_future(app: faas.App, gate: Gate) -> None:
    future = app.function(name="x")(gate).submit(5)
    gate.wait()
    threads = [Thread(future.result) for _ in range(8)]
    gate.go.set()
    assert [t.outcome() for t in threads] == [5] * 8


def test_many_threads_wait_for_many_futures(app: faas.App) -> None:
    made = app.function(name="x")(lambda x: x * 2)

    def submit(base: int) -> list[int]:
        futures = [made.submit(base + i) for i in range(300)]
        return [f.result(PATIENCE) for f in reversed(futures)]

    threads = [Thread(submit, n * 1000) for n in range(4)]
    for n, thread in enumerate(threads):
        assert thread.outcome() == [2 * (n * 1000 + i) for i in reversed(range(300))]


def test_arguments_and_results_are_let_go_when_they_are_done(app: faas.App) -> None:
    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    future = app.function(name="x")(lambda x: x).submit(thing)
    assert future.result() is thing
    del thing
    assert gone() is not None
    del future
    gc.collect()
    assert gone() is None


def test_a_future_that_nobody_holds_runs(app: faas.App) -> None:
    done = threading.Event()
    app.function(name="x")(done.set).submit()
    assert done.wait(PATIENCE)


def test_a_function_lives_as_long_as_its_future(app: faas.App) -> None:
    future = app.function(name="x")(lambda: 5).submit()
    app.close(drain=PATIENCE)
    assert future.result() == 5


def test_a_full_queue_refuses(app: faas.App, gate: Gate) -> None:
    made = app.function(name="x", concurrency=1, async_={"queue_slots": 1})(gate)
    first = made.submit()
    gate.wait()
    made.submit()
    with pytest.raises(faas.Throttled) as caught:
        for _ in range(10):
            made.submit()
    assert caught.value.retry_after >= 0
    gate.go.set()
    first.result(PATIENCE)


def test_a_full_queue_can_have_its_submitter_run_the_call(gate: Gate) -> None:
    with faas.App(worker_max=1) as app:

        @app.function(async_={"queue_slots": 1, "on_queue_full": "run_here"})
        def where(wait: bool) -> int:
            if wait:
                gate()
            return threading.get_ident()

        first = where.submit(True)
        gate.wait()
        where.submit(False)
        third = where.submit(False)
        assert third.done() and third.result() == threading.get_ident()
        gate.go.set()
        assert first.result(PATIENCE) != threading.get_ident()


def test_a_full_queue_can_drop_its_oldest(app: faas.App, gate: Gate) -> None:
    async_ = {"queue_slots": 1, "on_queue_full": "drop_oldest"}
    made = app.function(name="x", concurrency=1, async_=async_)(gate)
    first = made.submit(0)
    gate.wait()
    later = [made.submit(i) for i in range(1, 5)]
    gate.go.set()
    assert first.result(PATIENCE) == 0
    assert later[-1].result(PATIENCE) == 4
    with pytest.raises(faas.FaasError):
        later[0].result(PATIENCE)


def test_a_submission_waits_for_room_in_a_full_queue(app: faas.App) -> None:
    async_ = {"queue_slots": 1, "on_queue_full": "wait"}
    made = app.function(name="x", concurrency=1, async_=async_)(lambda x: x)
    assert [f.result(PATIENCE) for f in [made.submit(i) for i in range(200)]] == list(range(200))


def test_a_failed_call_is_tried_again_when_asked_to(app: faas.App) -> None:
    attempts: list[int] = []

    @app.function(async_={"retries": 3, "backoff_ns": 1, "jitter": "none"})
    def fragile() -> str:
        attempts.append(faas.context().attempt)
        if len(attempts) < 3:
            raise OSError("not yet")
        return "ok"

    assert fragile.submit().result(PATIENCE) == "ok"
    assert attempts == [1, 2, 3]


def test_a_call_whose_attempts_all_fail_raises_what_the_last_raised(app: faas.App) -> None:
    raised: list[OSError] = []

    @app.function(async_={"retries": 2, "backoff_ns": 1})
    def fragile() -> None:
        raised.append(OSError(len(raised)))
        raise raised[-1]

    with pytest.raises(OSError) as caught:
        fragile.submit().result(PATIENCE)
    assert caught.value is raised[-1] and len(raised) == 3


# ---- callbacks


def test_a_callback_is_called_with_its_future_wherever_it_ends(app: faas.App, gate: Gate) -> None:
    future = app.function(name="x")(gate).submit(5)
    gate.wait()
    seen: list[tuple[Any, Any]] = []
    done = threading.Event()
    future.add_done_callback(lambda f: seen.append((f, f.result(0))))
    future.add_done_callback(lambda f: done.set())
    assert seen == []
    gate.go.set()
    assert done.wait(PATIENCE)
    assert seen == [(future, 5)]


def test_a_callback_added_after_the_end_is_called_at_once(app: faas.App) -> None:
    future = app.function(name="x")(lambda: 5).submit()
    future.result()
    seen: list[int] = []
    future.add_done_callback(lambda f: seen.append(f.result()))
    assert seen == [5]


def test_callbacks_added_by_many_threads_are_called_once_each(app: faas.App, gate: Gate) -> None:
    future = app.function(name="x")(gate).submit(5)
    gate.wait()
    lock = threading.Lock()
    seen: list[int] = []
    start = threading.Barrier(5)

    def add(base: int) -> None:
        start.wait()
        for i in range(100):
            def note(f: Any, number: int = base + i) -> None:
                with lock:
                    seen.append(number)

            future.add_done_callback(note)

    threads = [Thread(add, n * 100) for n in range(4)]
    start.wait()
    gate.go.set()
    for thread in threads:
        thread.outcome()
    future.result(PATIENCE)
    done = threading.Event()
    future.add_done_callback(lambda f: done.set())
    assert done.wait(PATIENCE)
    app.close(drain=PATIENCE)
    assert sorted(seen) == list(range(400))


def test_a_callback_that_raises_is_reported_and_the_others_are_called(
    app: faas.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", reported.append)
    seen: list[int] = []

    def fail(future: Any) -> None:
        raise ValueError("of a callback")

    future = app.function(name="x")(lambda: 1).submit()
    future.result()
    future.add_done_callback(fail)
    future.add_done_callback(lambda f: seen.append(1))
    assert seen == [1]
    assert isinstance(reported[0].exc_value, ValueError)
    with pytest.raises(TypeError, match="callable"):
        future.add_done_callback(5)  # type: ignore[arg-type]


def test_a_callback_may_wait_for_other_futures_and_submit_more(app: faas.App, gate: Gate) -> None:
    """What has ended together is settled one by one: a callback of the first one may
    wait for the last one."""
    first = app.function(name="x", concurrency=8)(gate)
    futures = [first.submit(i) for i in range(2)]
    gate.wait(2)
    seen: list[Any] = []
    done = threading.Event()

    def callback(future: Any) -> None:
        seen.append([f.result(PATIENCE) for f in futures])
        seen.append(first.submit(7).result(PATIENCE))
        if len(seen) == 4:
            done.set()

    for future in futures:
        future.add_done_callback(callback)
    gate.go.set()
    assert done.wait(PATIENCE)
    assert seen.count([0, 1]) == 2 and seen.count(7) == 2


def test_a_callback_finds_what_has_ended_with_its_future(app: faas.App, gate: Gate) -> None:
    futures = [app.function(name=f"x{i}")(gate).submit(i) for i in range(2)]
    gate.wait(2)
    gate.go.set()
    while app._async_stats()["succeeded"] < 2:
        pass
    seen: list[list[int]] = []
    for future in futures:
        future.add_done_callback(lambda f: seen.append([g.result(PATIENCE) for g in futures]))
    assert seen == [[0, 1]] * 2


def test_a_callback_that_waits_does_not_hold_up_other_futures() -> None:
    with faas.App(worker_max=2, worker_min=2) as app:
        gate, held = Gate(), threading.Event()
        made = app.function(name="x")(gate)
        futures = [made.submit(i) for i in range(2)]
        gate.wait(2)
        entered = threading.Event()

        def callback(future: Any) -> None:
            entered.set()
            assert held.wait(PATIENCE)

        futures[0].add_done_callback(callback)
        gate.go.set()
        assert entered.wait(PATIENCE)
        assert Thread(futures[0].result).outcome() == 0
        assert Thread(futures[1].result).outcome() == 1
        held.set()


# ---- cancelling


def test_a_queued_call_that_is_cancelled_never_runs(app: faas.App, gate: Gate) -> None:
    made = app.function(name="x", concurrency=1)(gate)
    first = made.submit(1)
    gate.wait()
    second = made.submit(2)
    assert second.cancel() and second.cancel()
    assert second.cancelled() and second.done() and not second.running()
    with pytest.raises(faas.Cancelled) as caught:
        second.result()
    assert isinstance(caught.value, concurrent.futures.CancelledError)
    assert isinstance(second.exception(), faas.Cancelled)
    gate.go.set()
    assert first.result(PATIENCE) == 1
    assert not first.cancel()
    assert made.stats()["invocations"] == 1


def test_a_running_call_that_is_cancelled_is_told(app: faas.App) -> None:
    running = threading.Event()

    @app.function
    def patient() -> str:
        running.set()
        while not faas.context().cancelled:
            pass
        return "told"

    future = patient.submit()
    assert running.wait(PATIENCE)
    assert not future.cancel()
    # It came back, and what it says is what counts; or it counts as cancelled.
    try:
        assert future.result(PATIENCE) == "told"
    except faas.Cancelled:
        assert future.cancelled()


def test_a_delayed_call_is_cancelled(app: faas.App) -> None:
    future = app.function(name="x")(lambda: 1).submit_with(delay=3600.0)
    assert not future.done() and not future.running()
    assert future.cancel()
    with pytest.raises(faas.Cancelled):
        future.result()


# ---- awaiting


def test_a_future_is_awaited(app: faas.App) -> None:
    made = app.function(name="x")(lambda x: x)

    async def main() -> None:
        for result in (5, None, (1, 2), [], ValueError("a value")):
            assert await made.submit(result) == result
        future = made.submit(1)
        assert (await future, await future) == (1, 1)

    asyncio.run(main())


def test_what_a_handler_raises_is_raised_where_it_is_awaited(app: faas.App) -> None:
    raised = ValueError("x")

    @app.function
    def fail() -> None:
        raise raised

    async def main() -> None:
        with pytest.raises(ValueError) as caught:
            await fail.submit()
        assert caught.value is raised

    asyncio.run(main())


def test_a_stop_iteration_of_a_handler_is_not_an_answer(app: faas.App) -> None:
    @app.function
    def fail() -> None:
        raise StopIteration(5)

    async def main() -> None:
        with pytest.raises(RuntimeError) as caught:
            await fail.submit()
        assert isinstance(caught.value.__cause__, StopIteration)

    asyncio.run(main())


def test_futures_that_ended_before_are_awaited_after_their_app_closed(app: faas.App) -> None:
    future = app.function(name="x")(lambda: 5).submit()
    future.result()
    app.close()

    async def main() -> int:
        return await future

    assert asyncio.run(main()) == 5


def test_a_thousand_are_gathered(app: faas.App) -> None:
    made = app.function(name="x")(lambda x: x)

    async def main() -> None:
        for _ in range(3):
            assert await asyncio.gather(*[made.submit(i) for i in range(1000)]) == list(range(1000))

    asyncio.run(main())


def test_two_loops_one_after_the_other_await_the_same_app(app: faas.App) -> None:
    made = app.function(name="x")(lambda x: x)

    async def main() -> int:
        return sum(await asyncio.gather(*[made.submit(i) for i in range(100)]))

    assert [asyncio.run(main()) for _ in range(5)] == [4950] * 5


def test_a_future_of_an_ended_loop_is_awaited_on_the_next(app: faas.App, gate: Gate) -> None:
    future = app.function(name="x")(gate).submit(5)
    gate.wait()

    async def give_up() -> None:
        task = asyncio.ensure_future(asyncio.wait_for(asyncio.shield(future), PATIENCE))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()

    asyncio.run(give_up())
    gate.go.set()

    async def again() -> Any:
        try:
            return await future
        except asyncio.CancelledError:
            return "cancelled"

    assert asyncio.run(again()) in (5, "cancelled")


def test_a_second_task_that_awaits_is_told_so(app: faas.App, gate: Gate) -> None:
    future = app.function(name="x")(gate).submit(5)
    gate.wait()

    async def wait() -> int:
        return await future

    async def main() -> None:
        first = asyncio.create_task(wait())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task awaits"):
            await wait()
        gate.go.set()
        assert await first == 5
        assert await wait() == 5

    asyncio.run(main())


def test_awaiting_from_another_loop_is_refused(app: faas.App, gate: Gate) -> None:
    made = app.function(name="x")(gate)
    future, other = made.submit(5), made.submit(6)
    gate.wait(2)

    async def wait() -> int:
        return await other

    async def main() -> None:
        task = asyncio.ensure_future(future)
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        with pytest.raises(RuntimeError, match="another event loop"):
            await loop.run_in_executor(None, asyncio.run, wait())
        gate.go.set()
        assert await task == 5

    asyncio.run(main())


def test_awaiting_without_a_loop_is_refused(app: faas.App, gate: Gate) -> None:
    future = app.function(name="x")(gate).submit(5)
    gate.wait()
    with pytest.raises(RuntimeError, match="no running event loop"):
        future.__await__().send(None)
    assert iter(future.__await__()) is not None


def test_a_task_that_is_cancelled_cancels_what_it_awaits(app: faas.App, gate: Gate) -> None:
    made = app.function(name="x", concurrency=1)(gate)
    first = made.submit(1)
    gate.wait()
    second = made.submit(2)

    async def main() -> None:
        task = asyncio.ensure_future(second)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert second.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await second

    asyncio.run(main())
    gate.go.set()
    assert first.result(PATIENCE) == 1


def test_a_timeout_of_asyncio_cancels_what_it_waits_for(app: faas.App, gate: Gate) -> None:
    made = app.function(name="x", concurrency=1)(gate)
    first = made.submit(1)
    gate.wait()
    second = made.submit(2)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second, 0.001)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await made.submit(3)

    asyncio.run(main())
    assert second.cancelled()
    gate.go.set()
    first.result(PATIENCE)


def test_a_future_that_is_cancelled_wakes_the_task_that_awaits_it(
    app: faas.App, gate: Gate
) -> None:
    made = app.function(name="x", concurrency=1)(gate)
    first = made.submit(1)
    gate.wait()
    second = made.submit(2)

    async def main() -> None:
        task = asyncio.ensure_future(second)
        await asyncio.sleep(0)
        assert second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    gate.go.set()
    first.result(PATIENCE)


def test_a_task_group_ends_what_is_left_of_it(app: faas.App, gate: Gate) -> None:
    made = app.function(name="x", concurrency=1)(gate)
    first = made.submit(1)
    gate.wait()
    later = [made.submit(i) for i in range(3)]

    async def wait(future: Any) -> None:
        await future

    async def fail() -> None:
        raise ValueError("x")

    async def main() -> None:
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                for future in later:
                    group.create_task(wait(future))
                group.create_task(fail())

    asyncio.run(main())
    assert [f.cancelled() for f in later] == [True] * 3
    gate.go.set()
    first.result(PATIENCE)


def test_closing_an_app_wakes_the_tasks_that_await_it(gate: Gate) -> None:
    async def main() -> None:
        app = faas.App(worker_max=1)
        made = app.function(name="x", concurrency=1)(gate)
        first, second = made.submit(1), made.submit(2)
        gate.wait()
        tasks = [asyncio.ensure_future(f) for f in (first, second)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(app.aclose())
        while app.is_open:
            await asyncio.sleep(0)
        gate.go.set()
        await closing
        assert await tasks[0] == 1
        with pytest.raises(faas.Closed):
            await tasks[1]

    asyncio.run(main())


def test_a_loop_lets_a_closed_app_go() -> None:
    async def main() -> None:
        gone: list[weakref.ref[faas.App]] = []
        for _ in range(5):
            app = faas.App(worker_max=1)
            made = app.function(name="x")(lambda x: x)
            assert await made.submit(1) == 1
            assert await made.submit(1) == 1
            await app.aclose()
            gone.append(weakref.ref(app))
            del app, made
        loop = asyncio.get_running_loop()
        for _ in range(100):
            gc.collect()
            if not any(ref() for ref in gone):
                break
            idle = loop.create_future()
            loop.call_later(0.001, idle.set_result, None)
            await idle
        assert [ref() for ref in gone] == [None] * 5

    asyncio.run(main())


def test_futures_are_awaited_and_waited_for_by_threads_at_once(app: faas.App) -> None:
    made = app.function(name="x")(lambda x: x)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def waits() -> int:
            return sum(made.submit(i).result(PATIENCE) for i in range(500))

        others = [loop.run_in_executor(None, waits) for _ in range(2)]
        mine = [made.submit(i) for i in range(500)]
        assert sum(await asyncio.gather(*mine)) == sum(range(500))
        assert await asyncio.gather(*others) == [sum(range(500))] * 2

    asyncio.run(main())


def test_one_future_is_awaited_and_waited_for(app: faas.App, gate: Gate) -> None:
    future = app.function(name="x")(gate).submit(5)
    gate.wait()
    thread = Thread(future.result)

    async def main() -> int:
        asyncio.get_running_loop().call_soon(gate.go.set)
        return await future

    assert asyncio.run(main()) == 5
    assert thread.outcome() == 5


def test_futures_and_handlers_are_generic(app: faas.App) -> None:
    assert faas.Future[int] is faas.Future
    assert faas.Function[[int], str] is not None
    with pytest.raises(TypeError):
        faas.Future()  # type: ignore[call-arg]
