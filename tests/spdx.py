#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every source file and script says under which licence it stands, near its top."""

import os
import subprocess
import sys

LINE = "SPDX-License-Identifier: MIT"
ENDINGS = (".c", ".h", ".cpp", ".hpp", ".py", ".pyi", ".pyx", ".sh", ".cmake", ".in", ".map",
           ".toml", ".yml", ".yaml", "CMakeLists.txt")
# No room for a comment, or not ours to sign: JSON, Markdown, lists, corpora.
SCRIPT_FOLDERS = ("scripts/", ".ci/")


def files_of_tree():
    """Tracked files and those that would be; without git, all but what builds make."""
    git = subprocess.run(["git", "ls-files", "-z", "--cached", "--others",
                          "--exclude-standard"], capture_output=True, check=False) \
        if os.path.isdir(".git") and os.access("/usr/bin/git", os.X_OK) else None
    if git is not None and git.returncode == 0:
        return [name for name in git.stdout.decode().split("\0") if name]
    found = []
    for where, folders, files in os.walk("."):
        folders[:] = [name for name in folders
                      if name not in (".git", "__pycache__") and not name.startswith("build")]
        found += [os.path.relpath(os.path.join(where, name), ".") for name in files]
    return found


def is_source(name):
    return name.endswith(ENDINGS) or (name.startswith(SCRIPT_FOLDERS)
                                      and "." not in os.path.basename(name))


def main():
    os.chdir(os.environ.get("FAAS_SOURCE_DIR") or os.path.dirname(sys.path[0]))
    names = sorted(name for name in files_of_tree()
                   if is_source(name) and os.path.isfile(name))
    bare = []
    for name in names:
        with open(name, encoding="utf-8") as file:
            if not any(LINE in line for line in file.readlines()[:3]):
                bare.append(name)
                print(f"{name}: no '{LINE}' in its first three lines")
    print(f"{len(names)} sources, {len(bare)} without the line")
    return 1 if bare or not names else 0


if __name__ == "__main__":
    sys.exit(main())
