# SPDX-License-Identifier: MIT
# What of a photo is packed: options that change the data set, and those that exclude each other.
for i in 1 2; do
    pgm photos/p$i/a.pgm 20 $((i * 40))
done
run fvprep pack photos -o cover.lmdb --size 16
exits 0
run fvprep info cover.lmdb
out_has 'size 16, frame photo, fit cover, crop 1, margin 0.3, '
run fvprep pack photos -o crop.lmdb --size 16 --crop 0.5 --fit stretch
exits 0
run fvprep info crop.lmdb
out_has 'frame photo, fit stretch, crop 0.5, '

run fvprep pack photos -o x.lmdb --fit stretched
exits 2
err_has '--fit'
err_has 'cover, contain, stretch'
run fvprep pack photos -o x.lmdb --crop 0
exits 2
run fvprep pack photos -o x.lmdb --frame box --fit contain
exits 2
err_has '--fit and --crop are for whole photos: leave them out with --frame box'
run fvprep pack photos -o x.lmdb --frame landmarks --size 100
exits 2
err_has 'multiple of 112 or 128, not for 100'
not_there x.lmdb

run fvprep pack photos -o x.lmdb --frame landmarks --size 112
exits 2
err_has 'no photo comes with landmarks: --landmarks gives a list'
not_there x.lmdb

# Lists of faces: the first photo is cut out by its box, the second has none.
printf 'p1/a.pgm,2,3,12,10\n' >boxes.csv
run fvprep pack photos -o box.lmdb --size 16 --boxes boxes.csv --margin 0
exits 0
out_has 'images              1'
err_has 'p2/a.pgm: nothing tells where its face is (no box)'
run fvprep info box.lmdb
out_has 'size 16, frame box, fit cover, crop 1, margin 0, '
run fvprep pack photos -o all.lmdb --size 16 --boxes boxes.csv --frame photo
exits 0
out_has 'images              2'
