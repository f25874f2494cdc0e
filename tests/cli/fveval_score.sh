# SPDX-License-Identifier: MIT
# One checkpoint has one EER, whoever computes it: the log of its training, fveval pairs, and fveval score on what
# fveval embed wrote. All against all, lists by name and number, and faults.
six_people
run fvprep pack photos -o faces.lmdb --size 16 --holdout-ids 34% --val 20%
exits 0
run fvtrain --db faces.lmdb --arch tiny --backend ref --batch 4 --epochs 1 --out run
exits 0
run fvprep pairs faces.lmdb -o pairs.txt
exits 0

eer_of() { sed -n 's/.*"eer": *\([0-9.e-]*\).*/\1/p' "$1" | tail -1; }
run fveval pairs run/last.safetensors --db faces.lmdb --backend ref --json -q
exits 0
cp "$work/out" pairs.json
run fveval embed run/last.safetensors --db faces.lmdb --backend ref --split holdout -o e.npy,e.faiss,e.csv -q
exits 0
out_has 'names       e.names.csv'
there e.faiss
run fveval score e.npy --pairs pairs.txt --json -q --scores scores.csv
exits 0
cp "$work/out" score.json
last='comparing the three EERs'
[ -n "$(eer_of pairs.json)" ] || fail 'no EER'
[ "$(eer_of pairs.json)" = "$(eer_of score.json)" ] || fail 'fveval pairs and fveval score differ'
awk -v a="$(eer_of pairs.json)" -v b="$(eer_of run/log.jsonl)" \
    'BEGIN { exit !(b != "" && a - b < 1e-6 && b - a < 1e-6) }' || fail "the log says $(eer_of run/log.jsonl)"

# Programs get what was computed, and not six digits of it: a threshold has to fall between the scores that it parts.
last='reading best_threshold'
sed -n 's/.*"best_threshold": *\([0-9.e-]*\).*/\1/p' score.json | grep -q '[0-9]\{12\}' || fail 'it is rounded'
sed 1d scores.csv | grep -q '[0-9]\{15\}$' || fail 'scores are rounded'

# By numbers, and beside each other: the same two rows have the same score.
run wc -l scores.csv
out '181 scores.csv'
mv e.names.csv names.csv
echo '0 1 1
0 11 0' >numbers.txt
run fveval score e.npy --pairs numbers.txt --scores numbers.csv -q
exits 0
run fveval score e.npy --pairs numbers.txt --names names.csv
exits 1
err_has 'numbers.txt: line 1: e.npy: has no image named 0'
for i in 1 0 1 0 1 0 1 0 1 0; do echo $i; done >same.txt
run fveval score e.npy --same same.txt --scores beside.csv -q
exits 0
last='comparing scores'
[ "$(sed -n 2p beside.csv)" = "$(sed -n 2p numbers.csv)" ] || fail 'rows 0 and 1 have two scores'
run fveval score e.npy e.npy --same same.txt
exits 1
err_has 'same.txt: has 10 lines for 20 pairs'

# Who the rows show is known by their names, and intervals are over them; rows that nobody names have none.
run fveval embed run/last.safetensors --db faces.lmdb --backend ref -o all.npy -q
exits 0
for a in 1 2 3 4 5 6; do
    for i in 1 2 3 4 5 6; do
        echo "p$a/$i.pgm p$a/$((i + 1)).pgm 1"
        echo "p$a/$i.pgm p$((a % 6 + 1))/$i.pgm 0"
    done
done >all.txt
run fveval score all.npy --pairs all.txt --bootstrap 50 -q
exits 0
out_has '(95 % over 6 identities; pairs one by one:'
run fveval score e.npy --pairs numbers.txt -q
exits 0
last='looking for intervals'
grep -q 'identities; pairs one by one' "$work/out" && fail 'an interval over people whom nobody named'
run fveval score e.npy --pairs pairs.txt --names names.csv --fpr 0.2 --tpr corners --bootstrap 0 -q
exits 0
out_has '(corners: realised FMR'

# A protocol is its own pairs, and tells its own figures beside.
awk 'BEGIN { for (i = 0; i < 6000; i++) { s = i % 600 < 300; a = i * 7 % 20; b = (a + 1 + i % 9) % 10
    print a, (s ? int(a / 10) * 10 : (a < 10) * 10) + b, s } }' >6000.txt
run fveval score e.npy --pairs 6000.txt --protocol agedb-30 -q
exits 0
out_has 'AgeDB, 30 years apart'
out_has '(10 folds of consecutive pairs; threshold from the others'
out_has '(400 thresholds of squared distances'
out_has 'FAR 0.00000; between 4000 thresholds'
sed 1d 6000.txt >5999.txt
run fveval score e.npy --pairs 5999.txt --protocol lfw -q
exits 1
err_has 'protocol lfw: its list has 3000 genuine and 3000 impostor pairs, and this one 2999 and 3000'
run fveval score e.npy --pairs 5999.txt --protocol bin -q
exits 0
run fveval score e.npy --pairs 6000.txt --protocol lfw --folds 5
exits 2
err_has 'leave out --fpr, --tpr and --folds'
run fveval score e.npy --pairs 6000.txt --protocol lvw
exits 2
err_has "--protocol: 'lvw' is none: valid are lfw, calfw"
run fveval score e.npy --pairs 6000.txt --bootstrap 100
exits 2
err_has 'nothing says whom the rows show'
run fveval score e.npy --all --names names.csv --folds 10
exits 2
err_has '--folds and --bootstrap are for --pairs and --same'
run fveval score e.npy --all --protocol lfw
exits 2
err_has '--protocol is for --pairs and --same'

# What computes scores: only what can.
run fveval score e.npy --all --names names.csv --backend ref
exits 2
err_has '--backend ref: compares no embeddings'
run fveval score e.npy --all --names names.csv --backend abacus
exits 1
err_has "there is no backend 'abacus' in this build"
run fveval score e.npy --same same.txt --backend ref
exits 2
err_has '--backend is for --all'
# All against all: 20 images of 2 identities are 90 genuine and 100 impostor pairs.
run fveval score e.npy --all --names names.csv -q
exits 0
out_has 'labels            identities beside the names'
out_has 'comparisons       190'
out_has 'genuine           90'
run fveval score e.npy e.npy --all --names names.csv --names-b names.csv -q -j 2 --keep 5
exits 0
out_has 'comparisons       400'
out_has 'impostor          200'
out_has 'bin width'

run fveval score e.npy --all
exits 2
err_has '--labels FILE with one identity a row'
run fveval score e.npy --all --labels pairs.txt
exits 1
err_has 'pairs.txt: has 180 labels for the 20 rows of e.npy'
# What is handed in is the scores of fveval pairs, under the keys that the list gives them.
sed 's/ [01]$//' pairs.txt >trials.txt
submit="fveval submit run/last.safetensors --db faces.lmdb --backend ref -q"
run $submit --pairs trials.txt -o submission.csv
exits 0
last='comparing submission.csv'
[ "$(sed -n 1p submission.csv)" = ID,Label ] || fail 'not the header'
sed 1d submission.csv | cut -d , -f 2 >handed.txt
sed 1d scores.csv | sed 's/.*,//' | cmp - handed.txt || fail 'not the scores of the pairs'
sed 1d submission.csv | cut -d , -f 1 | cmp - "$(seq 0 179 >seq.txt; echo seq.txt)" || fail 'not numbered from 0'
{ echo image1,number,image2; sed 's/ /,7,/' trials.txt; } >trials.csv
run $submit --pairs trials.csv --submission hw2p2-s19 -o submission.csv
exits 0
last='reading submission.csv'
sed 1d submission.csv | cut -d , -f 1 | cmp - trials.txt || fail 'keys are not the lines of the list'
run $submit --pairs pairs.txt -o x.csv
exits 1
err_has "pairs.txt: line 1: is not 'path1 path2'; a list with answers is for fveval pairs"
run $submit --pairs trials.txt --submission hw2p2-f22 -o x.csv
exits 2
err_has 'valid are hw2p2-f24, hw2p2-s22, hw2p2-f20, hw2p2-s19'

# Classes by their names, in the order of a list; as many of them are right as the log of the training says.
submit="fveval submit run/last.safetensors --db faces.lmdb --backend ref -q"
run $submit --images split:val -o classes.csv
exits 0
out_has 'images'
last='counting right classes'
[ "$(sed -n 1p classes.csv)" = id,label ] || fail 'not the header'
right=$(sed 1d classes.csv | awk -F'[/,]' '{ right += $1 == $3 } END { print right / NR }')
grep -q "\"val_acc\": *$right[0,}]" run/log.jsonl || fail "$right of the classes are right: the log says otherwise"
sed 1d classes.csv | cut -d, -f1 | tac >order.txt
run $submit --images order.txt --submission hw2p2-s19-class -o reversed.csv
exits 0
last='comparing orders'
sed 1d classes.csv | tac >expected.csv
sed 1d reversed.csv | cmp - expected.csv || fail 'not in the order of the list'
run fvprep pack photos -o other.lmdb --size 16 -q
exits 0
run $submit --images split:val --classes other.lmdb -o x.csv
exits 1
err_has 'the net knows 4 classes, and other.lmdb has 6 training identities'
not_there x.csv
run $submit --images split:val --pairs trials.txt -o x.csv
exits 2
err_has 'give one of --pairs LIST and --images SPEC'
run $submit --images split:val --submission hw2p2-s22 -o x.csv
exits 2
err_has "'hw2p2-s22' is no layout of a submission of classes: valid are hw2p2-s22-class, hw2p2-s19-class"

run fveval score e.npy
exits 2
err_has 'give one of --pairs LIST, --same FILE and --all'
head -c 300 e.npy >cut.npy
run fveval score cut.npy --all
exits 1
err_has 'cut.npy: ends before'
run fveval score e.csv --all
exits 1
err_has 'e.csv: is no .npy file'
run fveval embed run/last.safetensors --db faces.lmdb -o e.txt
exits 2
err_has 'e.txt: embeddings are written as .npy, .csv or .faiss'
run fveval embed run/last.safetensors --db faces.lmdb -o e.npy --split vall
exits 2
err_has "'vall' is none"
run fveval score --help
exits 0
out_has '--all'
