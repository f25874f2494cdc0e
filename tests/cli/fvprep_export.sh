# SPDX-License-Identifier: MIT
# fvprep export, and what other programs make of it.
for i in 1 2 3; do
    for k in 1 2 3 4; do
        pgm photos/p$i/$k.pgm 16 $((i * 40 + k))
    done
done
run fvprep pack photos -o faces.lmdb --size 16 --holdout-ids 30% --val 25% --quiet
exits 0

run fvprep export faces.lmdb -o folders
exits 0
out_has 'images       12'
out_has 'image        png'
run sh -c 'find folders -name "*.png" | wc -l'
out 12
run sh -c 'wc -l <folders/photos.csv'
out 13

# packed again it is the same set, whichever way its folders lie; without its list they speak for themselves
digest() { fvprep info "$1" | sed -n 's/^ *digest *//p'; }
run fvprep export faces.lmdb -o flat --flat -q
exits 0
for folder in folders flat; do
    run fvprep pack $folder -o again.lmdb --size 16 --overwrite --val 50% -q
    exits 0
    [ "$(digest again.lmdb)" = "$(digest faces.lmdb)" ] || fail "$folder: another digest"
done
rm folders/photos.csv
run fvprep pack folders -o plain.lmdb --size 16 -q
exits 0
out_has 'val images          2'
out_has 'holdout images      4'

# JPEG files come out as they went in
run fvprep pack photos -o jpeg.lmdb --size 16 --codec jpeg --holdout-ids 30% --val 25% -q
exits 0
run fvprep export jpeg.lmdb -o jpeg -q
exits 0
out_has 'image        jpeg'
run fvprep pack jpeg -o again.lmdb --size 16 --codec jpeg --overwrite -q
exits 0
[ "$(digest again.lmdb)" = "$(digest jpeg.lmdb)" ] || fail "jpeg: another digest"

run fvprep export faces.lmdb -o folders
exits 1
out ''
err_has 'folders: is already there'

# the bytes of GNU tar, and JSON as Python reads it
run fvprep export faces.lmdb -o shards --format tar --split train --json
exits 0
out_has '"images": 6'
run fvprep export faces.lmdb -o shards --format tar --flat
exits 2
err_has '--flat: does not go with --format tar'
if tar --version 2>/dev/null | grep -q GNU; then
    mkdir members
    run tar -C members -xf shards/train-000000.tar
    exits 0
    tar tf shards/train-000000.tar >names
    run sh -c 'cd members && tar --format=ustar --owner=0 --group=0 --numeric-owner --mtime=@0 \
        --mode=644 -b 2 -cf ../gnu.tar -T ../names'
    exits 0
    run cmp gnu.tar shards/train-000000.tar
    exits 0
    run python3 -c '
import glob, json
for f in sorted(glob.glob("members/*.json")):
    j = json.load(open(f))
    assert open(f[:-4] + "cls").read() == str(j["label"]), f
    assert j["split"] == "train" and j["name"].startswith(j["identity"] + "/"), j
    print(j["name"])
'
    exits 0
    run sh -c 'ls members | wc -l'
    out 18
fi

run fvprep export faces.lmdb -o rec --format rec -q
exits 0
run cat rec/property
out 2,16,16
run sh -c 'wc -l <rec/train.idx; wc -l <rec/train.lst'
out '9
6'

# read back: the same pictures in the same order and splits, under the names that records have
run fvprep pack rec -o rec.lmdb --size 16 -q
exits 0
out_has 'images              12'
out_has 'identities          3'
run fvprep export rec.lmdb -o back -q
exits 0
for split in train val holdout; do
    run fvprep export faces.lmdb -o there-$split --split $split -q
    exits 0
    find there-$split/$split -name '*.png' | LC_ALL=C sort | xargs cat >there.png
    find back/$split -name '*.png' | LC_ALL=C sort | xargs cat >back.png
    run cmp there.png back.png
    exits 0
done

run fvprep export photos -o none
exits 1
not_there none
not_there none.part
