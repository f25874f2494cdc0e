#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Includes point one way, third-party headers stay where they belong, file names are unique, and every header
stands alone. Prints each violation; the exit status says whether there was one.

usage: layering.py SOURCE_ROOT CC
"""
import collections
import os
import re
import subprocess
import sys

ROOT, CC = sys.argv[1], sys.argv[2]
MODULES = ["common", "store", "prep", "augment", "trainer", "tools"]
MAY = {
    "common": {"common"},
    "store": {"common", "store"},
    "prep": {"common", "store", "prep"},
    "augment": {"common", "store", "augment"},
    "trainer": {"common", "trainer"},
    "tools": {"common", "tools"},
}
ALSO = {  # single headers beyond whole modules
    "trainer": {"augment/batch.h"},
    "tools": {"store/store.h", "prep/prep.h", "augment/augment.h", "trainer/trainer.h"},
}
THIRD = [  # pattern of a header, where it may be included
    (r"lmdb\.h", r"store/"),
    (r"zstd\.h|zdict\.h", r"store/"),
    (r"xxhash\.h", r"store/"),
    (r"vips/.*", r"prep/"),
    (r"turbojpeg\.h|jpeglib\.h", r"prep/"),
    (r"(oneapi/dnnl/)?dnnl.*", r"trainer/backend_cpu"),
    (r"cuda.*|cudnn.*|cublas.*|nccl\.h", r"trainer/cuda/"),
    (r"mpi\.h", r"trainer/comm_"),
    (r"jansson\.h", r"(common|trainer|tools)/"),
    (r"immintrin\.h", r".*_(avx2|avx512)\.[ch]$"),
]
faults = []
names = collections.defaultdict(list)
headers = []

for module in MODULES:
    for folder, _, files in os.walk(os.path.join(ROOT, module)):
        for name in sorted(files):
            if not name.endswith((".c", ".h", ".cu", ".cuh")):
                continue
            path = os.path.relpath(os.path.join(folder, name), ROOT)
            names[name].append(path)
            if name.endswith(".h"):
                headers.append(path)
            for number, line in enumerate(open(os.path.join(ROOT, path), encoding="utf-8"), 1):
                m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
                if not m:
                    continue
                where, header = f"{path}:{number}", m.group(2)
                if m.group(1) == '"':
                    owner = header.split("/")[0]
                    if owner not in MAY[module] and header not in ALSO.get(module, ()):
                        faults.append(f"{where}: {module} may not include {header}")
                for pattern, allowed in THIRD:
                    if m.group(1) == "<" and re.fullmatch(pattern, header) and not re.match(allowed, path):
                        faults.append(f"{where}: <{header}> does not belong here")

for name, paths in names.items():
    if len(paths) > 1:
        faults.append(f"file name used twice: {', '.join(paths)}")

for path in headers:
    unit = f'#include "{path}"\n#include "{path}"\nextern int nothing;\n'
    r = subprocess.run([CC, "-std=c11", "-D_GNU_SOURCE", "-fsyntax-only", "-I", ROOT, "-x", "c", "-"],
                       input=unit, capture_output=True, text=True)
    if r.returncode:
        faults.append(f"{path}: does not stand alone:\n{r.stderr.strip()}")

print("\n".join(faults) or f"{sum(map(len, names.values()))} files, {len(headers)} headers: clean")
sys.exit(1 if faults else 0)
