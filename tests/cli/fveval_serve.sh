# SPDX-License-Identifier: MIT
# The server answers, refuses, bears a hundred clients at once, and ends when it is told to.
fveval serve --model x --gallery x 2>&1 | grep -q libmicrohttpd && skip 'fv was built without libmicrohttpd'
command -v python3 >/dev/null || skip 'python3 is the client'
# Under AddressSanitizer: what was freed would be kept, and count as memory that the server keeps.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=4"
torture=$(dirname "$case_file")/../serve/torture.py
six_people
run fvprep pack photos -o faces.lmdb --size 16 --holdout-ids 34% --val 20%
exits 0
run fvtrain --db faces.lmdb --arch tiny --backend ref --batch 4 --epochs 1 --out run
exits 0
mkdir tmp
export TMPDIR=$PWD/tmp
serve="fveval serve --model run/last.safetensors --gallery faces.lmdb --backend ref -q --port 0"

# Starts the server with more options; $url, $pid.
start()
{
    last="$serve $*"
    rm -f "$work/out"
    $serve "$@" >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    trap 'kill $pid 2>/dev/null; rm -rf "$work"' EXIT
    for i in $(seq 300); do
        [ -s "$work/out" ] && break
        sleep 0.1
    done
    url=$(cat "$work/out")
    case $url in http://127.0.0.1:*/) ;; *) fail 'it does not say where it listens' ;; esac
}
stop()
{
    kill "-$1" "$pid"
    wait "$pid"
    status=$?
    exits 0
    err ''
}

start --max-upload 1 --max-idle 2 --max-time 4
python3 "$torture" "$url" "$pid" photos/p3/4.pgm 1048576 2 4 >"$work/torture" 2>&1 || fail "$(cat "$work/torture")"
stop TERM
[ -z "$(ls tmp)" ] || fail "it left behind: $(ls tmp)"

# A token is asked for; too many questions are not answered.
echo 'a-token-of-20-letters' >token
start --token-file token --max-per-minute 1 --hosts faces.example
get() { python3 - "$url" "$@" <<'PY'
import sys, urllib.request, urllib.error
headers = dict(h.split(": ", 1) for h in sys.argv[3:])
body = None
if sys.argv[2] == "POST":
    headers["Content-Type"] = "multipart/form-data; boundary=bbbb"
    body = b"--bbbb--\r\n"
try:
    print(urllib.request.urlopen(urllib.request.Request(sys.argv[1], body, headers)).status)
except urllib.error.HTTPError as e:
    print(e.code)
PY
}
is() { [ "$2" = "$1" ] || fail "$3: $2, not $1"; }
is 401 "$(get GET)" 'without the token'
is 401 "$(get GET 'Authorization: Bearer a-token-of-20-letterz')" 'with another token'
is 401 "$(get GET 'Authorization: Bearer ')" 'with none'
is 200 "$(get GET 'Authorization: Bearer a-token-of-20-letters')" 'with the token'
is 200 "$(get GET "Authorization: Basic $(printf 'me:a-token-of-20-letters' | base64)")" 'as password'
is 200 "$(get GET 'Host: faces.example' 'Authorization: Bearer a-token-of-20-letters')" 'by its name'
is 400 "$(get POST 'Authorization: Bearer a-token-of-20-letters')" 'first question'
# A minute may end between the first and the second, not twice.
second=$(get POST 'Authorization: Bearer a-token-of-20-letters')
third=$(get POST 'Authorization: Bearer a-token-of-20-letters')
case $second$third in *429*) ;; *) fail "too many questions: $second, $third" ;; esac
stop INT

run $serve --listen 0.0.0.0
exits 2
err_has 'it takes a --token-file'
run $serve --listen here
exits 1
err_has '--listen here: is no address'
echo short >token
run $serve --token-file token
exits 1
err_has 'at least 16 characters'
