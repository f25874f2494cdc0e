# SPDX-License-Identifier: MIT
# The recipe on a small set: it trains, keeps both best nets, and its rate is that of CosineAnnealingWarmRestarts.
run fvprep synth -o photos -n 8 -i 8 -s 48 -q
exits 0
run fvprep pack photos -o faces.lmdb --size 32 --holdout-ids 25% --val 25%
exits 0
run fvtrain --db faces.lmdb --recipe resnet18-cutmix --size 32 --batch 8 --epochs 2 --out run
exits 0
there run/best_cls.safetensors
there run/best_ver.safetensors
last='reading run/log.jsonl'
# eta_min + (lr - eta_min) (1 + cos(pi epoch / T_0)) / 2
grep '"type":"epoch"' run/log.jsonl | sed 's/.*"lr":\([^,}]*\).*/\1/' | awk '
    { want = 1e-5 + (0.01 - 1e-5) * (1 + cos(atan2(0, -1) * (NR - 1) / 10)) / 2
      if ($1 < want * 0.9999 || $1 > want * 1.0001) { print "rate", $1, "not", want; bad = 1 } }
    END { exit bad || NR != 2 }' >"$work/out" || fail 'not the rates of the schedule'
run fveval pairs run/best_ver.safetensors --db faces.lmdb --flip
exits 0
out_has 'eer'
