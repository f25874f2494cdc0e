# SPDX-License-Identifier: MIT
# What a step would move is calculated without a GPU, for people and for programs; faults get a sentence.
run fvbench plan --arch tiny --size 32 --batch 4 --ops
exits 0
out_has 'a calculation, not a measurement'
out_has 'bn-backward'
out_has 'MB an image'
run fvbench plan --arch resnet18 --dtype fp16 --json
exits 0
python3 - "$work/out" <<'CHECK' || fail 'the sums are not those of the ops'
import json, sys
d = json.load(open(sys.argv[1]))
moved = sum(o["read_bytes"] + o["written_bytes"] for o in d["ops"])
assert abs(moved / 256e6 - d["mb_per_image"]) < 1e-6, (moved, d["mb_per_image"])
assert abs(sum(k["us"] for k in d["kinds"]) / 1e3 - d["modelled_step_ms"]) < 1e-6
assert d["launches"] == sum(o["launches"] for o in d["ops"])
assert any(o["graph"] == "dgrad+bn" for o in d["ops"])
CHECK
# twice the bandwidth and no time between kernels: fewer microseconds, the same bytes
run fvbench plan --tb-per-s 8.6 --launch-us 0 --json
exits 0
run fvbench plan --dtype int8
exits 2
err_has "'int8' is not one of fp32, bf16, fp16"
run fvbench plan --arch resnet19
exits 1
err_has "resnet18"
