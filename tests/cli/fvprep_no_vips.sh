# SPDX-License-Identifier: MIT
# A build without libvips says so in one sentence, and still reads data sets.
pgm photos/a/1.pgm 20 9
run fvprep pack photos -o faces.lmdb
exits 1
out ''
err_has 'this build reads no photos: install libvips'
not_there faces.lmdb
run fvprep synth -o demo
exits 1
out ''
err_has 'libvips'
run fvprep info gone.lmdb
exits 1
