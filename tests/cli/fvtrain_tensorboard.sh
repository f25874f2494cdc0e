# SPDX-License-Identifier: MIT
# What the tensorboard package reads of a run is what its log says; also after it was stopped and resumed.
reads()
{
    run python3 "$(dirname "$case_file")/read_tensorboard.py" "$1"
    exits 0
    out_has 'epoch/acc epoch/data_wait epoch/img_per_s epoch/loss'
    out_has 'train/loss train/loss_ce train/loss_triplet train/lr'
    out_has 'val/acc val/loss verify/auc verify/eer'
}
python3 -c 'from tensorboard.backend.event_processing import event_accumulator' 2>"$work/err" ||
    skip 'python3 has no package tensorboard to read events with'

for i in $(seq 66); do
    pgm photos/anna/$i.pgm 24 $((i + 10))
    pgm photos/bert/$i.pgm 24 $((i + 90))
done
for i in 1 2 3 4; do
    pgm photos/cleo/$i.pgm 24 $((i * 40))
    pgm photos/dora/$i.pgm 24 $((i * 40 + 20))
done
run fvprep pack photos -o faces.lmdb --size 16 --holdout-ids 50% --val 10%
exits 0
train="fvtrain --db faces.lmdb --arch tiny --backend ref --batch 2 --epochs 3 --loss ce+0.2*triplet"
run $train --out run
exits 0
reads run

last='kill -TERM of fvtrain after its first checkpoint'
$train --out stopped --save-every 0.00001 >/dev/null 2>&1 &
pid=$!
n=0
while [ ! -e stopped/last.safetensors ] && [ $n -lt 2000 ]; do
    sleep 0.005
    n=$((n + 1))
done
kill -TERM $pid
wait $pid
printf 'torn' >>stopped/events.out.tfevents.fv
run fvtrain --resume stopped
exits 0
reads stopped
