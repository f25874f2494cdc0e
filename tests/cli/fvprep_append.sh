# SPDX-License-Identifier: MIT
# fvprep append: what was packed and added later is the set that is packed at once.
run fvprep synth -o all --identities 7 --images 10 --size 32 -q
exits 0
for i in 1 2 4 6; do
    mkdir -p few/id000$i
    cp all/id000$i/000[1-6].jpg few/id000$i
done

# without splits to the byte
run fvprep pack all -o all.lmdb --size 24 --level 3 -q
exits 0
run fvprep pack few -o few.lmdb --size 24 --level 3 -q
exits 0
run fvprep append few.lmdb all -o grown.lmdb
exits 0
out_has 'added images        46'
out_has 'known photos        24'
err_has '24 photos are in the data set already'
run cmp grown.lmdb all.lmdb
exits 0
not_there grown.append.lmdb
run fvprep append few.lmdb all -o grown.lmdb
exits 1
err_has '--overwrite'
run fvprep append few.lmdb all -q
exits 0
run cmp few.lmdb all.lmdb
exits 0
run fvprep append few.lmdb all
exits 0
out_has 'added images        0'
run cmp few.lmdb all.lmdb
exits 0

# nobody changes sides, the shares hold for all, and the dictionary stays
options="--size 32 --codec jpeg --dict yes --holdout-ids 30% --val 20% -q"
run fvprep pack few -o split.lmdb $options
exits 0
run fvprep export split.lmdb -o before -q
exits 0
run fvprep append split.lmdb all -q
exits 0
out_has 'holdout identities  2'
out_has 'val images          10'
run fvprep verify split.lmdb -q
exits 0
run fvprep export split.lmdb -o after -q
exits 0
run sh -c 'sort before/photos.csv >b; sort after/photos.csv >a; comm -23 b a | wc -l'
out 0
run sh -c 'for f in $(cd before && find . -name "*.jpg"); do cmp before/$f after/$f || exit 1; done'
exits 0

# one picture under two names is said aloud, whoever had it first
mkdir -p more/zoe
cp all/id0001/0001.jpg more/zoe/photo.jpg
echo 'nothing' >more/zoe/text.jpg
run fvprep append all.lmdb more -o more.lmdb
exits 0
err_has 'zoe/photo.jpg: is the same picture as id0001/0001.jpg, of another identity'
out_has 'refused             1'
out_has 'identities          8'
run fvprep append all.lmdb more -o none.lmdb --strict
exits 1
not_there none.lmdb
not_there none.append.lmdb
not_there none.append.lmdb.part
run fvprep append all.lmdb,more.lmdb more
exits 2
err_has '--output'
# a data set of one's own that has the name of the half-way one is not lost; what a killed append left is
cp more.lmdb mine.append.lmdb
run fvprep pack few -o mine.lmdb --size 24 --level 3 -q
exits 0
run fvprep append mine.lmdb all -q
exits 1
err_has 'mine.append.lmdb: is already there'
run cmp more.lmdb mine.append.lmdb
exits 0
mv mine.append.lmdb other.lmdb
fvprep append mine.lmdb all -q >/dev/null 2>&1 &
append=$!
tries=0
while [ ! -e mine.append.lmdb ] && [ $tries -lt 500 ] && kill -0 $append 2>/dev/null; do
    tries=$((tries + 1))
done
kill -9 $append 2>/dev/null
wait $append 2>/dev/null
run fvprep append mine.lmdb all -q
exits 0
not_there mine.append.lmdb
run fvprep verify mine.lmdb -q
exits 0

run fvprep append --help
out_has 'LABELS SHIFT'
