# SPDX-License-Identifier: MIT
"""Builds faas._faas with the core inside it: a wheel that needs no libfaas.

The core is built by CMake in the tree around this folder, or taken from FAAS_CORE, the
library that its target faas_embedded makes. libffi stays a shared library, and
mimalloc is one that the core opens where it is installed.
"""

import os
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

here = Path(__file__).resolve().parent
tree = here.parent.parent


class Build(build_ext):
    def run(self) -> None:
        core = os.environ.get("FAAS_CORE")
        if core is None:
            folder = Path(self.build_temp).resolve() / "core"
            configure = ["cmake", "-S", str(tree), "-B", str(folder)]
            configure += ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DFAAS_TESTS=OFF"]
            configure += ["-DFAAS_EXAMPLES=OFF", "-DFAAS_INSTALL=OFF"]
            try:
                subprocess.run(configure, check=True, stdout=sys.stderr)
                subprocess.run(
                    ["cmake", "--build", str(folder), "--target", "faas_embedded", "-j2"],
                    check=True,
                    stdout=sys.stderr,
                )
            except (FileNotFoundError, subprocess.CalledProcessError) as error:
                sys.exit(f"{error}\nfaas needs cmake, make, a C compiler and three libraries. "
                         "On Debian: apt-get install cmake make gcc libc6-dev libffi-dev "
                         "libmimalloc-dev libxxhash-dev python3-dev")
            core = str(folder / "libfaas_embedded.a")
        for extension in self.extensions:
            extension.extra_link_args.insert(0, core)
        super().run()


setup(
    ext_modules=[
        Extension(
            "faas._faas",
            sources=sorted(str(p.relative_to(here)) for p in (here / "src").glob("*.c")),
            depends=["src/faasmodule.h"],
            include_dirs=[str(tree / "include")],
            define_macros=[
                ("Py_LIMITED_API", "0x030B0000"),
                ("FAAS_STATIC", "1"),
                ("_DEFAULT_SOURCE", "1"),
            ],
            extra_compile_args=[
                "-std=c11",
                "-fvisibility=hidden",
                # As the core: what is thread-local is looked at with every handler.
                "-ftls-model=initial-exec",
                # What is not in the stable ABI is an error, not a guess.
                "-Werror=implicit-function-declaration",
            ],
            extra_link_args=[
                "-lffi", "-lpthread", "-ldl", "-lm", "-Wl,--exclude-libs,ALL",
            ],
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    cmdclass={"build_ext": Build},
)
