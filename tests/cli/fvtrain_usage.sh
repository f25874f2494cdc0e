# SPDX-License-Identifier: MIT
run fvtrain --help
exits 0
out_has '--resume'
out_has 'cutmix'
out_has '--aug list'
err ''
run fvtrain --aug list
exits 0
out_has 'resnet18-cutmix'
out_has 'translate_x'
err ''
run fvtrain --arch list
exits 0
out_has 'iresnet50       43.590     6.309 12.619       512  auto '
out_has 'auto,7x7,3x3'
err ''
run fvtrain --loss list
exits 0
out_has 'arcface'
out_has 'semi-hard'
err ''
run fvtrain --db faces.lmdb --aug resnet18-cutmux
exits 2
err_has "unknown augmentation 'resnet18-cutmux'"
err_has 'resnet18-cutmix'
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
