# SPDX-License-Identifier: MIT
# The four recipes for SE-ResNet on a small set: what each makes small, and the step decay.
run fvprep synth -o photos -n 8 -i 8 -s 48 -q
exits 0
run fvprep pack photos -o faces.lmdb --size 32 --holdout-ids 25% --val 25%
exits 0
run fvtrain --recipe se-resnet-arcface --help
exits 0
out_has '`list` shows all [se-resnet34]'
small="--size 32 --batch 12 --epochs 1 --warmup 0 --no-report"
run fvtrain --db faces.lmdb --recipe se-resnet-arcface $small --arch se-resnet18 --milestones 1 --out arcface
exits 0
out_has 'arcface/best_ver.safetensors'
err_has 'arcface: a scale of s=64 for 6 identities'
err_has 'net se-resnet18: 32 px, '
err_has 'embedding of 512, 6 classes'

picture=
command -v gnuplot >/dev/null && picture='--picture faces.svg'
run fveval embed arcface/best_ver.safetensors --db faces.lmdb --split holdout -o faces.npy $picture -q
exits 0
[ -z "$picture" ] || run grep '<svg' faces.svg
exits 0
run python3 -c '
import struct
data = open("faces.npy", "rb").read()
values = struct.unpack("<8192f", data[-4 * 16 * 512:])
for i in range(16):
    norm = sum(v * v for v in values[512 * i:512 * i + 512])
    assert abs(norm - 1) < 1e-5, f"embedding {i} has the squared length {norm}"
'
exits 0

# The variants differ by loss and batches alone.
for recipe in smooth triplet multitask; do
    run fvtrain --db faces.lmdb --recipe se-resnet-$recipe $small --arch tiny --milestones 1 --out $recipe
    exits 0
    last="comparing the settings of $recipe and arcface"
    diff arcface/settings.txt $recipe/settings.txt | sed -n 's/^[<>] \([a-z-]*\) = .*/\1/p' | sort -u |
        grep -vxE 'arch|loss|order|images-per-id' >"$work/out" && fail 'other settings differ'
done
run grep -x 'loss = ce(smooth=0.1)+0.2\*triplet(margin=0.3,mine=batch-hard)' triplet/settings.txt
exits 0
run grep -x 'order = pk' triplet/settings.txt
exits 0
run grep -x 'loss = ce(smooth=0.1)+0.3\*arcface(s=64,m=0.4,warmup=2)' multitask/settings.txt
exits 0

# A tenth after a milestone.
run fvtrain --db faces.lmdb --recipe se-resnet-smooth $small --arch tiny --embedding 0 --epochs 2 --milestones 1 \
    --out two
exits 0
last='reading two/log.jsonl'
[ "$(grep '"type":"epoch"' two/log.jsonl | sed 's/.*"lr":\([^,}]*\).*/\1/' | tr '\n' ' ')" = '0.1 0.01 ' ] ||
    fail 'the rate does not fall to a tenth'
