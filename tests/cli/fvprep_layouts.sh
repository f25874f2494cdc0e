# SPDX-License-Identifier: MIT
# fvprep on other layouts than identity folders: which are there, and from a set to scores of its own pairs.
golden=$(dirname "$case_file")/../golden
for i in 1 2; do
    for k in 1 2 3; do
        pgm photos/p$i/$k.pgm 20 $((i * 40 + k))
    done
done

run fvprep layouts
exits 0
err ''
for layout in folders list recordio bin vggface2 hw2p2; do
    out_has "  $layout "
done
run fvprep layouts photos --json
exits 0
out_has '"folders": 10'
run fvprep layouts gone
exits 1
err_has "cannot open 'gone'"
echo text >text
run fvprep layouts text
exits 1
err_has "looks like none of the layouts"

run fvprep pack photos -o x.lmdb --layout fodlers
exits 2
err_has "unknown layout 'fodlers': valid are auto, folders, list"
not_there x.lmdb
not_there x.lmdb.part

# a list with splits, and its paths begun elsewhere
printf 'path,label,split\np1/1.pgm,a,train\np1/2.pgm,a,val\np2/1.pgm,b,test\np2/9.pgm,b,test\n' >list.csv
run fvprep pack list.csv -o list.lmdb --size 16 --root photos
exits 0
out_has 'train images        1'
out_has 'val images          1'
out_has 'holdout images      1'
err_has '(layout list)'
err_has 'p2/9.pgm: is listed, but not there'
run fvprep pack list.csv -o list.lmdb --size 16 --overwrite
exits 1
err_has 'holds no usable photo'

# a verification set brings its pairs
for form in py2 bytes4 numpy5; do
    run fvprep pack "$golden/bin_$form.bin" -o $form.lmdb --size 12
    exits 0
    out_has 'holdout images      6'
    run cat $form.pairs.txt
    out 'pair00001_a pair00001_b 1
pair00002_a pair00002_b 0
pair00003_a pair00003_b 1'
    run cmp py2.lmdb $form.lmdb
    exits 0
done

# what export writes as RecordIO is read back, with its splits
run fvprep pack photos -o faces.lmdb --size 16 --holdout-ids 50% --val 40% --quiet
exits 0
run fvprep export faces.lmdb -o rec --format rec --quiet
exits 0
run fvprep pack rec -o again.lmdb --size 16
exits 0
err_has '(layout recordio)'
out_has 'refused             0'
out_has 'identities          2'
out_has 'train images        2'
out_has 'val images          1'
out_has 'holdout images      3'
