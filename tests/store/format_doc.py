#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the example of docs/format.md on data sets of both codecs, with a dictionary and without, and compares what
it reads with what the program that made them put in. Without the modules that the example needs: exit status 77.

usage: format_doc.py FORMAT.md PROGRAM
"""
import os
import re
import struct
import subprocess
import sys
import tempfile

try:
    import lmdb, numpy as np, zstandard
except ImportError as e:
    system = "/usr/bin/python3"
    if os.path.realpath(sys.executable) != os.path.realpath(system) and os.path.exists(system):
        os.execv(system, [system] + sys.argv)
    print(f"skipped: {e}")
    sys.exit(77)

SIDE = (20, 12)


def run(doc, program, folder):
    with open(doc, encoding="utf-8") as f:
        text = f.read()
    example = re.search(r"```python\n(.*?)```", text, re.S)
    scope = {}
    above = "\n" * text.count("\n", 0, example.start(1))  # so that errors name the line of the page
    exec(compile(above + example.group(1), doc, "exec"), scope)
    for codec in ("pixels", "jpeg"):
        for with_dict in ("0", "1"):
            path = os.path.join(folder, f"{codec}{with_dict}.lmdb")
            raw = os.path.join(folder, "raw")
            subprocess.run([program, path, codec, with_dict, raw], check=True)
            with open(raw, "rb") as f:
                truth = f.read()
            compare(list(scope["read_faces"](path)), truth, codec)
            check_sums(path)
            print(f"{codec}, dictionary {with_dict}: as it was packed")


def compare(faces, truth, codec):
    """truth: for each image u32 label, split, bytes of the name, bytes of the image; the name, the image."""
    at = 0
    for name, label, split, image in faces:
        want = struct.unpack_from("<4I", truth, at)
        at += 16
        assert (label, split) == want[:2], (name, label, split, want)
        assert name.encode() == truth[at:at + want[2]], name
        at += want[2]
        assert codec == "jpeg" or image.shape == (SIDE[1], SIDE[0], 3)
        assert bytes(image) == truth[at:at + want[3]], f"{name}: another image"
        at += want[3]
    assert at == len(truth) and len(faces) > 10


def check_sums(path):
    """The hashes of "complete" and of the records, as the page says."""
    try:
        from xxhash import xxh3_64_intdigest as xxh3
    except ImportError:
        print("checksums are not checked: python3-xxhash is missing")
        return
    with lmdb.open(path, subdir=False, readonly=True, lock=False).begin() as txn:
        t = {k: txn.get(k.encode()) or b"" for k in ("fv", "index", "labels", "names", "dict", "complete")}
        images, labels, blocks, record_bytes, digest, tables, mark = struct.unpack("<7Q", t["complete"])
        entries = [t["index"][i:i + 24] for i in range(0, len(t["index"]), 24)]
        content = t["fv"][12:24] + b"".join(e[12:24] for e in entries) + t["labels"] + t["names"]
        assert digest == xxh3(content)
        assert tables == xxh3(t["fv"] + t["index"] + t["labels"] + t["names"] + t["dict"])
        assert mark == xxh3(t["complete"][:48])
        assert images == len(entries) and labels == struct.unpack_from("<I", t["labels"])[0]
        for e in entries:
            block, offset, size = struct.unpack_from("<3I", e)
            record = txn.get(struct.pack(">cI", b"B", block))[offset:offset + size]
            assert struct.unpack_from("<Q", record)[0] == xxh3(record[8:]) and record[8:16] == e[16:24]
            record_bytes -= size
        assert record_bytes == 0 and blocks == block + 1


with tempfile.TemporaryDirectory(prefix="fv-format-") as folder:
    run(sys.argv[1], sys.argv[2], folder)
