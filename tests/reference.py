#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every public name has a comment, and doxygen makes of them the reference and man pages."""

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
    headers = os.listdir(os.path.join(source, "include/faas"))
    pages = os.listdir(os.path.join(out, "man/man3")) if told.returncode == 0 else []
    missing = [name for name in headers if f"{name}.3" not in pages]
    print(f"{len(pages)} man pages; headers without one: {' '.join(missing) or 'none'}")
    return 1 if missing else told.returncode


if __name__ == "__main__":
    sys.exit(main())
