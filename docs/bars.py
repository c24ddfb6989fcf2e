#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Draws a table of the README's numbers as bars, to standard output.

    docs/bars.py bars-tasks >tasks.svg

A cell of two numbers is a bar to the smaller one and a paler one to the larger. The colours are
those of the page that the picture stands in, light or dark; alone it has its own.
"""

import html
import os
import re
import sys

WIDTH, LEFT, RIGHT = 640, 190, 90
BAR, GAP, HEAD = 16, 4, 30

# By name: the first cell of the table's head, what is drawn, and its unit.
PICTURES = {
    "bars-tasks": ("empty tasks", "Empty tasks, each", "ns"),
    "bars-rules": ("class", "Five rules against an event of 900 B, in times of memchr over it", ""),
}

INK = "var(--color-foreground-primary, #24292f)"
PALE = "var(--color-foreground-secondary, #57606a)"
OURS = "var(--color-brand-primary, #0a4bff)"
THEIRS = "var(--color-foreground-border, #8c959f)"


def numbers_of(cell):
    """Returns the one or two numbers that a cell consists of, or nothing."""
    found = re.fullmatch(r"([\d.]+)(?:(?:,| to) ([\d.]+))?", cell.strip())
    return sorted(float(n) for n in found.groups() if n) if found else []


def table(source, first):
    """Returns a table of the README as rows: a name, and numbers by column."""
    with open(os.path.join(source, "README.md"), encoding="utf-8") as file:
        text = file.read()
    found = re.search(rf"^\| {re.escape(first)} \|(.*)\|\n\|[-|:]+\|\n((?:\|.*\n)+)", text,
                      re.MULTILINE)
    if found is None:
        raise ValueError(f"README.md has no table that begins with {first!r}")
    columns = [name.replace("`", "").strip() for name in found.group(1).split("|")]
    rows = []
    for line in found.group(2).splitlines():
        name, *cells = [cell.strip() for cell in line.strip("|\n").split("|")]
        values = {c: numbers_of(v) for c, v in zip(columns, cells, strict=False)}
        values = {column: value for column, value in values.items() if value}
        if values:
            rows.append((name, values))
    return rows


def text_at(x, y, text, size=12, colour=INK, more=""):
    return (f'<text x="{x}" y="{y}" font-size="{size}" {more} fill="{colour}">'
            f"{html.escape(text)}</text>\n")


def bar(y, width, colour, pale):
    opacity = ' fill-opacity="0.35"' if pale else ""
    return f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"{opacity}/>\n'


def picture(source, name):
    first, title, unit = PICTURES[name]
    rows = table(source, first)
    most = max(value[-1] for _, values in rows for value in values.values())
    drawn, y = text_at(8, 20, title + (f" ({unit})" if unit else ""), 14, INK,
                       'font-weight="bold"'), HEAD
    for row, values in rows:
        drawn += text_at(8, y + 14, row, 12, PALE)
        y += BAR + GAP
        for i, (column, value) in enumerate(values.items()):
            colour = OURS if i == 0 else THEIRS
            lengths = [number / most * (WIDTH - LEFT - RIGHT) for number in value]
            drawn += text_at(LEFT - 8, y + 12, column, 12, INK, 'text-anchor="end"')
            drawn += bar(y, lengths[0], colour, False)
            if len(value) > 1:
                drawn += bar(y, lengths[1], colour, True)
            drawn += text_at(round(LEFT + lengths[-1] + 6, 1), y + 12,
                             " to ".join(f"{number:g}" for number in value), 11, PALE)
            y += BAR + GAP
        y += 8
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="faas-picture" role="img"'
            f' viewBox="0 0 {WIDTH} {y}" font-family="sans-serif">\n'
            f"<title>{html.escape(title)}</title>\n{drawn}</svg>\n")


if __name__ == "__main__":
    print(picture(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), sys.argv[1]),
          end="")
