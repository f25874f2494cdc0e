# SPDX-License-Identifier: MIT
# A run for other programs.
for id in 1 2 3; do
    for i in 1 2 3 4 5 6; do
        pgm photos/p$id/$i.pgm 24 $((id * 60 + i))
    done
done
run fvprep pack photos -o faces.lmdb --size 16
exits 0
run fvtrain --db faces.lmdb --arch tiny --backend ref --batch 4 --epochs 1 --out run --ema 0.9
exits 0

run fvtrain export run --to text
exits 0
out_has 'tiny, 16 px, 3 classes, embedding of 16, loss ce'
out_has '5147 parameters, 144 buffers'
run fvtrain export run/last.safetensors --to text -o net.txt
exits 0
out ''
there net.txt
# conv1: 16 * 16 pixels, 8 * 3 * 3 * 3 weights
run grep -E '^ +1  conv1 +conv +3x3/1 +8x16x16 +216 +0 +55296$' net.txt
exits 0

run fvtrain export run --to onnx -o net.onnx --outputs embedding --normalise
exits 0
there net.onnx
run fvtrain export run --to safetensors -o net.safetensors
exits 0
run grep -aF '"layer2.0.downsample.1.num_batches_tracked"' net.safetensors
exits 0
run grep -aF 'optim.' net.safetensors
exits 1
run grep -aF 'ema.' net.safetensors
exits 1
# what was written begins another run
run fvtrain --db faces.lmdb --arch tiny --backend ref --batch 4 --epochs 1 --out next --init net.safetensors
exits 0
err_has '5147 of 5147 parameters begin with its numbers'

run fvtrain export --to list
exits 0
out_has 'onnx'
run fvtrain export run
exits 2
err_has '--to'
run fvtrain export run --to onnx
exits 2
err_has 'where to? -o FILE'
run fvtrain export run --to tflite -o x
exits 1
err_has "there is no export to 'tflite'; valid: safetensors, onnx, text"
run fvtrain export --to text
exits 2
err_has 'which net?'
run fvtrain export run/last.safetensors --to safetensors -o run/last.safetensors
exits 2
err_has 'is the checkpoint itself'
run fvtrain export run --to text --normalise
exits 2
err_has 'are for --to onnx'
run fvtrain export photos --to text
exits 1
err_has 'photos/last.safetensors'
run fvtrain export net.safetensors --to text
exits 1
err_has 'not a checkpoint of fvtrain'
