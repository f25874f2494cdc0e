#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks ring.pml exhaustively with Spin (README.md beside this file says what that proves).

usage: ring_model.py proofs|mutants|large [CC...]

proofs    every run has to end with all states visited and no error
mutants   every mutant of the protocol has to be caught: the model can fail
large     proofs of larger rings: minutes, and 1.4 GiB

Exits 77 where Spin is not installed.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ring.pml")
PROOFS = [  # what it is about, the sizes
    ("2 producers, 1 consumer, 2 slots of 2 items; stopped by the consumer", ""),
    ("1 slot, stopped by another thread", "SLOTS=1 ITEMS=1 STOPPERS=1"),
    ("1 slot, stopped by 2 threads at once", "SLOTS=1 ITEMS=1 END=1 STOPPERS=2"),
    ("3 producers, 1 slot", "PRODUCERS=3 SLOTS=1 ITEMS=1 END=2"),
    ("3 producers, 2 slots", "PRODUCERS=3 ITEMS=1 END=2"),
    ("2 consumers that take turns, 2 slots", "CONSUMERS=2 ITEMS=1 END=2"),
    ("items of batch 1 fail, short last batch", "FAIL=1 LAST_ITEMS=1"),
    ("2 seeks", "SEEKS=2 ITEMS=1 END=2"),
    ("a seek, stopped by another thread", "SEEKS=1 STOPPERS=1 SLOTS=1 ITEMS=1 END=2"),
    ("many batches, against the width of the futex word", "ITEMS=1 END=5"),
]
LARGE = [
    ("3 producers, 2 slots of 2 items", "PRODUCERS=3 END=2"),
    ("2 consumers that take turns, 1 slot", "CONSUMERS=2 SLOTS=1 ITEMS=1"),
    ("3 producers, 1 slot, more batches", "PRODUCERS=3 SLOTS=1 ITEMS=1 END=4"),
    ("4 producers, 1 slot", "PRODUCERS=4 SLOTS=1 ITEMS=1 END=2"),
    ("2 consumers that take turns, stopped by a third thread", "CONSUMERS=2 STOPPERS=1 ITEMS=1"),
    ("3 slots", "SLOTS=3 ITEMS=1 END=4 STOPPERS=1"),
    ("2 slots of 2 items, stopped by another thread, items fail", "FAIL=1 STOPPERS=1"),
    ("2 seeks, 2 slots of 2 items, items fail", "FAIL=0 SEEKS=2 END=2"),
    ("a seek, 2 slots, stopped by another thread", "SEEKS=1 STOPPERS=1 ITEMS=1 END=2"),
]
ENDLESS = ("every run ends: no cycle", "SEEKS=1 SLOTS=1 ITEMS=1 END=2 FAIL=1")
CYCLES = {"build": ("-O0", "-DNP", "-DMEMLIM=1400"), "search": ("-w20", "-l")}
WRONG, STUCK, CYCLE = "assertion violated", "invalid end state", "non-progress cycle"
MUTANTS = [  # name, the sizes, how it shows
    ("CLAIM_TORN", "", WRONG),
    ("COUNT_TORN", "", STUCK),
    ("COMPLETE_EARLY", "", WRONG),
    ("FAIL_SILENT", "FAIL=0 END=1", STUCK),
    ("ERROR_UNLOCKED", "FAIL=0 END=1", WRONG),
    ("PUBLISH_QUIET", "", STUCK),
    ("RELEASE_QUIET", "", STUCK),
    ("RELEASE_EARLY", "", WRONG),
    ("PREPARE_LATE", "", STUCK),
    ("TURN_TORN", "SLOTS=1 ITEMS=1 STOPPERS=1", STUCK),
    ("LOOK_FIRST", "", STUCK),
    ("SLEEP_UNCOUNTED", "", STUCK),
    ("SLEEP_BLIND", "", STUCK),
    ("STOP_QUIET", "", STUCK),
    ("STOP_EARLY", "SEEKS=1 STOPPERS=1 SLOTS=1 ITEMS=1 END=2", STUCK),
    ("SEEK_HASTY", "SEEKS=1 ITEMS=1 END=2", STUCK),
    ("PARK_DEAF", "", STUCK),
    ("TAKE_SHARED", "CONSUMERS=2", WRONG),
    ("SLEEP_NEVER", "SLOTS=1 ITEMS=1", CYCLE),
    ("NONE", "SLOTS=1 ITEMS=1 END=4 WORD=6", STUCK),  # a word too narrow
]


def run(command, folder):
    r = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return r.returncode, r.stdout


def verify(cc, sizes, build=("-O0", "-DSAFETY", "-DMEMLIM=1400"), search=("-w20",)):
    """The verifier's report."""
    with tempfile.TemporaryDirectory() as folder:
        for command in (["spin", *("-D" + s for s in sizes.split()), "-a", MODEL],
                        [*cc, *build, "-DCOLLAPSE", "-w", "-o", "pan", "pan.c"]):
            status, out = run(command, folder)
            if status:
                sys.exit(f"{' '.join(command)}: {out}")
        return run(["./pan", "-m100000", *search], folder)[1]


def states(report):
    m = re.search(r"(\d+) states, stored", report)
    return int(m.group(1)) if m else 0


def prove(cc, about, sizes, **how):
    begin = time.time()
    report = verify(cc, sizes, **how)
    complete = not re.search("Search not completed|depth too small|out of memory|reached -DMEMLIM", report)
    good = "errors: 0" in report and complete
    print(f"{'ok  ' if good else 'FAIL'} {states(report):10d} states {time.time() - begin:5.0f} s  "
          f"{about} [{sizes or 'as it is'}]", flush=True)
    if not good:
        print(report)
    return good


def catch(cc, name, sizes, shows):
    report = verify(cc, f"MUTANT={name} {sizes}".strip(), **(CYCLES if shows == CYCLE else {}))
    error = re.search(r"pan:1: (.*)", report)
    good = bool(error) and shows in error.group(1)
    print(f"{'ok  ' if good else 'FAIL'} {name:16} {error.group(1) if error else 'not caught'}", flush=True)
    return good


def main():
    what, cc = sys.argv[1], sys.argv[2:] or ["cc"]
    if not shutil.which("spin"):
        print("skipped: Spin is not installed (Debian: spin)")
        sys.exit(77)
    if what == "proofs":
        good = [prove(cc, *p) for p in PROOFS]
        good.append(prove(cc, *ENDLESS, **CYCLES))
    elif what == "large":
        good = [prove(cc, *p, build=("-O2", "-DSAFETY", "-DMEMLIM=3000"), search=("-w26",)) for p in LARGE]
    elif what == "mutants":
        good = [catch(cc, *m) for m in MUTANTS]
    else:
        sys.exit(__doc__)
    print(f"{sum(good)} of {len(good)} as expected")
    sys.exit(not all(good))


main()
