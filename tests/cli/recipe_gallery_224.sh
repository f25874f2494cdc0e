# SPDX-License-Identifier: MIT
# The recipe on a small set.
run fvprep synth -o photos -n 8 -i 6 -s 48 -q
exits 0
run fvprep pack photos -o faces.lmdb --size 32 --holdout-ids 25%
exits 0
run fvtrain --db faces.lmdb --recipe gallery-224 --size 32 --batch 12 --epochs 1 --warmup 0 --out run
exits 0
there run/best_ver.safetensors
run fveval pairs run/last.safetensors --db faces.lmdb
exits 0
out_has 'resnet50, 32 px, 6 classes, embedding of 512'
