# SPDX-License-Identifier: MIT
"""One binary serves newer Pythons, and interpreters beside the main one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import faas

PACKAGE = Path(faas.__file__).parent.parent
EXAMPLES = Path(__file__).parent.parent / "examples"

BESIDE = """
import sys, threading
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
sys.path.insert(0, {package!r})
import faas

CODE = '''
import sys
sys.path.insert(0, {package!r})
import faas
app = faas.App("beside", worker_max=1)

@app.function
def twice(x):
    return x * 2

@app.on("a.b")
def heard(event):
    pass

for i in range(500):
    assert twice.invoke(i) == 2 * i == twice.submit(i).result()
    assert app.emit("a.b").ran == 1
app.close()
'''

def beside():
    made = interpreters.create()
    run = getattr(interpreters, "exec", interpreters.run_string)
    failed = run(made, CODE)
    interpreters.destroy(made)
    assert failed is None, failed
    done.append(made)

done = []
app = faas.App("main", worker_max=1)

@app.function
def same(x):
    return x

threads = [threading.Thread(target=beside) for _ in range(2)]
for thread in threads:
    thread.start()
for i in range(5000):
    assert same.invoke(i) == i
for thread in threads:
    thread.join()
print(len(done), same.submit(7).result())
"""


def newer():
    """The Pythons from 3.11 on that are here and start."""
    found = {sys.executable}
    for minor in range(11, 20):
        path = shutil.which(f"python3.{minor}")
        if path is None:
            continue
        says = subprocess.run([path, "--version"], capture_output=True, check=False)
        if says.returncode == 0:
            found.add(path)
    return sorted(found)


@pytest.fixture(params=newer())
def python(request):
    def run(*args):
        done = subprocess.run(
            [request.param, *args],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_every_python_from_3_11_on_runs_the_tour(python):
    assert python(EXAMPLES / "tour.py").endswith("counted to 2\n")


def test_interpreters_beside_the_main_one_have_apps_of_their_own(python):
    assert python("-c", BESIDE.format(package=str(PACKAGE))) == "2 7\n"
