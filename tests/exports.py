#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The shared library exports what tests/exports.txt lists, and nothing else.

    tests/exports.py            compares
    tests/exports.py --update   writes the list anew

The library is FAAS_LIBRARY, or the one of the dev preset. Names in the list carry their
version node; a name that leaves the list breaks programs that are out there.
"""

import os
import subprocess
import sys


def exported(library):
    """Returns the defined dynamic symbols, as name@@NODE."""
    lines = subprocess.run(["nm", "--dynamic", "--defined-only", "--format=posix", library],
                           capture_output=True, check=True, text=True).stdout.splitlines()
    symbols = [line.split()[0] for line in lines if line]
    return sorted(name for name in symbols if not name.startswith("FAAS_0.1"))


def main():
    os.chdir(os.environ.get("FAAS_SOURCE_DIR") or os.path.dirname(sys.path[0]))
    library = os.environ.get("FAAS_LIBRARY") or "build/dev/libfaas.so"
    listed = "tests/exports.txt"
    names = exported(library)

    stray = [name for name in names if not name.startswith("faas_")]
    for name in stray:
        print(f"{name}: exported, but does not start with faas_")
    if "--update" in sys.argv[1:]:
        with open(listed, "w", encoding="utf-8") as file:
            file.writelines(name + "\n" for name in names)
        print(f"{listed}: {len(names)} names")
        return 1 if stray else 0

    with open(listed, encoding="utf-8") as file:
        expected = file.read().split()
    for name in sorted(set(expected) - set(names)):
        print(f"{name}: listed, but {library} does not export it")
    for name in sorted(set(names) - set(expected)):
        print(f"{name}: exported, but not listed; run tests/exports.py --update if it is meant")
    print(f"{len(names)} exported, {len(expected)} listed")
    return 1 if stray or names != sorted(expected) else 0


if __name__ == "__main__":
    sys.exit(main())
