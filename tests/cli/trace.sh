# SPDX-License-Identifier: MIT
# Every program that works for long writes a trace in which the work is found, whether it ends well or not.
command -v python3 >/dev/null || skip 'no python3 to read traces with'
check=$(dirname "$case_file")/trace_check.py
shows()
{
    last="a look at $1"
    python3 "$check" "$@" >"$work/out" 2>"$work/err" || fail 'this is wrong with the trace:'
}

for i in 1 2 3 4 5 6 7 8; do
    pgm photos/anna/$i.pgm 48 $((i * 20))
    pgm photos/bert/$i.pgm 48 $((i * 25))
    pgm photos/cleo/$i.pgm 48 $((i * 30))
    pgm photos/dora/$i.pgm 48 $((i * 15))
done
run fvprep pack photos -o p.lmdb --size 32 --holdout-ids 0.5 --val 0.2 --threads 2 --trace pack.json
exits 0
shows pack.json read decode encode write @main '@worker 0' '#results ready' '#slots free'
run fvbench loader --db p.lmdb --batch 4 --size 256 --loader-threads 2 --seconds 0.3 --rounds 1 --trace loader.json \
    --aug 'rotate(10),jitter(.2,.2,.2),erase(1),cutmix(1)'
exits 0
shows loader.json decode render warp colour erase mix @main '@loader 0' '@loader 1' '#batches ready'
run fvbench e2e --db p.lmdb --batch 4 --step-ms 1 --seconds 0.02 --rounds 1 --trace e2e.json
exits 0
shows e2e.json 'wait for batch' step decode '#batches ready'
run fvtrain --db p.lmdb --out run --arch tiny --backend ref --epochs 1 --batch 4 --quiet --trace train.json
exits 0
shows train.json 'wait for batch' step checkpoint evaluate decode @main '#batches ready'
run fveval pairs run/last.safetensors --db p.lmdb --count 10 --trace eval.json
exits 0
shows eval.json decode @main
# A program that fails says why, and what it did until then is there to be looked at.
run fvbench loader --db none.lmdb --trace failed.json
exits 1
err_has none.lmdb
shows failed.json
run fvbench parity --db p.lmdb -n 8 --trace parity.json
exits 0
shows parity.json decode warp '@loader 0'
# So does one that is interrupted: the file that will be the trace shows that it has begun.
(
    trap - INT
    exec fvbench loader --db p.lmdb --batch 4 --size 512 --seconds 600 --trace stopped.json
) >out.txt 2>err.txt &
pid=$!
n=0
while ! ls stopped.json* >/dev/null 2>&1 && [ $n -lt 400 ]; do
    sleep 0.05
    n=$((n + 1))
done
kill -INT $pid
wait $pid
status=$?
last="Ctrl-C in fvbench loader: $(cat err.txt)"
exits 130
shows stopped.json
run fvbench loader --db p.lmdb --batch 4 --seconds 0.02 --trace /nowhere/trace.json
exits 1
err_has /nowhere/trace.json
NVTX_INJECTION64_PATH=/no_nvtx_here.so run fvbench loader --db p.lmdb --batch 4 --nvtx
exits 1
err_has /no_nvtx_here.so
