# SPDX-License-Identifier: MIT
"""The Python of the READMEs works when it is pasted."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).parent.parent


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_of_the_projects_readme_prints_what_stands_there():
    text = (HERE.parent.parent / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n((?:[^`].*\n|\n)*)```\n\n((?:    .*\n)*)", text, re.M)
    assert blocks
    for code, output in blocks:
        assert run(code) == textwrap.dedent(output)


def test_the_python_of_the_packages_readme_runs():
    text = (HERE / "README.md").read_text(encoding="utf-8")
    code = text[text.index("    import faas") : text.index("On Debian 12")]
    assert run(textwrap.dedent(code)).splitlines() == [
        "hello, world",
        "hello, world",
        "{'total': 129.5}",
    ]
