#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Asks a running 'fveval serve' what it must answer and what it must not, then a hundred clients at once, good,
damaged, oversized and slow ones. Prints what did not hold; the exit status says whether anything.

usage: torture.py URL PID PHOTO MAX_UPLOAD_BYTES MAX_IDLE_SECONDS MAX_TIME_SECONDS
"""
import base64
import concurrent.futures
import hashlib
import http.client
import json
import re
import socket
import sys
import time
import urllib.parse

URL, PID = sys.argv[1], int(sys.argv[2])
LIMIT, IDLE, LONGEST = map(int, sys.argv[4:7])
PHOTO = open(sys.argv[3], "rb").read()
AT = urllib.parse.urlsplit(URL)
HOST, PORT = AT.hostname, AT.port
faults = []


def expect(what, got, *wanted):
    if got not in wanted:
        faults.append(f"{what}: {got!r}, not {' or '.join(map(repr, wanted))}")


def form(*photos, name="photo"):
    mark = b"----fv-torture"
    body = b"".join(b"--" + mark + b'\r\nContent-Disposition: form-data; name="' + name.encode() +
                    b'"; filename="a.jpg"' b"\r\nContent-Type: image/jpeg\r\n\r\n" + p + b"\r\n" for p in photos)
    return body + b"--" + mark + b"--\r\n", {"Content-Type": "multipart/form-data; boundary=" + mark.decode()}


def ask(method, path, body=None, headers=None):
    """(status, headers, body); (0, ...) when the server closed before it had all, as it may when it refuses."""
    c = http.client.HTTPConnection(HOST, PORT, timeout=60)
    try:
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        return r.status, dict(r.getheaders()), r.read()
    except (ConnectionError, http.client.HTTPException):
        return 0, {}, b""
    finally:
        c.close()


def status(*args):
    return ask(*args)[0]


def raw(text, wait):
    """What comes back to these bytes, and after how many seconds the server is done with us."""
    begun = time.monotonic()
    with socket.create_connection((HOST, PORT), timeout=wait) as s:
        s.sendall(text)
        got = b""
        try:
            while True:
                more = s.recv(65536)
                if not more:
                    break
                got += more
        except (ConnectionError, socket.timeout):
            pass
    return got, time.monotonic() - begun


def drip(head, more):
    """Seconds until the server ends a connection on which a few bytes come twice a second."""
    begun = time.monotonic()
    with socket.create_connection((HOST, PORT)) as s:
        s.sendall(head)
        try:
            while time.monotonic() - begun < LONGEST + 90:  # time that the server is busy does not count
                s.sendall(more)
                s.settimeout(0.5)
                try:
                    if not s.recv(4096):
                        break
                except socket.timeout:
                    pass
        except ConnectionError:
            pass
    return time.monotonic() - begun


def memory_kb(which):
    with open(f"/proc/{PID}/status", encoding="utf-8") as f:
        return int(re.search(which + r":\s*(\d+)", f.read()).group(1))


def good():
    code, _, body = ask("POST", "/api/compare", *form(PHOTO, PHOTO))
    return code, json.loads(body)["score"] if code == 200 else None


# Who sends a byte now and then, of a header or a body, is never idle, and yet is cut off. It goes on beside the rest.
POST = b"POST /api/compare HTTP/1.1\r\nHost: localhost\r\n"
FORM = b"Content-Type: multipart/form-data; boundary=bbbb\r\n"
drippers = concurrent.futures.ThreadPoolExecutor(2)
drips = {"a header": drippers.submit(drip, b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"A: b\r\n"),
         "a body": drippers.submit(drip, POST + FORM + b"Content-Length: 9999\r\n\r\n", b"x")}

# What is answered, and how.
code, headers, body = ask("GET", "/")
expect("page", code, 200)
expect("page is", headers.get("Content-Type"), "text/html; charset=utf-8")
for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"]:
    expect(f"policy has {part}", part in headers.get("Content-Security-Policy", ""), True)
expect("sniffing", headers.get("X-Content-Type-Options"), "nosniff")
expect("storing", headers.get("Cache-Control"), "no-store")
script = re.findall(rb"<script>(.*?)</script>", body, re.S)
allowed = "script-src 'sha256-" + base64.b64encode(hashlib.sha256(b"".join(script)).digest()).decode() + "'"
expect("scripts", (len(script), body.count(b"<script"), re.search(rb"<[^>]* on[a-z]+=", body)), (1, 1, None))
expect("the script is the one allowed, by the header", allowed in headers.get("Content-Security-Policy", ""), True)
expect("and by the page", allowed.encode() in body, True)
expect("start of the interface", sorted(json.loads(ask("GET", "/api")[2])),
       ["gallery", "identities", "images", "model", "threshold", "threshold_meaning"])
code, score = good()
expect("one photo twice", (code, score is not None and abs(score - 1) < 1e-5), (200, True))
answer = json.loads(ask("POST", "/api/compare", *form(PHOTO))[2])
expect("whom a photo of the gallery shows", round(answer["photos"][0]["nearest"][0]["score"], 5), 1.0)
expect("a form", status("POST", "/", *form(PHOTO, PHOTO)), 200)
expect("pictures in it", ask("POST", "/", *form(PHOTO))[2].count(b"data:image/jpeg") >= 2, True)

# What is not.
expect("no such page", status("GET", "/../etc/passwd"), 404)
expect("another method", status("DELETE", "/"), 405)
expect("asking by GET", status("GET", "/api/compare"), 405)
expect("a foreign name", status("GET", "/", None, {"Host": "evil.example"}), 421)
expect("a name like an address", status("GET", "/", None, {"Host": "127.0.0.1.evil.example"}), 421)
expect("localhost", status("GET", "/", None, {"Host": "localhost:1"}), 200)
for origin in ["http://evil.example", "null", "http://127.0.0.1:1"]:
    body, headers = form(PHOTO)
    expect(f"a form of {origin}", status("POST", "/", body, {**headers, "Origin": origin}), 403)
body, headers = form(PHOTO)
expect("its own form", status("POST", "/", body, {**headers, "Origin": f"http://{HOST}:{PORT}"}), 200)
expect("no photo", status("POST", "/", *form(b"")), 400)
expect("another field", status("POST", "/", *form(PHOTO, name="other")), 400)
nameless = form(PHOTO)[0].replace(b'name="photo"; ', b""), form(PHOTO)[1]
expect("a part without a name", status("POST", "/", *nameless), 400)
expect("three photos", status("POST", "/", *form(PHOTO, PHOTO, PHOTO)), 400)
expect("no form", status("POST", "/", PHOTO, {"Content-Type": "image/jpeg"}), 415)
code, _, body = ask("POST", "/api/compare", *form(b"<script>alert(1)</script>"))
expect("no picture", (code, "Photo 1" in json.loads(body)["error"]), (422, True))
expect("cut short", status("POST", "/", *form(PHOTO[: len(PHOTO) // 2])), 422)
expect("too large", status("POST", "/", *form(b"x" * (LIMIT + 1))), 413, 0)
expect("too large without a length", raw(
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=bbbb\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b"y" * 0x10000 + b"\r\n", 2)[0][:12], b"", b"HTTP/1.1 400")

# What a proxy may read otherwise than this server does; the second request must not be answered as one.
chunked = FORM + b"Transfer-Encoding: chunked\r\n"
second = b"0\r\n\r\nGET /api HTTP/1.1\r\nHost: localhost\r\n\r\n"
for what, text in {"two lengths": POST + FORM + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
                   "length and chunks": POST + chunked + b"Content-Length: 5\r\n\r\n" + second,
                   "two encodings": POST + chunked + b"Transfer-Encoding: chunked\r\n\r\n" + second,
                   "another encoding": POST + FORM + b"Transfer-Encoding: xchunked\r\n\r\n" + second,
                   "two hosts": b"GET /api HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
                   "a blank before the colon": b"GET /api HTTP/1.1\r\nHost : localhost\r\n\r\n",
                   "a folded line": b"GET /api HTTP/1.1\r\nHost:\r\n localhost\r\n\r\n",
                   "no host": b"GET /api HTTP/1.1\r\n\r\n"}.items():
    got = raw(text, IDLE + 5)[0]
    expect(what, (got[9:12], b"HTTP/1.1 200" in got), (b"400", False))
body = form(PHOTO)[0]
for kind in ["application/x-www-form-urlencoded", "multipart/form-data", 'multipart/form-data; boundary="',
             "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "b" * 71,
             "multipart/form-data; boundary=----fv-torture\t", "multipart/mixed; boundary=----fv-torture"]:
    expect(f"a form of type {kind!r}", status("POST", "/", body, {"Content-Type": kind}), 415)
expect("a boundary in quotation marks",
       status("POST", "/", body, {"Content-Type": 'Multipart/Form-Data; boundary="----fv-torture"'}), 200)
huge = b"P5\n65000 65000\n255\n"
code, _, body = ask("POST", "/api/compare", *form(huge))
expect("more pixels than bytes", (code, b"Photo 1: cannot be used: " in body, b".jpg" in body), (422, True, False))

# Who is slow is cut off; the others go on meanwhile.
slow = [socket.create_connection((HOST, PORT)) for _ in range(10)]
for s in slow:
    s.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n")
begun = time.monotonic()
expect("beside slow ones", good()[0], 200)
expect("beside slow ones, soon", time.monotonic() - begun < IDLE + 20, True)

# A hundred at once, of every kind. None waits for ever, memory stays.
before = memory_kb("VmRSS")
kinds = [lambda: good()[0], lambda: status("POST", "/", *form(PHOTO[:99])),
         lambda: status("POST", "/", *form(b"x" * (LIMIT + 1))),
         lambda: status("POST", "/api/compare", *form(b"\xff\xd8\xff" + bytes(range(256)) * 40))]
wanted = [(200,), (422,), (413, 0), (422,)]
with concurrent.futures.ThreadPoolExecutor(100) as pool:
    jobs = [pool.submit(kinds[i % 4]) for i in range(100)]
    for i, job in enumerate(jobs):
        expect(f"client {i} of 100", job.result(), *wanted[i % 4])
for s in slow:
    s.settimeout(IDLE + 20)
    try:
        while s.recv(4096):
            pass
    except ConnectionError:
        pass
    except socket.timeout:
        faults.append("a slow client was never cut off")
    s.close()
for what, took in drips.items():
    expect(f"cut off who drips {what}", took.result() < LONGEST + 80, True)
grown = memory_kb("VmRSS") - before
expect("memory it kept, at most 64 MiB", grown < 64 << 10, True)
expect("after all that", good()[0], 200)
print(f"100 clients; resident memory grew by {grown} KiB, at most {memory_kb('VmHWM')} KiB")
print("\n".join(faults))
sys.exit(1 if faults else 0)
