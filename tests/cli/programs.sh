# SPDX-License-Identifier: MIT
# What every program does alike.
for program in fvprep fvtrain fveval fvbench; do
    run $program
    exits 2
    out ''
    run $program --help
    exits 0
    err ''
    out_has "usage: $program "
    run $program --version
    exits 0
    err ''
    out_has "$program "
    run $program --no-such-option
    exits 2
    out ''
    run $program no-such-command
    exits 2
    out ''
    if [ -w /dev/full ]; then
        last="$program --help >/dev/full"
        $program --help >/dev/full 2>"$work/err"
        status=$?
        exits 1
        err_has 'cannot write to standard output'
    fi
done
