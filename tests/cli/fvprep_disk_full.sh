# SPDX-License-Identifier: MIT
# A disk that fills up while packing: said in words, and no data set is left on it. The disk is a small tmpfs that
# only this case sees.
i=0
while [ $i -lt 60 ]; do
    i=$((i + 1))
    mkdir -p photos/a
    printf 'P5\n128 128\n255\n' >photos/a/$i.pgm
    head -c 16384 /dev/urandom >>photos/a/$i.pgm
done
cat >on_small_disk <<'END'
mount -t tmpfs -o size=400k tmpfs disk || exit 77
fvprep pack photos -o disk/faces.lmdb --rejects rejects.tsv --quiet
status=$?
ls -A disk
exit $status
END
mkdir disk
flags=-m
[ "$(id -u)" = 0 ] || flags=-rm
unshare $flags true 2>/dev/null || skip 'no mount namespace may be made here'

run unshare $flags sh on_small_disk
[ "$status" != 77 ] || skip 'no tmpfs may be mounted here'
exits 1
out 'faces.duplicates.tsv'
err_has 'disk/faces.lmdb.part: cannot write: No space left on device'
