#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# usage: same_batches.sh SCRIPT BUILD FORMAT_SAMPLE: the proof of tools/same-batches, short, with each codec.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/fv-same-XXXXXX")
trap 'rm -rf "$work"' EXIT
for codec in pixels jpeg; do
    "$3" "$work/$codec.lmdb" $codec 0 "$work/raw"
    "$1" "$work/$codec.lmdb" 20 "$2"
done
