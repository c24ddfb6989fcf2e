# SPDX-License-Identifier: MIT
"""Handlers that are coroutines: they run on the event loop, under the limits."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest
from conftest import PATIENCE, Thread

import faas
from faas import testing


def run(body: Any) -> Any:
    """asyncio.run(), which a hang does not outlive."""
    return asyncio.run(asyncio.wait_for(body, PATIENCE))


def test_a_coroutine_runs_on_the_loop_and_is_awaited() -> None:
    async def main() -> None:
        async with faas.App() as app:

            @app.function
            async def where(x: int, *, y: int = 2) -> Any:
                await asyncio.sleep(0)
                return x + y, threading.get_ident()

            assert asyncio.iscoroutinefunction(where.__wrapped__)
            here = threading.get_ident()
            assert await where(1) == (3, here)
            assert where.stats()["invocations"] == 0
            assert await where.invoke(1, y=3) == (4, here)
            assert await where.submit(1) == (3, here)
            assert where.stats()["invocations"] == 2

    run(main())


def test_a_callable_object_may_be_a_coroutine() -> None:
    class Thing:
        async def __call__(self, x: int) -> int:
            await asyncio.sleep(0)
            return x

        async def method(self, x: int) -> int:
            return x + 1

    async def main() -> None:
        async with faas.App() as app:
            made = app.function(name="thing")(Thing())
            method = app.function(Thing().method)
            assert await made.invoke(5) == 5
            assert await method.invoke(5) == 6

    run(main())


def test_what_a_coroutine_raises_comes_through_unchanged() -> None:
    raised = ValueError("x")

    async def main() -> None:
        async with faas.App() as app:

            @app.function
            async def fail() -> None:
                await asyncio.sleep(0)
                raise raised

            with pytest.raises(ValueError) as caught:
                await fail.invoke()
            assert caught.value is raised

            @app.function
            async def late() -> None:
                raise TimeoutError("of mine")

            with pytest.raises(TimeoutError, match="of mine"):
                await late.invoke()

    run(main())


def test_the_limits_hold_while_a_coroutine_runs() -> None:
    async def main() -> None:
        async with faas.App() as app:
            running = most = 0

            @app.function(concurrency=2)
            async def count(x: int) -> int:
                nonlocal running, most
                running += 1
                most = max(most, running)
                for _ in range(5):
                    await asyncio.sleep(0)
                running -= 1
                return x

            assert await asyncio.gather(*[count.invoke(i) for i in range(50)]) == list(range(50))
            assert most <= 2

    run(main())


def test_many_coroutines_run_at_once() -> None:
    async def main() -> None:
        async with faas.App() as app:
            arrived = 0
            everybody = asyncio.Event()

            @app.function
            async def meet() -> None:
                nonlocal arrived
                arrived += 1
                if arrived == 20:
                    everybody.set()
                await everybody.wait()

            await asyncio.gather(*[meet.invoke() for _ in range(20)])

    run(main())


def test_a_coroutine_has_a_context_and_its_tasks_have_it_too() -> None:
    async def main() -> None:
        async with faas.App() as app:

            async def deeper() -> str:
                await asyncio.sleep(0)
                return faas.context().request_id

            @app.function(init=lambda: 7, timeout_ns=10**10)
            async def ask() -> Any:
                here = faas.context()
                await asyncio.sleep(0)
                assert faas.context().request_id == here.request_id
                assert await asyncio.create_task(deeper()) == here.request_id
                assert (here.function, here.state) == ("ask", 7)
                assert 0 < here.remaining <= 10 and not here.cancelled
                return here

            @app.function
            async def pretends() -> Any:
                with testing.context(state=8):
                    await asyncio.sleep(0)
                    return faas.context().state

            assert await pretends.invoke() == 8
            one, two = await asyncio.gather(ask.invoke(), ask.invoke())
            assert one.request_id != two.request_id
            with pytest.raises(LookupError):
                faas.context()

    run(main())


def test_a_coroutine_past_its_deadline_is_cancelled() -> None:
    async def main() -> None:
        async with faas.App() as app:
            seen: list[str] = []
            ended = asyncio.Event()

            @app.function(timeout_ns=20_000_000)
            async def slow() -> None:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    seen.append("cancelled")
                    ended.set()
                    raise

            with pytest.raises(TimeoutError):
                await slow.invoke()
            await ended.wait()
            assert seen == ["cancelled"]

    run(main())


def endless(app: faas.App) -> tuple[faas.AsyncFunction[[], None], asyncio.Event, asyncio.Event]:
    """A coroutine that ends when it is cancelled, and events of its beginning and end."""
    begun, ended = asyncio.Event(), asyncio.Event()

    @app.function
    async def slow() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    return slow, begun, ended


def test_a_task_that_is_cancelled_cancels_the_coroutine_it_awaits() -> None:
    async def main() -> None:
        async with faas.App() as app:
            slow, begun, ended = endless(app)
            task = asyncio.create_task(slow.invoke())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await ended.wait()

    run(main())


def test_a_future_cancels_its_coroutine() -> None:
    async def main() -> None:
        async with faas.App() as app:
            slow, begun, ended = endless(app)
            future = slow.submit()
            await begun.wait()
            future.cancel()
            await ended.wait()
            with pytest.raises(asyncio.CancelledError):
                await future

    run(main())


def test_without_a_loop_a_coroutine_says_what_is_missing() -> None:
    with faas.App() as app:

        @app.function
        async def f() -> None:
            pass

        with pytest.raises(RuntimeError, match="async with app"):
            f.submit().result(PATIENCE)


def test_a_submission_with_options_finds_the_loop() -> None:
    with faas.App() as app:

        @app.function
        async def f(x: int) -> int:
            return x

        async def main() -> int:
            return await f.submit_with((5,), priority="low")

        assert run(main()) == 5


def test_a_thread_submits_coroutines_to_a_loop_that_runs_elsewhere() -> None:
    async def main() -> None:
        async with faas.App() as app:

            @app.function
            async def double(x: int) -> int:
                await asyncio.sleep(0)
                return 2 * x

            def thread() -> list[int]:
                return [double.submit(i).result(PATIENCE) for i in range(50)]

            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(None, thread) == [2 * i for i in range(50)]

    run(main())


def test_two_loops_one_after_the_other_run_the_same_coroutine() -> None:
    with faas.App() as app:

        @app.function
        async def where() -> Any:
            await asyncio.sleep(0)
            return asyncio.get_running_loop()

        async def main() -> bool:
            return await where.invoke() is asyncio.get_running_loop()

        assert [run(main()) for _ in range(3)] == [True] * 3


def test_what_a_coroutine_cannot_be_is_refused(app: faas.App) -> None:
    async def f() -> None:
        pass

    for run_ in ("inline", "worker"):
        with pytest.raises(TypeError, match="event loop"):
            app.function(run=run_)(f)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="event loop"):
        app.batch()(f)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_queue_full"):
        app.function(async_={"on_queue_full": "run_here"})(f)


# ---- events


def test_emit_queues_coroutines_and_aemit_waits_for_them() -> None:
    async def main() -> None:
        async with faas.App() as app:
            seen: list[str] = []

            @app.on("x")
            async def slow(event: faas.Event) -> None:
                for _ in range(5):
                    await asyncio.sleep(0)
                seen.append("loop")

            app.on("x", name="worker", run="worker")(lambda event: seen.append("worker"))
            app.on("x", name="inline")(lambda event: seen.append("inline"))
            delivery = await app.aemit("x", {"a": 1})
            assert sorted(seen) == ["inline", "loop", "worker"]
            assert (delivery.ran, delivery.queued, delivery.matched) == (1, 2, 3)

    run(main())


def test_aemit_without_queued_handlers_returns() -> None:
    async def main() -> None:
        async with faas.App() as app:
            assert (await app.aemit("x")).matched == 0
            app.on("x", name="x")(lambda event: None)
            assert (await app.aemit("x", b"data", subject="s")).ran == 1

    run(main())


def test_aemit_returns_when_handlers_fail(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with faas.App() as app:

            @app.on("x")
            async def fail(event: faas.Event) -> None:
                raise ValueError("of a coroutine")

            @app.on("x", run="worker", async_={"retries": 2, "backoff_ns": 1000})
            def again(event: faas.Event) -> None:
                raise ValueError("of a worker")

            assert (await app.aemit("x")).queued == 2

    run(main())
    assert caplog.text.count("ValueError: of a worker") == 3
    assert caplog.text.count("ValueError: of a coroutine") == 1


def test_many_aemit_at_once_each_wait_for_their_own() -> None:
    async def main() -> None:
        async with faas.App() as app:
            seen: set[int] = set()

            @app.on("x")
            async def hear(event: faas.Event) -> None:
                await asyncio.sleep(0)
                seen.add(event.json())

            async def emit(i: int) -> None:
                await app.aemit("x", i)
                assert i in seen

            await asyncio.gather(*[emit(i) for i in range(200)])

    run(main())


def test_aemit_refuses_what_emit_refuses() -> None:
    async def main() -> None:
        async with faas.App() as app:
            with pytest.raises(faas.Invalid):
                await app.aemit("x", id="")
            with pytest.raises(TypeError):
                await app.aemit("x", object())
        with pytest.raises(faas.Closed):
            await app.aemit("x")

    run(main())


def test_aemit_that_is_cancelled_leaves_nothing_behind() -> None:
    async def main() -> None:
        async with faas.App() as app:
            begun, go = asyncio.Event(), asyncio.Event()

            @app.on("x")
            async def hear(event: faas.Event) -> None:
                begun.set()
                await go.wait()

            task = asyncio.create_task(app.aemit("x"))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go.set()
            await app.aemit("x")

    run(main())


# ---- closing


def test_aclose_cancels_the_coroutines_that_run() -> None:
    async def main() -> None:
        app = faas.App(worker_max=2)
        seen: list[str] = []
        begun = asyncio.Event()

        @app.function(concurrency=1)
        async def slow() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        futures = [slow.submit() for _ in range(10)]
        await begun.wait()
        await app.aclose()
        for future in futures:
            with pytest.raises((asyncio.CancelledError, faas.Closed)):
                await future
        await asyncio.sleep(0)
        assert "cancelled" in seen
        with pytest.raises(faas.Closed):
            await slow.invoke()

    run(main())


def test_close_on_the_loops_own_thread_ends_with_coroutines_running_and_queued() -> None:
    async def main() -> None:
        for _ in range(20):
            app = faas.App(worker_max=2, blocking_max=2)
            begun = asyncio.Event()

            @app.function
            async def slow() -> None:
                begun.set()
                await asyncio.Event().wait()

            futures = [slow.submit() for _ in range(20)]
            await begun.wait()
            app.close()
            for future in futures:
                with pytest.raises((asyncio.CancelledError, faas.Closed)):
                    await future

    thread = Thread(asyncio.run, main())
    thread.outcome()


def test_aclose_with_a_drain_lets_coroutines_end() -> None:
    async def main() -> None:
        app = faas.App(worker_max=2)
        seen: list[int] = []

        @app.function(concurrency=1)
        async def slow(x: int) -> None:
            for _ in range(5):
                await asyncio.sleep(0)
            seen.append(x)

        futures = [slow.submit(i) for i in range(10)]
        await app.aclose(drain=PATIENCE)
        for future in futures:
            await future
        assert sorted(seen) == list(range(10))

    run(main())


def test_a_drain_ends_when_its_time_is_over() -> None:
    async def main() -> None:
        app = faas.App(worker_max=2)
        begun = asyncio.Event()

        @app.function
        async def forever() -> None:
            begun.set()
            await asyncio.Event().wait()

        future = forever.submit()
        await begun.wait()
        await app.aclose(drain=0.05)
        with pytest.raises((asyncio.CancelledError, faas.Closed)):
            await future

    run(main())


def test_a_coroutine_may_close_the_app_that_it_runs_in() -> None:
    async def main() -> None:
        app = faas.App(worker_max=2)

        @app.function
        async def leave() -> None:
            await app.aclose()

        with pytest.raises((asyncio.CancelledError, faas.Closed)):
            await leave.invoke()
        await app.aclose()
        assert not app.is_open

    run(main())


def test_leaving_async_with_closes_the_app() -> None:
    async def main() -> None:
        async with faas.App() as app:
            assert app.loop is asyncio.get_running_loop()
        assert not app.is_open

    run(main())


def test_context_variables_of_the_app_do_not_leak() -> None:
    async def main() -> None:
        variable: contextvars.ContextVar[int] = contextvars.ContextVar("v", default=0)
        async with faas.App() as app:

            @app.function
            async def change() -> None:
                variable.set(5)

            await change.invoke()
            assert variable.get() == 0

    run(main())
