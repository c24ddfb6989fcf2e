#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Holds the statuses that the torture program lets pass to those that the headers list.

Each line of `contracts` in tests/torture.c that names a public function may have only what
stands in that function's comment, or in that of one whose statuses it says it has: "as
faas_function_register()".
"""

import glob
import os
import re
import sys


def comments(texts):
    """The comment of each public function, by its name."""
    found = {}
    for text in texts:
        for comment, rest in re.findall(r"(/\*\*.*?\*/)\s*(FAAS_API[^;{]*)", text, re.S):
            name = re.search(r"\b(faas_\w+)\(", rest)
            if name:
                found[name[1]] = re.sub(r"\s*\n \* *", " ", comment)
    return found


def listed(name, found, seen=()):
    """The statuses that a function's comment lists, and those it refers to."""
    statuses = set(re.findall(r"FAAS_E[A-Z]+", found[name]))
    for other in re.findall(r"\bas (faas_\w+)\(", found[name]):
        if other in found and other not in seen:
            statuses |= listed(other, found, seen + (name,))
    return statuses


def main():
    os.chdir(os.environ.get("FAAS_SOURCE_DIR", "."))
    found = comments(open(path, encoding="utf-8").read() for path in glob.glob("include/faas/*.h"))
    source = open("tests/torture.c", encoding="utf-8").read()
    lines = re.findall(r'\{"(faas_\w+)", \{([^}]*)\}\}', source)
    complaints = [
        f"{name}: {status} is in no comment of it"
        for name, statuses in lines
        for status in statuses.split(", ")
        if name not in found or status not in listed(name, found)
    ]
    print("\n".join(complaints + [f"{len(lines)} contracts: {len(complaints)} complaints"]))
    return 1 if complaints or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
