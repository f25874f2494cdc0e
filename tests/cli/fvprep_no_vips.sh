# SPDX-License-Identifier: MIT
# A build without libvips reads JPEGs, says of other photos why it refuses them, and still reads data sets.
pgm photos/a/1.pgm 20 9
run fvprep pack photos -o faces.lmdb
exits 1
out ''
err_has 'a/1.pgm: this image format is not read: convert it to PNG or JPEG (PNM: this build has no libvips)'
err_has 'holds no usable photo'
not_there faces.lmdb
run fvprep synth -o demo
exits 1
out ''
err_has 'libvips'
run fvprep info gone.lmdb
exits 1
