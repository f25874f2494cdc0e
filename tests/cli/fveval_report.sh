# SPDX-License-Identifier: MIT
# The page of 'fveval pairs --report' stands by itself, whatever names the files have.
command -v gnuplot >/dev/null || skip 'gnuplot draws the plots'
command -v python3 >/dev/null || skip 'python3 reads the page'
page=$(dirname "$case_file")/../report/page.py
six_people
mv photos/p6 "photos/p6 <script>alert(1)<"
mv photos/p5 "photos/p5 '&\"amp;"
run fvprep pack photos -o 'faces <b>.lmdb' --size 16 --holdout-ids 50% --val 20%
exits 0
run fvtrain --db 'faces <b>.lmdb' --arch tiny --backend ref --batch 4 --epochs 2 --out run
exits 0

# Training ends with one, whose EER is that of the log.
run python3 "$page" run/report.html
exits 0
out_has 'svg 7 img 48 table 4'
logged=$(python3 -c 'import json
print("%.4f" % min(json.loads(l)["eer"] for l in open("run/log.jsonl") if "\"epoch\",\"step" in l and "eer" in l))')
last='reading run/report.html'
grep -qF "<th scope=\"row\">eer</th><td>$logged " run/report.html || fail "the page does not say EER $logged"
run fvtrain --db 'faces <b>.lmdb' --arch tiny --backend ref --batch 4 --epochs 1 --out none --no-report
exits 0
not_there none/report.html

eval="fveval pairs run/last.safetensors --backend ref -q"
run $eval --db 'faces <b>.lmdb' --baselines --report page.html
exits 0
err ''
run python3 "$page" page.html
exits 0
out_has 'svg 7 img 48 table 4'
eer=$($eval --db 'faces <b>.lmdb' | awk '$1 == "eer" { print $2 }')
last='reading page.html'
grep -qF "<th scope=\"row\">eer</th><td>$eer " page.html || fail "the page does not say EER $eer"
grep -qF 'faces &lt;b&gt;.lmdb' page.html || fail 'a name is not escaped'

# A search in a gallery: people in it, and the held-out ones as strangers. Names are text there too.
eval_g="fveval gallery run/last.safetensors --backend ref -q --bootstrap 50"
python3 -c 'import os
for d in sorted(os.listdir("photos")):
    print("%s/1.pgm\t%s" % (d, d))' | head -4 >known.txt
python3 -c 'import os
for i in (2, 3):
    for d in sorted(os.listdir("photos")):
        print("%s/%d.pgm\t%s" % (d, i, d))' >probes.txt
run $eval_g --db 'faces <b>.lmdb' --gallery known.txt --probes probes.txt --dev probes.txt --report gallery.html
exits 0
err ''
run python3 "$page" gallery.html
exits 0
out_has 'svg 5 '
rank=$($eval_g --db 'faces <b>.lmdb' --gallery known.txt --probes probes.txt |
    awk '$1 == "rank" && $2 == 1 { print $3 }')
last='reading gallery.html'
grep -qF "<th scope=\"row\">rank 1</th><td>$rank" gallery.html || fail "the page does not say rank 1 $rank"
grep -qF 'faces &lt;b&gt;.lmdb' gallery.html || fail 'a name is not escaped'
run $eval_g --db 'faces <b>.lmdb' --gallery known.txt --probes folder:p1 --report unknown.html
exits 1
err_has '--report: nothing says who the probes show: give --probe-labels'
not_there unknown.html

# A picture of its own has colours that every program knows.
run fveval embed run/last.safetensors --backend ref -q --db 'faces <b>.lmdb' -o e.npy --picture e.svg
exits 0
out_has 't-SNE'
last='reading e.svg'
[ "$(grep -c '<text' e.svg)" -ge 60 ] || fail 'not a mark for each image'
grep -qE 'var\(|<use|href' e.svg && fail 'it needs something besides itself'

# Templates have no pictures.
for i in 1 2 3 4; do
    printf 'p1/%d.pgm 1%d %d\np2/%d.pgm 2%d %d\n' $i $((i % 2)) $i $i $((i % 2)) $((i + 4))
done | sort -k2,2n -k3,3n >media.txt
printf '10 11 1\n20 21 1\n10 20 0\n11 21 0\n' >templates.txt
run $eval --db 'faces <b>.lmdb' --templates media.txt --pairs templates.txt --report templates.html
exits 0
run python3 "$page" templates.html
exits 0
out_has 'img 0'

# Without gnuplot the figures are printed, the page is not half written, and the remedy is named.
mkdir no-gnuplot
ln -s "$(command -v fveval)" no-gnuplot/fveval
last='fveval without gnuplot'
PATH=$PWD/no-gnuplot $eval --db 'faces <b>.lmdb' --report none.html >"$work/out" 2>"$work/err"
status=$?
exits 1
out_has 'genuine '
err_has '--report is drawn by gnuplot: install the package gnuplot-nox'
not_there none.html
run $eval --db 'faces <b>.lmdb' --report nowhere/page.html
exits 1
err_has 'nowhere/page.html: cannot create'
