#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every source is laid out as .clang-format says. Versions of clang-format disagree, so one of them decides: 14.

usage: format.py SOURCE_ROOT
"""
import glob
import os
import shutil
import subprocess
import sys

VERSION = "14"
os.chdir(sys.argv[1])
tool = shutil.which(f"clang-format-{VERSION}")
if not tool:
    print(f"skipped: clang-format-{VERSION} is not installed")
    sys.exit(77)
files = sorted(path for module in ["common", "store", "prep", "augment", "trainer", "tools", "tests", "docs"]
               for end in ["c", "h", "cu", "cuh", "cpp"] for path in glob.glob(f"{module}/**/*.{end}", recursive=True))
r = subprocess.run([tool, "--dry-run", "-Werror", *files], capture_output=True, text=True)
print(r.stderr, f"{len(files)} files", "badly laid out: run clang-format-14 -i" if r.returncode else "clean")
sys.exit(r.returncode != 0)
