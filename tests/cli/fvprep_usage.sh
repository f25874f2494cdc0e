# SPDX-License-Identifier: MIT
# fvprep: help on stdout, usage errors on stderr with status 2 and the remedy.
run fvprep
exits 2
out ''
err_has 'usage: fvprep COMMAND'

run fvprep --help
exits 0
err ''
for command in pack layouts synth info verify pairs; do
    out_has "  $command "
    run fvprep $command --help
    exits 0
    err ''
    out_has "usage: fvprep $command "
    run fvprep --help
done

run fvprep --version
exits 0
out_has 'fvprep '

run fvprep pakc
exits 2
out ''
err "fvprep: unknown command 'pakc': did you mean 'pack'?"

run fvprep xyzzy
exits 2
err_has 'valid are pack, '

run fvprep pack photos -o x.lmdb --holdout-idz 15%
exits 2
out ''
err_has '--holdout-idz'
err_has '--holdout-ids'
err_has "try 'fvprep pack --help'"

run fvprep pack photos
exits 2
err_has '--output'

run fvprep pack -o x.lmdb
exits 2
err_has 'PHOTOS'

run fvprep pack photos more -o x.lmdb
exits 2

run fvprep pack photos -o x.lmdb --size 3
exits 2
err_has '8 to 4096'

run fvprep pack photos -o x.lmdb --holdout-ids 150%
exits 2
err_has '150%'

run fvprep pairs x.lmdb -o x.txt --split train
exits 2
err_has 'holdout'

run fvprep info gone.lmdb
exits 1
out ''
err_has 'gone.lmdb'
not_there x.lmdb
not_there x.lmdb.part
