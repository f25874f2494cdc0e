# SPDX-License-Identifier: MIT
# The recipe on a small set laid out as HW2P2 has it: trained on some people, it searches a gallery of others. A probe
# is a copy of a known photograph, so that any net must find it.
run fvprep synth -o faces -n 10 -i 4 -s 48 -q
exits 0
mkdir -p photos/x-classification/train photos/verification/known photos/verification/unknown_test
for id in 1 2 3 4 5 6; do
    mv faces/id000$id photos/x-classification/train/p$id
done
n=0
for folder in faces/id*; do
    n=$((n + 1))
    mkdir photos/verification/known/n00000$n
    cp $folder/0001.jpg photos/verification/known/n00000$n/1.jpg
    cp $folder/0002.jpg photos/verification/known/n00000$n/2.jpg
    cp $folder/0002.jpg photos/verification/unknown_test/00$((n % 4)).jpg
done
run fvprep pack photos -o faces.lmdb --size 32 --layout hw2p2
exits 0
run fvtrain --recipe gallery-224 --help
exits 0
out_has '`list` shows all [resnet50]'
run fvtrain --db faces.lmdb --recipe gallery-224 --arch resnet18 \
    --size 32 --batch 12 --epochs 1 --warmup 0 --max-pairs 0 --out run
exits 0
search="fveval gallery run/last.safetensors --db faces.lmdb --gallery folder:verification/known \
    --probes folder:verification/unknown_test --submission hw2p2-f22 -o submission.csv -q"
run $search
exits 0
last='reading the answers without a reject label'
printf 'id,label\n0,n000004\n1,n000001\n2,n000002\n3,n000003\n' | cmp - submission.csv || fail 'not the right answers'

# Above all cosines, so that everybody is unknown.
run $search --threshold 1.5
exits 0
last='reading the answers with a reject label'
[ "$(grep -c ',n000000$' submission.csv)" = 4 ] || fail 'somebody was not rejected'
