# SPDX-License-Identifier: MIT
# Steps are counted and timed on any backend; faults get a sentence.
run fvbench step --arch tiny --size 16 --batch 4 --classes 10 --backend ref --seconds 0.2
exits 0
out_has 'images per s'
grep -q 'steps  *0$' "$work/out" && fail 'no step was made'
run fvbench step --arch tiny --size 16 --batch 4 --classes 10 --backend ref --seconds 0.1 --json
exits 0
out_has '"images_per_s"'
run fvbench step --arch tiny --size 16 --batch 4 --backend ref --seconds 0.1 --profile
exits 1
err_has 'the backend ref keeps no times of nodes'
run fvbench step --profile --json
exits 2
err_has "try 'fvbench step --help'"
run fvbench step --arch resnet19
exits 1
err_has "resnet18"
run fvbench nothing
exits 2
err_has "valid are read, decode, augment, ring, loader, step, e2e, doctor"
run fvbench loader --db none.lmdb --cpu-mask avx3
exits 2
err_has "unknown instruction set 'avx3': valid are c, avx2, avx512"
