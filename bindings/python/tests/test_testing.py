# SPDX-License-Identifier: MIT
"""faas.testing and the fixtures: what users test their handlers with."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

import faas
from faas import testing

# ---- contexts and events by hand


def test_a_context_is_made_by_hand() -> None:
    made = faas.Context()
    assert (made.function, made.attempt) == ("test", 1)
    assert (made.remaining, made.cancelled) == (math.inf, False)
    assert (made.tenant, made.trace, made.state, made.event) == (None,) * 4
    event = testing.event("x")
    made = faas.Context(
        request_id="r", function="f", tenant="t", trace="x", state={"a": 1}, event=event,
        attempt=3, remaining=1.5, cancelled=True,
    )  # fmt: skip
    assert (made.request_id, made.function, made.tenant, made.trace) == ("r", "f", "t", "x")
    assert (made.state, made.event, made.attempt) == ({"a": 1}, event, 3)
    assert (made.remaining, made.cancelled) == (1.5, True)


def test_a_context_of_wrong_values_is_refused() -> None:
    for wrong in ({"function": 5}, {"attempt": "x"}, {"remaining": "x"}, {"nonsense": 1}):
        with pytest.raises(TypeError):
            faas.Context(**wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        faas.Context("r")  # type: ignore[misc]
    with pytest.raises(AttributeError):
        faas.Context().state = 5  # type: ignore[misc]


def test_a_handler_finds_the_context_of_a_test() -> None:
    def handler() -> Any:
        return faas.context().state, faas.context().remaining

    with testing.context(state=5, remaining=2.0) as made:
        assert handler() == (5, 2.0)
        with testing.context(state=6):
            assert handler()[0] == 6
        with testing.context(made):
            assert faas.context() is made
        assert handler() == (5, 2.0)
    with pytest.raises(LookupError):
        handler()


def test_a_handler_in_an_app_has_its_own_context_in_a_test_too(app: faas.App) -> None:
    made = app.function(name="x", init=lambda: 7)(lambda: faas.context().state)
    with testing.context(state=5):
        assert made() == 5
        assert made.invoke() == 7


def test_an_event_is_made_by_hand() -> None:
    event = testing.event("order.created", {"total": 1}, subject="s")
    assert (event.type, event.json(), event.subject) == ("order.created", {"total": 1}, "s")
    assert testing.event().type == "test"


# ---- the client


def test_an_app_goes_on_a_virtual_clock_and_back(app: faas.App) -> None:
    seen: list[str] = []
    made = app.function(name="x", concurrency=1)(lambda: 1)
    app.on("a", name="y")(lambda event: seen.append("y"))
    app.on({"type": ["a"]}, name="z", run="worker")(lambda event: seen.append("z"))
    symbol = app.symbol(None, "labs", "l(l)")
    for _ in range(3):
        with testing.Client(app) as client:
            assert app.is_virtual and app.stats()["workers"] == 0
            client.emit("a")
            assert sorted(seen) == ["y", "z"]
            assert made.invoke() == made.submit().result() == symbol(-1) == 1
        assert not app.is_virtual
        delivery = app.emit("a")
        assert (delivery.ran, delivery.queued) == (1, 1)
        assert made.invoke() == made.submit().result() == symbol(-1) == 1
        app._reopen(False)  # what was queued has run, or is gone
        seen.clear()


def test_the_client_sees_every_event_in_order() -> None:
    with testing.Client() as client:
        app = client.app

        @app.on("order.created")
        def created(event: faas.Event) -> None:
            app.emit("order.paid", event.json())

        @app.on("order.paid", run="worker")
        def paid(event: faas.Event) -> None:
            app.emit("order.done")

        delivery = client.emit("order.created", {"total": 1})
        assert delivery.ran >= 1
        assert sorted(e.type for e in client.events) == [
            "order.created", "order.done", "order.paid",
        ]  # fmt: skip
        assert [e for e in client.events if e.type == "order.paid"][0].json() == {"total": 1}
    assert not client.app.is_open


def test_delayed_calls_come_when_the_clock_is_there() -> None:
    with testing.Client() as client:
        times: list[float] = []
        made = client.app.function(name="x")(lambda: times.append(client.now))
        start = client.now
        for delay in (3600.0, 1.0, 60.0):
            made.submit_with(delay=delay)
        assert client.advance(0.5) == 0 and times == []
        assert client.advance(1.0) == 1
        client.advance(7200)
        assert [round(t - start, 3) for t in times] == [1.0, 60.0, 3600.0]
        assert client.now - start == pytest.approx(7201.5)


def test_retries_come_at_their_times() -> None:
    with testing.Client() as client:
        times: list[float] = []

        @client.app.function(
            async_={"retries": 4, "backoff_ns": 10**9, "backoff_factor": 2.0, "jitter": "none"}
        )
        def fragile() -> int:
            times.append(client.now)
            if faas.context().attempt < 4:
                raise OSError("not yet")
            return faas.context().attempt

        future = fragile.submit()
        client.advance(60)
        assert future.result(0) == 4
        assert [round(b - a, 3) for a, b in zip(times, times[1:])] == [1.0, 2.0, 4.0]


def test_retries_of_an_event_come_at_their_times(caplog: pytest.LogCaptureFixture) -> None:
    with testing.Client() as client:
        attempts: list[int] = []

        @client.app.on(
            "x", run="worker", async_={"retries": 2, "backoff_ns": 10**9, "jitter": "none"}
        )
        def fragile(event: faas.Event) -> None:
            attempts.append(faas.context().attempt)
            raise OSError("never")

        client.emit("x")
        assert attempts == [1]
        client.advance(1)
        assert attempts == [1, 2]
        client.advance(100)
        assert attempts == [1, 2, 3]


def test_a_deadline_passes_on_the_virtual_clock() -> None:
    with testing.Client() as client:
        made = client.app.function(name="x", concurrency=1)(lambda: faas.context().remaining)
        assert made.submit_with(limit=5.0).result() == 5.0
        with pytest.raises(faas.Expired):
            made.submit_with(delay=10.0, limit=5.0)
        other = client.app.function(name="y", async_={"age_ns": 10**9})(lambda: 1)
        late = other.submit_with(delay=10.0)
        client.advance(20)
        with pytest.raises(faas.Expired):
            late.result(0)


def test_a_result_that_time_has_to_bring_says_so() -> None:
    with testing.Client() as client:
        future = client.app.function(name="x")(lambda: 5).submit_with(delay=1.0)
        with pytest.raises(TimeoutError, match="move the clock"):
            future.result()
        client.advance(1)
        assert future.result() == 5


def test_idle_instances_are_closed_when_their_time_comes() -> None:
    with testing.Client() as client:
        closed: list[Any] = []
        made = client.app.function(name="x", idle_ns=10**9, init=lambda: 7, close=closed.append)(
            lambda: 1
        )
        made.invoke()
        client.advance(0.5)
        assert closed == []
        client.advance(3600)
        assert closed == [7]


def test_coroutines_run_in_a_client_too() -> None:
    with testing.Client() as client:

        @client.app.on("x")
        async def hear(event: faas.Event) -> None:
            await asyncio.sleep(0)
            seen.append(faas.context().function)

        @client.app.function
        async def double(x: int) -> int:
            await asyncio.sleep(0)
            return 2 * x

        seen: list[str] = []
        client.emit("x")
        assert seen == ["hear"]
        assert double.submit(5).result() == 10


def test_updates_and_removals_are_kept_in_a_client(app: faas.App) -> None:
    made = app.function(name="x")(lambda: 1)
    gone = app.on("x", name="gone")(lambda event: None)
    made.update(concurrency=faas.OFF)
    gone.unregister()
    with testing.Client(app) as client:
        with pytest.raises(faas.Throttled):
            made.invoke()
        assert client.emit("x").matched == 1  # the client's own
        assert set(app.stats()["functions"]) == {"x", "faas.testing"}


def test_what_a_test_registers_in_a_client_stays_without_harm(app: faas.App) -> None:
    with testing.Client(app):
        app.on("x", name="x")(lambda event: None)
    assert app.emit("x").ran == 1
    with testing.Client(app) as client:
        assert client.emit("x").ran == 2
    assert "faas.testing" not in app.stats()["functions"]


def test_two_runs_of_a_client_are_alike() -> None:
    def run() -> list[Any]:
        with testing.Client(faas.App("x", seed=5, clock="virtual")) as client:
            seen: list[Any] = []

            @client.app.function(async_={"retries": 5, "backoff_ns": 10**9})
            def fragile(x: int) -> None:
                seen.append((x, round(client.now, 6), faas.context().request_id))
                raise OSError("x")

            start = client.now
            for i in range(5):
                fragile.submit(i)
            client.advance(1000)
            return [(x, round(t - start, 6), r) for x, t, r in seen]

    assert run() == run()


def test_time_does_not_go_back() -> None:
    with testing.Client() as client:
        for wrong in (-1, math.nan, math.inf):
            with pytest.raises((ValueError, OverflowError, TypeError)):
                client.advance(wrong)


def test_only_a_virtual_clock_is_moved(app: faas.App) -> None:
    with pytest.raises((faas.FaasError, RuntimeError)):
        app._advance(5)


# ---- fixtures


def test_the_fixture_of_an_app_is_an_app_of_the_test(faas_app: faas.App) -> None:
    assert faas_app.function(name="x")(lambda: 1).invoke() == 1


def test_the_fixture_of_a_client_is_on_a_virtual_clock(faas_client: testing.Client) -> None:
    assert faas_client.app.is_virtual
    faas_client.emit("x")
    assert [e.type for e in faas_client.events] == ["x"]


def test_the_fixture_of_a_context_makes_one(faas_context: Callable[..., faas.Context]) -> None:
    made = faas_context(state=5)
    assert faas.context() is made
    assert faas_context(state=6) is faas.context()


def test_the_context_of_a_test_is_gone_in_the_next() -> None:
    with pytest.raises(LookupError):
        faas.context()
