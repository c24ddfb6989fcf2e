# SPDX-License-Identifier: MIT
"""A tour of the decorators."""

from collections.abc import Sequence

import faas

app = faas.App("tour", worker_max=2)


# A function stays what it is: callable, with its signature. Through the app it has limits,
# a deadline, meters.
@app.function(concurrency=1, timeout_ns=50_000_000)
def greet(name: str, *, loud: bool = False) -> str:
    """Greets somebody."""
    return f"hello, {name}{'!' if loud else ''}"


assert greet("world") == greet.invoke("world") == greet.submit("world").result()
print(greet.invoke("world", loud=True))


# An instance has a state, which a cold start makes.
@app.function(idle_ns=60 * 10**9)
def count() -> int:
    state: list[int] = faas.context().state
    state[0] += 1
    return state[0]


@count.init
def begin() -> list[int]:
    return [0]


@count.close
def end(state: list[int]) -> None:
    print("counted to", state[0])


print(count.invoke(), count.invoke(), count.stats()["cold_starts"])


# What a handler raises comes through unchanged, and is counted.
@app.function
def fail(what: str) -> None:
    raise KeyError(what)


try:
    fail.invoke("nothing there")
except KeyError as error:
    print("KeyError:", error, "errors:", fail.stats()["errors"])


# Events: by type, by its beginning, by a rule.
@app.on("order.*")
def log(event: faas.Event) -> None:
    print(event.type, event.json())


@app.on({"type": ["order.created"], "data": {"total": [{"numeric": [">", 100]}]}})
def big_order(event: faas.Event) -> None:
    print("a big one!")


print(app.emit("order.created", {"total": 129.5}))
print(app.emit("order.paid", {"id": 17}))


# Batches: calls that meet are run as one, where that pays. One bad item fails alone.
@app.batch(batch_max=32)
def half(numbers: list[int]) -> Sequence[int | ValueError]:
    return [n // 2 if n % 2 == 0 else ValueError(f"{n} is odd") for n in numbers]


futures = [half.submit(n) for n in range(6)]
print([f.result() if f.exception() is None else str(f.exception()) for f in futures])


# Answers that are remembered: bytes to bytes.
@app.function(cache_bytes=1 << 20)
def reverse(text: bytes) -> bytes:
    return text[::-1]


print(reverse.invoke(b"abc"), reverse.invoke(b"abc"), reverse.stats()["cache_hits"])

# C functions by their signature: no Python runs, and its lock is free meanwhile.
hypot = app.symbol("libm.so.6", "hypot", "d(dd)")
print(hypot(3.0, 4.0))

app.close()
