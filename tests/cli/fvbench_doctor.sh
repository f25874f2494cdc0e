# SPDX-License-Identifier: MIT
# The stall that the doctor names agrees within 2 points with what replayed batches save, whether the loader is too
# slow, about as fast as the step, or faster; and the verdict is the right one. The step is one of a given duration, set
# by how long a batch takes here, so that the three cases are three cases on any machine.
command -v python3 >/dev/null || skip 'no python3 to read JSON with'
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    pgm photos/anna/$i.pgm 48 $((i * 10))
    pgm photos/bert/$i.pgm 48 $((i * 12))
done
run fvprep pack photos -o p.lmdb --size 48
exits 0
loader='--db p.lmdb --batch 32 --size 384 --aug rotate(10),jitter(.2,.2,.2) --loader-threads 1 --slots 2'

# Prints `name = value` of the last run's JSON.
value()
{
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/out" "$1"
}

# Other work on the machine makes single steps late: a step that sleeps is then woken too late. Ahead of all other work
# it is not; where that is not allowed and there is more work than processors, two points cannot be measured.
first=
chrt -f 1 true 2>/dev/null && first='chrt -f 1'
too_busy()
{
    [ -z "$first" ] && [ "$(cut -d. -f1 /proc/loadavg)" -ge "$(nproc)" ]
}

# case_of NAME PART-OF-A-BATCH'S-TIME LIMIT
case_of()
{
    for try in 1 2 3; do
        run $first fvbench loader $loader --seconds 0.3 --rounds 1 --json
        exits 0
        ms=$(python3 -c 'import sys; print(max(2, float(sys.argv[1]) * float(sys.argv[2])))' \
            "$(value batch_p50_ms)" $2)
        run $first fvbench doctor $loader --step-ms $ms --seconds 0.6 --rounds 2 --json
        exits 0
        apart=$(python3 -c 'import sys; print(abs(float(sys.argv[1]) - float(sys.argv[2])))' \
            "$(value stall_percent)" "$(value free_data_percent)")
        echo "$1: steps of $ms ms; stall $(value stall_percent) %, free data saves" \
            "$(value free_data_percent) %, limit $(value limit)"
        right=yes
        [ "$3" = any ] || [ "$(value limit)" = "$3" ] || right=
        python3 -c 'import sys; sys.exit(not float(sys.argv[1]) <= 2)' $apart && [ -n "$right" ] && return
    done
    too_busy && skip "$1: $apart points apart, with a load of $(cut -d' ' -f1 /proc/loadavg) on $(nproc) processors"
    fail "$1: $apart points apart, or another limit than $3"
}

case_of starved 0.35 loader
case_of balanced 1 any
case_of compute-bound 3 step
