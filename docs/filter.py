#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What doxygen reads a header through: the same lines, with marks that it lays out.

    docs/filter.py HEADER

Comments tell the statuses that a function returns as a table, and who owns what, on which
thread, at which cost in lines of their own. To doxygen both are running text. Here the rows
become a list and the lines paragraphs, by the aliases of docs/Doxyfile, so that its line
numbers stay ours.
"""

import re
import sys

FIELD = re.compile(r"^( \* )(Owner|Thread|Cost|Units|Source|Since): +(?=\S)")
NAMES = r"FAAS_\w+(?:, FAAS_\w+)*"
ROW = re.compile(rf"^( \*  {{8,}})({NAMES})(?:( +)(?=[^ (])|(?=,?$| \())")
FIRST_ROW = re.compile(rf"^( \* @return )({NAMES})  +(?=\S)")


def code(names):
    return re.sub(r"FAAS_\w+", r"`\g<0>`", names)


def marked(line, before):
    """Returns a line of a comment; `before` is the one before it."""
    if FIELD.match(line):
        return FIELD.sub(r"\1@field{\2} ", line)
    if FIRST_ROW.match(line):
        return FIRST_ROW.sub(lambda row: f"{row[1]}@row{{{code(row[2])}}} ", line)
    if ROW.match(line) and not before.endswith(","):
        return ROW.sub(lambda row: f"{row[1]}- {code(row[2])}" + (": " if row[3] else ""),
                       line)
    return line


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        lines = file.read().split("\n")
    comment, before = False, ""
    for number, line in enumerate(lines):
        comment = comment or line.startswith("/**")
        if comment:
            lines[number], before = marked(line, before), line
        if line.endswith("*/"):
            comment, before = False, ""
    print("\n".join(lines), end="")


if __name__ == "__main__":
    main()
