# SPDX-License-Identifier: MIT
"""What the tests share. Nothing here sleeps: who waits, waits for an event or a future."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import faas

# Installed, the package brings its plugin; from the tree it has to be named.
pytest_plugins = [] if "faas.pytest_plugin" in sys.modules else ["faas.pytest_plugin"]

PATIENCE = 30.0
"""Seconds until a test that hangs is a failure; none of them takes long."""


@pytest.fixture(autouse=True)
def nothing_hangs() -> Iterator[None]:
    """A test that hangs fails, where the interpreter can still say so."""

    def stop(number: int, frame: Any) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(int(2 * PATIENCE))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def app() -> Iterator[faas.App]:
    """An app with two workers."""
    with faas.App("tests", worker_max=2) as made:
        yield made


class Gate:
    """A handler's body that says it has come, and stays until it is let go."""

    def __init__(self) -> None:
        self.come = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, *args: Any) -> Any:
        self.come.release()
        assert self.go.wait(PATIENCE)
        return args[0] if args else None

    def wait(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.come.acquire(timeout=PATIENCE)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.go.set()


class Thread(threading.Thread):
    """A thread whose result, or exception, join() hands over."""

    def __init__(self, body: Callable[..., Any], *args: Any) -> None:
        super().__init__(daemon=True)
        self._body, self._arguments = body, args
        self._result: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._body(*self._arguments)
        except BaseException as error:
            self._error = error

    def outcome(self) -> Any:
        self.join(PATIENCE)
        assert not self.is_alive(), "it hangs"
        if self._error is not None:
            raise self._error
        return self._result


def python(
    code: str, timeout: float = PATIENCE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": str(Path(faas.__file__).parent.parent), **environment},
    )


C_SYMBOLS = r"""
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

bool b(bool x) { return !x; }
int8_t c(int8_t x) { return (int8_t)(x - 1); }
uint8_t C(uint8_t x) { return (uint8_t)(x + 1); }
int16_t s(int16_t x) { return (int16_t)(x - 1); }
uint16_t S(uint16_t x) { return (uint16_t)(x + 1); }
int32_t i(int32_t x) { return x; }
uint32_t I(uint32_t x) { return x; }
int64_t l(int64_t x) { return x; }
uint64_t L(uint64_t x) { return x; }
float f(float x) { return x / 2; }
double d(double x) { return x / 2; }
void *p(void *x) { return x; }
const char *z(const char *x) { return x; }
int calls;
void v(void) { calls++; }
int called(void) { return calls; }
typedef struct { const void *data; size_t size; } bytes;
bytes y(const void *data, size_t size) { return (bytes){data, size}; }
uint64_t address(const void *data, size_t size) { (void)size; return (uint64_t)(uintptr_t)data; }
uint64_t sum(const uint8_t *data, size_t size)
{
    uint64_t all = 0;
    for (size_t i = 0; i < size; i++)
        all += data[i];
    return all;
}
struct point { int32_t x; double y; };
struct point turn(struct point p) { return (struct point){(int32_t)p.y, p.x}; }
int many(int a, double b, const char *c, const void *d, size_t e, int8_t f)
{
    (void)d;
    return a + (int)b + (int)strlen(c) + (int)e + f;
}
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A shared object with a function for every letter of a signature."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("symbols")
    source, made = folder / "symbols.c", folder / "libsymbols.so"
    source.write_text(C_SYMBOLS)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, source], check=True)
    return str(made)
