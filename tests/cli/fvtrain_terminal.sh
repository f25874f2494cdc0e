# SPDX-License-Identifier: MIT
# The live line of a terminal is redrawn in place, so it must not be wider; what does not fit goes field by field.
command -v python3 >/dev/null || skip 'no python3 to make a terminal with'
for i in $(seq 40); do
    pgm photos/anna/$i.pgm 24 $((i + 60))
    pgm photos/bert/$i.pgm 24 $((i + 160))
done
run fvprep pack photos -o faces.lmdb --size 64 --val 20%
exits 0
train="fvtrain --db faces.lmdb --arch tiny --backend ref --batch 2 --epochs 1"
on_terminal="python3 $(dirname "$case_file")/on_terminal.py"
for columns in 40 60 80; do
    run $on_terminal $columns $train --out run-$columns
    exits 0
    out_has 'epoch 1/1 '
done
out_has ' img/s  wait '
run $on_terminal 140 $train --out run-140
exits 0
out_has '  lr 0.0'
