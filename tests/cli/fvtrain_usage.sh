# SPDX-License-Identifier: MIT
run fvtrain --help
exits 0
out_has '--resume'
out_has 'cutmix'
err ''
run fvtrain
exits 2
out ''
err_has '--db FILE'
run fvtrain --db faces.lmdb --epoch 3
exits 2
err_has 'epochs'
run fvtrain --db nowhere.lmdb
exits 1
err_has 'nowhere.lmdb'
run fvtrain --resume nowhere
exits 1
err_has 'there is no run to resume'
run fvtrain --resume nowhere --out there
exits 2
