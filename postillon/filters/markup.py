"""HTML and SVG that do more than show something: scripts that make a file on the reader's machine (HTML smuggling). Pure.

Mail programs run no scripts, so this is about what a browser does with an attachment that is opened.
"""

from __future__ import annotations

import re

MAX_LOOKED = 8 << 20
"""Octets of one file."""
LONG = 1000
"""Characters of one literal that are worth suspicion."""

# Both are tried only where such a run begins, so time is linear.
_LONG_LITERAL = re.compile(rb"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{%d}" % LONG)
_LONG_NUMBERS = re.compile(rb"(?<![0-9a-fx,])(?<!,\s)(?:(?:0x[0-9a-f]{1,2}|[0-9]{1,3}),\s?){300}")
_DATA_LINK = re.compile(rb"href\s{0,8}=\s{0,8}[\"']?data:[a-z0-9.+/-]{0,100};[^\"'>]{0,100}base64")
_HANDLER = re.compile(rb"\son[a-z]{3,20}\s{0,8}=")
_DECODERS = (
    b"atob(",
    b"atob ",
    b"fromcharcode",
    b"base64,",
    b"uint8array",
    b"unescape(",
    b"decodeuricomponent(",
    b".charcodeat(",
)
_MAKERS = (b"new blob", b"createobjecturl", b"mssaveoropenblob", b"mssaveblob", b".download", b"showsavefilepicker", b"new file(")
_SVG_PROGRAMS = (b"<script", b"javascript:", b"<foreignobject", b"data:text/html")


def smuggles(markup: bytes) -> bool:
    """A script in *markup* decodes something and hands it to the reader as a file, or a link holds the file itself."""
    text = markup[:MAX_LOOKED].lower()
    if b"download" in text and _DATA_LINK.search(text):
        return True
    is_script = b"<script" in text
    # The cheap questions first: nearly all pages answer them with no.
    decodes = any(word in text for word in _DECODERS) or (is_script and bool(_LONG_NUMBERS.search(text)))
    if not decodes or not (is_script or _HANDLER.search(text)):
        return False
    if any(word in text for word in _MAKERS):
        return True
    writes = b"document.write" in text or b".innerhtml" in text or b"eval(" in text
    return writes and bool(_LONG_LITERAL.search(text))


def is_active_svg(markup: bytes) -> bool:
    """An SVG image with a script, or with markup in it that may have one."""
    text = markup[:MAX_LOOKED].lower()
    if b"<svg" not in text:
        return False
    return any(word in text for word in _SVG_PROGRAMS) or bool(_HANDLER.search(text))
