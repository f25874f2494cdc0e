#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs one command-line case:  run.sh CASE.sh FOLDER_OF_THE_PROGRAMS
#
# A case is a shell script that this one reads in. It runs in a fresh folder, removed afterwards, with the
# programs first on PATH, and says what must come of each command:
#
#   run fvprep pack photos       runs it; keeps its standard output, standard error and exit status
#   exits 2                      the status of the last run
#   out 'text'                   its standard output is exactly this ('' for none)
#   out_has 'text'               ... has this somewhere, literally
#   err 'text'                   its standard error is exactly this
#   err_has 'text'               ... has this somewhere
#   err_lacks 'text'             ... does not have this
#   there FILE / not_there FILE  a file exists / does not
#   pgm FILE SIDE GREY           makes a flat grey photo, and the folders above it
#   six_people                   makes photos/p1 .. p6 with 1.pgm .. 10.pgm each, of 24 px; no two photos are alike
#   skip 'why'                   this machine cannot run the case: exit status 77
#
# The first thing that does not hold ends the case with what was expected and what came.
set -u
case_file=$(realpath "$1")
PATH=$(realpath "$2"):$PATH
export LC_ALL=C OMP_WAIT_POLICY=passive # idle threads leave the processors to other tests
work=$(mktemp -d "${TMPDIR:-/tmp}/fv-cli-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/in"
cd "$work/in" || exit 1

fail()
{
    printf '%s: after: %s\n%s\n' "$(basename "$case_file")" "$last" "$1" >&2
    printf -- '--- stdout\n' >&2
    cat "$work/out" >&2
    printf -- '--- stderr\n' >&2
    cat "$work/err" >&2
    exit 1
}

run()
{
    last=$*
    "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
}

exits() { [ "$status" = "$1" ] || fail "exit status $status, not $1"; }
same() { [ "$(cat "$work/$1")" = "$2" ] || fail "std$1 is not exactly: $2"; }
has() { grep -qF -- "$2" "$work/$1" || fail "std$1 lacks: $2"; }
out() { same out "$1"; }
err() { same err "$1"; }
out_has() { has out "$1"; }
err_has() { has err "$1"; }
err_lacks() { ! grep -qF -- "$1" "$work/err" || fail "stderr has: $1"; }
there() { [ -e "$1" ] || fail "$1 is not there"; }
not_there() { [ ! -e "$1" ] || fail "$1 is there"; }
skip()
{
    echo "skipped: $1"
    exit 77
}

pgm()
{
    [ -d "${1%/*}" ] || mkdir -p "${1%/*}"
    printf 'P5\n%d %d\n255\n' "$2" "$2" >"$1"
    head -c $(($2 * $2)) /dev/zero | tr '\0' "\\$(printf %o "$3")" >>"$1"
}

six_people()
{
    for id in 1 2 3 4 5 6; do
        for i in 1 2 3 4 5 6 7 8 9 10; do
            pgm "photos/p$id/$i.pgm" 24 $((id * 35 + i))
        done
    done
}

last='(nothing)' status=0
: >"$work/out" >"$work/err"
. "$case_file"
