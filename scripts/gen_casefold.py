#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes src/core/fold_table.h from Unicode's CaseFolding.txt: the simple case foldings
(classes C and S) as ranges of code points that move by the same distance.

usage: scripts/gen_casefold.py [CaseFolding.txt] > src/core/fold_table.h
The default is Debian's, from the package unicode-data."""
import re
import sys

path = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode/CaseFolding.txt"
version = "?"
folds = []
with open(path, encoding="utf-8") as lines:
    for line in lines:
        found = re.match(r"# CaseFolding-([0-9.]+)\.txt", line)
        if found:
            version = found.group(1)
        fields = line.split("#")[0].split(";")
        if len(fields) >= 3 and fields[1].strip() in ("C", "S"):
            folds.append((int(fields[0], 16), int(fields[2], 16)))
folds.sort()

# A run is a first code point, a last one, and the step between them: 1, or 2 where upper
# and lower case alternate.
runs = []
for point, to in folds:
    distance = to - point
    if runs and runs[-1][3] == distance:
        first, last, step, _ = runs[-1]
        gap = point - last
        if gap in (1, 2) and step in (0, gap):
            runs[-1] = (first, point, gap, distance)
            continue
    runs.append((point, point, 0, distance))

print("/* SPDX-License-Identifier: MIT */")
print("/* fold_table.h - simple case folding of Unicode %s: %d code points in %d runs." %
      (version, len(folds), len(runs)))
print(" *")
print(" * Made by scripts/gen_casefold.py from CaseFolding.txt, classes C and S. */")
print("#ifndef FAASI_FOLD_TABLE_H")
print("#define FAASI_FOLD_TABLE_H")
print()
print("#include <stdint.h>")
print()
print('#define FAASI_FOLD_UNICODE "%s"' % version)
print()
print("// clang-format off")
print("/* Code points `first`, `first + step`, ... `last` fold to themselves + `distance`. */")
print("static const struct fold_run {")
print("    uint32_t first;")
print("    uint32_t last;")
print("    uint32_t step;")
print("    int32_t distance;")
print("} fold_runs[] = {")
line = "   "
for first, last, step, distance in runs:
    item = " {0x%x, 0x%x, %d, %d}," % (first, last, step or 1, distance)
    if len(line) + len(item) > 90:
        print(line)
        line = "   "
    line += item
print(line)
print("};")
print("// clang-format on")
print()
print("#endif /* FAASI_FOLD_TABLE_H */")
