# SPDX-License-Identifier: MIT
# Every figure of the ring comes with its limit, for people and for programs; who waits costs nothing.
run fvbench ring --seconds 0.3 --rounds 2
exits 0
for figure in 'handoffs per s 1 producer' 'handoffs per s 4 producers' 'limit additions per s' 'round trip ns' \
    'limit cache line ns' 'wake p50 us' 'wake p99 us' 'limit futex p50 us' 'idle full ring' 'idle empty ring'; do
    out_has "$figure"
done
grep -q 'wake samples  *0$' "$work/out" && fail 'nobody was woken'
run fvbench ring --seconds 0.1 --rounds 1 --json
exits 0
out_has '"wake_p50_us"'
