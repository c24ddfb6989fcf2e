#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every public name has a comment, and doxygen makes of them the reference and man pages.

Each header has a page, and each function that the library exports one that leads there.
"""

import os
import shutil
import subprocess
import sys


def main():
    source = os.environ.get("FAAS_SOURCE_DIR") or os.path.dirname(sys.path[0])
    binaries = os.environ.get("FAAS_BINARY_DIR") or os.path.join(source, "build/dev")
    if shutil.which("doxygen") is None:
        print("skipped: there is no doxygen")
        return 77
    out = os.path.join(binaries, "reference")
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    told = subprocess.run(["doxygen", "docs/Doxyfile"], cwd=source,
                          env={**os.environ, "FAAS_REFERENCE": out}, check=False)
    if told.returncode != 0:
        return told.returncode
    pages = os.path.join(out, "installed/man3")
    told = subprocess.run([sys.executable, os.path.join(source, "docs/man.py"), pages],
                          check=False)
    if told.returncode != 0:
        return told.returncode
    with open(os.path.join(source, "tests/exports.txt"), encoding="utf-8") as file:
        names = [line.split("@")[0] for line in file.read().split() if line.startswith("faas_")]
    missing = [name for name in names if not os.path.exists(os.path.join(pages, f"{name}.3"))]
    print(f"{len(names)} functions; without a man page: {' '.join(missing) or 'none'}")
    return 1 if missing or not names else 0


if __name__ == "__main__":
    sys.exit(main())
