# SPDX-License-Identifier: MIT
"""Functions: calls, policies, hooks, contexts, limits, time."""

from __future__ import annotations

import functools
import inspect
import math
import threading
import traceback
from typing import Any

import pytest
from conftest import PATIENCE, Gate, Thread

import faas

# ---- calls


def test_a_plain_call_is_the_call_of_what_was_decorated(app: faas.App) -> None:
    @app.function(concurrency=faas.OFF)
    def add(a: int, b: int = 2, *, c: int = 3) -> int:
        return a + b + c

    assert add(1) == 6
    assert add(1, 1, c=1) == 3
    assert add.stats()["invocations"] == 0
    with pytest.raises(faas.Throttled):
        add.invoke(1)


def test_a_function_keeps_its_name_its_signature_and_its_docstring(app: faas.App) -> None:
    def add(a: int, b: int = 2, *, c: int = 3) -> int:
        """Adds."""
        return a + b + c

    made = app.function(add)
    assert inspect.signature(made) == inspect.signature(add)
    assert (made.__name__, made.__qualname__) == (add.__name__, add.__qualname__)
    assert (made.__doc__, made.__module__) == ("Adds.", __name__)
    assert made.__annotations__ == add.__annotations__
    assert made.__wrapped__ is add
    assert made.name == "add" and made.app is app
    assert repr(made) == "<faas.Function add>"


@pytest.mark.parametrize("how", ["invoke", "submit"])
def test_arguments_of_every_kind_arrive(app: faas.App, how: str) -> None:
    @app.function
    def all(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def call(*args: Any, **kwargs: Any) -> Any:
        if how == "invoke":
            return all.invoke(*args, **kwargs)
        return all.submit(*args, **kwargs).result()

    thing = object()
    for count in range(6):
        assert call(*[thing] * count) == ((thing,) * count, {})
        assert call(*[thing] * count, a=1, b=thing) == ((thing,) * count, {"a": 1, "b": thing})
    assert call(*range(100), **{f"k{i}": i for i in range(100)}) == (
        tuple(range(100)),
        {f"k{i}": i for i in range(100)},
    )


def test_wrong_arguments_are_the_type_error_of_a_plain_call(app: faas.App) -> None:
    @app.function
    def one(a: int) -> int:
        return a

    for call in (one, one.invoke, lambda *a, **k: one.submit(*a, **k).result()):
        with pytest.raises(TypeError, match="positional argument"):
            call()
        with pytest.raises(TypeError, match="unexpected keyword"):
            call(1, b=2)


@pytest.mark.parametrize("how", ["invoke", "submit", "worker"])
def test_what_a_handler_raises_comes_through_unchanged(app: faas.App, how: str) -> None:
    raised = ValueError("of mine", 42)

    def fail() -> None:
        raise raised

    made = app.function(run="worker" if how == "worker" else "inline", name="fail")(fail)
    with pytest.raises(ValueError) as caught:
        made.submit().result() if how == "submit" else made.invoke()
    assert caught.value is raised
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "fail"
    assert made.stats()["errors"] == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
def test_what_is_no_ordinary_exception_comes_through_too(
    app: faas.App, kind: type[BaseException]
) -> None:
    @app.function
    def fail() -> None:
        raise kind("x")

    with pytest.raises(kind):
        fail.invoke()
    with pytest.raises(kind):
        fail.submit().result()


def test_an_exception_whose_text_cannot_be_had_comes_through(app: faas.App) -> None:
    class Mean(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    class Surrogate(Exception):
        def __str__(self) -> str:
            return "\ud800"

    for kind in (Mean, Surrogate):

        def fail() -> None:
            raise kind

        made = app.function(name=kind.__name__)(fail)
        with pytest.raises(kind):
            made.invoke()
        with pytest.raises(kind):
            made.submit().result()


def test_an_exception_raised_from_another_keeps_its_cause(app: faas.App) -> None:
    @app.function
    def fail() -> None:
        try:
            {}["x"]
        except KeyError as error:
            raise LookupError("no x") from error

    with pytest.raises(LookupError) as caught:
        fail.invoke()
    assert isinstance(caught.value.__cause__, KeyError)


def test_the_thread_of_an_invoke_is_the_callers_and_of_a_worker_is_not(app: faas.App) -> None:
    def where() -> int:
        return threading.get_ident()

    inline = app.function(name="inline")(where)
    worker = app.function(name="worker", run="worker")(where)
    assert inline.invoke() == threading.get_ident()
    assert app.function(name="twice")(lambda: worker.invoke()).invoke() != 0
    with faas.App(worker_min=1, worker_max=1) as other:
        # Who waits for a queued call may run it himself: here it is running before.
        gate = Gate()

        @other.function(run="worker")
        def there() -> int:
            gate()
            return threading.get_ident()

        future = there.submit()
        gate.wait()
        gate.go.set()
        assert future.result() != threading.get_ident()


def test_worker_threads_keep_their_thread_state(app: faas.App) -> None:
    local = threading.local()

    with faas.App(worker_min=1, worker_max=1) as one:

        @one.function
        def count() -> tuple[int, int]:
            local.count = getattr(local, "count", 0) + 1
            return threading.get_ident(), local.count

        seen: dict[int, int] = {}
        done = [threading.Event() for _ in range(10)]
        for event in done:  # a callback comes from the worker, so nobody waits for a call
            future = count.submit()
            future.add_done_callback(lambda f, e=event: e.set())
            assert event.wait(PATIENCE)
            thread, number = future.result()
            assert number == seen.get(thread, 0) + 1
            seen[thread] = number


def test_a_coroutine_a_lambda_a_method_and_a_partial_can_be_functions(app: faas.App) -> None:
    class Thing:
        def method(self, a: int) -> int:
            return a * 2

        def __call__(self, a: int) -> int:
            return a * 3

    assert app.function(name="lambda")(lambda a: a).invoke(1) == 1
    assert app.function(Thing().method).invoke(1) == 2
    assert app.function(name="thing")(Thing()).invoke(1) == 3
    assert app.function(name="partial")(functools.partial(int, base=2)).invoke("11") == 3
    with pytest.raises(TypeError, match="has no name: give name="):
        app.function(Thing())


@pytest.mark.parametrize("what", [42, "text", None, object()])
def test_a_handler_that_is_not_callable_is_refused(app: faas.App, what: Any) -> None:
    with pytest.raises(TypeError, match="callable"):
        app.function(name="x")(what)
    assert app.describe()["functions"] == []
    with pytest.raises(TypeError, match="callable"):
        app.on("x", name="x")(what)
    with pytest.raises(TypeError, match="callable"):
        app.batch(name="x")(what)
    made = app.function(name="x")(lambda: None)
    for hook in (made.init, made.close) if what is not None else ():
        with pytest.raises(TypeError, match="callable"):
            hook(what)


def test_two_functions_of_one_name_are_refused(app: faas.App) -> None:
    first = app.function(name="x")(lambda: 1)
    with pytest.raises(faas.Exists):
        app.function(name="x")(lambda: 2)
    assert first.invoke() == 1
    assert isinstance(faas.Exists(""), ValueError)


@pytest.mark.parametrize("name", ["a" * 256, "a\0b", "\ud800", "a b\n" * 200])
def test_a_name_that_is_none_is_refused(app: faas.App, name: str) -> None:
    with pytest.raises(ValueError):
        app.function(name=name)(lambda: None)
    assert app.describe()["functions"] == []


def test_a_name_that_is_no_str_is_refused(app: faas.App) -> None:
    for name in (b"x", 42):
        with pytest.raises(TypeError):
            app.function(name=name)(lambda: None)  # type: ignore[call-overload]


def test_a_function_that_no_app_made_is_refused_not_touched() -> None:
    for kind in (faas.Function, faas.Symbol, faas.WorkerFunction):
        blank = kind.__new__(kind)
        for method in ("invoke", "submit", "stats", "update", "unregister"):
            with pytest.raises(RuntimeError, match="no app has made it"):
                getattr(blank, method)()
        with pytest.raises(RuntimeError, match="no app has made it"):
            blank()
        with pytest.raises((RuntimeError, TypeError)):
            blank(1, a=2)
        repr(blank)
        blank.name, blank.app
    blank_app = faas.App.__new__(faas.App)
    with pytest.raises(faas.Closed):
        blank_app.emit("x")
    with pytest.raises(faas.Closed):
        blank_app.function(lambda: None)


def test_unregister_refuses_calls_closes_instances_and_frees_the_name(app: faas.App) -> None:
    closed: list[Any] = []
    made = app.function(name="x", init=lambda: 7, close=closed.append)(lambda: 1)
    assert made.invoke() == 1
    made.unregister()
    assert closed == [7]
    with pytest.raises(faas.NotFound) as caught:
        made.invoke()
    assert isinstance(caught.value, LookupError)
    with pytest.raises(faas.NotFound):
        made.submit()
    with pytest.raises(faas.NotFound):
        made.unregister()
    assert made() == 1
    assert app.stats()["functions"] == {}
    assert app.function(name="x")(lambda: 2).invoke() == 2
    assert list(app.stats()["functions"]) == ["x"]


def test_unregister_waits_for_the_calls_that_run(app: faas.App, gate: Gate) -> None:
    order: list[str] = []

    @app.function
    def slow() -> None:
        gate()
        order.append("handler")

    future = slow.submit()
    gate.wait()

    def leave() -> None:
        slow.unregister()
        order.append("unregistered")

    thread = Thread(leave)
    gate.go.set()
    thread.outcome()
    assert order == ["handler", "unregistered"]
    assert future.result() is None


# ---- policies

OPTIONS: dict[str, Any] = {
    "concurrency": 2,
    "provisioned": 1,
    "on_full": "wait",
    "wait_ns": 10**9,
    "timeout_ns": 10**9,
    "init_timeout_ns": 10**9,
    "idle_ns": 10**9,
    "age_ns": 10**9,
    "invocation_max": 5,
    "memory_bytes": 1 << 20,
    "heap_bytes": 1 << 20,
    "instance_bytes": 1 << 10,
    "budget_bytes": 1 << 28,
    "instance_min": 1,
    "instance_max": 2,
    "prewarm": 1,
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_taken_by_its_name_in_c(app: faas.App, name: str) -> None:
    made = app.function(name="x", **{name: OPTIONS[name]})(lambda: 1)
    assert made.invoke() == 1
    (described,) = app.describe()["functions"]
    if name in described["policy"]:
        assert described["policy"][name] == OPTIONS[name]
    made.update(**{name: OPTIONS[name]})
    assert made.invoke() == 1


def test_every_option_that_there_is_is_tested_or_named_here(app: faas.App) -> None:
    rest = {"instance_concurrency", "batch_max", "batch_delay_ns", "cache_mode", "cache_bytes"}
    rest |= {"cache_ns"}
    assert set(faas._faas.policy_names()["function"]) == set(OPTIONS) | rest


def test_an_instance_can_serve_several_calls_at_once(app: faas.App, gate: Gate) -> None:
    made = app.function(instance_concurrency=2, instance_max=1, init=object, name="x")(
        lambda: (gate(), faas.context().state)[1]
    )
    futures = [made.submit(), made.submit()]
    gate.wait(2)
    gate.go.set()
    first, second = (f.result() for f in futures)
    assert first is second


@pytest.mark.parametrize(
    "value",
    [
        {"kind": kind}
        for kind in ("none", "fixed", "aimd", "vegas", "gradient", "codel_lifo", "predicted")
    ]
    + [
        {"rate": 100, "burst": 5.5},
        {"kind": "aimd", "limit": 5, "limit_min": 1, "limit_max": 10, "target_ns": 1000},
        {"cold_rate": 100.0, "cold_burst": 3},
        {"kind": "codel_lifo", "shed_ns": 10},
        {"kind": "gradient", "window_ns": 10},
        None,
    ],
)
def test_every_limiter_is_taken(app: faas.App, value: dict[str, Any]) -> None:
    made = app.function(name="x", limiter=value, on_full="wait")(lambda: 1)
    assert made.invoke() == 1


ASYNC: dict[str, Any] = {
    "queue_slots": 4,
    "on_queue_full": "wait",
    "queue_bytes": 1 << 20,
    "queue_wait_ns": 10**9,
    "retries": 1,
    "retry_on": 1,
    "backoff_ns": 1000,
    "backoff_max_ns": 10000,
    "backoff_factor": 1.5,
    "jitter": "none",
    "group_failure": "skip",
    "age_ns": 10**12,
    "blocking": 1,
}


@pytest.mark.parametrize("name", ASYNC)
def test_every_option_of_queued_work_is_taken(app: faas.App, name: str) -> None:
    made = app.function(name="x", async_={name: ASYNC[name]})(lambda: 1)
    assert made.submit().result() == 1
    assert set(ASYNC) == set(faas._faas.policy_names()["async_"])


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ({"concurency": 1}, "concurrency"),
        ({"timeout": 1}, "timeout_ns"),
        ({"onfull": "wait"}, "on_full"),
        ({"async_": {"retrys": 1}}, "retries"),
        ({"async_": {"backoff": 1}}, "backoff_ns"),
        ({"limiter": {"rates": 1}}, "rate"),
        ({"limitter": {}}, "limiter"),
    ],
)
def test_an_unknown_option_is_refused_and_the_nearest_named(
    app: faas.App, wrong: dict[str, Any], near: str
) -> None:
    with pytest.raises(TypeError, match=f"is it '{near}'"):
        app.function(name="x", **wrong)(lambda: 1)
    with pytest.raises(TypeError, match=f"is it '{near}'"):
        app.batch(name="x", **wrong)(lambda x: x)
    with pytest.raises(TypeError, match=f"is it '{near}'"):
        app.on("x", name="x", **wrong)(lambda x: x)
    with pytest.raises(TypeError, match=f"is it '{near}'"):
        app.symbol(None, "abs", "i(i)", **wrong)
    if "async_" not in wrong:
        made = app.function(name="x")(lambda: 1)
        with pytest.raises(TypeError, match=f"is it '{near}'"):
            made.update(**wrong)


def test_an_unknown_option_of_an_app_is_refused_and_the_nearest_named() -> None:
    with pytest.raises(TypeError, match="is it 'worker_max'"):
        faas.App(workers_max=1)
    with pytest.raises(TypeError, match="no option 'zzzzzz'$"):
        faas.App(zzzzzz=1)
    with pytest.raises(ValueError, match="'machine' or 'virtual'"):
        faas.App(clock="sundial")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="keepalive is one of \"lru\", \"ttl\""):
        faas.App(keepalive="fifo")


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency_max": 5},
        {"depth_max": 5},
        {"memory_bytes": 1 << 28},
        *({"keepalive": k} for k in ("lru", "ttl", "idx", "gdsf", "sieve", "lhd")),
        {"seed": 5},
        {"worker_min": 1, "worker_max": 2},
        {"blocking_max": 3},
        {"queue_slots": 16},
        {"queue_bytes": 1 << 20},
        {"spin_ns": faas.FOREVER},
        {"stuck_ns": 10**9},
        *({"dedupe": d} for d in ("off", "id", "content")),
        {"dedupe_ns": 10**9, "dedupe": "id"},
        {"dedupe_bytes": 1 << 20, "dedupe": "id"},
    ],
)
def test_every_option_of_an_app_is_taken(options: dict[str, Any]) -> None:
    with faas.App(**options) as app:
        made = app.function(name="x")(lambda: 1)
        assert made.invoke() == made.submit().result() == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"concurrency": "2"}, TypeError),
        ({"concurrency": 2.0}, TypeError),
        ({"concurrency": -1}, ValueError),
        ({"concurrency": 1 << 32}, ValueError),
        ({"timeout_ns": 1 << 64}, ValueError),
        ({"timeout_ns": 1.5}, TypeError),
        ({"on_full": "explode"}, ValueError),
        ({"on_full": 1}, ValueError),
        ({"on_full": "\ud800"}, ValueError),
        ({"instance_concurrency": 100000}, faas.Invalid),
        ({"async_": 3}, TypeError),
        ({"async_": {"retries": 2000}}, faas.Invalid),
        ({"async_": {"backoff_factor": "x"}}, TypeError),
        ({"limiter": []}, TypeError),
        ({"limiter": {"rate": -5.0}}, faas.Invalid),
        ({"limiter": {"rate": float("nan")}}, faas.Invalid),
        ({"batch_max": 3}, faas.Invalid),
        ({"run": "elsewhere"}, ValueError),
    ],
)
def test_a_wrong_value_is_refused_and_the_option_named(
    app: faas.App, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        app.function(name="x", **options)(lambda: 1)
    named = list(options)
    named += [n for part in options.values() if isinstance(part, dict) for n in part]
    assert any(n in str(caught.value) for n in named), caught.value
    assert app.describe()["functions"] == []
    assert app.function(name="x")(lambda: 1).invoke() == 1


def test_the_dicts_of_options_are_left_as_they_are(app: faas.App) -> None:
    queued, limiter = {"retries": 1}, {"rate": 5}
    app.function(name="x", async_=queued, limiter=limiter)(lambda: 1)
    assert (queued, limiter) == ({"retries": 1}, {"rate": 5})


def test_update_changes_the_limit_of_a_function(app: faas.App) -> None:
    made = app.function(name="x")(lambda: 1)
    made.update(concurrency=faas.OFF)
    with pytest.raises(faas.Throttled):
        made.invoke()
    made.update(concurrency=2)
    assert made.invoke() == 1
    assert app.describe()["functions"][0]["policy"]["concurrency"] == 2


def test_update_refuses_what_it_cannot_change(app: faas.App) -> None:
    made = app.function(name="x")(lambda: 1)
    with pytest.raises((TypeError, ValueError)):
        made.update(async_={"retries": 5})
    with pytest.raises(ValueError):
        made.update(instance_concurrency=2)
    with pytest.raises(TypeError):
        made.update(5)  # type: ignore[call-arg]


# ---- hooks and contexts


def test_what_init_returns_is_the_instances_state_until_close_takes_it(app: faas.App) -> None:
    made: list[object] = []
    closed: list[object] = []

    @app.function
    def which() -> Any:
        return faas.context().state

    @which.init
    def begin() -> object:
        made.append(object())
        return made[-1]

    @which.close
    def end(state: object) -> None:
        closed.append(state)

    assert which.invoke() is which.invoke() is made[0]
    assert len(made) == 1 and closed == []
    app.close()
    assert closed == made


def test_hooks_are_set_before_the_first_call(app: faas.App) -> None:
    made = app.function(name="x")(lambda: 1)
    made.invoke()
    with pytest.raises(RuntimeError, match="before its first call"):
        made.init(lambda: 1)
    with pytest.raises(RuntimeError, match="before its first call"):
        made.close(lambda state: None)


def test_a_state_of_none_is_closed_too(app: faas.App) -> None:
    closed: list[Any] = []
    made = app.function(name="x", close=closed.append)(lambda: faas.context().state)
    assert made.invoke() is None
    app.close()
    assert closed == [None]


def test_an_init_that_raises_is_the_cause_of_an_init_error(app: faas.App) -> None:
    raised = OSError("no weights")
    fail = True

    def init() -> int:
        if fail:
            raise raised
        return 5

    made = app.function(name="x", init=init)(lambda: faas.context().state)
    for call in (made.invoke, lambda: made.submit().result()):
        with pytest.raises(faas.InitError) as caught:
            call()
        assert caught.value.__cause__ is raised
    fail = False
    assert made.invoke() == 5
    assert made.stats()["init_errors"] == 2


def test_a_close_hook_that_raises_is_logged_and_the_app_closes(
    app: faas.App, caplog: pytest.LogCaptureFixture
) -> None:
    def close(state: Any) -> None:
        raise RuntimeError("will not end")

    app.function(name="x", close=close)(lambda: 1).invoke()
    app.close()
    assert "x failed" in caplog.text and "will not end" in caplog.text


def test_provisioned_instances_are_made_at_once(app: faas.App) -> None:
    made: list[int] = []
    app.function(name="x", provisioned=3, init=lambda: made.append(1))(lambda: 1)
    assert len(made) == 3


def test_a_context_says_what_runs(app: faas.App) -> None:
    @app.function(timeout_ns=10**9)
    def ask() -> faas.Context:
        here = faas.context()
        assert here is faas.context()
        assert here.function == "ask"
        assert here.attempt == 1
        assert 0 < here.remaining <= 1
        assert not here.cancelled
        assert (here.tenant, here.trace, here.event, here.state) == (None,) * 4
        return here

    first, second = ask.invoke(), ask.submit().result()
    assert len(first.request_id) == 36 and first.request_id != second.request_id
    # What the handler left behind is a memory.
    assert first.function == "ask" and 0 < first.remaining <= 1 and not first.cancelled


def test_a_context_carries_what_the_submitter_says(app: faas.App) -> None:
    @app.function
    def ask() -> Any:
        here = faas.context()
        return here.tenant, here.trace, here.remaining

    future = ask.submit_with(tenant="t", trace=b"abc", limit=5.0, priority="high")
    tenant, trace, remaining = future.result()
    assert (tenant, trace) == ("t", "abc") and 0 < remaining <= 5
    assert ask.submit().result()[2] > 5


def test_outside_of_handlers_there_is_no_context(app: faas.App) -> None:
    with pytest.raises(LookupError, match="no handler"):
        faas.context()
    app.function(name="x")(lambda: faas.context()).invoke()
    with pytest.raises(LookupError):
        faas.context()


def test_an_invocation_without_a_limit_has_forever(app: faas.App) -> None:
    made = app.function(name="x", timeout_ns=faas.FOREVER)(lambda: faas.context().remaining)
    assert made.invoke() == math.inf


def test_a_nested_call_has_a_context_of_its_own_and_what_is_left(app: faas.App) -> None:
    @app.function
    def inner() -> tuple[str, float]:
        return faas.context().function, faas.context().remaining

    @app.function(timeout_ns=2 * 10**9)
    def outer() -> tuple[str, float]:
        before = faas.context()
        name, remaining = inner.invoke()
        assert name == "inner" and remaining <= 2
        assert faas.context() is before
        return faas.context().function, remaining

    assert outer.invoke()[0] == "outer"
    assert outer.submit().result()[0] == "outer"


def test_calls_nested_too_deep_are_refused(app: faas.App) -> None:
    depth = 0

    @app.function
    def down() -> None:
        nonlocal depth
        depth += 1
        down.invoke()

    with pytest.raises(faas.NotAllowed):
        down.invoke()
    assert depth == 32


def test_a_handler_waits_for_what_it_submits_with_a_single_worker() -> None:
    with faas.App(worker_max=1) as app:
        inner = app.function(name="inner")(lambda x: x + 1)

        @app.function
        def outer(x: int) -> int:
            return inner.submit(x).result() + inner.submit(x).result()

        assert outer.submit(1).result(PATIENCE) == 4
        assert [f.result(PATIENCE) for f in [outer.submit(i) for i in range(20)]] == [
            2 * i + 2 for i in range(20)
        ]


def test_a_handler_waits_for_a_call_that_its_own_worker_could_run() -> None:
    """The worker took calls of both functions at once; the first of `same` is over, but
    until the rest are, no other call of it may run, which the handler waits for."""
    with faas.App(worker_max=1) as app:
        gate = Gate()
        hold = app.function(name="hold")(gate)
        same = app.function(name="same", concurrency=1)(lambda x: x)
        twice = app.function(name="twice", timeout_ns=3 * 10**8)(lambda x: same.submit(x).result())
        hold.submit()
        gate.wait()
        ended = threading.Semaphore(0)
        futures = [f.submit(i) for i in range(3) for f in (same, twice)]
        for future in futures:
            future.add_done_callback(lambda f: ended.release())
        gate.go.set()
        for _ in futures:
            assert ended.acquire(timeout=2.0)
        assert [f.exception() for f in futures] == [None] * 6


# ---- limits and time


def test_a_full_function_refuses_with_a_time_to_retry_after(app: faas.App, gate: Gate) -> None:
    made = app.function(concurrency=1, name="x")(gate)
    future = made.submit()
    gate.wait()
    with pytest.raises(faas.Throttled) as caught:
        made.invoke()
    assert isinstance(caught.value, RuntimeError)
    assert caught.value.status == "FAAS_EBUSY"
    assert caught.value.retry_after >= 0
    gate.go.set()
    future.result()
    assert made.invoke() is None
    assert made.stats()["throttles"] == 1


def test_a_rate_says_when_the_next_call_may_come(app: faas.App) -> None:
    made = app.function(limiter={"rate": 0.01, "burst": 1}, name="x")(lambda: 1)
    assert made.invoke() == 1
    with pytest.raises(faas.Throttled) as caught:
        made.invoke()
    assert 50 < caught.value.retry_after <= 100


def test_threads_that_wait_for_a_full_function_all_have_their_turn(app: faas.App) -> None:
    lock = threading.Lock()
    running = most = 0

    @app.function(concurrency=1, on_full="wait", limiter={"kind": "none"})
    def count(x: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        list(range(2000))
        with lock:
            running -= 1
        return x

    def many(base: int) -> list[int]:
        return [count.invoke(base + i) for i in range(200)]

    threads = [Thread(many, 1000 * n) for n in range(6)]
    for n, thread in enumerate(threads):
        assert thread.outcome() == [1000 * n + i for i in range(200)]
    assert most == 1


def test_a_wait_for_a_full_function_ends(app: faas.App, gate: Gate) -> None:
    made = app.function(concurrency=1, on_full="wait", wait_ns=1_000_000, name="x")(gate)
    future = made.submit()
    gate.wait()
    with pytest.raises(faas.Throttled):
        made.invoke()
    gate.go.set()
    future.result()


def test_a_handler_that_comes_back_late_is_a_timeout(app: faas.App) -> None:
    @app.function(timeout_ns=1_000_000)
    def late() -> int:
        while faas.context().remaining > 0:
            pass
        assert faas.context().cancelled
        return 1

    for call in (late.invoke, lambda: late.submit().result()):
        with pytest.raises(faas.Timeout) as caught:
            call()
        assert isinstance(caught.value, TimeoutError)
    assert late.stats()["timeouts"] >= 1  # the second may have expired before it began


def test_a_nested_call_without_time_left_does_not_run(app: faas.App) -> None:
    ran: list[int] = []
    inner = app.function(name="inner")(lambda: ran.append(1))

    @app.function(timeout_ns=1_000_000)
    def outer() -> None:
        while faas.context().remaining > 0:
            pass
        with pytest.raises(faas.Expired):
            inner.invoke()

    with pytest.raises(faas.Timeout):
        outer.invoke()
    assert ran == []


def test_a_wrong_option_of_a_submission_is_refused(app: faas.App) -> None:
    made = app.function(name="x")(lambda: 1)
    with pytest.raises(ValueError, match="priority"):
        made.submit_with(priority="urgent")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="group"):
        made.submit_with(group=5)  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError), match="delay"):
        made.submit_with(delay=-1.0)
    with pytest.raises((ValueError, OverflowError)):
        made.submit_with(delay=math.nan)
    with pytest.raises((TypeError, ValueError), match="tenant_weight"):
        made.submit_with(tenant_weight=-1)
    assert made.submit_with(tenant="a", tenant_weight=5, group=b"\xff").result() == 1


def test_calls_of_a_group_run_one_after_the_other_in_order(app: faas.App) -> None:
    seen: list[int] = []
    made = app.function(name="x")(seen.append)
    futures = [made.submit_with((i,), group="g") for i in range(50)]
    for future in futures:
        future.result(PATIENCE)
    assert seen == list(range(50))


def test_calls_with_one_key_under_way_are_one_call(app: faas.App, gate: Gate) -> None:
    for made in (
        app.function(name="x")(gate),
        app.batch(name="y")(lambda xs: [gate(x) for x in xs]),
    ):
        gate.go.clear()
        first = made.submit_with((1,), key="k")
        gate.wait()
        others = [made.submit_with((2,), key="k") for _ in range(3)]
        gate.go.set()
        assert [f.result(PATIENCE) for f in [first, *others]] == [1] * 4
        assert made.stats()["invocations"] == 1
        assert made.submit_with((3,), key="k").result(PATIENCE) == 3
        assert made.submit_with((4,), key="other").result(PATIENCE) == 4


def test_calls_with_one_key_raise_the_same(app: faas.App, gate: Gate) -> None:
    raised: list[ValueError] = []

    @app.function
    def fail(x: int) -> None:
        gate()
        raised.append(ValueError(x))
        raise raised[-1]

    first = fail.submit_with((1,), key=b"k")
    gate.wait()
    second = fail.submit_with((2,), key=b"k")
    gate.go.set()
    assert first.exception(PATIENCE) is second.exception(PATIENCE) is raised[0]
    third = fail.submit_with((3,), key=b"k")
    assert third.exception(PATIENCE) is raised[1]


def test_calls_with_keys_by_many_threads_end_as_the_one_that_ran(app: faas.App) -> None:
    made = app.function(name="x")(lambda key, x: (key, x))

    def many(number: int) -> None:
        futures = [
            (i % 5, made.submit_with((i % 5, number), key=str(i % 5))) for i in range(2000)
        ]
        for key, future in futures:
            assert future.result(PATIENCE)[0] == key

    for thread in [Thread(many, n) for n in range(4)]:
        thread.outcome()


def test_a_call_past_its_deadline_keeps_its_arguments(app: faas.App) -> None:
    """Its future ends, and lets go of them; the handler, in C, still uses them."""
    lock = threading.Lock()
    lock.acquire()
    wait = app.function(name="wait", timeout_ns=10_000_000)(lock.acquire)
    future = wait.submit(True, 1.5)
    with pytest.raises(faas.FaasError):
        future.result(PATIENCE)
    lock.release()
