# SPDX-License-Identifier: MIT
"""Functions that take many inputs at once, and functions whose answers are remembered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from conftest import PATIENCE, Gate, Thread

import faas

# ---- batches


def test_calls_that_meet_run_as_one(app: faas.App, gate: Gate) -> None:
    sizes: list[int] = []

    @app.batch(batch_max=64)
    def double(xs: list[int]) -> list[int]:
        sizes.append(len(xs))
        gate()
        return [2 * x for x in xs]

    first = Thread(double.invoke, 0)
    gate.wait()
    rest = [Thread(double.invoke, i) for i in range(1, 6)]
    while double.stats()["batch_waiting"] < 5:
        assert all(t.is_alive() for t in rest)
    gate.go.set()
    assert [t.outcome() for t in [first, *rest]] == [2 * i for i in range(6)]
    assert sum(sizes) == 6 and max(sizes) > 1  # how many at once pays is measured
    assert double.invoke(5) == double.submit(5).result(PATIENCE) == 10
    assert double([1, 2]) == [2, 4]
    assert double.stats()["batched"] == 8


def test_one_bad_item_fails_alone(app: faas.App) -> None:
    @app.batch(batch_delay_ns=50_000_000, concurrency=1)
    def halve(xs: list[int]) -> list[Any]:
        return [x // 2 if x % 2 == 0 else ValueError(x) for x in xs]

    futures = [halve.submit(i) for i in range(10)]
    for i, future in enumerate(futures):
        if i % 2 == 0:
            assert future.result(PATIENCE) == i // 2
        else:
            with pytest.raises(ValueError, match=str(i)):
                future.result(PATIENCE)
    with pytest.raises(ValueError, match="7"):
        halve.invoke(7)


def test_a_batch_that_raises_fails_all_its_items(app: faas.App) -> None:
    raised = RuntimeError("all of them")

    @app.batch(batch_delay_ns=20_000_000)
    def fail(xs: list[int]) -> list[int]:
        raise raised

    for future in [fail.submit(i) for i in range(5)]:
        assert future.exception(PATIENCE) is raised
    with pytest.raises(RuntimeError) as caught:
        fail.invoke(1)
    assert caught.value is raised


@pytest.mark.parametrize(
    "results", [[], [1, 2], None, 5, {0: 1}, {1}, iter([1]), (x for x in [1]), object()]
)
def test_a_batch_with_a_wrong_number_of_results_is_an_error(app: faas.App, results: Any) -> None:
    made = app.batch(name="x")(lambda xs: results)
    for call in (made.invoke, lambda x: made.submit(x).result(PATIENCE)):
        with pytest.raises((ValueError, TypeError)) as caught:
            call(1)
        assert "results" in str(caught.value) or "sequence" in str(caught.value)


def test_a_batch_may_return_a_tuple_or_an_array(app: faas.App) -> None:
    import numpy as np

    assert app.batch(name="tuple")(lambda xs: tuple(xs)).invoke(5) == 5
    assert app.batch(name="array")(lambda xs: np.asarray(xs) * 2).invoke(5) == 10


def test_a_batch_takes_one_argument_a_call(app: faas.App) -> None:
    made = app.batch(name="x")(lambda xs: xs)
    for call in (made.invoke, made.submit):
        with pytest.raises(TypeError, match="one argument"):
            call()
        with pytest.raises(TypeError, match="one argument"):
            call(1, 2)
        with pytest.raises(TypeError, match="one argument"):
            call(x=1)
    assert made.invoke(*[1], **{}) == made.submit(*[1], **{}).result() == 1


def test_batches_of_many_threads_hand_each_its_own(app: faas.App) -> None:
    made = app.batch(name="x", batch_max=16)(lambda xs: [x * 3 for x in xs])

    def many(base: int) -> None:
        for i in range(200):
            assert made.invoke(base + i) == 3 * (base + i)

    for thread in [Thread(many, 1000 * n) for n in range(4)]:
        thread.outcome()


def test_events_come_in_batches_too(app: faas.App, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    @app.batch()
    def hear(events: list[faas.Event]) -> list[Any]:
        seen.extend(e.id for e in events)
        return [ValueError("bad") if e.id == "2" else None for e in events]

    app.on("x")(hear)
    assert app.emit("x", id="1").ran == 1
    assert app.emit("x", id="2").failed == 1
    assert seen == ["1", "2"]
    assert "hear failed" in caplog.text


def test_a_batch_has_state_and_awaits(app: faas.App) -> None:
    made = app.batch(name="x", init=lambda: 10)(lambda xs: [x + faas.context().state for x in xs])
    assert made.invoke(1) == 11

    async def main() -> list[int]:
        return await asyncio.gather(*[made.submit(i) for i in range(100)])

    assert asyncio.run(main()) == list(range(10, 110))


def test_a_batch_whose_init_fails_fails_each_call(app: faas.App) -> None:
    def init() -> None:
        raise OSError("no")

    made = app.batch(name="x", init=init)(lambda xs: xs)
    for call in (made.invoke, lambda x: made.submit(x).result(PATIENCE)):
        with pytest.raises(faas.InitError) as caught:
            call(1)
        assert isinstance(caught.value.__cause__, OSError)


# ---- caches


def test_an_answer_is_remembered(app: faas.App) -> None:
    ran: list[bytes] = []

    @app.function(cache_bytes=1 << 20)
    def upper(data: bytes) -> bytes:
        ran.append(data)
        return data.upper()

    for _ in range(3):
        assert upper.invoke(b"abc") == b"ABC"
    assert upper.invoke(bytearray(b"abc")) == b"ABC"
    assert upper.submit(b"abc").result(PATIENCE) == b"ABC"
    assert upper.invoke(b"x") == b"X"
    assert upper.invoke(b"") == b""
    assert ran == [b"abc", b"x", b""]
    stats = upper.stats()
    assert (stats["cache_hits"], stats["cache_misses"]) == (4, 3)
    assert type(upper.invoke(b"abc")) is bytes


def test_answers_are_forgotten_when_update_says_so(app: faas.App) -> None:
    ran: list[int] = []
    made = app.function(name="x", cache_bytes=1 << 20)(lambda data: ran.append(1) or data)
    made.invoke(b"a")
    made.update(cache_bytes=1 << 10)
    made.invoke(b"a")
    assert len(ran) == 2


def test_a_failure_is_remembered_only_when_asked_to(app: faas.App) -> None:
    ran: list[str] = []
    raised = ValueError("of mine")

    def fail(data: bytes) -> bytes:
        ran.append("")
        raise raised

    made = app.function(name="no", cache_bytes=1 << 20)(fail)
    for _ in range(2):
        with pytest.raises(ValueError) as caught:
            made.invoke(b"x")
        assert caught.value is raised
    assert len(ran) == 2
    made = app.function(name="yes", cache_bytes=1 << 20, cache_mode=faas.CACHE_FAILURES)(fail)
    with pytest.raises(ValueError):
        made.invoke(b"x")
    with pytest.raises(faas.HandlerError, match="of mine"):
        made.invoke(b"x")
    assert len(ran) == 3


def test_a_submitted_call_of_a_cached_function_fails_in_words(app: faas.App) -> None:
    """The call hands over bytes alone: there is nowhere to put the exception."""

    @app.function(cache_bytes=1 << 20)
    def fail(data: bytes) -> bytes:
        raise ValueError("of mine")

    with pytest.raises((ValueError, faas.HandlerError), match="of mine"):
        fail.submit(b"x").result(PATIENCE)


@pytest.mark.parametrize("run", ["inline", "worker"])
def test_a_cached_function_takes_and_returns_bytes(app: faas.App, run: str) -> None:
    made = app.function(name="x", cache_bytes=1 << 20, run=run)(lambda data: data)
    for call in (made.invoke, made.submit):
        with pytest.raises(TypeError, match="argument"):
            call()
        with pytest.raises(TypeError, match="argument"):
            call(b"a", b"b")
        with pytest.raises(TypeError, match="argument"):
            call(data=b"a")
        with pytest.raises(TypeError):
            call("text")
        with pytest.raises((BufferError, ValueError)):
            call(memoryview(b"abcd")[::2])
    assert made.invoke(b"a") == b"a"
    wrong = app.function(name="wrong", cache_bytes=1 << 20)(lambda data: "text")
    with pytest.raises(TypeError):
        wrong.invoke(b"a")
    with pytest.raises((TypeError, faas.HandlerError)):
        wrong.submit(b"a").result(PATIENCE)


def test_an_answer_over_its_heap_is_a_memory_error(app: faas.App) -> None:
    made = app.function(name="x", cache_bytes=1 << 20, heap_bytes=1 << 16)(
        lambda data: bytes(1 << 20)
    )
    with pytest.raises(MemoryError):
        made.invoke(b"a")


def test_identical_calls_under_way_share_one_run(app: faas.App, gate: Gate) -> None:
    ran: list[bytes] = []

    @app.function(cache_mode=faas.SINGLE_FLIGHT)
    def slow(data: bytes) -> bytes:
        ran.append(data)
        gate()
        return data.upper()

    first = Thread(slow.invoke, b"a")
    gate.wait()
    # Who comes late runs anew: nothing tells that they wait, so only the answers are sure.
    others = [Thread(slow.invoke, b"a") for _ in range(3)]
    gate.go.set()
    assert [t.outcome() for t in [first, *others]] == [b"A"] * 4
    stats = slow.stats()
    assert len(ran) + stats["cache_shared"] == 4
    assert slow.invoke(b"b") == b"B"


def test_a_batch_with_a_cache_takes_and_returns_bytes(app: faas.App) -> None:
    ran: list[int] = []

    @app.batch(cache_bytes=1 << 20)
    def upper(datas: list[bytes]) -> list[Any]:
        ran.append(len(datas))
        return [ValueError("bad") if d == b"bad" else d.upper() for d in datas]

    assert upper.invoke(b"a") == upper.invoke(b"a") == b"A"
    assert sum(ran) == 1
    with pytest.raises((ValueError, faas.HandlerError), match="bad"):
        upper.invoke(b"bad")


def test_a_cached_function_hears_events_as_they_are(app: faas.App) -> None:
    seen: list[Any] = []
    made = app.function(name="x", cache_bytes=1 << 20)(seen.append)
    app.on("x")(made)
    assert app.emit("x", b"data").ran == 1
    assert isinstance(seen[0], faas.Event)
