#!/bin/bash
# SPDX-License-Identifier: MIT
# The programs with --backend cuda as tools/gpu-check calls them, small, over CUDA's libraries as they are played:
# trainings beside the reference backend's, two ranks too, steps that are measured, scores beside the processors'.
#
#   rehearse_programs.sh MODULE DRIVER PROGRAM...     fvprep fvtrain fvbench fveval curve
set -e
here=$(dirname "$(realpath "$0")")
module=$1 driver=$2 prep=$3 train=$4 bench=$5 eval=$6 curve=$7
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export XDG_CACHE_HOME=$folder

cuda() { "$here/rehearse.sh" "$module" "$driver" "$@"; }
fail() { echo "FAILED: $*"; exit 1; }
# losses of the epochs of a run
losses() { grep -o '"loss":[0-9.eE+-]*' "$1/log.jsonl" | cut -d: -f2; }
# near A B LIMIT WHAT
near() {
    awk -v a="$1" -v b="$2" -v l="$3" 'BEGIN {d = a / b - 1; exit !(a != "" && b != "" && d < l && d > -l)}' ||
        fail "$4: $1 and $2"
    echo "$4: $1 and $2"
}

"$prep" synth -o "$folder/photos" -n 4 -i 16 -s 32 -q >"$folder/out"
"$prep" pack "$folder/photos" -o "$folder/f.lmdb" --size 32 -q >"$folder/out"
common="--db $folder/f.lmdb --arch tiny --batch 16 --max-pairs 0 --lr 0.01 -q --seed 1"

# types, seeds, kinds of card
"$train" $common --aug '' --epochs 2 --backend ref --out "$folder/ref" >"$folder/out"
first=$(losses "$folder/ref" | tail -1)
[ -n "$first" ] || fail "no losses in the log of ref"
for way in "fp32 seed=1" "bf16 seed=2" "fp16 seed=3" "fp16 sm=75"; do
    set -- $way
    FV_STANDIN="$2" cuda "$train" $common --aug '' --epochs 2 --backend cuda --dtype "$1" \
        --out "$folder/$1-$2" >"$folder/out"
    near "$(losses "$folder/$1-$2" | tail -1)" "$first" "$([ "$1" = fp32 ] && echo 1e-4 || echo 1e-2)" \
        "loss, $way, and ref's"
done

# again by another order of the device's work: the same bits
FV_STANDIN=seed=7 cuda "$train" $common --aug '' --epochs 2 --backend cuda --dtype bf16 \
    --out "$folder/again" >"$folder/out"
cmp "$folder/again/last.safetensors" "$folder/bf16-seed=2/last.safetensors" >/dev/null ||
    python3 - "$folder/again" "$folder/bf16-seed=2" <<'EOF' || fail "another order, other bits"
import json, sys
def tensors(path):  # all but what is said of the run
    b = open(path + "/last.safetensors", "rb").read()
    n = int.from_bytes(b[:8], "little")
    return {k: b[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]]
            for k, v in json.loads(b[8:8 + n]).items() if k != "__metadata__"}
sys.exit(tensors(sys.argv[1]) != tensors(sys.argv[2]))
EOF
echo "another order of the device's work ends in the same bits"

# two ranks, with batch norms over both, by TCP in the place of NVLink
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port FV_STANDIN="devices=2 seed=5"
for rank in 0 1; do
    RANK=$rank LOCAL_RANK=$rank cuda "$train" $common --aug '' --epochs 2 --backend cuda --dtype fp32 --sync-bn \
        --comm tcp --comm-timeout 60 --out "$folder/both" >"$folder/out-$rank" &
    p="$p $!"
done
for i in $p; do wait "$i" || fail "a rank of two"; done
unset WORLD_SIZE MASTER_ADDR MASTER_PORT FV_STANDIN
near "$(losses "$folder/both" | tail -1)" "$first" 1e-3 "loss, two ranks, and ref's"

# measuring
cuda "$bench" step --arch tiny --size 32 --batch 8 --classes 10 --seconds 0.2 --rounds 1 --json --backend cuda \
    --dtype fp16 | grep -q images_per_s || fail "fvbench step"
cuda "$bench" e2e --db "$folder/f.lmdb" --arch tiny --batch 16 --seconds 0.3 --json --backend cuda |
    grep -q images_per_s || fail "fvbench e2e"
for backend in cuda cpu; do
    run=$([ $backend = cuda ] && echo cuda || true)
    $run "$curve" "$backend" fp32 resnet18 32 8 10 2 2 0.002 "$folder" >"$folder/curve-$backend" ||
        fail "curve $backend"
done
near "$(tail -1 "$folder/curve-cuda")" "$(tail -1 "$folder/curve-cpu")" 1e-3 "loss of curve, cuda and cpu"

# scores
python3 - "$folder" <<'EOF'
import array, random, sys
rows, dim = 60, 17
head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}".ljust(117) + "\n"
with open(f"{sys.argv[1]}/e.npy", "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode())
    for i in range(rows):
        own = random.Random(i // 5)
        noise = random.Random(1000 + i)
        f.write(array.array("f", [own.gauss(0, 1) + noise.gauss(0, 1) for j in range(dim)]).tobytes())
with open(f"{sys.argv[1]}/labels.txt", "w") as f:
    f.writelines(f"{i // 5}\n" for i in range(rows))
EOF
for backend in cuda cpu; do
    run=$([ $backend = cuda ] && echo cuda || true)
    $run "$eval" score "$folder/e.npy" --all --labels "$folder/labels.txt" --backend $backend --json -q \
        >"$folder/score-$backend"
done
for figure in eer auc comparisons; do
    value() { grep -o "\"$figure\": *[0-9.e+-]*" "$folder/score-$1" | head -1 | grep -o '[0-9.e+-]*$'; }
    near "$(value cuda)" "$(value cpu)" 1e-5 "$figure of all against all, cuda and cpu"
done
