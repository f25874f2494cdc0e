# SPDX-License-Identifier: MIT
# Packing that is ended by kill -9, by Ctrl-C, by a full disk and by a disk that may not be written: a sentence and a
# status each time, and the same command goes on to the same bytes. The disk is a small tmpfs that only this case sees.
i=10
mkdir -p photos/a photos/b
while [ $i -lt 74 ]; do
    i=$((i + 1))
    [ $i -lt 30 ] && id=a || id=b
    printf 'P5\n1024 1024\n255\n' >photos/$id/$i.pgm
    head -c 1048576 /dev/urandom >>photos/$id/$i.pgm
done
echo 'not a photo' >photos/a/text.jpg
cp photos/a/11.pgm photos/b/copy.pgm
command='--size 1024 --level 1 --val 20%'

run fvprep pack photos -o whole.lmdb $command
exits 0

# same FOLDER: what is there is what an uninterrupted run makes, and nothing else
same_in()
{
    for file in lmdb rejects.tsv duplicates.tsv; do
        run cmp whole.$file $1/faces.$file
        exits 0
    done
    run ls $1
    out 'faces.duplicates.tsv
faces.lmdb
faces.rejects.tsv'
}

# begin SIGNAL: begins to pack, sends the signal when the journal tells the second commit, and waits
begin()
{
    (
        trap - INT
        exec fvprep pack photos -o here/faces.lmdb $command --threads 1
    ) >"$work/out" 2>"$work/err" &
    pid=$!
    n=0
    while [ "$(grep -c ^images here/faces.lmdb.part.journal 2>/dev/null)" != 2 ] && [ $n -lt 500 ]; do
        sleep 0.02
        n=$((n + 1))
    done
    last="kill -$1 of fvprep pack"
    kill -$1 $pid
    wait $pid
    status=$?
}

mkdir here
begin INT
exits 130
err_has 'images are kept: the same command goes on from there'
not_there here/faces.lmdb
there here/faces.lmdb.part
run fvprep pack photos -o here/faces.lmdb $command
exits 0
err_has 'going on at photo '
same_in here

rm -r here
mkdir here
begin KILL
exits 137
not_there here/faces.lmdb
there here/faces.lmdb.part
run fvprep pack photos -o here/faces.lmdb $command --json
exits 0
err_has 'going on at photo '
out_has '"resumed": '
same_in here

# --- disks ---
cat >on_small_disk <<'END'
mount -t tmpfs -o size=40m tmpfs disk || exit 77
fvprep pack photos -o disk/faces.lmdb $command --quiet 2>full.txt
echo "full: $?"
ls disk
mount -o remount,ro disk || exit 77
fvprep pack photos -o disk/faces.lmdb $command --quiet 2>read-only.txt
echo "read-only: $?"
mount -o remount,rw,size=96m disk || exit 77
fvprep pack photos -o disk/faces.lmdb $command 2>more.txt >/dev/null
echo "more: $?"
cp disk/* copy
END
mkdir disk copy
export command
flags=-m
[ "$(id -u)" = 0 ] || flags=-rm
unshare $flags true 2>/dev/null || skip 'no mount namespace may be made here: the part on full disks is left out'
run unshare $flags sh on_small_disk
[ "$status" != 77 ] || skip 'no tmpfs may be mounted here: the part on full disks is left out'
exits 0
out 'full: 1
faces.lmdb.part
faces.lmdb.part.journal
read-only: 1
more: 0'
run cat full.txt
out_has 'disk/faces.lmdb.part: cannot write: No space left on device; '
out_has 'images are kept: make room, and the same command goes on from there'
run cat read-only.txt
out_has 'Read-only file system'
run cat more.txt
out_has 'going on at photo '
same_in copy
