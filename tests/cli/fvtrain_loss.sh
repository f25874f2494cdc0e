# SPDX-License-Identifier: MIT
# Losses from the command line: heads of their own, what has no meaning, going on where the margin stood.
six_people
run fvprep pack photos -o faces.lmdb --size 16 --holdout-ids 34% --val 20%
exits 0

train="fvtrain --db faces.lmdb --arch tiny --backend ref --batch 4 --epochs 2"
run $train --order pk --images-per-id 2 --loss 'adaface(s=8,warmup=1.5)+0.1*triplet(mine=semi-hard)' --out margin
exits 0
err_has 'epoch 2/2'
there margin/best_cls.safetensors
run fveval pairs margin/last.safetensors --db faces.lmdb
exits 0
out_has 'genuine'

run $train --order pk --images-per-id 2 --loss triplet --out triplet
exits 0
there triplet/best_ver.safetensors
not_there triplet/best_cls.safetensors
run fveval pairs triplet/last.safetensors --db faces.lmdb
exits 0

run $train --loss cosface --out cosine
exits 0
err_has 'cosface: a scale of s=64 for 4 identities'

run $train --loss 'arcface(s=8' --out bad
exits 2
err_has "expected ',' or ')'"
not_there bad
run $train --loss 'ce+hinge' --out bad
exits 2
err_has "there is no loss 'hinge': valid are ce, arcface"
not_there bad
run $train --loss triplet --aug 'flip,cutmix(1,p=0.01)' --out mixed
exits 2
err_has 'leave cutmix and mixup out'
err_lacks 'learning curves' # of a run that never began
not_there mixed
run fvtrain --resume margin --loss ce
exits 1
err_has 'cannot be resumed'
