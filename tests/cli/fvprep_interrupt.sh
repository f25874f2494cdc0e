# SPDX-License-Identifier: MIT
# Ctrl-C while packing: exit status 130, and nothing is left.
i=0
while [ $i -lt 40 ]; do
    i=$((i + 1))
    pgm photos/a/$i.pgm 2500 $i
done

(
    trap - INT
    exec fvprep pack photos -o faces.lmdb --size 2048 --threads 1
) >out.txt 2>err.txt &
pid=$!
n=0
while [ ! -e faces.lmdb.part ] && [ $n -lt 200 ]; do
    sleep 0.05
    n=$((n + 1))
done
kill -TERM $pid
wait $pid
status=$?
last="kill -TERM of fvprep pack: $(cat err.txt)"
exits 130
not_there faces.lmdb
not_there faces.lmdb.part
run ls
out 'err.txt
out.txt
photos'
