#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every block of C in README.md compiles without a warning, and its programs run.

A block with a main() is a program: it is linked with the library and run, and what it
prints must stand in the README. One with functions of its own is compiled as a file. Any
other is compiled as the body of a function that is given `rt` and `fn`, as the text around
it says. A console block is run: after `$ ` stands a command, after `> ` what belongs to it,
and then what it prints. The files that the README links to must be there.

The library is FAAS_LIBRARY, or the one of the dev preset; compiler and sanitizers are those
it was built with.
"""

import os
import re
import subprocess
import sys
import tempfile

BODY = """#include <faas/faas.h>
#include <stdio.h>
faas_status block(faas_runtime *rt, faas_fn fn);
faas_status block(faas_runtime *rt, faas_fn fn)
{
    (void)rt, (void)fn;
    {
%s
    }
    return FAAS_OK;
}
"""


def cache_value(binaries, name):
    """Returns a variable of the build, "" without one."""
    path = os.path.join(binaries, "CMakeCache.txt")
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        found = re.search(rf"^{name}:[A-Z]+=(.*)$", file.read(), re.MULTILINE)
    return found.group(1) if found else ""


def unit_of(block):
    """Returns a block as a source file, and the flags that its kind needs."""
    if re.search(r"^int main\(", block, re.MULTILINE):
        return block, []
    if re.search(r"^static .*\)\n\{", block, re.MULTILINE):
        return "#include <faas/faas.h>\n" + block, ["-Wno-unused-function", "-c"]
    return BODY % block, ["-Wno-unused-but-set-variable", "-c"]


def session_of(block):
    """Yields each command of a console block and what should come of it."""
    command, output = "", ""
    for line in block.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, output
            command, output = line[2:] + "\n", ""
        elif line.startswith("> "):
            command += line[2:] + "\n"
        else:
            output += line + "\n"
    yield command, output


def consoles_wrong(text, folder, programs):
    """Runs the console blocks in a folder, one after the other, and counts what is wrong."""
    wrong = count = 0
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    for match in re.finditer(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        line = text[:match.start()].count("\n") + 2
        for command, output in session_of(match.group(1)):
            told = subprocess.run(["sh", "-c", command], cwd=folder, env={**os.environ, **path},
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  check=False)
            count += 1
            if told.stdout != output:
                print(f"README.md:{line}: {command.splitlines()[0]}: printed\n{told.stdout}"
                      f"which is not\n{output}")
                wrong += 1
    print(f"{count} commands: {wrong} wrong")
    return wrong if count else 1


def main():
    source = os.environ.get("FAAS_SOURCE_DIR") or os.path.dirname(sys.path[0])
    binaries = os.environ.get("FAAS_BINARY_DIR") or os.path.join(source, "build/dev")
    library = os.environ.get("FAAS_LIBRARY") or os.path.join(binaries, "libfaas.so")
    compiler = cache_value(binaries, "CMAKE_C_COMPILER") or "cc"
    sanitizers = cache_value(binaries, "FAAS_SANITIZE")
    command = [compiler, "-std=c11", "-O1", "-Wall", "-Wextra", "-Wshadow", "-Werror",
               "-I", os.path.join(source, "include")]
    if sanitizers:
        command.append(f"-fsanitize={sanitizers}")

    with open(os.path.join(source, "README.md"), encoding="utf-8") as file:
        text = file.read()
    blocks = [(text[:match.start()].count("\n") + 2, match.group(1))
              for match in re.finditer(r"^```c\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]
    wrong, ran = 0, 0
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        if not os.path.exists(os.path.join(source, link)):
            print(f"README.md links to {link}, which is not there")
            wrong += 1

    with tempfile.TemporaryDirectory() as folder:
        for line, block in blocks:
            unit, flags = unit_of(block)
            program = os.path.join(folder, f"block_{line}")
            with open(program + ".c", "w", encoding="utf-8") as file:
                file.write(unit)
            link = [] if "-c" in flags else [library, f"-Wl,-rpath,{os.path.dirname(library)}"]
            built = subprocess.run(command + flags + [program + ".c", "-o", program] + link,
                                   capture_output=True, text=True, check=False)
            if built.returncode != 0:
                print(f"README.md:{line}: does not compile\n{built.stderr}")
                wrong += 1
            elif link:
                told = subprocess.run([program], capture_output=True, text=True, check=False)
                ran += 1
                if told.returncode != 0 or not told.stdout or told.stdout.strip() not in text:
                    print(f"README.md:{line}: status {told.returncode}, printed "
                          f"{told.stdout!r}, {told.stderr}")
                    wrong += 1
        if os.path.exists(os.path.join(binaries, "bin/faas")): # built where there is zlib
            wrong += consoles_wrong(text, folder, os.path.join(binaries, "bin"))
    print(f"{len(blocks)} blocks of C, {ran} of them programs: {wrong} wrong")
    return 1 if wrong or ran == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
