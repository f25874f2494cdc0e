# SPDX-License-Identifier: MIT
# fvprep preview: the pictures of a batch on a sheet, the same ones that a training gets.
for i in 1 2 3; do
    for k in 1 2 3 4; do
        pgm photos/p$i/$k.pgm 16 $((i * 40 + k))
    done
done
run fvprep pack photos -o faces.lmdb --size 16 --quiet
exits 0

# prints how many pixels of the PNG have each of the twelve greys
greys()
{
    run python3 -c '
import collections, struct, sys, zlib
data, at, idat = open(sys.argv[1], "rb").read(), 8, b""
assert data[:8] == b"\x89PNG\r\n\x1a\n"
while at < len(data):
    n, kind = struct.unpack(">I4s", data[at:at + 8])
    body = data[at + 8:at + 8 + n]
    if kind == b"IHDR":
        w, h = struct.unpack(">II", body[:8])
        assert body[8:] == bytes([8, 2, 0, 0, 0])
    idat += body if kind == b"IDAT" else b""
    at += 12 + n
raw, stride = zlib.decompress(idat), 3 * w
above, count = bytes(stride), collections.Counter()
for y in range(h):
    kind, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
    for x in range(stride):
        a, b, c = (row[x - 3], above[x], above[x - 3]) if x > 2 else (0, above[x], 0)
        p = a + b - c
        paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        row[x] = row[x] + (0, a, b, (a + b) // 2, paeth)[kind] & 255
    count.update(row[x] for x in range(0, stride, 3) if row[x] == row[x + 1] == row[x + 2])
    above = row
print(w, h, *(count[40 * i + k] for i in (1, 2, 3) for k in (1, 2, 3, 4)))
' "$1"
    exits 0
}

# a set smaller than a batch is one batch; every photo is there with all its pixels
run fvprep preview --db faces.lmdb -o sheet.png --zoom 2
exits 0
out_has 'images  12'
out_has 'mixed   0'
greys sheet.png
out_has ' 1024 1024 1024 1024 1024 1024 1024 1024 1024 1024 1024 1024'

# columns and zoom: three pictures of 16 pixels, two gaps, two margins
run fvprep preview --db faces.lmdb -o narrow.png --columns 3 --zoom 1
exits 0
greys narrow.png
out_has '136 '
out_has ' 256 256 256 256 256 256 256 256 256 256 256 256'

# the batch that is asked for: six of the twelve, then the other six; the same again is the same file
run fvprep preview --db faces.lmdb -o first.png -b 6 --zoom 1 --step 0
exits 0
run fvprep preview --db faces.lmdb -o second.png -b 6 --zoom 1 --step 1
exits 0
for sheet in first second; do
    greys $sheet.png
    there=
    for n in $(cut -d' ' -f3- "$work/out"); do
        there="$there $((n >= 256))"
    done
    echo "$there" >$sheet.there
done
run sh -c 'tr 01 10 <first.there | cmp - second.there'
exits 0
run sh -c 'tr -dc 1 <first.there | wc -c'
out 6
run fvprep preview --db faces.lmdb -o again.png -b 6 --zoom 1 --step 1 -j 3
exits 0
run cmp second.png again.png
exits 0
run cmp -s first.png second.png
exits 1

# mixing, and the exact way, are in the picture and in the text
run fvprep preview --db faces.lmdb -o mixed.png --aug 'rotate(20),cutmix(1)' -b 12 --epoch 1 --json
exits 0
out_has '"mixed": 12'
out_has '"epoch": 1'
run fvprep preview --db faces.lmdb -o exact.png --aug 'rotate(20),cutmix(1)' -b 12 --epoch 1 --aug-mode exact
exits 0
run cmp -s mixed.png exact.png
exits 1

run fvprep preview --db faces.lmdb -o none.png -b 6 --step 2
exits 2
err_has '--step 2: an epoch has 2 batches of 6 images'
run fvprep preview --db faces.lmdb -o none.png --aug 'spin(3)'
exits 2
err_has 'spin'
run fvprep preview --db faces.lmdb -o none.png --aug list
exits 0
out_has 'cutmix'
run fvprep preview -o none.png
exits 2
err_has '--db'
run fvprep preview --db faces.lmdb -o no/such/folder.png
exits 1
err_has 'no/such/folder.png'
run fvprep preview --db faces.lmdb -o none.png --batch 500 --world 500
exits 1
err_has 'rank 0 has no images'
not_there none.png

# the two ways beside each other: what copies is the same, what resamples is not
run fvbench parity --db faces.lmdb -n 8 --aug 'jitter(.2)'
exits 0
out_has '  flip(1)'
out_has '  chain'
run fvbench parity --db faces.lmdb -n 8 --json
exits 0
cp "$work/out" parity.json
run python3 -c '
import json
p = json.load(open("parity.json"))
assert p["flip(1)"]["most"] == p["erase(1)"]["most"] == p["cutmix(1,p=1)"]["most"] == 0, p
assert p["rotate(10)"]["most"] > 0 and p["blur(5)"]["most"] <= 1, p
'
exits 0
