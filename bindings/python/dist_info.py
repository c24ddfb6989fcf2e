#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""dist_info.py FOLDER - writes what Python knows of an installed package, for a package that
pip does not install: its name and version, and the plugin that pytest finds."""

import sys
import tomllib
from pathlib import Path

with (Path(__file__).resolve().parent / "pyproject.toml").open("rb") as file:
    project = tomllib.load(file)["project"]
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
(folder / "METADATA").write_text(
    "Metadata-Version: 2.1\n"
    f"Name: {project['name']}\n"
    f"Version: {project['version']}\n"
    f"Summary: {project['description']}\n"
    f"License: {project['license']['text']}\n"
    f"Requires-Python: {project['requires-python']}\n"
    + "".join(f"Classifier: {one}\n" for one in project["classifiers"])
)
(folder / "entry_points.txt").write_text(
    "".join(
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
        for group, points in project["entry-points"].items()
    )
)
(folder / "top_level.txt").write_text("faas\n")
