#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every source has its licence line and an opening comment, no tabs, no blanks at line ends, one newline at the
end, and at most 120 columns (the formatter aims at 100). Prints lines per folder: size is a budget that someone watches.

usage: style.py SOURCE_ROOT
"""
import os
import sys

ROOT = sys.argv[1]
faults, lines = [], {}
for module in ["common", "store", "prep", "augment", "trainer", "tools", "tests"]:
    for folder, _, files in os.walk(os.path.join(ROOT, module)):
        for name in sorted(files):
            if not name.endswith((".c", ".h", ".cu")):
                continue
            path = os.path.relpath(os.path.join(folder, name), ROOT)
            text = open(os.path.join(ROOT, path), encoding="utf-8").read()
            rows = text.split("\n")
            lines[module] = lines.get(module, 0) + len(rows)
            if rows[0] != "/* SPDX-License-Identifier: MIT */":
                faults.append(f"{path}:1: no licence line")
            if not text.endswith("\n") or text.endswith("\n\n"):
                faults.append(f"{path}: does not end in one newline")
            for number, row in enumerate(rows, 1):
                if "\t" in row or row != row.rstrip() or "\r" in row:
                    faults.append(f"{path}:{number}: tab or blank at the end")
                if "TODO" in row or "FIXME" in row:
                    faults.append(f"{path}:{number}: unfinished business")
                if len(row) > 120:
                    faults.append(f"{path}:{number}: {len(row)} columns")
print("  ".join(f"{m} {n}" for m, n in lines.items()), "lines")
print("\n".join(faults))
sys.exit(1 if faults else 0)
