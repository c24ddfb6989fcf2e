#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The pages of the site in docs/site hang together, as far as can be told without building it.

What a page includes is there, with the lines that the piece begins and ends at; links
between pages lead to a page and to a heading on it; every page is listed by another one;
every public header has its page; names of the interface are names of the headers; the
picture of the layers has every layer and room. Where the examples are built, they print what
the pages say. scripts/docs builds the site, and checks it more strictly.
"""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree

SITE = os.path.join("docs", "site")
DIRECTIVE = re.compile(r"^```\{([\w-]+)\} *(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"^:([\w-]+): *(.*)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAME = re.compile(r"`(faas_\w+|FAAS_\w+)[`(]")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def options_of(body):
    """Returns the options of a directive, without the quotes that YAML needs."""
    return {name: value[1:-1] if value[:1] in "'\"" and value else value
            for name, value in OPTION.findall(body)}


def piece_of_lines(text, options):
    """Returns what literalinclude takes, or None: a mark is missing."""
    lines = text.splitlines()
    if "start-at" in options:
        start = next((i for i, line in enumerate(lines) if options["start-at"] in line), None)
        if start is None:
            return None
        lines = lines[start:]
    for name, skip, more in (("end-at", 0, 1), ("end-before", 1, 0)):
        if name in options:
            end = next((i for i, line in enumerate(lines)
                        if i >= skip and options[name] in line), None)
            if end is None:
                return None
            lines = lines[:end + more]
    return "\n".join(lines)


def piece_of_text(text, options):
    """Returns what include takes, or None: a mark is missing."""
    for name, part in (("start-after", 2), ("end-before", 0)):
        if name in options:
            if options[name] not in text:
                return None
            text = text.partition(options[name])[part]
    return text


def include_wrong(page, kind, target, body):
    """Says what is wrong with a piece that a page includes."""
    options = options_of(body)
    path = os.path.normpath(os.path.join(os.path.dirname(page), target))
    if not os.path.isfile(path):
        yield f"includes {path}, which is not there"
        return
    piece = (piece_of_text if kind == "include" else piece_of_lines)(read(path), options)
    if piece is None:
        marks = [value for name, value in options.items() if name.startswith(("start", "end"))]
        yield f"{path} has no longer a piece from and to {marks}"
    elif not piece.strip():
        yield f"the piece of {path} is empty"


def prose(text):
    """The page without what stands between fences."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def places(path):
    """The headings of a page, as links name them."""
    text = re.sub(r"[`*]", "", prose(read(path)))
    return {re.sub(r"[^\w -]", "", line.lower()).strip().replace(" ", "-")
            for line in re.findall(r"^#{1,3} (.*)$", text, re.MULTILINE)}


def link_wrong(page, link):
    """Says what is wrong with a link of a page to another file of the tree."""
    address, _, place = link.partition("#")
    path = os.path.normpath(os.path.join(os.path.dirname(page), address)) if address else page
    if not os.path.exists(path):
        yield f"links to {link}, which is not there"
    elif place and path.endswith(".md") and place not in places(path):
        yield f"links to {link}; there is no such heading"


def page_wrong(page, names):
    """Says what is wrong with a page; `names` are those of the interface."""
    text = read(page)
    for kind, target, body in DIRECTIVE.findall(text):
        if kind in ("literalinclude", "include"):
            yield from include_wrong(page, kind, target, body)
        elif kind == "picture" and target.startswith("bars-"):
            yield from bars_wrong(target)
        elif kind == "picture" and target != "layers":
            path = os.path.join(SITE, target)
            if os.path.exists(path):
                xml.etree.ElementTree.parse(path)
            else:
                yield f"shows {path}, which is not there"
    for link in LINK.findall(prose(text)):
        if not re.match(r"\w+:", link):
            yield from link_wrong(page, link)
    for name in sorted(set(NAME.findall(prose(text))) - names):
        yield f"names {name}, which no header does"


def printed_wrong(page, binaries):
    """Says where an example prints another thing than a page says."""
    for kind, _, body in DIRECTIVE.findall(read(page)):
        caption = re.match(r":caption: (\w+) prints\n\n", body)
        if kind != "code-block" or not caption:
            continue
        program = os.path.join(binaries, "examples", caption[1])
        if os.path.exists(program):
            told = subprocess.run([program], capture_output=True, text=True, check=False)
            if body[caption.end():] not in told.stdout:
                yield f"says otherwise than {caption[1]}, which prints\n{told.stdout}"


def listed(pages):
    """The pages that the lists of pages name."""
    for page in pages:
        for kind, _, body in DIRECTIVE.findall(read(page)):
            if kind == "toctree":
                for name in re.findall(r"^[\w/]+$", body, re.MULTILINE):
                    yield os.path.normpath(os.path.join(os.path.dirname(page), f"{name}.md"))


def bars_wrong(name):
    """Says why a picture cannot be drawn of its table, or what it lacks."""
    sys.path.insert(0, "docs")
    import bars # pylint: disable=import-error,import-outside-toplevel

    try:
        root = xml.etree.ElementTree.fromstring(bars.picture(".", name))
    except (KeyError, ValueError) as error:
        yield f"shows {name}, which cannot be drawn: {error}"
        return
    if len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) < 8:
        yield f"shows {name}, which has hardly a bar"


def layers_wrong():
    """Says which layers and rooms the picture lacks, and what is in it that is none."""
    sys.path.insert(0, "docs")
    import layers # pylint: disable=import-error,import-outside-toplevel

    root = xml.etree.ElementTree.fromstring(layers.picture("."))
    drawn = {node.text for node in root.iter("{http://www.w3.org/2000/svg}text")}
    wanted = {"On the public headers: modules and the command", *layers.outside(".")}
    for number, (title, rooms) in enumerate(layers.table(".")):
        wanted |= {f"{number}  {title}", *rooms}
    for text in sorted(drawn ^ wanted):
        yield f"docs/layers.py: '{text}' is in the picture or in the table, not in both"


def main():
    os.chdir(os.environ.get("FAAS_SOURCE_DIR") or os.path.dirname(sys.path[0]))
    binaries = os.environ.get("FAAS_BINARY_DIR") or "build/dev"
    pages = sorted(os.path.join(where, name) for where, _, files in os.walk(SITE)
                   for name in files if name.endswith(".md"))
    headers = sorted(os.listdir("include/faas"))
    names = set(re.findall(r"\w+", " ".join(read(f"include/faas/{name}") for name in headers)))
    complaints = [f"{page}: {text}" for page in pages
                  for text in [*page_wrong(page, names), *printed_wrong(page, binaries)]]
    lists = set(listed(pages))
    complaints += [f"{page}: no page lists it" for page in pages
                   if page not in lists and page != os.path.join(SITE, "index.md")]
    complaints += [f"{page}: a page lists it, and it is not there"
                   for page in sorted(lists - set(pages))]
    for header in headers:
        page = os.path.join(SITE, "reference", header.replace(".h", ".md"))
        if page not in pages or f"{{doxygenfile}} faas/{header}\n" not in read(page):
            complaints.append(f"{page}: it should show faas/{header}")
    complaints += layers_wrong()
    print("\n".join(complaints), end="\n" if complaints else "")
    print(f"{len(pages)} pages, {len(headers)} headers: {len(complaints)} complaints")
    return 1 if complaints or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
