#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that a page is one that stands by itself: well-formed, complete for those who cannot see it, nothing fetched,
nothing run. Prints what it holds, or what is wrong; the exit status says which.

usage: page.py PAGE.html
"""
import base64
import html.parser
import re
import sys

VOID = {"meta", "link", "img", "br", "input", "path", "rect", "polygon", "hr"}
faults, count = [], {}


class Page(html.parser.HTMLParser):
    """Follows the tags as they open and close."""

    def __init__(self):
        super().__init__()
        self.open, self.headings, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        attr = dict(attrs)
        count[tag] = count.get(tag, 0) + 1
        if len(attr) != len(attrs):
            faults.append(f"<{tag}> has an attribute twice")
        for name, value in attrs:
            if name.startswith("on") or name in {"id", "action"}:
                faults.append(f"<{tag} {name}>")
            if name in {"src", "href", "srcset", "data"} and not (value or "").startswith("data:"):
                faults.append(f"<{tag} {name}={value}> loads something")
        if tag == "img":
            self.check_picture(attr)
        if tag == "svg" and not (attr.get("role") == "img" and attr.get("aria-label")):
            faults.append("<svg> without a label")
        if tag == "th" and attr.get("scope") not in {"row", "col"}:
            faults.append("<th> without a scope")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def check_picture(self, attr):
        if not attr.get("alt"):
            faults.append("<img> without a text")
        kind, _, data = attr.get("src", "").partition(",")
        jpeg = base64.b64decode(data, validate=True)
        if kind != "data:image/jpeg;base64" or jpeg[:3] != b"\xff\xd8\xff" or jpeg[-2:] != b"\xff\xd9":
            faults.append("<img> is no JPEG")

    def handle_endtag(self, tag):
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        self.text += data


raw = open(sys.argv[1], "rb").read()
text = raw.decode("utf-8")
page = Page()
page.feed(text)
page.close()
if page.open:
    faults.append(f"never closed: {page.open}")
if count.get("script"):
    faults.append("a script")
if page.headings.count(1) != 1 or any(b > a + 1 for a, b in zip(page.headings, page.headings[1:])):
    faults.append(f"headings do not step down: {page.headings}")
if "default-src 'none'" not in text or '<html lang="' not in text or 'name="viewport"' not in text:
    faults.append("the head lacks policy, language or viewport")
for url in re.findall(r"(?:https?:)?//[^\s\"'<)]+", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)):
    if url != "http://www.w3.org/2000/svg":
        faults.append(f"an address: {url}")
if re.search(r"rgb\(|url\(", text):
    faults.append("a colour that does not follow the page, or something to load")
print(" ".join(f"{tag} {count.get(tag, 0)}" for tag in ("svg", "img", "table")))
print("\n".join(faults))
sys.exit(1 if faults else 0)
