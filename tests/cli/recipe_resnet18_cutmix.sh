# SPDX-License-Identifier: MIT
# The recipe on a small set: it trains, keeps both best nets, its rate is that of CosineAnnealingWarmRestarts, and the
# file to hand in holds the cosines that the best net for verification was measured by.
run fvprep synth -o photos -n 8 -i 8 -s 48 -q
exits 0
run fvprep pack photos -o faces.lmdb --size 32 --holdout-ids 25% --val 25%
exits 0
run fvprep pairs faces.lmdb -o pairs.txt
exits 0
run fvtrain --db faces.lmdb --recipe resnet18-cutmix --size 32 --batch 36 --epochs 2 --pairs pairs.txt --no-report \
    --out run
exits 0
last='reading run/log.jsonl'
# eta_min + (lr - eta_min) (1 + cos(pi epoch / T_0)) / 2
grep '"type":"epoch"' run/log.jsonl | sed 's/.*"lr":\([^,}]*\).*/\1/' | awk '
    { want = 1e-5 + (0.01 - 1e-5) * (1 + cos(atan2(0, -1) * (NR - 1) / 10)) / 2
      if ($1 < want * 0.9999 || $1 > want * 1.0001) { print "rate", $1, "not", want; bad = 1 } }
    END { exit bad || NR != 2 }' >"$work/out" || fail 'not the rates of the schedule'

# Each best net is that of its own epoch: the lowest EER, of equal ones the higher AUC; the first highest accuracy.
number='[-+.0-9e]*'
grep '"type":"epoch"' run/log.jsonl |
    sed "s/.*\"epoch\":\($number\),.*\"val_acc\":\($number\),\"eer\":\($number\),\"auc\":\($number\).*/\1 \2 \3 \4/" |
    awk '{ if (NR == 1 || $2 > acc) { acc = $2; cls = $1 }
           if (NR == 1 || $3 < eer || ($3 == eer && $4 > auc)) { eer = $3; auc = $4; ver = $1 } }
         END { print cls, ver, auc }' >best.txt
read -r cls ver auc <best.txt
for best in cls ver; do
    last="reading run/best_$best.safetensors"
    eval "epoch=\$$best"
    head -c 8192 run/best_$best.safetensors | grep -aq "\"epoch\":\"$epoch\"" || fail "not the net of epoch $epoch"
done

sed 's/ [01]$//' pairs.txt >test_pairs.txt
run fveval submit run/best_ver.safetensors --db faces.lmdb --pairs test_pairs.txt -o submission.csv
exits 0
last='reading submission.csv'
[ "$(head -n 1 submission.csv)" = ID,Label ] || fail 'not the header'
sed 's/.* //' pairs.txt >same.txt
sed 1d submission.csv | tr , ' ' | paste -d ' ' - same.txt | awk -v auc="$auc" '
    $1 != NR - 1 || $2 < -1 || $2 > 1 { print "line", NR, "is", $0; bad = 1 }
    { score[NR] = $2; same[NR] = $3 }
    END { for (i in score) for (k in score) if (same[i] == 1 && same[k] == 0) {
              pairs++
              above += score[i] > score[k] ? 1 : score[i] == score[k] ? 0.5 : 0
          }
          if (!pairs || (d = above / pairs - auc) > 1e-6 || d < -1e-6) { print above / pairs, "not", auc; bad = 1 }
          exit bad }' >"$work/out" || fail 'not the scores of the best net'
