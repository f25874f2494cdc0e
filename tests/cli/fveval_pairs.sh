# SPDX-License-Identifier: MIT
# A run is scored on pairs; the scores file holds what the figures were made from; faults get a sentence.
six_people
for id in 1 2 3 4 5 6; do
    mv photos/p$id/10.pgm "photos/p$id/10 \"x\".pgm"
done
run fvprep pack photos -o faces.lmdb --size 16 --holdout-ids 34% --val 20%
exits 0
run fvtrain --db faces.lmdb --arch tiny --backend ref --batch 4 --epochs 1 --out run
exits 0

run fveval pairs run/last.safetensors --db faces.lmdb --backend ref --baselines --scores scores.csv -q
exits 0
out_has 'genuine           90'
out_has 'impostor          90'
out_has 'auc'
out_has 'pixels auc'
out_has 'untrained auc'
out_has 'below the resolution of the data'
auc=$(grep '^  auc ' "$work/out")
there scores.csv
run wc -l scores.csv
out '181 scores.csv'
last='reading scores.csv'
sed 1d scores.csv | grep -vE '^(p[0-9]/[0-9]+\.pgm,|"([^"]|"")*",){2}[01],[-0-9.e]+$' &&
    fail 'not every line is CSV, with quotes where they are needed'
grep -q '^"p[0-9]/10 ""x"".pgm",' scores.csv || fail 'a name lacks its doubled quotes'
# It is a list of pairs too, whether all names have quotes or those that need them.
sed -E '1!s/(^|,)(p[0-9]\/[0-9]+\.pgm)/\1"\2"/g' scores.csv >quoted.csv
for list in scores.csv quoted.csv; do
    run fveval pairs run/last.safetensors --db faces.lmdb --backend ref --pairs $list --scores again.csv -q
    exits 0
    out_has 'pairs format      csv'
    out_has "${auc:?}"
    run cmp scores.csv again.csv
    exits 0
done

# The figures do not depend on the picture; a name may hold anything.
eval="fveval pairs run/last.safetensors --db faces.lmdb --backend ref -q"
run $eval --roc nowhere/roc.png
exits 1
out_has 'genuine           90'
err_has 'nowhere/roc.png: cannot create'
mkdir no-gnuplot
ln -s "$(command -v fveval)" no-gnuplot/fveval
last='fveval without gnuplot'
PATH=$PWD/no-gnuplot $eval --roc roc.png >"$work/out" 2>"$work/err"
status=$?
exits 1
out_has 'genuine           90'
err_has 'install the package gnuplot-nox'
not_there roc.png
if command -v gnuplot >/dev/null; then
    run $eval -n 2 --roc "it's.png"
    exits 0
    last="reading it's.png"
    [ "$(head -c 4 "it's.png" | tail -c 3)" = PNG ] || fail 'not a PNG'
fi

run fvprep pairs faces.lmdb -o pairs.txt
exits 0
run fveval pairs run/last.safetensors --db faces.lmdb --backend ref --pairs pairs.txt -q
exits 0
out_has 'genuine           90'

# Lists of other forms. A protocol's folds are told; a list without one image is refused.
for i in 1 2; do
    for id in 1 2; do
        echo "p$id/$i.pgm,p$id/$((i + 2)),1"
        echo "p$id/$i.pgm,p$((id + 2))/$i.pgm,0"
    done
done | sed '1i img1,img2,match' >list.csv
run $eval --pairs list.csv
exits 0
out_has 'pairs format      csv'
out_has 'genuine           4'
for id in 1 2; do
    for i in 1 2 3 4; do
        cp photos/p$id/$i.pgm photos/p$id/p${id}_000$i.pgm
    done
done
run fvprep pack photos -o lfw.lmdb --size 16 -q
exits 0
printf '2\t1\np1\t1\t2\np1\t3\tp2\t1\np2\t1\t2\np1\t4\tp2\t2\n' >pairs.txt
run fveval pairs run/last.safetensors --db lfw.lmdb --backend ref -q --pairs pairs.txt
exits 0
out_has 'pairs format      lfw'
out_has 'folds             2'
printf '2\t1\np1\t1\t2\np1\t3\tp2\t5\np2\t1\t2\np1\t4\tp2\t2\n' >pairs.txt
run fveval pairs run/last.safetensors --db lfw.lmdb --pairs pairs.txt -q
exits 1
err_has 'pairs.txt: line 3: lfw.lmdb: has no image named p2/p2_0005'
run $eval --pairs list.csv --pairs-format cvs
exits 2
err_has 'valid are auto, list, csv'

# Templates, of which the first has all images of one media and the second two.
printf 'p1/1.pgm 11 1\np1/2.pgm 11 1\np1/3.pgm 12 2\np1/4.pgm 12 3\np2/1.pgm 21 4\n' >media.txt
printf '11 12 1\n11 21 0\n12 21 0\n' >templates.txt
run $eval --templates media.txt --pairs templates.txt --scores scores.csv --baselines
exits 0
out_has 'templates         3 of 5 images'
out_has 'genuine           1'
last='reading scores.csv'
grep -q '^11,21,0,' scores.csv || fail 'templates are not named by their numbers'
# Of images of which all but one weigh nothing the template is that one; an image without a weight is an error.
printf 'p1/1.pgm 0 0 0 0 0 0 0 0 0 0 0.5\np1/2.pgm 0\np1/3.pgm 0.25\np1/4.pgm 0\np2/1.pgm 1\n' >weights.txt
run $eval --templates media.txt --template-weights weights.txt --pairs templates.txt --scores weighted.csv
exits 0
printf 'p1/1.pgm p1/3.pgm 1\np1/1.pgm p2/1.pgm 0\np1/3.pgm p2/1.pgm 0\n' >single.txt
run $eval --pairs single.txt --scores single.csv
exits 0
last='comparing templates with the one image that they rest on'
sed 1d single.csv | sed 's/.*,//' >single
sed 1d weighted.csv | sed 's/.*,//' | paste - single |
    awk '{ d = $1 - $2; bad += d > 1e-6 || d < -1e-6 } END { exit NR != 3 || bad }' || fail 'they differ'
sed -i 4d weights.txt
run $eval --templates media.txt --template-weights weights.txt --pairs templates.txt
exits 1
err_has 'weights.txt: does not say what p1/4.pgm weighs'
echo 'p1/4.pgm -1' >>weights.txt
run $eval --templates media.txt --template-weights weights.txt --pairs templates.txt
exits 1
err_has "weights.txt: line 5: is not 'image ... weight' with a weight of 0 or more"
run $eval --template-weights weights.txt
exits 2
err_has '--template-weights is of --templates'
run $eval --templates media.txt
exits 2
err_has '--templates needs --pairs'

echo 'nobody.pgm p1/1.pgm 0' >bad.txt
run fveval pairs run/last.safetensors --db faces.lmdb --pairs bad.txt -q
exits 1
err_has 'bad.txt: line 1: faces.lmdb: has no image named nobody.pgm'
run fveval pairs run/settings.txt --db faces.lmdb -q
exits 1
err_has 'run/settings.txt'
run fveval pairs run/last.safetensors
exits 2
err_has '--db FILE is required'
run fveval galery
exits 2
err_has "unknown command 'galery': "
run fveval pairs --help
exits 0
out_has '--baselines'

# Rates, rules and intervals.
eval="fveval pairs run/last.safetensors --db faces.lmdb --backend ref -q --pairs all.txt"
for a in 1 2 3 4 5 6; do
    for i in 1 2 3 4 5 6; do
        echo "p$a/$i.pgm p$a/$((i + 1)).pgm 1"
        echo "p$a/$i.pgm p$((a % 6 + 1))/$i.pgm 0"
    done
done >all.txt
run $eval --json
exits 0
cp "$work/out" first.json
run $eval --json -j 3
exits 0
last='comparing one thread with three'
grep -v '"model"' first.json >one.json
grep -v '"model"' "$work/out" | cmp -s - one.json || fail 'threads change the result'
number() { tr -d '\n' <"$2" | sed -n "s/.*\"$1\": *\\([-0-9.e]*\\).*/\\1/p"; }
run $eval --json --bootstrap 500 --seed 7 --level 0.9 --interval percentile
exits 0
out_has '"level": 0.9'
out_has '"replicates": 500'
run $eval --bootstrap 0
exits 0
out_has 'tpr at fmr 0.001'
last='looking for intervals'
grep -q 'over 6 identities' "$work/out" && fail 'an interval without replicates'
run $eval
exits 0
out_has '(95 % over 6 identities; pairs one by one:'
run $eval --fpr 0.05,0.5 --tpr nearest --eer midpoint --folds 6 -q
exits 0
out_has 'tpr at fmr 0.5 '
out_has '(nearest: realised FMR'
out_has '(middle of '
out_has '6 folds of consecutive pairs; threshold from the others'
run $eval --tpr val
exits 2
err_has 'this list has none: give --folds 10'
run $eval --tpr val --folds 6
exits 0
out_has '(VAL over 6 folds; mean FAR'
run $eval --folds 37
exits 2
err_has '--folds: 36 genuine and 36 impostor pairs cannot be divided into 37 folds'
run $eval --protocol cfp-fp
exits 1
err_has 'protocol cfp-fp: its list has 3500 genuine and 3500 impostor pairs, and this one 36 and 36'
run $eval --protocol bin --bootstrap 0
exits 0
out_has 'insightface accuracy'
run $eval --fpr 0.1,none
exits 2
err_has "--fpr: 'none' is no rate between 0 and 1"
run $eval --fpr 0.1,0.10
exits 2
err_has '--fpr: 0.1 stands there twice'

# A threshold from the list itself gives the very rates of that list: FMR at most what was asked, both near the EER.
run $eval --dev-pairs all.txt --dev-by fmr=0.25 --json
exits 0
cp "$work/out" dev.json
last='comparing rates'
awk -v f="$(number fmr dev.json)" 'BEGIN { exit !(f > 0.2 && f <= 0.25) }' || fail 'not the FMR asked for'
run $eval --dev-pairs all.txt --dev-by accuracy --json
exits 0
cp "$work/out" dev.json
last='comparing accuracies'
[ "$(number accuracy dev.json)" = "$(number best_accuracy dev.json)" ] || fail 'not the best accuracy'
run $eval --dev-pairs all.txt --dev-by fnmr=3
exits 2
err_has "--dev-by: 'fnmr=3' is none of eer, accuracy, fmr=0.001"
run $eval --dev-pairs nowhere.txt
exits 1
err_has 'nowhere.txt'

# Several nets: the mean of their scores. A net with itself is that net.
run fvtrain --db faces.lmdb --arch tiny --backend ref --batch 4 --epochs 1 --seed 9 --out other
exits 0
eval="fveval pairs --db faces.lmdb --backend ref -q --pairs all.txt --bootstrap 0"
run $eval run/last.safetensors --scores a.csv
exits 0
run $eval other/last.safetensors --scores b.csv
exits 0
run $eval run/last.safetensors other/last.safetensors --scores both.csv --baselines
exits 0
out_has '2 nets, the mean of their scores'
out_has '; alone: EER'
out_has 'untrained auc'
last='comparing the scores of two nets with those of each'
paste -d, a.csv b.csv both.csv |
    awk -F, 'NR > 1 { d = $12 - ($4 + $8) / 2; bad += d > 1e-8 || d < -1e-8; alike += $4 == $8 }
        END { exit NR != 73 || bad > 0 || alike > 2 }' || fail 'not the mean'
run $eval run/last.safetensors run/last.safetensors --scores twice.csv
exits 0
last='comparing a net with itself'
cmp -s a.csv twice.csv || fail 'a net twice is another one'
run $eval run/last.safetensors nowhere.safetensors
exits 1
err_has 'nowhere.safetensors'
