# SPDX-License-Identifier: MIT
# Tables of runs: whole, half-written, foreign, running, stopped. What stands in the logs is made up, so it is known.
epoch() { # RUN EPOCH VAL_ACC EER AUC IMG_PER_S
    printf '{"type":"epoch","step":%d,"epoch":%d,"time":1764460800.5,"loss":1.5,"img_per_s":%s,"val_acc":%s,' \
        $(($2 * 10)) "$2" "$6" "$3" >>"$1/log.jsonl"
    printf '"eer":%s,"auc":%s}\n' "$4" "$5" >>"$1/log.jsonl"
}

mkdir -p runs/a-2 runs/a-10 runs/broken runs/noise runs/began runs/.hidden
printf 'arch = resnet18\nepochs = 3\nlr = 0.1\naug = flip\n' >runs/a-2/settings.txt
epoch runs/a-2 1 0.25 0.3 0.7 100
epoch runs/a-2 2 0.5 0.125 0.9 300
epoch runs/a-2 3 0.375 0.25 0.95 200
echo '{"state": "done"}' >runs/a-2/end.json
printf 'arch = tiny\nepochs = 3\nlr = 0.1\naug = rrc(0.8),flip,rotate(10),jitter(0.2,0.2,0.2)\n' >runs/a-10/settings.txt
epoch runs/a-10 1 0.625 0.25 0.8 50
printf '{"state": "failed", "why": "the disk is full"}' >runs/a-10/end.json
# torn, not of this program, or not at all what it should be
epoch runs/broken 1 0.5 0.5 0.5 10
printf '\000\377rubbish\n[]\n7\n{"type":"epoch","step":-5,"epoch":-1,"val_acc":1}\n{"type":"epo' >>runs/broken/log.jsonl
printf 'no settings\n = \n' >runs/broken/settings.txt
printf '{"state": ["done"' >runs/broken/end.json
echo hello >runs/noise/readme.txt
echo file >runs/file
printf 'arch = tiny\nepochs = 3\n' >runs/began/settings.txt
printf '{"state": "running"}   \n' >runs/began/end.json # and no process holds the lock

run fvtrain ls
exits 0
err ''
out 'run          state   epochs  net       accuracy      EER     AUC  img/s
runs/a-2     done       3/3  resnet18   50.00 %  12.50 %  0.9000    200
runs/a-10    failed     1/3  tiny       62.50 %  25.00 %  0.8000     50
runs/began   killed     0/3  tiny             -        -       -      -
runs/broken  killed       1  -          50.00 %  50.00 %  0.5000     10'
run fvtrain ls runs/a-10/ runs/noise
exits 1
out_has 'runs/a-10  failed     1/3  tiny'
err_has 'runs/noise: is no run, and there are none in it'
run fvtrain ls nowhere
exits 1
err_has 'nowhere: cannot be listed'
run fvtrain ls --json runs/a-2 runs/a-10
exits 0
out_has '"why": "the disk is full"'
out_has '"best_eer": 0.125'
out_has '"best_accuracy_epoch": 2'

run fvtrain compare runs/a-2 runs/a-10
exits 0
out '            a-2      a-10
state       done     failed
epochs      3 of 3   1 of 3
accuracy    50.00 %  62.50 % (+12.50)
  at epoch  2        1
EER         12.50 %  25.00 % (+12.50)
AUC         0.9000   0.8000 (-0.1000)
  at epoch  2        1
img/s       200      50 (x0.25)

settings that differ
arch  resnet18  tiny
aug  a-2   flip
     a-10  rrc(0.8),flip,rotate(10),jitter(0.2,0.2,0.2)'
run fvtrain compare runs/a-2 runs/a-2
exits 0
out_has 'no setting differs'
run fvtrain compare --json runs/a-2 runs/began
exits 0
out_has '"lr": [
      "0.1",
      null
    ]'
run fvtrain compare runs/a-2
exits 2
run fvtrain compare runs/a-2 runs/noise
exits 1
err_has 'runs/noise: is no run'
if command -v gnuplot >/dev/null; then
    run fvtrain compare runs/a-2 runs/began runs/a-10 --plot both.png
    exits 0
    there both.png
    run fvtrain compare runs/began runs/began --plot none.png
    exits 1
    err_has 'nothing to draw'
    not_there none.png
fi

# A run of this machine, from its first checkpoint to its end.
for i in 1 2 3 4 5 6; do
    pgm photos/anna/$i.pgm 24 $((i + 60))
    pgm photos/bert/$i.pgm 24 $((i + 160))
done
run fvprep pack photos -o faces.lmdb --size 16 --val 20%
exits 0
train="fvtrain --db faces.lmdb --arch tiny --backend ref --batch 2"
last='fvtrain in the background'
$train --epochs 100000 --out long >/dev/null 2>&1 &
pid=$!
n=0
while [ ! -e long/last.safetensors ] && [ $n -lt 2000 ]; do
    sleep 0.005
    n=$((n + 1))
done
run fvtrain ls long
out_has 'long  running'
kill -TERM $pid
wait $pid
run fvtrain ls long
out_has 'long  stopped'
run $train --epochs 2 --out short
exits 0
run fvtrain ls short
out_has 'short  done      2/2  tiny'
fvtrain ls . >list.txt
run grep '^short ' list.txt
exits 0
if command -v gnuplot >/dev/null; then
    last='the learning curves of long and short'
    there long/curves.png
    there short/curves.png
fi
rm -f short/curves.png
PATH=$(dirname "$(command -v fvtrain)") run fvtrain --resume short
exits 0
err_has 'no learning curves: curves.png is drawn by gnuplot: install the package gnuplot-nox'

# What gnuplot says goes into the sentence and not between the lines; a warning of its is no concern.
mkdir broken
cat >broken/gnuplot <<END
#!/bin/sh
cat >/dev/null
echo "Warning: empty y range" >&2
printf "\\n  ^\\n  line 7: no such thing\\n" >&2
exit 1
END
chmod +x broken/gnuplot
PATH=$PWD/broken:$PATH run fvtrain --resume short
exits 0
err_has 'resumed from short/last.safetensors: all 2 epochs are done'
err_has 'fvtrain: no learning curves: gnuplot drew nothing, for: line 7: no such thing: it must have the terminal'
last='looking for what gnuplot said'
! grep -qE '^ *(line 7|\^)|^Warning' "$work/err" || fail 'what gnuplot says stands by itself'
