# SPDX-License-Identifier: MIT
# Single photographs: framed as the data set was, so that a photo out of it scores 1 with its packed self.
six_people
mkdir tmp
export TMPDIR=$PWD/tmp
run fvprep pack photos -o faces.lmdb --size 20 --crop 0.8 --holdout-ids 34% --val 20%
exits 0
run fvtrain --db faces.lmdb --arch tiny --backend ref --batch 4 --epochs 1 --out run
exits 0
says() { tr -s ' ' <"$work/out" | grep -qF -- "$1" || fail "stdout lacks: $1"; }

verify="fveval verify --model run/last.safetensors --backend ref -q"
run $verify photos/p1/1.pgm photos/p1/1.pgm --db faces.lmdb -n 60
exits 0
says 'framing cover, crop 0.8, 20 px, as the data set'
says 'score 1.0000'
says 'of 30 pairs of two people'
says 'same person yes'
# The pair's score is the one that fveval pairs gives to the packed images.
echo 'p1/1.pgm p2/7.pgm 0
p1/1.pgm p1/2.pgm 1' >two.txt
run fveval pairs run/last.safetensors --db faces.lmdb --backend ref -q --pairs two.txt --scores two.csv
exits 0
score=$(sed -n '2s/.*,//p' two.csv | cut -c1-6)
run $verify photos/p1/1.pgm photos/p2/7.pgm --db faces.lmdb --json
exits 0
out_has "\"score\": $score"
run $verify photos/p1/1.pgm photos/p1/2.pgm
exits 0
says 'framing cover, crop 1, 20 px'
says 'threshold none: not calibrated'
run $verify photos/p1/1.pgm photos/p1/2.pgm --threshold 2
exits 0
says 'threshold 2.0000 (given; not calibrated'
says 'same person no'

identify="fveval identify --model run/last.safetensors --backend ref -q --gallery faces.lmdb"
run $identify photos/p3/4.pgm
exits 0
says '1 1.0000 p3 (p3/4.pgm)'
run $identify photos/p3/4.pgm --json --top 3
exits 0
out_has '"identity": "p3"'
[ "$(grep -c '"identity"' "$work/out")" = 3 ] || fail 'not three identities'

# Photos that are none, or framed by what nobody knows of them.
echo text >text.pgm
run $verify photos/p1/1.pgm text.pgm
exits 1
err_has 'text.pgm: cannot be used'
run $verify photos/p1/1.pgm gone.pgm
exits 1
err_has 'gone.pgm: cannot open'
for id in 1 2; do
    for i in 1 2; do
        echo "p$id/$i.pgm 2 2 12 12"
    done
done >boxes.txt
run fvprep pack photos -o boxed.lmdb --size 20 --frame box --boxes boxes.txt
exits 0
run $verify photos/p1/1.pgm photos/p1/2.pgm --db boxed.lmdb
exits 1
err_has 'boxed.lmdb was framed by box'
run $verify photos/p1/1.pgm photos/p1/2.pgm --db boxed.lmdb --aligned
exits 0
says 'said to be aligned'
run $verify photos/p1/1.pgm photos/p1/2.pgm --pairs two.txt
exits 2
err_has '--pairs is of a data set: --db FILE'
last='looking for temporary files'
[ -z "$(ls tmp)" ] || fail 'temporary files were left'
