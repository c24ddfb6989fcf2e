#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes the man pages of section 3 from the comments in include/, by doxygen.

    docs/man.py FOLDER

There is a page per header, faas_async.h(3), and one per struct; the page of a function leads
to that of its header. Doxygen names pages by what stands in the header alone: base.h(3)
would be anybody's. Its other pages, of fields and enumerators, are left out. What it warns
about is for tests/reference.py to judge.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile


def installed(header):
    """The page of a header."""
    return header if header.startswith("faas") else f"faas_{header}"


def header_page(text, header):
    """A header's page, by the name it is installed by, and with how to include it."""
    text = text.replace(f'.TH "faas/{header}"', f'.TH "{installed(header)}"', 1)
    text = text.replace(f"faas/{header} \\-", f"{installed(header)} \\-", 1)
    return text.replace(".SH SYNOPSIS\n.br\n.PP\n",
                        f".SH SYNOPSIS\n.br\n.PP\n\\fB#include <faas/{header}>\\fP\n.PP\n", 1)


def pages_of(folder, headers):
    """Yields name and text of each page that is installed; `headers` gives their texts."""
    for page in sorted(os.listdir(folder)):
        with open(os.path.join(folder, page), encoding="utf-8") as file:
            text = file.read().replace("\\fC", "\\fI") # a font that terminals do not have
        text = re.sub(r'^(\.TH "\S+" 3) "[^"]*"', r'\1 ""', text) # the same every day
        name = page.removesuffix(".3")
        if name in headers:
            yield f"{installed(name)}.3", header_page(text, name)
        elif text.startswith(".so") and name.startswith("faas_"):
            header = text.removeprefix(".so man3/").strip().removesuffix(".3")
            if header not in headers: # doxygen does not know where some enumerations are
                header = next(each for each in headers if f"}} {name};" in headers[each])
            yield page, f".so man3/{installed(header)}.3\n"
        elif name.startswith("faas_"):
            yield page, text


def main():
    source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    out = os.path.abspath(sys.argv[1])
    headers = {}
    for name in sorted(os.listdir(os.path.join(source, "include/faas"))):
        with open(os.path.join(source, "include/faas", name), encoding="utf-8") as file:
            headers[name] = file.read()
    with tempfile.TemporaryDirectory() as made:
        with open(os.path.join(source, "docs/Doxyfile"), encoding="utf-8") as file:
            settings = file.read() + "GENERATE_XML = NO\nWARNINGS = NO\nWARN_AS_ERROR = NO\n"
        told = subprocess.run(["doxygen", "-"], input=settings, text=True, cwd=source,
                              env={**os.environ, "FAAS_REFERENCE": made}, check=False)
        if told.returncode != 0:
            return told.returncode
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        names = []
        for name, text in pages_of(os.path.join(made, "man/man3"), headers):
            with open(os.path.join(out, name), "w", encoding="utf-8") as file:
                file.write(text)
            names.append(name)
    missing = [name for name in headers if f"{installed(name)}.3" not in names]
    print(f"{len(names)} man pages; headers without one: {' '.join(missing) or 'none'}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
