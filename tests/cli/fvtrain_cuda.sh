# SPDX-License-Identifier: MIT
# Where there is no GPU: --backend cuda says so in one sentence, auto takes the next, and --dtype is refused by those
# that know only one.
for id in 1 2 3 4; do
    for i in 1 2 3 4 5 6; do
        pgm photos/p$id/$i.pgm 24 $((id * 35 + i))
    done
done
run fvprep pack photos -o faces.lmdb --size 16 --val 20%
exits 0
train="fvtrain --db faces.lmdb --arch tiny --batch 4 --epochs 1 --max-pairs 0"
run $train --backend ref --dtype bf16 --out a
exits 2
err_has 'backend ref computes in fp32, not in bf16'
run $train --dtype int8 --out a
exits 2
err_has 'bf16'
run $train --backend cuda --out b
if [ $status = 0 ]; then
    skip 'this machine has a GPU'
fi
exits 1
out ''
if grep -q "there is no backend 'cuda' in this build" "$work/err"; then
    skip 'built without CUDA'
fi
err_has 'use --backend cpu'
not_there b
[ "$(grep -c 'backend cuda: ' "$work/err")" = 1 ] || fail 'not one sentence'
run $train --dtype bf16 --out c
exits 2
err_has 'backend cuda: '
err_has 'backend ref computes in fp32, not in bf16: leave out --dtype'
not_there c
run $train --out c -v
exits 0
err_has 'was taken, since backend cuda: '
there c/last.safetensors
