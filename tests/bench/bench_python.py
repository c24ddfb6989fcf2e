# SPDX-License-Identifier: MIT
"""bench_python.py - the Python package beside what Python has, and its peers.

    bench_python.py [--quick]

Pinned to one processor but for what has threads. Subjects of a table alternate: round by
round each is measured once; a figure is the median of the rounds, with what the loop itself
takes in it, but for differences.
"""

import asyncio
import os
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import faas

QUICK = "--quick" in sys.argv
ROUNDS = 7 if QUICK else 15
missed = 0


def line(subject, unit, values, target=None):
    global missed
    values = sorted(values)
    p99 = values[min(len(values) - 1, int(len(values) * 0.99))]
    median = statistics.median(values)
    print(f"python\t{subject}\t{unit}\t{median:.4g}\t{p99:.4g}\t{len(values)}", flush=True)
    if target is not None:
        verdict = "met" if median <= target else "missed"
        missed += verdict == "missed"
        print(f"# target {target}: {verdict}", flush=True)
    return median


def rounds(subjects, count):
    """Nanoseconds per operation of each subject, by rounds."""
    figures = {name: [] for name in subjects}
    for _ in range(ROUNDS):
        for name, run in subjects.items():
            begun = time.perf_counter_ns()
            run(count)
            figures[name].append((time.perf_counter_ns() - begun) / count)
    return figures


def over(figures, a, b):
    return [x - y for x, y in zip(figures[a], figures[b])]


def ratio(figures, a, b):
    return [x / y for x, y in zip(figures[a], figures[b])]


def loop(function, *args):
    def run(count):
        call = function
        for _ in range(count):
            call(*args)

    return run


def one_argument(function, value):
    def run(count):
        call = function
        for _ in range(count):
            call(value)

    return run


def calls():
    with faas.App(worker_max=1) as app:
        absolute = app.symbol(None, "abs", "i(i)")

        @app.function
        def same(x):
            return x

        # A C function that looks at one byte of the array alone.
        length = app.symbol(None, "strnlen", "L(y)")
        try:
            import numpy

            array = numpy.zeros(1 << 20, numpy.float32)
        except ImportError:
            array = bytes(4 << 20)
        figures = rounds(
            {
                "symbol": one_argument(absolute.invoke, -7),
                "plain": one_argument(same.__wrapped__, 7),
                "handler": one_argument(same.invoke, 7),
                "array": one_argument(length.invoke, array),
            },
            20_000 if QUICK else 100_000,
        )
        line("a plain Python call", "ns", figures["plain"])
        line("invoke of a C symbol, int to int", "ns", figures["symbol"], 120)
        line("invoke of a Python handler", "ns", figures["handler"])
        line("... over the plain call", "ns", over(figures, "handler", "plain"), 250)
        line("4 MiB array to a C function", "ns", figures["array"], 300)


def handlers():
    with faas.App() as app:
        subjects = {}

        def handler(event):
            pass

        for i in range(8):
            app.on("order.created", name=f"h{i}")(handler)
        subjects["faas"] = loop(app.emit, "order.created")
        try:
            from blinker import Signal

            signal = Signal()
            kept = [lambda sender: None for _ in range(8)]
            for receiver in kept:
                signal.connect(receiver)
            subjects["blinker"] = loop(signal.send, "order.created")
        except ImportError:
            pass
        try:
            from pyee import EventEmitter

            emitter = EventEmitter()
            for i in range(8):
                emitter.on("order.created", lambda event: None)
            subjects["pyee"] = loop(emitter.emit, "order.created", None)
        except ImportError:
            pass
        figures = rounds(subjects, 5_000 if QUICK else 20_000)
        line("emit to 8 handlers", "ns", figures["faas"], 600)
        for peer, most in (("pyee", 0.5), ("blinker", 0.2)):
            if peer in figures:
                line(f"{peer}, 8 handlers", "ns", figures[peer])
                line(f"emit / {peer}", "ratio", ratio(figures, "faas", peer), most)


def queued(app, function, count):
    """What a queued call takes on a worker, while the main thread waits."""
    gate = threading.Event()
    blocker = app._bench_blocker.submit(gate)
    futures = [function.submit(7) for _ in range(count)]
    last = futures[-1]
    begun = time.perf_counter_ns()
    gate.set()
    blocker.result()
    ended = threading.Event()
    last.add_done_callback(lambda _: ended.set())
    ended.wait()
    return (time.perf_counter_ns() - begun) / count


def workers():
    with faas.App(worker_max=1) as app, ThreadPoolExecutor(1) as pool:
        absolute = app.symbol(None, "abs", "i(i)")

        @app.function
        def same(x):
            return x

        @app.function
        def wait(gate):
            gate.wait()

        app._bench_blocker = wait
        figures = {"symbol": [], "handler": []}
        for _ in range(ROUNDS):
            for name, function in (("symbol", absolute), ("handler", same)):
                figures[name].append(queued(app, function, 5_000))
        line("a queued C symbol on a worker", "ns", figures["symbol"])
        line("a queued Python handler on a worker", "ns", figures["handler"])
        line("... over the C symbol", "ns", over(figures, "handler", "symbol"), 200)

        def ours(count):
            for _ in range(count):
                absolute.submit(-7).result()

        def executor(count):
            for _ in range(count):
                pool.submit(abs, -7).result()

        def ours_many(count):
            for future in [absolute.submit(-7) for _ in range(count)]:
                future.result()

        def executor_many(count):
            for future in [pool.submit(abs, -7) for _ in range(count)]:
                future.result()

        figures = rounds({"ours": ours, "pool": executor}, 2_000)
        line("submit and result of a C symbol", "ns", figures["ours"])
        line("ThreadPoolExecutor, submit and result", "ns", figures["pool"])
        line("submit / ThreadPoolExecutor", "ratio", ratio(figures, "ours", "pool"), 0.5)
        figures = rounds({"ours": ours_many, "pool": executor_many}, 5_000)
        line("... 5000 at once, each", "ns", figures["ours"])
        line("ThreadPoolExecutor, 5000 at once", "ns", figures["pool"])
        line("submit / ThreadPoolExecutor, at once", "ratio", ratio(figures, "ours", "pool"), 0.5)


async def awaited(app, absolute, figures):
    count = 256
    for _ in range(ROUNDS):
        begun = time.perf_counter_ns()
        for _ in range(20):
            for future in [absolute.submit(-7) for _ in range(count)]:
                await future
        figures["ours"].append((time.perf_counter_ns() - begun) / count / 20)
        begun = time.perf_counter_ns()
        await asyncio.gather(*(asyncio.to_thread(abs, -7) for _ in range(count)))
        figures["thread"].append((time.perf_counter_ns() - begun) / count)


def event_loop():
    with faas.App(worker_max=1) as app:
        figures = {"ours": [], "thread": []}
        asyncio.run(awaited(app, app.symbol(None, "abs", "i(i)"), figures))
        line("asyncio, 256 in flight, per completion", "ns", figures["ours"], 1000)
        line("asyncio.to_thread, 256 in flight", "ns", figures["thread"])
        line("asyncio / to_thread", "ratio", ratio(figures, "ours", "thread"), 0.1)


processors = os.sched_getaffinity(0)
os.sched_setaffinity(0, {max(processors)})
calls()
handlers()
os.sched_setaffinity(0, processors)
workers()
event_loop()
print(f"# {missed} targets missed", file=sys.stderr)
