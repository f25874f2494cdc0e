# SPDX-License-Identifier: MIT
# Two processes train one net, over TCP: as one process with the whole batch does, and the same again after a kill.
six_people
run fvprep pack photos -o faces.lmdb --size 16 --holdout-ids 34% --val 20%
exits 0

port=$((20000 + $$ % 20000))
export MASTER_ADDR=127.0.0.1
train="fvtrain --db faces.lmdb --arch tiny --backend ref --batch 8 --epochs 6 --lr 0.005 --aug flip --comm-timeout 60"

# start N COMMAND...: N processes, pids in $pids, what they say in out0, err0, out1, ...
start()
{
    n=$1
    shift
    last="$n x $*"
    port=$((port + 1))
    export MASTER_PORT=$port WORLD_SIZE=$n
    pids=
    for rank in $(seq 0 $((n - 1))); do
        RANK=$rank "$@" >out$rank 2>err$rank </dev/null &
        pids="$pids $!"
    done
}

# Waits for all; $statuses are their exit statuses.
finish()
{
    statuses=
    for pid in $pids; do
        wait $pid
        statuses="$statuses $?"
    done
    status=$(echo $statuses)
    cat out? >"$work/out"
    cat err? >"$work/err"
}

# The number after the key, one a line.
curve() { grep -o "\"$2\": *[0-9.e+-]*" $1/log.jsonl | grep -o '[0-9.e+-]*$'; }

# --- two as one
run $train --out one
exits 0
start 2 $train --out two --sync-bn
finish
exits '0 0'
err_has '2 processes (tcp), 2 of them on this machine; 4 images each of a batch of 8; batch norms over all of them'
[ ! -s out1 ] && [ ! -s err1 ] || fail 'rank 1 speaks'
curve one loss >one.txt
curve two loss >two.txt
[ "$(wc -l <one.txt)" -ge 6 ] || fail 'the log has no losses'
paste one.txt two.txt | awk '{ d = $1 - $2 } d > 1e-5 || d < -1e-5 { print "apart:", $0; bad = 1 }
    END { exit bad }' >"$work/out" || fail 'the loss is not that of one process'

# --- without --sync-bn it is another training, and repeats to the byte
start 2 $train --out apart
finish
exits '0 0'
cmp -s apart/last.safetensors two/last.safetensors && fail '--sync-bn does nothing'

# --- kill -9 of a rank ends the other; resuming ends in the same bytes
for victim in 1 2; do
    start 2 $train --out killed$victim --save-every 0.00001
    n=0
    while [ ! -e killed$victim/last.safetensors ] && [ $n -lt 2000 ]; do
        sleep 0.005
        n=$((n + 1))
    done
    kill -9 "$(echo $pids | cut -d ' ' -f $victim)"
    before=$(date +%s)
    finish
    [ $(($(date +%s) - before)) -le 10 ] || fail 'the other process took long to notice'
    [ $victim = 1 ] && exits '137 1' || exits '1 137'
    err_has "rank $((victim - 1)) has ended"
    start 2 fvtrain --resume killed$victim
    finish
    exits '0 0'
    err_has 'resumed from'
    run cmp apart/last.safetensors killed$victim/last.safetensors
    exits 0
    run cmp apart/best_ver.safetensors killed$victim/best_ver.safetensors
    exits 0
done

# --- SIGTERM to one of them: all stop at one step, with one checkpoint
start 2 $train --out stopped --epochs 100000 --no-sync-bn
n=0
while [ ! -e stopped/last.safetensors ] && [ $n -lt 2000 ]; do
    sleep 0.01
    n=$((n + 1))
done
kill -TERM "$(echo $pids | cut -d ' ' -f 2)"
finish
exits '130 130'
err_has 'fvtrain --resume stopped'

# --- on another number of processes: the same settings, and the same batch
run fvtrain --resume two --comm none
exits 0
start 4 $train --out four --epochs 2
sleep 0.2
finish
exits '0 0 0 0'
start 2 fvtrain --resume four
finish
exits '0 0'

# --- what cannot be
start 3 $train --out uneven
finish
case $status in *2*) ;; *) fail "exit status $status, none is 2" ;; esac
err_has '--batch 8 is the batch of all 3 processes together: make it a multiple of 3'
not_there uneven
unset RANK WORLD_SIZE
run env OMPI_COMM_WORLD_SIZE=2 fvtrain --db faces.lmdb --comm tcp
exits 2
err_has 'RANK is not set in the environment'
port=$((port + 1))
run env RANK=1 WORLD_SIZE=2 MASTER_PORT=$port $train --comm-timeout 1
exits 1
err_has "rank 0 was not found: nobody answered at 127.0.0.1:$port"
port=$((port + 1))
run env RANK=0 WORLD_SIZE=3 MASTER_PORT=$port $train --comm-timeout 1
exits 1
err_has '2 of 3 processes have not come'
start 2 sh -c "fvtrain --db faces.lmdb --arch tiny --backend ref --batch 8 --epochs 1 --lr 0.0\${RANK}1 --out odd"
finish
exits '1 1'
err_has 'the settings of rank 1 and of rank 0 differ'
