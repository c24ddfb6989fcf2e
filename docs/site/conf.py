# SPDX-License-Identifier: MIT
"""Settings of the site. scripts/docs runs doxygen first, and says by $FAAS_REFERENCE where."""

import os
import re
import sys

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.addnodes import desc, pending_xref

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.dirname(HERE))

import bars # pylint: disable=wrong-import-position
import layers # pylint: disable=wrong-import-position

with open(os.path.join(SOURCE, "include/faas/base.h"), encoding="utf-8") as file:
    numbers = re.findall(r"#define FAAS_VERSION_[A-Z]+ (\d+)", file.read())

project = "libfaas"
release = ".".join(numbers)
version = ".".join(numbers[:2])
html_title = f"libfaas {version}"
extensions = ["breathe", "myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
primary_domain = "c"
highlight_language = "c"
pygments_style, pygments_dark_style = "default", "github-dark"

breathe_projects = {"libfaas": os.path.join(os.environ["FAAS_REFERENCE"], "xml")}
breathe_default_project = "libfaas"
breathe_domain_by_extension = {"h": "c"}
# Types of C, which have no page here; and unions and structs without a name, which doxygen
# numbers and Sphinx does not find again.
nitpick_ignore_regex = [("c:identifier", r"u?int\d+_t|size_t"),
                        ("c:identifier", r"faas_\w+\.@.*")]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["faas.css"]
html_copy_source = html_show_sphinx = html_show_copyright = False
html_use_index = True
html_domain_indices = False


class Picture(Directive):
    """A picture in the page itself, so that its colours are the page's, light or dark:
    a file beside the page; `layers`, which is drawn of the table of layers; or one of bars.py,
    which are drawn of the README's tables."""

    required_arguments = 1

    def run(self):
        env = self.state.document.settings.env
        name = self.arguments[0]
        if name == "layers":
            env.note_dependency(os.path.join(SOURCE, "tests/layers.py"))
            text = layers.picture(SOURCE)
        elif name in bars.PICTURES:
            env.note_dependency(os.path.join(SOURCE, "README.md"))
            text = bars.picture(SOURCE, name)
        else:
            env.note_dependency(os.path.join(HERE, name))
            with open(os.path.join(HERE, name), encoding="utf-8") as svg:
                text = svg.read()
        return [nodes.raw("", f'<div class="faas-frame">{text}</div>', format="html")]


def finish(_, doctree):
    """Makes a link of each public name in the text: one that no header has is a warning.
    A snippet ends with its last line of code, wherever its end was found. And what a header
    declares is listed beside its page."""
    for literal in list(doctree.findall(nodes.literal)):
        name = literal.astext().removesuffix("()")
        if re.fullmatch(r"faas_\w+|FAAS_[A-Z\d_]+", name) \
                and not isinstance(literal.parent, nodes.reference):
            link = pending_xref("", refdomain="c", reftype="identifier", reftarget=name,
                                refwarn=True)
            literal.replace_self(link)
            link += literal
    for block in doctree.findall(nodes.literal_block):
        block.rawsource = block.astext().rstrip()
        block.children = [nodes.Text(block.rawsource)]
    for declared in doctree.findall(desc):
        name = declared[0].get("ids", [""])[0].removeprefix("c.")
        if declared["objtype"] in ("function", "macro", "struct", "enum", "type") and name:
            declared[0]["_toc_parts"] = (name,)
            declared[0]["_toc_name"] = name


def setup(app):
    app.connect("doctree-read", finish, priority=400) # before the contents are listed
    app.add_directive("picture", Picture)
    return {"parallel_read_safe": True}
