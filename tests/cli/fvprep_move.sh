# SPDX-License-Identifier: MIT
# fvprep pack --shard, merge and filter: what was divided is put together again to the byte.
run fvprep synth -o photos --identities 7 --images 11 --size 32 -q
exits 0
rm photos/id0003/000[3-9].jpg photos/id0003/001*.jpg
echo 'nobody has this face' >photos/id0004/text.jpg

# the dictionary of codec jpeg is of the whole, and so is the choice of who is held out
for codec in pixels jpeg; do
    options="--size 32 --codec $codec --holdout-ids 30% --val 20% -q"
    run fvprep pack photos -o whole-$codec.lmdb $options
    exits 0
    for i in 1 2 3; do
        run fvprep pack photos -o $codec$i.lmdb --shard $i/3 $options
        exits 0
    done
    run fvprep merge ${codec}3.lmdb ${codec}1.lmdb ${codec}2.lmdb -o merged.lmdb --overwrite -q
    exits 0
    err ''
    out_has 'identities          7'
    run cmp merged.lmdb whole-$codec.lmdb
    exits 0
done
run fvprep info --json jpeg2.lmdb
out_has '"dict_bytes": '
run sh -c "fvprep info --json jpeg2.lmdb | grep -c '\"dict_bytes\": 0'"
out 0
run fvprep merge jpeg1.lmdb,jpeg2.lmdb,jpeg3.lmdb -o listed.lmdb -q
exits 0
run cmp listed.lmdb whole-jpeg.lmdb
exits 0

run fvprep merge pixels1.lmdb pixels3.lmdb -o some.lmdb -q
exits 0
err_has 'warning: shard 2/3 is missing'
run fvprep merge pixels1.lmdb jpeg2.lmdb -o none.lmdb
exits 1
err_has 'they are not one data set'
not_there none.lmdb
run fvprep merge pixels1.lmdb pixels1.lmdb -o none.lmdb
exits 2
err_has 'a file is named twice'
run fvprep pack photos -o none.lmdb --shard 4/3
exits 2
err_has "--shard: '4/3'"
not_there none.lmdb

run fvprep filter whole-pixels.lmdb -o large.lmdb --min-images 3
exits 0
out_has 'identities          6'
err_has '1 identities have fewer than 3 images'
printf 'id0001\nid0003\n' >list
run fvprep filter whole-pixels.lmdb -o two.lmdb --identities list
exits 0
out_has 'images              13'
run fvprep filter whole-pixels.lmdb -o rest.lmdb --identities list --exclude
exits 0
run fvprep merge two.lmdb rest.lmdb -o merged.lmdb --overwrite
exits 0
run cmp merged.lmdb whole-pixels.lmdb
exits 0
run fvprep filter whole-pixels.lmdb -o two.lmdb --identities list
exits 1
err_has '--overwrite'

# settings that differ are said to, and only common ones are kept
run fvprep pack photos -o seed.lmdb --size 32 --seed 2 -q
exits 0
run fvprep filter seed.lmdb -o seed.lmdb --identities list --overwrite -q
exits 0
run fvprep merge rest.lmdb seed.lmdb -o merged.lmdb --overwrite -q
exits 0
err_has 'warning: rest.lmdb and seed.lmdb were packed with different settings'
run fvprep verify merged.lmdb -q
exits 0
run fvprep info merged.lmdb
out_has 'size 32'
run sh -c 'fvprep info merged.lmdb | grep -c seed'
out 0
