# SPDX-License-Identifier: MIT
# Fine-tuning: weights of torch.save begin a run, which then resumes without the file.
golden=$(dirname "$case_file")/../golden
for id in 1 2 3 4; do
    for i in 1 2 3 4 5 6; do
        pgm photos/p$id/$i.pgm 24 $((id * 50 + i))
    done
done
run fvprep pack photos -o faces.lmdb --size 16 --val 20%
exits 0
train="fvtrain --db faces.lmdb --arch tiny --backend ref --batch 4 --epochs 2"
cp "$golden/weights_nested.pth" nested.pth
run $train --out tuned --init nested.pth --mean imagenet --std 0.229,0.224,0.225 --freeze conv1,bn1
exits 0
err_has 'nested.pth (torch.save): 5096 of 5164 parameters begin with its numbers'
err_has 'fc.weight (7x16 there, 4x16 here)'
run grep -aF '"mean":"0.48' tuned/last.safetensors
exits 0

# The frozen first layer is PyTorch's: another run that begins with this one's checkpoint finds all of it.
run $train --out again --init tuned/last.safetensors --epochs 1
exits 0
err_has 'matched         32'
err_has 'was trained with --mean 0.485,0.456,0.406'

rm nested.pth
run fvtrain --resume tuned
exits 0

run $train --out none --init nowhere.pth
exits 1
err_has 'nowhere.pth: there is no such file'
not_there none/last.safetensors
run $train --out none --init "$golden/weights_module.pth"
exits 1
err_has 'torch.save(model.state_dict(), ...)'
not_there none/last.safetensors
run $train --out none --mean 0.5,0.5
exits 2
err_has '--mean 0.5,0.5: one number, three with commas between them, or imagenet'
run $train --out none --std 0
exits 2
err_has 'numbers above 0'
