# SPDX-License-Identifier: MIT
"""C functions by their signatures."""

from __future__ import annotations

import array
import asyncio
import ctypes
import math
import os
import struct
import threading
from typing import Any

import numpy as np
import pytest
from conftest import PATIENCE, Thread

import faas

RANGES = {
    "c": (-(2**7), 2**7 - 1),
    "C": (0, 2**8 - 1),
    "s": (-(2**15), 2**15 - 1),
    "S": (0, 2**16 - 1),
    "i": (-(2**31), 2**31 - 1),
    "I": (0, 2**32 - 1),
    "l": (-(2**63), 2**63 - 1),
    "L": (0, 2**64 - 1),
}


def call(symbol: faas.Symbol, how: str, *args: Any) -> Any:
    if how == "call":
        return symbol(*args)
    if how == "invoke":
        return symbol.invoke(*args)
    return symbol.submit(*args).result(PATIENCE)


HOWS = ["call", "invoke", "submit"]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("letter", RANGES)
def test_an_integer_has_its_range(app: faas.App, library: str, letter: str, how: str) -> None:
    symbol = app.symbol(library, letter, f"{letter}({letter})")
    least, most = RANGES[letter]
    change = {"c": -1, "s": -1, "C": 1, "S": 1}.get(letter, 0)
    for value in {least, most, 0, 1, 5}:
        wanted = (value + change - least) % (most - least + 1) + least
        assert call(symbol, how, value) == wanted
    for value in (least - 1, most + 1, 2**100, -(2**100)):
        with pytest.raises(OverflowError, match="argument 1"):
            call(symbol, how, value)
    for wrong in (1.0, "1", None, b"1", [1]):
        with pytest.raises(TypeError, match="argument 1 .* is an int"):
            call(symbol, how, wrong)


@pytest.mark.parametrize("how", HOWS)
def test_a_bool_is_true_or_false(app: faas.App, library: str, how: str) -> None:
    symbol = app.symbol(library, "b", "b(b)")
    for value in (True, 1, "x", [0]):
        assert call(symbol, how, value) is False
    for value in (False, 0, "", None):
        assert call(symbol, how, value) is True

    class Neither:
        def __bool__(self) -> bool:
            raise ValueError("neither")

    with pytest.raises(ValueError, match="neither"):
        call(symbol, how, Neither())


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("letter", "fd")
def test_a_real_is_a_number(app: faas.App, library: str, letter: str, how: str) -> None:
    symbol = app.symbol(library, letter, f"{letter}({letter})")
    for value in (0.0, 1.5, -3, True, math.inf, np.float64(2.5)):
        assert call(symbol, how, value) == value / 2
    assert math.isnan(call(symbol, how, math.nan))
    for wrong in ("1", None, b"1", 1j):
        with pytest.raises(TypeError, match="argument 1"):
            call(symbol, how, wrong)


@pytest.mark.parametrize("how", HOWS)
def test_a_pointer_is_an_address_or_none(app: faas.App, library: str, how: str) -> None:
    symbol = app.symbol(library, "p", "p(p)")
    assert call(symbol, how, 0x1234) == 0x1234
    assert call(symbol, how, 2**64 - 1) == 2**64 - 1
    assert call(symbol, how, None) is None and call(symbol, how, 0) is None
    for wrong in ("x", 1.0, 2**64, b"x"):
        with pytest.raises((TypeError, OverflowError)):
            call(symbol, how, wrong)


@pytest.mark.parametrize("how", HOWS)
def test_a_string_is_a_text_without_nul_or_none(app: faas.App, library: str, how: str) -> None:
    symbol = app.symbol(library, "z", "z(z)")
    for value in ("abc", "", "grüße", b"abc"):
        assert call(symbol, how, value) == (value.decode() if isinstance(value, bytes) else value)
    assert call(symbol, how, None) is None
    for wrong in ("a\0b", b"a\0", 5, bytearray(b"x"), "\ud800"):
        with pytest.raises((TypeError, ValueError)):
            call(symbol, how, wrong)


@pytest.mark.parametrize("how", HOWS)
def test_bytes_are_whatever_has_a_buffer(app: faas.App, library: str, how: str) -> None:
    symbol = app.symbol(library, "sum", "L(y)")
    for value in (b"\1\2", bytearray(b"\1\2"), memoryview(b"\0\1\2\3")[1:3]):
        assert call(symbol, how, value) == 3
    assert call(symbol, how, b"") == 0
    assert call(symbol, how, np.arange(100, dtype=np.uint8)) == 4950
    assert call(symbol, how, array.array("B", [5])) == 5
    for wrong in ("text", 5, None, [1]):
        with pytest.raises(TypeError, match="argument 1"):
            call(symbol, how, wrong)
    for slanted in (memoryview(b"abcd")[::2], np.zeros((4, 4), np.uint8)[:, ::2]):
        with pytest.raises((BufferError, ValueError), match="contiguous"):
            call(symbol, how, slanted)


@pytest.mark.parametrize("how", HOWS)
def test_bytes_are_not_copied(app: faas.App, library: str, how: str) -> None:
    data = np.zeros(1 << 22, np.uint8)
    address = data.__array_interface__["data"][0]
    assert call(app.symbol(library, "address", "L(y)"), how, data) == address
    assert call(app.symbol(library, "y", "y(y)"), "invoke", b"abc\0d") == b"abc\0d"


def test_the_bytes_of_a_submitted_call_are_held_until_it_has_ended(
    app: faas.App, library: str
) -> None:
    symbol = app.symbol(library, "sum", "L(y)")
    futures = [symbol.submit(bytes([i]) * 10) for i in range(200)]
    assert [f.result(PATIENCE) for f in futures] == [10 * i for i in range(200)]
    buffer = bytearray(b"\1\2")
    future = symbol.submit_with((buffer,), delay=3600.0)
    with pytest.raises(BufferError):
        buffer.append(1)
    assert future.cancel()
    buffer.append(1)


@pytest.mark.parametrize("how", HOWS)
def test_a_struct_is_its_bytes(app: faas.App, library: str, how: str) -> None:
    symbol = app.symbol(library, "turn", "{id}({id})")
    turned = call(symbol, how, struct.pack("i4xd", 3, 4.0))
    assert struct.unpack("i4xd", turned) == (4, 3.0)
    point = np.zeros(1, np.dtype([("x", "i4"), ("y", "f8")], align=True))
    point[0] = (5, 6.0)
    assert struct.unpack("i4xd", call(symbol, how, point)) == (6, 5.0)
    for wrong in (b"", bytes(15), bytes(17)):
        with pytest.raises(TypeError, match="15|17|0|bytes"):
            call(symbol, how, wrong)
    with pytest.raises(TypeError):
        call(symbol, how, (3, 4.0))


@pytest.mark.parametrize("how", HOWS)
def test_nothing_is_returned_as_none(app: faas.App, library: str, how: str) -> None:
    called = app.symbol(library, "called", "i()")
    before = call(called, how)
    assert call(app.symbol(library, "v", "v()"), how) is None
    assert call(called, how) == before + 1


@pytest.mark.parametrize("how", HOWS)
def test_many_arguments_of_many_types(app: faas.App, library: str, how: str) -> None:
    symbol = app.symbol(library, "many", "i(idzyc)")
    assert call(symbol, how, 1, 2.5, "abc", b"1234", -5) == 1 + 2 + 3 + 4 - 5


@pytest.mark.parametrize("how", HOWS)
def test_a_wrong_count_of_arguments_is_a_type_error(app: faas.App, how: str) -> None:
    hypot = app.symbol("libm.so.6", "hypot", "d(dd)")
    assert call(hypot, how, 3, 4) == 5
    for args in ((), (1,), (1, 2, 3), tuple(range(50))):
        with pytest.raises(TypeError, match=f"takes 2 arguments, not {len(args)}"):
            call(hypot, how, *args)
    one = app.symbol(None, "labs", "l(l)")
    with pytest.raises(TypeError, match="takes 1 argument, not 0"):
        call(one, how)


def test_named_arguments_are_refused(app: faas.App) -> None:
    symbol = app.symbol(None, "labs", "l(l)")
    for method in (symbol, symbol.invoke, symbol.submit):
        with pytest.raises(TypeError):
            method(x=1)
    assert symbol(*[-1], **{}) == symbol.submit(*[-1], **{}).result() == 1


@pytest.mark.parametrize(
    "signature", ["", "x", "d", "d(", "d(d", "d()d", "d(v)", "d(dq)", "{}()", "d (d)", "d" * 300]
)
def test_a_signature_that_is_none_is_refused(app: faas.App, signature: str) -> None:
    with pytest.raises(faas.Invalid):
        app.symbol("libm.so.6", "hypot", signature)
    assert app.describe()["functions"] == []


def test_a_signature_is_a_str_without_nul(app: faas.App) -> None:
    for wrong in ("d(d\0)", "\ud800", 5, None, b"d(d)"):
        with pytest.raises((TypeError, ValueError)):
            app.symbol("libm.so.6", "sqrt", wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("library", "name"),
    [("libnone.so.1", "x"), (None, "no_such_symbol_here"), ("libm.so.6", ""), ("/", "x")],
)
def test_what_cannot_be_loaded_is_a_load_error(
    app: faas.App, library: str | None, name: str
) -> None:
    with pytest.raises((faas.LoadError, faas.Invalid)) as caught:
        app.symbol(library, name, "v()", as_name="x")
    assert isinstance(caught.value, (OSError, ValueError))
    assert app.describe()["functions"] == [] and app.stats()["functions"] == {}


def test_a_symbol_has_the_policy_of_a_function(app: faas.App) -> None:
    symbol = app.symbol(None, "labs", "l(l)", concurrency=faas.OFF, as_name="off")
    assert (symbol.name, symbol.signature) == ("off", "l(l)")
    assert repr(symbol) == "<faas.Symbol off l(l)>"
    with pytest.raises(faas.Throttled):
        symbol(1)
    symbol.update(concurrency=1)
    assert symbol(-1) == 1
    assert symbol.stats()["invocations"] == 1
    assert app.stats()["functions"]["off"]["throttles"] == 1
    with pytest.raises(faas.Exists):
        app.symbol(None, "labs", "l(l)", as_name="off")
    symbol.unregister()
    with pytest.raises(faas.NotFound):
        symbol(1)
    assert app.stats()["functions"] == {}


def test_a_symbol_is_awaited(app: faas.App) -> None:
    symbol = app.symbol(None, "labs", "l(l)")

    async def main() -> list[int]:
        return await asyncio.gather(*[symbol.submit(-i) for i in range(100)])

    assert asyncio.run(main()) == list(range(100))


def test_two_threads_sleep_in_c_at_once(app: faas.App) -> None:
    """One is inside poll() until the other one, which needs Python's lock, writes."""
    symbol = app.symbol(None, "poll", "i(pLi)")
    read_end, write_end = os.pipe()
    second_read, second_write = os.pipe()
    try:
        waits = [struct.pack("ihh", end, 1, 0) for end in (read_end, second_read)]
        kept = [ctypes.create_string_buffer(w) for w in waits]
        threads = [
            Thread(symbol.invoke, ctypes.addressof(k), 1, int(PATIENCE * 1000)) for k in kept
        ]
        while symbol.stats()["concurrency"] < 2:
            assert all(t.is_alive() for t in threads)
        assert symbol.stats()["concurrency_peak"] == 2
        os.write(write_end, b"x")
        os.write(second_write, b"x")
        assert [t.outcome() for t in threads] == [1, 1]
    finally:
        for end in (read_end, write_end, second_read, second_write):
            os.close(end)


def test_python_runs_while_a_submission_waits_for_room(library: str) -> None:
    read_end, write_end = os.pipe()
    kept = ctypes.create_string_buffer(struct.pack("ihh", read_end, 1, 0))
    arguments = ctypes.addressof(kept), 1, int(PATIENCE * 1000)
    try:
        with faas.App(worker_max=1) as app:
            symbol = app.symbol(
                None,
                "poll",
                "i(pLi)",
                concurrency=1,
                async_={"queue_slots": 1, "on_queue_full": "wait"},
            )
            called = threading.Semaphore(0)

            def submit() -> None:
                for _ in range(4):
                    symbol.submit(*arguments).add_done_callback(lambda f: called.release())

            thread = Thread(submit)
            while symbol.stats()["concurrency"] < 1:
                pass
            os.write(write_end, b"x")
            thread.outcome()
            for _ in range(4):
                assert called.acquire(timeout=PATIENCE)
    finally:
        os.close(read_end)
        os.close(write_end)


def test_python_runs_while_a_worker_sleeps_in_c(app: faas.App) -> None:
    symbol = app.symbol("libc.so.6", "usleep", "i(I)")
    order: list[str] = []
    done = threading.Event()
    future = symbol.submit(20_000)

    def ended(f: Any) -> None:
        order.append("sleep")
        done.set()

    future.add_done_callback(ended)
    order.append("python")
    assert done.wait(PATIENCE)
    assert order == ["python", "sleep"] and future.result() == 0


def test_an_event_for_a_symbol_is_refused_or_counted(app: faas.App) -> None:
    symbol = app.symbol(None, "labs", "l(l)")
    with pytest.raises(TypeError):
        app.on("x")(symbol)
