# SPDX-License-Identifier: MIT
# Every measurement of a data set gives its figure, its limit and, as JSON, the evidence.
command -v python3 >/dev/null || skip 'no python3 to read JSON with'
for i in 1 2 3 4 5 6 7 8; do
    pgm photos/anna/$i.pgm 48 $((i * 20))
    pgm photos/bert/$i.pgm 48 $((i * 25))
done
run fvprep pack photos -o p.lmdb --size 32
exits 0
run fvprep pack photos -o j.lmdb --size 32 --codec jpeg
exits 0
quick='--seconds 0.05 --rounds 2'

# has KEY...: the last run printed one JSON object in which these are positive numbers, and the evidence with it.
has_json()
{
    python3 - "$work/out" "$@" <<'END' || fail "not the JSON that was expected"
import json, sys
d = json.load(open(sys.argv[1]))
e = d["evidence"]
for key in ("fv", "commit", "date", "libraries"):
    assert e[key] and isinstance(e[key], str), key
assert "zstd" in e["libraries"] and e["command"][0].startswith("fvbench "), e
assert e["options"]["seconds"] == "0.05" and e["options"]["rounds"] == "2", e["options"]
assert e["machine"]["cpu"] and e["machine"]["cores_to_use"] >= 1 and e["machine"]["instruction_sets_used"]
assert d["samples"]
for name, rounds in d["samples"].items():
    assert len(rounds) == 2, (name, rounds)
    assert all(r["items"] > 0 and r["wall_s"] > 0 and r["cpu_s"] >= 0 for r in rounds), rounds
for path in sys.argv[2:]:
    value = d
    for key in path.split("/"):
        value = value[key]
    assert isinstance(value, (int, float)) and value > 0, (path, value)
END
}

run fvbench read --db p.lmdb $quick --json
exits 0
has_json mb_per_s_per_core records_per_s_per_core limit_memcpy_mb_per_s limit_touch_mb_per_s share_of_memcpy
run fvbench read --db p.lmdb $quick
exits 0
out_has 'limit memcpy'
for db in p j; do
    run fvbench decode --db $db.lmdb $quick --json
    exits 0
    has_json images_per_s_per_core limit_images_per_s_per_core share_of_limit
    python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert 0.05 < d["share_of_limit"] < 1.3, d' \
        "$work/out" || fail 'decoding is far from its limit, or beyond it'
done
out_has 'libjpeg-turbo'
run fvbench augment --db p.lmdb $quick --aug 'flip,rotate(10)' --json
exits 0
has_json 'whole policy/us' 'rotate(10)/us' 'rotate(10)/us_in_c' 'rotate(10)/faster_than_c' 'limit: one warp/us' \
    'limit: memcpy/us'
for op in $(fvtrain --help | sed -n '/^Augmentation ops/,$s/^  \([a-z]*\) .*/\1/p'); do
    grep -q "\"$op[(\"]" "$work/out" || fail "$op is not measured"
done
run fvbench augment --aug 'flop' $quick
exits 2
err_has "flop"
run fvbench loader --db p.lmdb --batch 8 $quick --json
exits 0
has_json images_per_s images_per_s_per_core first_batch_ms batch_p50_ms batch_p99_ms decode_us
run fvbench loader --db p.lmdb --batch 8 $quick --scaling 1,3 --json
exits 0
has_json 'threads 1/images_per_s' 'threads 3/scaling' 'threads 3/batch_p99_ms'
run fvbench loader --db p.lmdb --batch 8 $quick --trace-cost --json
exits 0
has_json images_per_s_per_core images_per_s_per_core_traced
out_has '"trace_cost"'
run fvbench loader --db p.lmdb --batch 8 --trace-cost --scaling 1,2
exits 2
run fvbench loader --db p.lmdb --batch 8 --scaling 1,,2
exits 2
err_has "--scaling '1,,2'"
run fvbench loader --db p.lmdb --aug list
exits 0
out_has 'resnet18-cutmix'
run fvbench e2e --db p.lmdb --batch 8 --step-ms 1 $quick --json
exits 0
has_json images_per_s loader_images_per_s step_images_per_s share_of_limit
run fvbench e2e --db p.lmdb --batch 8 --arch tiny --backend ref $quick
exits 0
out_has 'tiny on ref'
run fvbench doctor --db p.lmdb --batch 8 --arch tiny --backend ref $quick --json
exits 0
has_json images_per_s step_images_per_s loader_images_per_s
out_has '"verdict"'
out_has '"remedy"'
