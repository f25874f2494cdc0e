# SPDX-License-Identifier: MIT
# Two processes that mpirun started train one net: as one process with the whole batch does.
command -v mpirun >/dev/null || skip 'there is no mpirun'
# Under AddressSanitizer: Open MPI leaks. The same code over TCP, without it, is looked at in fvtrain_ranks.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
six_people
run fvprep pack photos -o faces.lmdb --size 16 --holdout-ids 34% --val 20%
exits 0
train="fvtrain --db faces.lmdb --arch tiny --backend ref --batch 8 --epochs 6 --lr 0.005 --aug flip"
mpi='mpirun --oversubscribe --bind-to none -n 2'
run mpirun --oversubscribe -n 1 true
[ "$status" = 0 ] || skip 'mpirun does not start programs here'

run $train --comm mpi --out alone # a singleton
[ "$status" = 0 ] || err_has 'this build has no MPI'
if [ "$status" != 0 ]; then
    run $mpi $train --out none
    exits 1
    err_has 'mpirun started 2 processes, but this build has no MPI'
    not_there none
    skip 'this build has no MPI'
fi
run $train --out one
exits 0
run cmp alone/last.safetensors one/last.safetensors
exits 0
run $mpi $train --out two --sync-bn
exits 0
err_has '2 processes (mpi), 2 of them on this machine'
for run in one two; do
    grep -o '"loss": *[0-9.e+-]*' $run/log.jsonl | grep -o '[0-9.e+-]*$' >$run.txt
done
[ "$(wc -l <one.txt)" -ge 6 ] || fail 'the log has no losses'
paste one.txt two.txt | awk '{ d = $1 - $2 } d > 1e-5 || d < -1e-5 { print "apart:", $0; bad = 1 }
    END { exit bad }' >"$work/out" || fail 'the loss is not that of one process'

# kill -9 of a rank ends the other, and mpirun; resuming ends in the same bytes.
$mpi $train --out killed --save-every 0.00001 >/dev/null 2>"$work/err" &
pid=$!
n=0
while [ ! -e killed/last.safetensors ] && [ $n -lt 2000 ]; do
    sleep 0.005
    n=$((n + 1))
done
kill -9 "$(ps -o pid= --ppid $pid | tail -n 1 | tr -d ' ')"
before=$(date +%s)
wait $pid
status=$?
[ $status != 0 ] || fail 'mpirun does not mind'
[ $(($(date +%s) - before)) -le 10 ] || fail 'mpirun took long to notice'
run $mpi fvtrain --resume killed
exits 0
run $mpi $train --out three
exits 0
run cmp three/last.safetensors killed/last.safetensors
exits 0

# One that never comes: MPI itself would wait for ever.
run timeout 60 $mpi sh -c "[ \$OMPI_COMM_WORLD_RANK = 1 ] && kill -STOP \$\$; exec $train --comm-timeout 2 --out early"
[ "$status" = 1 ] || fail "exit status $status"
err_has 'the processes that mpirun started have not all come within 2 s'
not_there early

# Rank 0 draws and reports for longer than others wait for it, and is left to do so.
if command -v gnuplot >/dev/null; then
    mkdir slow
    printf '#!/bin/sh\nmkdir %s 2>/dev/null && sleep 3\nexec %s "$@"\n' "$PWD/slept" "$(command -v gnuplot)" \
        >slow/gnuplot
    chmod +x slow/gnuplot
    run env PATH="$PWD/slow:$PATH" $mpi $train --comm-timeout 1 --report --out late
    exits 0
    err_lacks 'MPI_ABORT'
    there late/report.html
fi

# The same bits over MPI as over TCP.
export MASTER_ADDR=127.0.0.1 MASTER_PORT=$((20000 + $$ % 20000)) WORLD_SIZE=2
RANK=1 $train --out four >/dev/null 2>&1 &
run env RANK=0 $train --out four
exits 0
wait
run cmp three/last.safetensors four/last.safetensors
exits 0
