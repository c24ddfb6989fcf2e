#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every link inside a built site leads to a page that is there, and to a place on it.

    docs/links.py FOLDER
"""

import os
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urlsplit


class Page(HTMLParser):
    """The places of a page, and where its links lead."""

    def __init__(self, path):
        super().__init__()
        self.places, self.links = set(), []
        with open(path, encoding="utf-8") as file:
            self.feed(file.read())

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.places.add(value)
            elif name in ("href", "src") and value:
                self.links.append((self.getpos()[0], value))


def complaints(path, pages):
    """Yields what is wrong with the links of a page."""
    for line, link in pages[path].links:
        if urlsplit(link).scheme or link.startswith("//"):
            continue
        address, place = urldefrag(link)
        target = path
        if address:
            address = unquote(urlsplit(address).path)
            target = os.path.normpath(os.path.join(os.path.dirname(path), address))
        if not os.path.exists(target):
            yield f"{path}:{line}: {link} leads nowhere"
        elif place and target in pages and unquote(place) not in pages[target].places:
            yield f"{path}:{line}: {link}: there is no such place on the page"


def main():
    paths = sorted(os.path.normpath(os.path.join(where, name))
                   for where, _, names in os.walk(sys.argv[1])
                   for name in names if name.endswith(".html"))
    pages = {path: Page(path) for path in paths}
    wrong = sorted({text for path in pages for text in complaints(path, pages)})
    print("\n".join(wrong), end="\n" if wrong else "")
    count = sum(len(page.links) for page in pages.values())
    print(f"{len(pages)} pages, {count} links: {len(wrong)} wrong")
    return 1 if wrong or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
