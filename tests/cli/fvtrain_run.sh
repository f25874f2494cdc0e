# SPDX-License-Identifier: MIT
# From photos to a run; killed, interrupted and resumed, the run ends in the bytes of one left alone.
six_people
run fvprep pack photos -o faces.lmdb --size 16 --holdout-ids 34% --val 20%
exits 0

train="fvtrain --db faces.lmdb --arch tiny --backend ref --batch 4 --epochs 6"
run $train --out whole
exits 0
out_has 'trained     6 epochs  whole/last.safetensors'
out_has 'whole/best_ver.safetensors'
cp "$work/out" result.txt
if command -v gnuplot >/dev/null; then
    out_has 'report      whole/report.html'
fi
err_has '60 images of 6 identities'
err_has 'identities to train on (8 images each)'
err_has 'epoch 6/6'
# of each epoch one line stays
cp "$work/err" said.txt
run grep -c '^fvtrain: epoch ' said.txt
out 6
run grep -e '^validation' -e '^embeddings' said.txt
exits 1
for f in settings.txt log.jsonl last.safetensors best_cls.safetensors best_ver.safetensors; do
    there whole/$f
done

last='kill -9 of fvtrain after its first checkpoint'
$train --out killed --save-every 0.00001 >/dev/null 2>&1 &
pid=$!
n=0
while [ ! -e killed/last.safetensors ] && [ $n -lt 2000 ]; do
    sleep 0.005
    n=$((n + 1))
done
kill -9 $pid
wait $pid 2>/dev/null
status=$?
exits 137
run fvtrain --resume killed
exits 0
err_has 'resumed from'
sed s/killed/whole/ "$work/out" >again.txt
run cmp result.txt again.txt
exits 0
run cmp whole/last.safetensors killed/last.safetensors
exits 0
run cmp whole/best_ver.safetensors killed/best_ver.safetensors
exits 0

# Slurm sends TERM, or USR1 where it was asked to; twice is not an order to drop everything.
for signal in TERM USR1; do
    last="kill -$signal of fvtrain"
    rm -rf stopped
    $train --epochs 100000 --out stopped >out.txt 2>err.txt &
    pid=$!
    n=0
    while [ ! -e stopped/last.safetensors ] && [ $n -lt 200 ]; do
        sleep 0.05
        n=$((n + 1))
    done
    kill -$signal $pid
    kill -TERM $pid
    wait $pid
    status=$?
    exits 130
    there stopped/last.safetensors
    run grep -F 'fvtrain --resume stopped' err.txt
    exits 0
done

# A moved data set is the same data set; another one is not.
mv faces.lmdb moved.lmdb
run fvtrain --resume whole --db moved.lmdb
exits 0
run fvprep pack photos -o other.lmdb --size 20 --holdout-ids 34% --val 20%
run fvtrain --resume whole --db other.lmdb
exits 1
err_has 'cannot be resumed'
mv moved.lmdb faces.lmdb
run fvtrain --resume whole --lr 0.5
exits 1
err_has "'lr = 0.02' and now there is 'lr = 0.5'"
run fvtrain --resume whole --threads 1
exits 0

run $train --out whole
exits 1
err_has 'not empty'
run fvtrain --db faces.lmdb --batch 1000
exits 1
err_has 'lower --batch'

# Without --out, runs are numbered.
run $train --epochs 1
there runs/faces-1/last.safetensors
run $train --epochs 1
there runs/faces-2/last.safetensors

# One held-out identity makes no pairs of two people: no reason not to train.
run fvprep pack photos -o single.lmdb --size 16 --holdout-ids 17%
exits 0
run fvtrain --db single.lmdb --arch tiny --batch 4 --epochs 1
exits 0
err_has 'no verification: '
run $train --max-pairs 1
exits 2
err_has 'two is the least'

# One that never began leaves no folder.
run $train --arch nothing
exits 1
not_there runs/faces-3

# An empty folder will do for a run, by whatever name.
mkdir empty
ln -s empty link
run $train --epochs 1 --out link
exits 0
there empty/last.safetensors

# Settings that a run could not be resumed with are refused, or named.
mkdir 'two
lines'
cp faces.lmdb 'two
lines'
cd 'two
lines' || exit 1
run fvtrain --db faces.lmdb --arch tiny --batch 4 --epochs 1 --out lines
exits 1
err_has 'several lines'
not_there lines
cd ..
mv faces.lmdb moved.lmdb
run fvtrain --resume whole
exits 1
err_has 'say where to with --db'
mv moved.lmdb faces.lmdb
: >link/settings.txt
run fvtrain --resume link
exits 1
err_has 'settings.txt: does not say what data set'

# A run whose program had no such options yet goes on as it was, which for --warmup was without.
mkdir old
grep -vE '^(accumulate|ema|clip-norm|loss|optim|nesterov|warmup|patience-on) ' whole/settings.txt >old/settings.txt
run fvtrain --resume old
exits 0
run grep -E '^(warmup = 0|accumulate = 1)$' old/settings.txt
exits 0
out_has 'warmup = 0'
out_has 'accumulate = 1'

# All that goes with an optimiser, from the command line into the settings and back.
run fvtrain --db faces.lmdb --arch tiny --backend ref --batch 4 --epochs 4 --out tricks --optim adamw --lr 1e-3 \
    --schedule step --milestones 1,2 --accumulate 2 --ema 0.9 --clip-norm 1 --freeze conv1,bn1 \
    --lr-of 'fc=10,layer1=0.5' --patience 9 --gamma 0.5 --power 2
exits 0
err_has '--power 2 says nothing to --schedule step'
err_has 'parameters are frozen'
run fvtrain --resume tricks
exits 0
run fvtrain --db faces.lmdb --arch tiny --batch 4 --freeze layer9 --out none
exits 2
err_has "begins with 'layer9'; there are conv1, bn1, layer1, layer2, fc"
head -c 2000 tricks/last.safetensors >short
cp short tricks/last.safetensors
run fvtrain --resume tricks
exits 1
err_has 'tricks/last.safetensors: not a safetensors file, or cut short'
run cmp short tricks/last.safetensors
exits 0
