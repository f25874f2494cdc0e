#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Includes point one way, a source includes its own header first, third-party headers stay where they belong, file
names are unique, libraries neither print nor exit nor ask what was found, and every header stands alone. Prints each
violation; the exit status says whether there was one.

usage: layering.py SOURCE_ROOT CC...
"""
import collections
import os
import re
import subprocess
import sys

ROOT, CC = sys.argv[1], sys.argv[2:]
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
    "tools": {"store/store.h", "prep/prep.h", "augment/augment.h", "trainer/trainer.h",
              "store/limit.h", "augment/augmenter.h", "augment/ring.h",
              "trainer/cuda/traffic.h"},  # the last four for measuring
}
THIRD = [  # pattern of a header, where it may be included
    (r"lmdb\.h", r"store/"),
    (r"zstd\.h|zdict\.h", r"store/"),
    (r"xxhash\.h", r"store/|trainer/run/snapshot_digest\.c"),
    (r"vips/.*", r"prep/"),
    (r"spng\.h", r"prep/export/image_png\.c"),
    (r"jpeglib\.h|jerror\.h", r"store/(codec_jpeg\.c|jpeg_memory\.[ch])|prep/photo/photo_jpeg\.c"),
    (r"(oneapi/dnnl/)?dnnl.*", r"trainer/cpu/"),
    (r"cuda.*|cudnn.*|cublas.*|nccl\.h", r"trainer/cuda/"),
    (r"mpi\.h", r"trainer/comm/"),
    (r"microhttpd\.h", r"tools/serve/http(_header)?\.c"),
    (r"jansson\.h", r"(common|trainer|tools)/"),
    (r"immintrin\.h", r".*_(avx2|avx512)\.[ch]$"),
]
# What only programs do; of the libraries, the console alone speaks.
PROGRAMS_ONLY = re.compile(r"\b(v?printf|puts|putchar|perror|_?exit|abort)\s*\("
                           r"|\b(stdout|stderr|STD(OUT|ERR)_FILENO)\b")
SPEAKS = {"common/console.c"}
faults = []
names = collections.defaultdict(list)
headers = []



def check_own_header(path, text):
    own = path[:-2] + ".h"
    first = re.search(r'^\s*#\s*include\s*["<]([^">]+)', text, re.M)
    if path.endswith(".c") and os.path.exists(os.path.join(ROOT, own)) and (not first or first.group(1) != own):
        faults.append(f"{path}: includes something before {own}")


def check_library(path, text):
    code = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.S)
    for number, line in enumerate(code.split("\n"), 1):
        if path not in SPEAKS and PROGRAMS_ONLY.search(line):
            faults.append(f"{path}:{number}: a library neither prints nor exits")
        if re.match(r"\s*#\s*(el)?if.*\b(FV_)?HAVE_", line):
            faults.append(f"{path}:{number}: what was found is asked in meson.build and in tables")


for module in MODULES:
    for folder, _, files in os.walk(os.path.join(ROOT, module)):
        for name in sorted(files):
            if not name.endswith((".c", ".h", ".cu", ".cuh", ".cpp")):
                continue
            path = os.path.relpath(os.path.join(folder, name), ROOT)
            names[name].append(path)
            if name.endswith(".h"):
                headers.append(path)
            text = open(os.path.join(ROOT, path), encoding="utf-8").read()
            check_own_header(path, text)
            if module != "tools":
                check_library(path, text)
            for number, line in enumerate(text.split("\n"), 1):
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

for folder, _, files in os.walk(os.path.join(ROOT, "tests")):
    for name in sorted(files):
        if name.endswith((".c", ".h", ".sh", ".py")):
            names[name].append(os.path.relpath(os.path.join(folder, name), ROOT))
for name, paths in names.items():
    if len(paths) > 1:
        faults.append(f"file name used twice: {', '.join(paths)}")

for path in headers:
    unit = f'#include "{path}"\n#include "{path}"\nextern int nothing;\n'
    r = subprocess.run([*CC, "-std=c11", "-D_GNU_SOURCE", "-fsyntax-only", "-I", ROOT, "-x", "c", "-"],
                       input=unit, capture_output=True, text=True, cwd=ROOT)
    if r.returncode:
        faults.append(f"{path}: does not stand alone:\n{r.stderr.strip()}")

print("\n".join(faults) or f"{sum(map(len, names.values()))} files, {len(headers)} headers: clean")
sys.exit(1 if faults else 0)
