# SPDX-License-Identifier: MIT
# A folder of everything that may lie where photos should: each file is packed, or refused with its reason.
run fvprep synth -o demo --identities 1 --images 1 --size 64 --quiet
exits 0
jpeg=demo/id0001/0001.jpg
at() { LC_ALL=C grep -abo "$(printf "$1")" "$2" | sed -n '1s/:.*//p'; }
patch() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }

mkdir -p p/a p/b/folder.jpg p/a/deep/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17 p/nobody p/.git
cp $jpeg p/a/good.jpg
cp $jpeg p/a/wrong.png
cp $jpeg p/a/no-suffix
cp $jpeg p/a/.hidden.jpg
cp $jpeg p/.git/x.jpg
cp $jpeg p/loose.jpg
cp $jpeg p/a/deep/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/x.jpg
cp $jpeg "$(printf 'p/a/tab\there.jpg')"
ln -s good.jpg p/a/link.jpg
ln -s gone.jpg p/a/dangling.jpg
ln -s self.jpg p/a/self.jpg
ln -s .. p/a/up
ln -s /dev/zero p/a/endless.jpg
mkfifo p/a/pipe.jpg p/a/pipe
echo notes >p/a/notes.txt
: >p/a/empty.jpg
echo 'no picture' >p/a/text.jpg
printf '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>' >p/a/svg.jpg
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n' >p/a/pointer.jpg
head -c 900 $jpeg >p/a/cut.jpg
head -c 5 $jpeg >p/a/head.jpg
truncate -s 257M p/a/huge.jpg
patch p/a/huge.jpg 0 '\377\330\377'
printf 'P5\n100000 100000\n255\n' >p/a/bomb.pgm
printf 'P5\n-7 9\n255\n' >p/a/negative.pgm
pgm p/a/tiny.pgm 4 100
pgm p/a/fine.pgm 20 100
head -c 100 p/a/fine.pgm >p/a/cut.pgm
printf 'BM\066\000\000\000\000\000\000\000\066\000\000\000' >p/a/picture.bmp
sof=$(at '\377\300' $jpeg)
cp $jpeg p/a/bomb.jpg
patch p/a/bomb.jpg $((sof + 5)) '\377\334\377\334'

run fvprep pack p -o x.lmdb --size 16
exits 0
out_has 'images              5'
run sh -c 'cut -f 1,2 x.rejects.tsv | tr "\t" " " | LC_ALL=C sort'
out '# few-images b
# few-images nobody
# ignored .git
# ignored a/.hidden.jpg
# ignored a/notes.txt
# packed a/wrong.png
# path reason
a/bomb.jpg too-many-pixels
a/bomb.pgm too-many-pixels
a/cut.jpg truncated
a/cut.pgm damaged
a/dangling.jpg link-dangling
a/deep/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17 too-deep
a/empty.jpg empty
a/endless.jpg special-file
a/head.jpg bad-header
a/huge.jpg file-too-large
a/negative.pgm bad-header
a/picture.bmp unsupported-format
a/pipe special-file
a/pipe.jpg special-file
a/pointer.jpg lfs-pointer
a/self.jpg link-loop
a/svg.jpg not-an-image
a/tab\there.jpg bad-name
a/text.jpg not-an-image
a/tiny.pgm too-small
a/up link-loop
b/folder.jpg folder
loose.jpg no-identity'
