# SPDX-License-Identifier: MIT
# Packing by a manifest and proving by one; what the project's own says of demo faces.
project=$(dirname "$case_file")/../../data.manifest
fvprep synth -o faces --identities 12 --images 6 --size 64 -q >/dev/null

run fvprep pack --manifest "$project" demo-small faces -o small.lmdb
exits 0
out_has 'images              72'
out_has 'data set            demo-small'
proven=$(grep -c 'agrees  *size, counts and digest' "$work/out")
cp "$work/out" first

# Options are the stanza's: others are refused, the same ones are not.
run fvprep pack --manifest "$project" demo-small faces -o x.lmdb --size 48
exits 2
err_has "--size 48 contradicts $project, where [demo-small] has size = 32"
not_there x.lmdb
run fvprep pack --manifest "$project" demo-small faces -o x.lmdb --size 32 --level 3 -q
exits 0
run fvprep pack --manifest "$project" demo-tiny faces -o y.lmdb
exits 2
err_has "no data set 'demo-tiny': valid are demo, demo-small, "
run fvprep pack --manifest "$project" faces -o y.lmdb
exits 2
err_has "NAME and PHOTOS are needed, not only 'faces'"
run fvprep pack demo-small faces -o y.lmdb
exits 2
err_has "a data set's name goes with --manifest"
not_there y.lmdb

# The stanza of a new data set, by which it can be packed again, and told from another.
run fvprep pack faces -o own.lmdb --size 24 --val 20% --stanza
exits 0
out_has 'images = 72'
sed -n '/^\[own\]$/,$p' "$work/out" >own.manifest
run fvprep pack --manifest own.manifest own faces -o again.lmdb -q
exits 0
out_has 'agrees              size, counts and digest'
run cmp own.lmdb again.lmdb
exits 0
run fvprep pack faces -o own.lmdb --size 24 --val 20% --overwrite --json -q
exits 0
out_has '"stanza": "[own]\n'
run fvprep verify again.lmdb own --manifest own.manifest
exits 0
out_has 'data set  own'
run fvprep verify again.lmdb --manifest own.manifest
exits 0
out_has 'data set  own'
run fvprep verify small.lmdb own --manifest own.manifest
exits 1
err_has 'small.lmdb: is not [own] of own.manifest: that has size = 24, this has 32'
run fvprep verify small.lmdb --manifest own.manifest
exits 1
err_has 'which is that of no data set in own.manifest'
run fvprep verify again.lmdb own
exits 2
err_has '--manifest says in which file'

run fvprep pack --manifest own.manifest own faces -o shard.lmdb --shard 1/2 -q
exits 0
out_has 'agrees              not checked: a shard of it'

# One photo less is another data set: said after the result, and kept.
rm faces/id0003/0002.jpg
run fvprep pack --manifest own.manifest own faces -o less.lmdb -q
exits 1
out_has 'agrees              no'
err_has 'less.lmdb: is not [own] of own.manifest: that has images = 72, this has 71'
there less.lmdb
run fvprep verify less.lmdb
exits 0
sed -i '/^digest/d; s/72/71/; s/^train-images.*/# &/; s/^val-images.*/# &/' own.manifest
run fvprep pack --manifest own.manifest own faces -o less.lmdb --overwrite -q
exits 0
out_has 'agrees              size and counts; no digest is recorded'
run fvprep verify less.lmdb own --manifest own.manifest
exits 1
err_has 'own.manifest has no digest to prove it'
echo 'size = x' >>own.manifest
run fvprep pack --manifest own.manifest own faces -o less.lmdb --overwrite
exits 1
err_has 'own.manifest: line '

# Last, since a machine with other libraries draws other pixels.
[ "$proven" = 1 ] || skip "$(grep agrees first)"
run fvprep verify small.lmdb demo-small --manifest "$project"
exits 0
out_has 'title     A few demo faces, for the tests'
