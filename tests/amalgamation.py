#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The core as one file compiles without a warning, and programs with it do what they do with
the library.

scripts/amalgamate makes it; the examples below are compiled with it, and print what the
examples of the build print. All that a linker sees of it is what tests/exports.txt lists.
Before that it makes one file of a small tree that is all collisions.

The compiler is that of the build. Nothing is compiled for sanitizers, which see the same code
in the library.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

EXAMPLES = ["greet", "events", "rules", "retries", "instances", "symbols", "versions"]
LIBRARIES = ["-lffi", "-lm"]
WARNINGS = ["-Wall", "-Wextra", "-Werror"]

# Two rooms with the same names for different things, in each of C's name spaces.
COLLISIONS = {
    "include/faas/faas.h": """
        #ifndef FAAS_FAAS_H
        #define FAAS_FAAS_H
        int faas_one(void);
        int faas_two(void);
        #endif
        """,
    "src/core/base.h": """
        #ifndef FAASI_BASE_H
        #define FAASI_BASE_H
        #include <stddef.h>
        struct faasi_pair { int size, (*write)(int size), (*const _Atomic opened)(int); };
        extern const int faasi_number;
        int faasi_apart(int a, int b);
        #define FAASI_AT(type, member) offsetof(type, member)
        #define FAASI_NAMED(name) #name
        #endif
        """,
    # A template: what includes it says what it is.
    "src/core/status.h": """
        static ROW row_make(int value)
        {
            ROW row = {.size = value * SCALE};

            return row;
        }
        """,
    # This one has a guard, and depends all the same on who includes it.
    "src/core/clock.h": """
        #ifndef FAASI_CLOCK_H
        #define FAASI_CLOCK_H
        static inline int scaled(int value) { return value * SCALE; }
        #endif
        """,
    "src/core/status.c": """
        #define _GNU_SOURCE
        #include "base.h"
        #include <faas/faas.h>
        #define SCALE 10
        #define ROW struct text
        enum { LIMIT = 3, size = 4 };
        struct text { int size; enum { SOME = LIMIT } kind; unsigned bits : LIMIT; };
        #include "clock.h"
        #include "status.h"
        typedef int number;
        static int (*chosen)(int), count = SCALE;
        const int faasi_number = 5;
        static int write(int size) { return size * 2; }
        static int (*_Atomic opened)(int) = write, (*_Atomic const closed[2])(int) = {write};
        static int (*choose(int which))(int) { return which ? write : NULL; }
        int faasi_apart(int a, int b) { return a - b; }
        int faas_one(void)
        {
            struct faasi_pair pair = {.size = size, .write = write};
            struct text text[size] = {{.size = 1}};
            number of = (number)FAASI_AT(struct faasi_pair, size);

            chosen = choose(1);
            goto write;
        write:
            pair.size += text[0].size;
            return of + pair.write(pair.size) + chosen(count) + row_make(LIMIT).size +
                   SOME + faasi_number + faasi_apart(9, 8) + scaled(1) +
                   opened(1) + (closed[1] == NULL) +
                   (FAASI_NAMED(pair)[0] == 'p' ? 100 : 0);
        }
        """,
    "src/core/mem.c": """
        #include "base.h"
        #include <faas/faas.h>
        #define SCALE 7
        #define ROW struct text
        #define count(x) ((x) + 1)
        struct text { long long size; enum { SOME = 9 } kind; };
        #include "status.h"
        #include "clock.h"
        enum { LIMIT = 30 };
        typedef struct { int number; } number;
        static const number table[] = {{LIMIT}, {count(LIMIT)}}, *const chosen = &table[1];
        static int write(int a, int b) { return a + b; }
        static int *_Atomic opened, closed = 1;
        int faas_two(void)
        {
            struct faasi_pair pair = {0, NULL, NULL};

            return write(chosen->number, (int)row_make(2).size) + pair.size + faasi_number +
                   SOME + scaled(1) + (opened == NULL) + closed;
        }
        """,
}
COLLISIONS_MAIN = """
    #include <faas/faas.h>
    #include <stdio.h>
    int main(void) { printf("%d %d\\n", faas_one(), faas_two()); }
    """
# 0 + (4 + 1) * 2 + 10 * 2 + 3 * 10 + 3 + 5 + 1 + 10 + 2 + 1 + 100,
# and 31 + 2 * 7 + 0 + 5 + 9 + 7 + 1 + 1.
COLLISIONS_PRINT = "182 68\n"


def cache_value(binaries, name):
    """Returns a variable of the build, "" without one."""
    path = os.path.join(binaries, "CMakeCache.txt")
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        found = re.search(rf"^{name}:[A-Z]+=(.*)$", file.read(), re.MULTILINE)
    return found.group(1) if found else ""


def run(*command):
    """Returns what a command prints. Ends this if it fails."""
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode != 0:
        sys.exit(f"{' '.join(command)}: status {told.returncode}\n{told.stdout}{told.stderr}")
    return told.stdout


def write_files(folder, files):
    for name, text in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(re.sub(r"^ {8}", "", text.lstrip("\n"), flags=re.MULTILINE))


def visible(thing):
    """Returns the names of an object that others may use."""
    lines = run("nm", "--extern-only", "--defined-only", "--format=posix", thing).splitlines()
    return sorted(line.split()[0] for line in lines)


def check_collisions(compiler, source, folder):
    write_files(folder, {**COLLISIONS, "main.c": COLLISIONS_MAIN})
    for name in ("scripts/amalgamate", "tests/layers.py"):
        os.makedirs(os.path.join(folder, os.path.dirname(name)), exist_ok=True)
        shutil.copy(os.path.join(source, name), os.path.join(folder, name))
    script = os.path.join(folder, "scripts/amalgamate")
    out = os.path.join(folder, "out")
    run(script, out)
    run(compiler, "-std=c11", *WARNINGS, "-I", out, "-c", f"{out}/faas.c", "-o", f"{out}/faas.o")
    run(compiler, "-std=c11", *WARNINGS, "-I", out, f"{folder}/main.c", f"{out}/faas.o",
        "-o", f"{out}/main")
    assert visible(f"{out}/faas.o") == ["faas_one", "faas_two"], visible(f"{out}/faas.o")
    told = run(f"{out}/main")
    assert told == COLLISIONS_PRINT, f"the collisions print {told}"

    # What a text is made of cannot have another name.
    path = os.path.join(folder, "src/core/mem.c")
    with open(path, "a", encoding="utf-8") as file:
        file.write("static const char *text = FAASI_NAMED(write);\n")
    told = subprocess.run([script, out], capture_output=True, text=True, check=False)
    assert told.returncode != 0 and "write becomes a text" in told.stderr, told.stderr


def main():
    source = os.environ.get("FAAS_SOURCE_DIR") or os.path.dirname(os.path.abspath(sys.path[0]))
    binaries = os.environ.get("FAAS_BINARY_DIR") or os.path.join(source, "build/dev")
    compiler = cache_value(binaries, "CMAKE_C_COMPILER") or "cc"
    if cache_value(binaries, "FAAS_SANITIZE"):
        print("skipped: the library is what sanitizers look at")
        sys.exit(77)

    with tempfile.TemporaryDirectory() as folder:
        check_collisions(compiler, source, os.path.join(folder, "collisions"))
        print(run(os.path.join(source, "scripts/amalgamate"), folder), end="")
        run(compiler, "-std=c11", "-O2", *WARNINGS, "-c", f"{folder}/faas.c",
            "-o", f"{folder}/faas.o")
        with open(os.path.join(source, "tests/exports.txt"), encoding="utf-8") as file:
            expected = sorted(line.split("@")[0] for line in file.read().split())
        names = visible(f"{folder}/faas.o")
        for name in sorted(set(names) ^ set(expected)):
            print(f"{name}: {'only in faas.c' if name in names else 'not in faas.c'}")
        wrong = names != expected
        compared = 0
        for name in EXAMPLES:
            program = os.path.join(folder, name)
            run(compiler, "-std=c11", "-I", folder, os.path.join(source, f"examples/{name}.c"),
                f"{folder}/faas.o", "-o", program, *LIBRARIES)
            told = run(program)
            ours = os.path.join(binaries, "examples", name)
            if os.path.exists(ours):
                compared += 1
                if run(ours) != told:
                    print(f"{name}: prints\n{told}")
                    wrong = True
    print(f"{len(names)} names, {len(EXAMPLES)} examples, {compared} of them compared")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
