#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Draws the layers of the core, as tests/layers.py holds them, to standard output.

    docs/layers.py >layers.svg

The colours are those of the page that the picture stands in, light or dark; alone it has its
own.
"""

import html
import importlib.util
import os
import re
import sys

WIDTH, MARGIN = 480, 14
LETTER, ROW, GAP = 7.3, 24, 6 # of a room's name in 12 px, its height, and what is around it

HEAD = """<svg xmlns="http://www.w3.org/2000/svg" class="faas-picture" role="img"
 viewBox="0 0 {width} {height}" font-family="sans-serif">
<title>The layers of the core and their rooms, the highest at the top</title>
"""
BOX = '<rect x="{}" y="{}" width="{}" height="{}" rx="5" fill="{}" stroke="{}"/>\n'
TEXT = '<text x="{}" y="{}" font-size="{}" {} fill="{}">{}</text>\n'
INK = "var(--color-foreground-primary, #24292f)"
PALE = "var(--color-foreground-secondary, #57606a)"
PAPER = "var(--color-background-primary, #fff)"
BAND = "var(--color-background-secondary, #f6f8fa)"
LINE = "var(--color-foreground-border, #8c959f)"


def table(source):
    """Returns what each layer is and its rooms, from the lowest on."""
    path = os.path.join(source, "tests/layers.py")
    spec = importlib.util.spec_from_file_location("faas_layers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with open(path, encoding="utf-8") as file:
        names = re.findall(r"^    # \d+: (.*)$", file.read(), re.MULTILINE)
    return list(zip(names, (rooms.split() for rooms in module.LAYERS), strict=True))


def outside(source):
    """Returns the folders of src/ that see the public headers alone."""
    return sorted(name for name in os.listdir(os.path.join(source, "src")) if name != "core")


def band(y, title, rooms):
    """Draws a layer from y on; returns it and where it ends."""
    x, row, drawn = 2 * MARGIN, y + 30, ""
    for room in rooms:
        width = len(room) * LETTER + 12
        if x + width > WIDTH - 2 * MARGIN:
            x, row = 2 * MARGIN, row + ROW + GAP
        drawn += BOX.format(round(x, 1), row, round(width, 1), ROW, PAPER, LINE)
        drawn += TEXT.format(round(x + 6, 1), row + 16, 12, 'font-family="monospace"', INK,
                             html.escape(room))
        x += width + GAP
    end = row + ROW + 10
    title = TEXT.format(2 * MARGIN, y + 20, 13, 'font-weight="bold"', PALE, html.escape(title))
    return BOX.format(MARGIN, y, WIDTH - 2 * MARGIN, end - y, BAND, LINE) + title + drawn, end


def picture(source):
    layers = table(source)
    bands = [("On the public headers: modules and the command", outside(source))]
    for number in range(len(layers) - 1, -1, -1):
        bands.append((f"{number}  {layers[number][0]}", layers[number][1]))
    y, drawn = MARGIN, ""
    for title, rooms in bands:
        text, y = band(y, title, rooms)
        drawn += text
        y += 8
    return HEAD.format(width=WIDTH, height=y) + drawn + "</svg>\n"


if __name__ == "__main__":
    print(picture(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), end="")
