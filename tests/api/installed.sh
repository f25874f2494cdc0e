#!/bin/sh
# SPDX-License-Identifier: MIT
# What is installed is enough: the headers stand alone in C and C++, and the example builds with pkg-config's flags and
# runs, giving the same epoch for any number of threads. The Python package, where it is installed, finds the library.
#
# usage: installed.sh MESON BUILD EXAMPLE.c DEMO_SET PYTHON SANITIZE CC...
meson=$1 build=$2 example=$(realpath "$3") demo_set=$(realpath "$4") python=$5 sanitize=$6
shift 6
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail()
{
    echo "$1"
    exit 1
}
command -v pkg-config >/dev/null || {
    echo "skipped: pkg-config is not installed"
    exit 77
}
[ "$sanitize" = none ] && sanitize='' || sanitize=-fsanitize=$sanitize

"$meson" install -C "$build" --no-rebuild --quiet --destdir "$work" >"$work/log" 2>&1 || {
    cat "$work/log"
    fail "cannot install"
}
pc=$(find "$work" -name fv.pc) && [ -n "$pc" ] || fail "fv.pc is not installed"
export PKG_CONFIG_SYSROOT_DIR="$work" PKG_CONFIG_LIBDIR="${pc%/*}"
cflags=$(pkg-config --cflags fv) && flags=$(pkg-config --cflags --libs fv) || fail "pkg-config does not know fv"
headers=$(find "$work" -path '*/include/fv/*.h')
[ "$(echo "$headers" | wc -l)" -ge 6 ] || fail "headers are missing: $headers"

cd "$work" || exit 1
for h in $headers; do
    printf '#include <%s>\nextern int nothing;\n' "${h#*/include/fv/}" >alone.c
    "$@" -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only alone.c $cflags || fail "$h does not stand alone"
    if command -v c++ >/dev/null; then
        c++ -Wall -Wextra -Werror -fsyntax-only -x c++ alone.c $cflags || fail "$h is not for C++"
    fi
done
"$@" -std=c11 -Wall -Wextra -Werror $sanitize "$example" $flags -o example || fail "the example does not build"
export LD_LIBRARY_PATH="$(pkg-config --variable=libdir fv | sed "s|^$work||; s|^|$work|")"
"$demo_set" faces.lmdb || fail "no data set"
set -- faces.lmdb batch=16 aug='flip,rotate(10),cutmix(1)' size=20
./example "$@" loader-threads=1 >one || fail "the example failed"
./example "$@" loader-threads=3 >three || fail "the example failed"
cmp one three || fail "threads count"
grep -q '^10 classes, 7 batches an epoch$' one || fail "$(cat one)"
[ "$(grep -c ': 16 images of 20x20, mean' one)" = 7 ] || fail "$(cat one)"
./example faces.lmdb batches=3 2>err && fail "an unknown option is taken"
grep -q "no option 'batches': there are batch, " err || fail "$(cat err)"
./example faces.lmdb split=trian 2>err && fail "an unknown split is taken"
grep -q "'trian' is not one of train, val, holdout" err || fail "$(cat err)"
./example none.lmdb 2>err && fail "a missing file is taken"
grep -q "none.lmdb" err || fail "$(cat err)"
head -3 one

package=$(find "$work" -path '*-packages/fv/__init__.py')
if [ -n "$package" ] && [ -z "$sanitize" ] && "$python" -c 'import numpy' 2>/dev/null; then
    PYTHONPATH=${package%/fv/*} PYTHONDONTWRITEBYTECODE=1 "$python" -c '
import fv, sys
assert fv.__file__ == sys.argv[1], fv.__file__
assert len(fv.Loader("faces.lmdb", batch=16)) == 7' "$package" || fail "the Python package does not work"
    echo "Python package: works"
fi
