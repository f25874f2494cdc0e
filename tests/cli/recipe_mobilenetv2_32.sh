# SPDX-License-Identifier: MIT
# The recipe on a small set: N-way accuracy, and the AUC of trial pairs from a list.
run fvprep synth -o photos -n 8 -i 8 -s 48 -q
exits 0
run fvprep pack photos -o faces.lmdb --size 32 --holdout-ids 25% --val 25%
exits 0
run fvprep pairs faces.lmdb -o trials.txt
exits 0
run fvtrain --db faces.lmdb --recipe mobilenetv2-32 --pairs trials.txt --batch 12 --epochs 2 --warmup 1 --no-report \
    --out run
exits 0
out_has '% right at epoch'
out_has ', AUC '
run grep -x 'stem = small' run/settings.txt
exits 0
run fveval pairs run/best_ver.safetensors --db faces.lmdb --pairs trials.txt
exits 0
out_has '32 px, 6 classes, embedding of 1280'
out_has 'auc '
