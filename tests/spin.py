#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the models in tests/*.pml through every schedule, and sees each mutant refuted.

A mutant is a line `// mutant: NAME  what it does` of the model, and a macro there.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77


def errors_of(model, macro):
    """Returns how many errors an exhaustive search finds, how many states, and its report."""
    with tempfile.TemporaryDirectory() as folder:
        generate = ["spin", "-a"] + (["-D" + macro] if macro else []) + [model]
        subprocess.run(generate, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cc", "-O2", "-w", "-o", "pan", "pan.c"], cwd=folder, check=True)
        out = subprocess.run(["./pan", "-m1000000"], cwd=folder, check=True,
                             capture_output=True, text=True).stdout
    if "max search depth too small" in out:
        sys.exit(f"{model}: that was not every schedule:\n{out}")
    return (int(re.search(r"errors: (\d+)", out)[1]),
            int(re.search(r"(\d+) states, stored", out)[1]), out)


def main():
    tests = sys.path[0]
    failures = 0
    if shutil.which("spin") is None:
        print("there is no spin")
        return SKIPPED
    for name in sorted(name for name in os.listdir(tests) if name.endswith(".pml")):
        model = os.path.join(tests, name)
        with open(model, encoding="utf-8") as file:
            mutants = re.findall(r"^// mutant: (\w+)", file.read(), re.MULTILINE)
        errors, states, out = errors_of(model, None)
        print(f"{name}: {states} states, {errors} errors")
        if errors:
            print(out)
        failures += errors
        for mutant in mutants:
            refuted = errors_of(model, mutant)[0] != 0
            print(f"  {mutant}: {'refuted' if refuted else 'STANDS'}")
            failures += not refuted
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
