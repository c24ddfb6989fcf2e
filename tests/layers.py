#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Holds the rooms of the core and their layers, and fails where the code departs.

A room is a .c and a .h of the same name in src/core; X_Y is a part of the room X. A room
includes rooms of its own layer and of lower ones. What stands outside the core goes through
<faas/...>. Each library we build on is included by one room, so that it can be replaced
there.
"""

import os
import re
import sys

LAYERS = [
    # 0: the vocabulary, memory, time, threads
    "base status mem clock machine sync atomics refs grace park random",
    # 1: structures, each usable alone
    "utf8 fold text hash names heap seats sig sigcall sigdirect event form histogram json "
    "pattern transform timer policy forecast admission replay batchcurve responses ring keyed lanes inlet "
    "record",
    # 2: parts of a runtime
    "function context registry alias routes code limit gate desk instance warm ruleset "
    "jobs letters dedupe",
    # 3: the path of an invocation
    "state report invoke batch recall functions symbol bus async letterbox",
    # 4: the whole
    "describe host runtime",
]

# The one room that includes a library's header.
ROOM_OF_LIBRARY = {"xxhash.h": "hash", "mimalloc.h": "mem", "ffi.h": "sigcall"}

# Folders that see the public headers only. Tests and fuzz harnesses may look inside.
OUTSIDE = ["include", "src", "bindings", "examples", "tests/bench"]

# Benches of rooms from inside: what an index saves, the scanner alone, the timer wheel.
INSIDE = [
    "tests/bench/bench_rules.c",
    "tests/bench/bench_scanner.c",
    "tests/bench/bench_timer.c",
]

SOURCES = (".c", ".h", ".cpp", ".hpp", ".cc", ".pyx")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)
CORE = os.path.join("src", "core")


def includes_of(path):
    """Yields (line, quote, name) of each #include."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match[1], match[2]


def room_of(name, layer_of):
    """Returns the room a file belongs to, by its name, or None."""
    stem = os.path.splitext(name)[0]
    return next((room for room in (stem, stem.split("_")[0]) if room in layer_of), None)


def sources_below(folder):
    for where, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if name.endswith(SOURCES):
                yield os.path.join(where, name)


def check_room(path, layer_of):
    """Says what is wrong with a file of src/core."""
    room = room_of(os.path.relpath(path, CORE), layer_of)
    if room is None:
        yield f"{path}: in no layer of tests/layers.py"
        return
    layer = layer_of[room]
    for line, quote, name in includes_of(path):
        if name in ROOM_OF_LIBRARY and ROOM_OF_LIBRARY[name] != room:
            yield f"{path}:{line}: {name} is for the room '{ROOM_OF_LIBRARY[name]}' alone"
        if quote == "<":
            continue
        other = room_of(name, layer_of)
        if other is None:
            yield f"{path}:{line}: \"{name}\" is no room of the core"
        elif layer_of[other] > layer:
            yield (f"{path}:{line}: '{room}' of layer {layer} includes '{other}' of layer "
                   f"{layer_of[other]}")


def check_outside(path):
    """Says where a file outside the core looks into it."""
    for line, _, name in includes_of(path):
        target = os.path.normpath(os.path.join(os.path.dirname(path), name))
        if "core" in name.split("/")[:-1] or target.startswith(CORE + os.sep):
            yield f"{path}:{line}: {name} is inside the core; only <faas/...> is for you"


def main():
    os.chdir(os.environ.get("FAAS_SOURCE_DIR") or os.path.dirname(sys.path[0]))
    layer_of = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms.split()}
    complaints = []
    rooms = list(sources_below(CORE))
    for path in rooms:
        complaints += check_room(path, layer_of)
    outside = [path for folder in OUTSIDE for path in sources_below(folder)
               if path not in rooms and path not in INSIDE]
    for path in outside:
        complaints += check_outside(path)
    for complaint in complaints:
        print(complaint)
    print(f"{len(rooms)} files of the core and {len(outside)} outside it: "
          f"{len(complaints)} complaints")
    return 1 if complaints or not rooms else 0


if __name__ == "__main__":
    sys.exit(main())
