# SPDX-License-Identifier: MIT
"""What type checkers see."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import faas

HERE = Path(__file__).resolve().parent
PACKAGE = Path(faas.__file__).resolve().parent

pytest.importorskip("mypy")

GOOD = """
import asyncio
import faas
from faas import testing

app = faas.App("types", worker_max=2)

@app.function(concurrency=2, on_full="wait", async_={"retries": 3})
def greet(name: str, *, loud: bool = False) -> str:
    return name.upper() if loud else name

@app.function
def plain(x: int) -> float:
    return x / 2

@app.function
async def slow(x: int) -> str:
    return str(x)

@app.on({"type": ["order.created"]})
def hear(event: faas.Event) -> None:
    view: memoryview = event.data
    text: str | None = event.subject

@app.batch(batch_max=8)
def double(xs: list[int]) -> list[int]:
    return [2 * x for x in xs]

a: str = greet("x", loud=True)
b: str = greet.invoke("x")
c: faas.Future[str] = greet.submit("x", loud=False)
d: str = c.result(1.0)
e: float = plain.invoke(1)
f: int = double.invoke(5)
g: faas.Delivery = app.emit("x", {"a": 1}, subject="s")
h: int = g.ran
sqrt: faas.Symbol = app.symbol("libm.so.6", "sqrt", "d(d)", concurrency=5)

@plain.init
def begin() -> int:
    return 5

@plain.close
def end(state: int) -> None: ...

async def main() -> None:
    async with app:
        x: str = await slow.invoke(1)
        y: str = await slow.submit(1)
        z: str = await greet.submit("x")
        w: faas.Delivery = await app.aemit("x")

with testing.Client(app) as client, testing.context(state=5) as made:
    client.advance(5.0)
    s: list[faas.Event] = client.events
    t: float = made.remaining
try:
    pass
except faas.Throttled as error:
    u: float = error.retry_after
"""

# Each line that ends with "# no" has to be refused, and no other one.
BAD = """
import faas

app = faas.App()

@app.function
def half(x: int, *, loud: bool = False) -> float:
    return x / 2

@app.function
async def slow(x: int) -> str:
    return str(x)

half("x")  # no
half.invoke("x")  # no
half.submit(1, loud="x")  # no
half.submit()  # no
text: str = half.invoke(1)  # no
wrong: str = half.submit(1).result()  # no
value: str = slow.invoke(1)  # no
half.init(5)  # no
app.emit(5)  # no
faas.Event.new("x").id = "y"  # no
app.function(run="elsewhere")  # no
app.nonsense()  # no
half.submit_with((1,), priority="urgent")  # no
half.invoke(1)
"""


def check(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "checked.py"
    file.write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", file],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
    )


def test_what_is_right_is_right_for_mypy(tmp_path: Path) -> None:
    done = check(tmp_path, GOOD)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_wrong_is_wrong_for_mypy(tmp_path: Path) -> None:
    done = check(tmp_path, BAD)
    refused = {int(n) for n in re.findall(r"checked\.py:(\d+): error", done.stdout)}
    wanted = {n for n, line in enumerate(BAD.splitlines(), 1) if line.endswith("# no")}
    assert refused == wanted, done.stdout


def examples(text: str) -> str:
    """The indented blocks of a text that are Python."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", text, re.MULTILINE)
    return "\n".join(
        re.sub(r"^ {4}", "", block, flags=re.MULTILINE)
        for block in blocks
        if re.search(r"faas\.App|@app\.", block)
    )


@pytest.mark.parametrize("where", ["README", "docstring"])
def test_the_examples_are_typed_and_run(where: str, tmp_path: Path) -> None:
    readme = HERE.parent / "README.md"
    if where == "README" and not readme.exists():
        pytest.skip("installed without its README")
    code = examples(readme.read_text() if where == "README" else (faas.__doc__ or ""))
    assert "app.emit" in code
    done = check(tmp_path, code)
    assert done.returncode == 0, done.stdout + done.stderr
    exec(compile(code, where, "exec"), {"__name__": where})


def test_the_package_is_typed_throughout(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path, "-p", "faas"],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stub_says_what_the_compiled_part_has(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "faas._faas"]
        + ["--allowlist", HERE / "stubtest.txt"],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        env={"PYTHONPATH": str(PACKAGE.parent), "MYPY_CACHE_DIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
