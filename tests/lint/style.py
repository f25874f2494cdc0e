#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every source has its licence line and an opening comment (which a .c file may leave to its header, and a test to
its name), no tabs, no blanks at line ends, one newline at the end, and at most 120 columns (the formatter aims at
100). So have the scripts, but for the comment. Prints lines per folder: size is a budget that someone watches.

usage: style.py SOURCE_ROOT
"""
import os
import re
import sys

ROOT = sys.argv[1]
SOURCES, SCRIPTS = (".c", ".h", ".cu", ".cuh", ".cpp"), (".sh", ".py", ".in")
faults, lines = [], {}


def has_opening_comment(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        f.readline()
        return f.readline().startswith("/*")


def check_head(path, rows):
    if not path.endswith(SOURCES):
        if "SPDX-License-Identifier: MIT" not in "".join(rows[:2]):
            faults.append(f"{path}:1: no licence line")
        return
    if rows[0] != "/* SPDX-License-Identifier: MIT */":
        faults.append(f"{path}:1: no licence line")
    header = path[:-2] + ".h"
    left = path.startswith("tests/") or header != path and os.path.exists(os.path.join(ROOT, header))
    if not left and not has_opening_comment(path):
        faults.append(f"{path}:2: no opening comment")


def check_rows(path, rows):
    for number, row in enumerate(rows, 1):
        if path not in TABS and ("\t" in row or row != row.rstrip()) or "\r" in row:
            faults.append(f"{path}:{number}: tab or blank at the end")
        if re.search("TO" "DO|FIX" "ME", row):
            faults.append(f"{path}:{number}: unfinished business")
        if len(row) > 120:
            faults.append(f"{path}:{number}: {len(row)} columns")


# Expected output that has tabs and blanks in it.
TABS = {"tests/cli/fvprep_pack.sh"}
for module in ["common", "store", "prep", "augment", "trainer", "tools", "tests", "docs", "python", ".ci"]:
    for folder, _, files in os.walk(os.path.join(ROOT, module)):
        for name in sorted(files):
            path = os.path.relpath(os.path.join(folder, name), ROOT)
            if not name.endswith(SOURCES + SCRIPTS) and "." in name:
                continue
            text = open(os.path.join(ROOT, path), encoding="utf-8").read()
            rows = text.split("\n")
            if name.endswith(SOURCES):
                lines[module] = lines.get(module, 0) + len(rows)
            check_head(path, rows)
            if not text.endswith("\n") or text.endswith("\n\n"):
                faults.append(f"{path}: does not end in one newline")
            check_rows(path, rows)
print("  ".join(f"{m} {n}" for m, n in lines.items()), "lines")
print("\n".join(faults))
sys.exit(1 if faults else 0)
