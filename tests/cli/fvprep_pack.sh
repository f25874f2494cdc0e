# SPDX-License-Identifier: MIT
# fvprep on photos: pack, then everything that reads what was packed.
for i in 1 2 3 4; do
    for k in 1 2 3 4 5; do
        pgm photos/p$i/$k.pgm 20 $((i * 40 + k))
    done
done
echo 'not a photo' >photos/p2/text.jpg
: >photos/p3/empty.png
echo 'a note' >photos/p1/notes.txt

run fvprep pack photos -o faces.lmdb --size 16 --holdout-ids 50% --val 20%
exits 0
out_has 'images              20'
out_has 'refused             2'
out_has 'refused for         empty 1, not-an-image 1'
out_has 'holdout identities  2'
out_has 'val images          2'
err_has 'warning: p2/text.jpg: its first bytes are those of no image format'
err_has 'warning: p3/empty.png: has no bytes'
there faces.lmdb
run cat faces.rejects.tsv
out "# path	reason	detail
p3/empty.png	empty	
# ignored	p1/notes.txt	not-a-photo
p2/text.jpg	not-an-image	"
run cat faces.duplicates.tsv
out '# path	earlier path	identity'
run ls
exits 0
out 'faces.duplicates.tsv
faces.lmdb
faces.rejects.tsv
photos'

run fvprep pack photos -o faces.lmdb --size 16
exits 1
out ''
err_has 'faces.lmdb'
err_has '--overwrite'

run fvprep pack photos -o again.lmdb --size 16 --holdout-ids 50% --val 20% --quiet --json --threads 1
exits 0
out_has '"images": 20'
run cmp faces.lmdb again.lmdb
exits 0

run fvprep pack photos -o strict.lmdb --size 16 --strict
exits 1
out ''
err_has 'p3/empty.png: has no bytes; with 2 refused files --strict packs nothing'
not_there strict.lmdb
not_there strict.lmdb.part
not_there strict.duplicates.tsv
run cmp strict.rejects.tsv faces.rejects.tsv
exits 0

run fvprep pack gone -o gone.lmdb
exits 1
err_has "cannot open the photo folder 'gone'"
run fvprep pack photos/p1 -o flat.lmdb
exits 1
err_has 'holds no folders'
not_there gone.lmdb
not_there flat.lmdb
not_there flat.rejects.tsv

run fvprep info faces.lmdb
exits 0
err ''
out_has 'images               20'
out_has 'training identities  2'
out_has 'packed with          size 16, frame photo, fit cover, crop 1, margin 0.3, '
out_has 'codec pixels, quality 0, level 6, dict auto'
run sh -c 'fvprep info faces.lmdb | awk "length > 100"'
out ''
run fvprep info --json faces.lmdb
exits 0
out_has '"holdout_images": 10'

run fvprep verify faces.lmdb --quiet
exits 0
out_has 'bad     0'

run fvprep pairs faces.lmdb -o pairs.txt -n 20
exits 0
out_has 'genuine   10'
run grep -c ' 1$' pairs.txt
out 10
run grep -c ' 0$' pairs.txt
out 10

# one flipped byte in the middle of the records is found, and named
cp faces.lmdb bad.lmdb
size=$(stat -c %s bad.lmdb)
at=$(grep -abo "$(printf '\050\265\057\375')" bad.lmdb | sed -n '5s/:.*//p')
[ -n "$at" ] || at=$((size / 2))
printf '\377' | dd of=bad.lmdb bs=1 seek=$((at + 6)) conv=notrunc 2>/dev/null
run fvprep verify bad.lmdb
exits 1
err_has 'bad.lmdb'

# made-up people go the same way
run fvprep synth -o demo --identities 2 --images 2 --size 64 --quiet
exits 0
out_has 'identities  2'
out_has 'images      4'
run fvprep pack demo -o demo.lmdb --size 32 --strict --quiet
exits 0
out_has 'images              4'

# JPEGs of the wanted size stay as they are; the others are made from their pixels
run fvprep pack demo -o kept.lmdb --size 64 --codec jpeg --strict --quiet
exits 0
out_has 'kept as they are    4 JPEG files, not encoded again'
run fvprep pack demo -o made.lmdb --size 32 --codec jpeg --quality 80 --strict --json
exits 0
out_has '"kept_as_they_are": 0'
run fvprep info made.lmdb
exits 0
out_has 'codec                jpeg'
out_has 'quality 80'
run fvprep verify made.lmdb --quiet
exits 0
run fvprep pack demo -o lossless.lmdb --size 32 --quality 80
exits 2
err_has '--quality: the codec pixels is lossless: it has no quality to choose'
not_there lossless.lmdb

# which way to store them: measured, on photos and on a data set
run fvprep codecs demo --size 32 --quiet
exits 0
out_has 'demo: 4 of 4 images, 32 x 32'
out_has '  pixels        -  no '
out_has '  jpeg         95  no '
[ "$(grep -c pixels "$work/out")" = 1 ] || fail 'four images make no dictionary'
run fvprep codecs made.lmdb --sample 2 --json --quiet
exits 0
out_has '"sampled": 2'
out_has '"psnr_db": null'
run fvprep codecs made.lmdb --crop 0.5
exits 2
err_has 'made.lmdb is a data set'

# what is no UTF-8 is no JSON either
odd=$(printf 'odd\377')
mv demo "$odd"
run fvprep codecs "$odd" --size 32 --json -q
exits 0
out_has '"file": "odd?"'
run fvprep pack "$odd" -o "$odd.lmdb" --size 32 --json -q
exits 0
out_has '"file": "odd?.lmdb"'
