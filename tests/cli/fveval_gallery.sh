# SPDX-License-Identifier: MIT
# The gallery task of HW2P2, F22 to S24, in small: known people with two photographs each, unknown ones of whom a list
# tells (dev) and does not (test). A probe is a copy of a known photograph, so that a right program must find it.
says() { tr -s ' ' <"$work/out" | grep -qF -- "$1" || fail "stdout lacks: $1"; }

for id in 1 2 3 4 5 6; do
    for i in 1 2 3 4 5 6; do
        pgm photos/x-classification/train/p$id/$i.pgm 24 $((id * 35 + i))
    done
done
for id in 1 2 3 4 5 6 7 8; do
    pgm photos/verification/known/n00000$id/1.pgm 24 $((id * 29 + 1))
    pgm photos/verification/known/n00000$id/2.pgm 24 $((id * 29 + 7))
done
for i in 1 2 3 4; do
    mkdir -p photos/verification/unknown_dev photos/verification/unknown_test
    cp photos/verification/known/n00000$i/1.pgm photos/verification/unknown_dev/00$i.pgm
    cp photos/verification/known/n00000$((9 - i))/2.pgm photos/verification/unknown_test/00$i.pgm
done
printf 'label\nn000001\nn000002\nn000003\nn000004\n' >dev.csv
printf 'n000008\nn000007\nn000000\nn000005\n' >test.txt
run fvprep pack photos -o faces.lmdb --size 16 --layout hw2p2
exits 0
run fvtrain --db faces.lmdb --arch tiny --backend ref --batch 4 --epochs 1 --max-pairs 0 --out run
exits 0

gallery="fveval gallery run/last.safetensors --db faces.lmdb --backend ref -q --gallery folder:verification/known"
run $gallery --dev folder:verification/unknown_dev --dev-labels dev.csv --probes folder:verification/unknown_test \
    --submission hw2p2-f22 -o submission.csv --answers answers.csv
exits 0
says 'gallery images 16'
says 'gallery identities 8'
says 'probes 4 (0 in the gallery, 0 strangers, 4 unknown)'
says 'dev accuracy 1.0000'
says 'none: nobody is rejected'
last='reading submission.csv'
printf 'id,label\n0,n000008\n1,n000007\n2,n000006\n3,n000005\n' | cmp - submission.csv || fail 'not the right answers'
run head -2 answers.csv
out_has 'verification/unknown_test/001.pgm,n000008,n000008,1,'

# With the truth known: one of them is declared a stranger, whom a threshold above all scores rejects.
run $gallery --probes folder:verification/unknown_test --probe-labels test.txt
exits 0
says 'probes 4 (3 in the gallery, 1 strangers, 0 unknown)'
says 'rank 1 1.0000'
says 'no interval: all replicates are alike'
says '(95 % over 4 people)'
out_has 'tpir at fpir 0.01'
says 'accuracy 0.7500'
run $gallery --probes folder:verification/unknown_test --probe-labels test.txt --threshold 1.5 \
    --submission hw2p2-f22 -o submission.csv
exits 0
says 'accuracy 0.2500'
last='reading submission.csv'
[ "$(grep -c n000000 submission.csv)" = 4 ] || fail 'somebody was not rejected'
run $gallery --probes folder:verification/unknown_test --probe-labels test.txt --pool mean
exits 0
says 'rank 20 1.0000'

# Who is looked for by the very image that is known is told.
run $gallery --probes folder:verification/known --bootstrap 0
exits 0
says 'probes of the gallery 16 are in the gallery themselves'
last='looking for intervals'
grep -q 'people)' "$work/out" && fail 'intervals that were not asked for'

# Templates and lists as IJB has them.
for i in 1 2 3 4; do
    echo "verification/known/n00000$i/1.pgm $i 1"
    echo "verification/known/n00000$i/2.pgm $i 2"
    echo "verification/known/n00000$i/2.pgm 1$i 3"
done >media.txt
printf 'TEMPLATE_ID,SUBJECT_ID\n1,100\n2,200\n3,300\n' >G1.csv
printf 'TEMPLATE_ID,SUBJECT_ID\n11,100\n12,200\n14,400\n' >probe.csv
ijb="fveval gallery run/last.safetensors --db faces.lmdb --backend ref -q --templates media.txt"
run $ijb --gallery G1.csv --probes probe.csv
exits 0
says 'gallery images 3 templates'
says 'probes 3 (2 in the gallery, 1 strangers, 0 unknown)'

run $ijb --gallery folder:x --probes probe.csv
exits 2
err_has 'with --templates a list of their numbers is wanted'
printf 'TEMPLATE_ID,SUBJECT_ID\n99,100\n' >bad.csv
run $ijb --gallery bad.csv --probes probe.csv
exits 1
err_has 'bad.csv: row 1'
run $gallery --probes folder:verification/unknown_tst
exits 1
err_has 'has no images in folder verification/unknown_tst'
run $gallery --probes folder:verification/unknown_test --probe-labels dev.csv --dev folder:verification/known
exits 2
err_has 'no threshold can be chosen: give --dev-labels'
run $gallery --probes split:vall
exits 2
err_has 'valid are train, val, holdout'
run $gallery --probes split:holdout --submission hw2p2-f24 -o x.csv
exits 2
err_has "'hw2p2-f24' is no layout of a submission of identities: valid are hw2p2-f22"
run $gallery --probes split:holdout --submission hw2p2-f22
exits 2
err_has 'go together'
run fveval gallery --help
exits 0
out_has 'folder:PATH'
out_has 'hw2p2-f22'
