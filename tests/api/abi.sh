#!/bin/sh
# SPDX-License-Identifier: MIT
# The ABI of libfv.so is the one written down: what it exports, and the layout of what it shares. A symbol or a member
# may be added at the end of a struct by adding its line; anything else needs a new soname.
#
# usage: abi.sh LIBFV.so LAYOUT_PROGRAM ABI.txt
found=$(mktemp) || exit 1
trap 'rm -f "$found"' EXIT
# Sanitizers export names of their own, which begin with two underscores.
nm -D --defined-only "$1" | sed -n 's/.* \([^ ]\) \([^_].*\)/\1 \2/p' | LC_ALL=C sort >"$found" || exit 1
"$2" >>"$found" || exit 1
if ! diff -u "$3" "$found"; then
    echo "the ABI of libfv.so is not that of $3: see above what came (+) and what went (-)"
    exit 1
fi
echo "$(wc -l <"$found") lines: the same"
