#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads a trace as a viewer would: JSON, spans of a thread nest, threads with spans have names, counters have values.
What begins at once stays as it stands in the file.

usage: trace_check.py FILE NAME...     each NAME: a span; with @, a lane (@loader 0); with #, a counter (#slots free)
"""
import json
import sys

trace = json.load(open(sys.argv[1]))
events = trace["traceEvents"]
lanes = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
spans = [e for e in events if e["ph"] == "X"]
counters = [e for e in events if e["ph"] == "C"]
faults = []

if trace["otherData"]["older_events_lost"] != 0:
    faults.append("events were lost: a shorter run was meant")
if any(type(e[k]) is not int for e in events for k in ("pid", "tid") if k == "pid" or e.get("name") != "process_name"):
    faults.append("events without a process or a thread")
if len(events) != len(spans) + len(counters) + sum(e["ph"] == "M" for e in events):
    faults.append("events of another kind")
if "thread" in lanes.values():
    faults.append(f"lanes without a name: {sorted(lanes.values())}")
for tid in {e["tid"] for e in spans}:
    if tid not in lanes:
        faults.append(f"thread {tid} has spans and no name")
    open_until = []  # ends of the spans around; whole nanoseconds, so that sums are exact
    mine = sorted((e for e in spans if e["tid"] == tid), key=lambda e: round(e["ts"] * 1e3))
    for e in mine:
        begin, length = round(e["ts"] * 1e3), round(e["dur"] * 1e3)
        if begin < 0 or length < 0:
            faults.append(f"{e}: before the beginning, or of a negative length")
        while open_until and open_until[-1] <= begin:
            open_until.pop()
        if open_until and begin + length > open_until[-1]:
            faults.append(f"{lanes.get(tid)}: {e['name']} at {e['ts']} us overlaps another without being in it")
        open_until.append(begin + length)
for e in counters:
    if not isinstance(e["args"]["value"], (int, float)) or e["args"]["value"] < 0 and e["name"] != "loss":
        faults.append(f"{e}: not a count")
for name in sys.argv[2:]:
    have = {"@": lanes.values(), "#": {e["name"] for e in counters}}.get(name[0], {e["name"] for e in spans})
    if name.lstrip("@#") not in have:
        faults.append(f"no {name} among {sorted(set(have))}")
print("\n".join(faults[:20]) or f"{len(spans)} spans, {len(counters)} counts, lanes {sorted(lanes.values())}")
sys.exit(1 if faults else 0)
