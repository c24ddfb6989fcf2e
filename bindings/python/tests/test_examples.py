# SPDX-License-Identifier: MIT
"""The examples run, and type-check."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
DATA = Path(os.environ.get("FAAS_DATA_DIR", "/nonexistent"))
MODELS = Path(os.environ.get("FAAS_MODELS_DIR", "/nonexistent"))


def run(name, *args):
    for path in args:
        if not path.exists():
            pytest.skip(f"no {path}")
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *args], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_tour_shows_what_each_decorator_does():
    out = run("tour.py")
    assert "hello, world!" in out and "a big one!" in out and out.endswith("counted to 2\n")


def test_the_service_holds_its_limit_and_answers_all():
    out = run("service.py").splitlines()
    assert out[:3] == ["bad line: nonsense", "3610a686", "?"]
    assert out[3:9] == [f"K{i}" for i in range(6)]
    assert out[9] == "most at once: 2"


def test_the_week_of_earthquakes_is_the_one_that_was():
    out = run("quakes.py", DATA / "earthquakes.json")
    assert "region       1679 invocations" in out
    assert "M 6.4 22km NNE of Hualian, Taiwan" in out
    assert "311 Alaska" in out


def test_the_digits_are_as_right_as_the_model():
    pytest.importorskip("numpy")
    mnist = MODELS / "mnist"
    out = run(
        "digits.py",
        mnist / "model.onnx",
        mnist / "t10k-images-idx3-ubyte",
        mnist / "t10k-labels-idx1-ubyte",
        DATA / "libonnxruntime.so",
    )
    assert "9891 of 10000 digits are right: 98.91%" in out


@pytest.mark.skipif(shutil.which("mypy") is None, reason="no mypy")
def test_the_examples_and_the_package_type_check_strictly():
    import faas

    package = Path(faas.__file__).parent
    done = subprocess.run(
        ["mypy", "--strict", "--cache-dir", os.devnull, *sorted(EXAMPLES.glob("*.py"))],
        capture_output=True,
        text=True,
        env={**os.environ, "MYPYPATH": str(package.parent)},
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("stubtest") is None, reason="no stubtest")
def test_the_stubs_are_what_is_compiled():
    import faas

    done = subprocess.run(
        ["stubtest", "faas._faas", "--allowlist", Path(__file__).parent / "stubtest.txt"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(faas.__file__).parent.parent)},
    )
    assert done.returncode == 0, done.stdout
