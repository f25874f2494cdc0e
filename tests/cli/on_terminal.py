#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a command with its standard error on a terminal of so many columns and prints what it wrote there, each line as
often as it was drawn. Fails when a drawn line is wider than the terminal.

usage: on_terminal.py COLUMNS COMMAND...
"""
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

columns, command = int(sys.argv[1]), sys.argv[2:]
ours, theirs = pty.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
os.close(theirs)
text = b""
while True:
    try:
        more = os.read(ours, 65536)
    except OSError:  # the other end is closed
        break
    if not more:
        break
    text += more
drawn = text.decode().replace("\r\n", "\r").split("\r\033[K")
for part in drawn[1:]:
    live = part.split("\r")[0]
    if live.startswith("fvtrain: "):  # a message, which stays and may wrap
        continue
    print(live)
    if len(live) >= columns:
        sys.exit(f"{len(live)} columns on a terminal of {columns}: {live}")
sys.exit(child.wait())
