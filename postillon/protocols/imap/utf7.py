"""Modified UTF-7, the coding of mailbox names in IMAP4rev1 (RFC 3501 §5.1.3)."""

from __future__ import annotations

import binascii
import re

_SHIFTED = re.compile(r"[^ -~]+|&")
_TOKEN = re.compile(rb"[ -%'-~]+|&[A-Za-z0-9+,]*-")


class Utf7Error(ValueError):
    """The octets are not modified UTF-7 (or the text has no encoding); the message says why."""


def encode(text: str) -> bytes:
    """Raises Utf7Error for a lone surrogate."""
    if text.isascii() and text.isprintable() and "&" not in text:
        return text.encode("ascii")
    try:
        return _SHIFTED.sub(_shift, text).encode("ascii")
    except UnicodeEncodeError as error:
        raise Utf7Error("a lone surrogate is no text") from error


def _shift(match: re.Match[str]) -> str:
    run = match[0]
    if run == "&":
        return "&-"
    coded = binascii.b2a_base64(run.encode("utf-16-be"), newline=False)
    return "&" + coded.rstrip(b"=").replace(b"/", b",").decode("ascii") + "-"


def decode(data: bytes) -> str:
    """Strict: what another encoder than a right one would write is refused, so that each name has one spelling.

    Raises Utf7Error.
    """
    if b"&" not in data and data.isascii():
        return _plain(data)
    pieces: list[str] = []
    position = 0
    while position < len(data):
        token = _TOKEN.match(data, position)
        if token is None:
            raise Utf7Error("an octet stands there that modified UTF-7 does not allow")
        position = token.end()
        pieces.append(_unshift(token[0]) if token[0][0] == 0x26 else token[0].decode("ascii"))
    text = "".join(pieces)
    # Superfluous shifts, padding bits and encoded ASCII (RFC 3501 §5.1.3: MUST NOT) all show here.
    if encode(text) != data:
        raise Utf7Error("modified UTF-7 is written in a form that is not allowed")
    return text


def _plain(data: bytes) -> str:
    text = data.decode("ascii")
    if text and not text.isprintable():
        raise Utf7Error("an octet stands there that modified UTF-7 does not allow")
    return text


def _unshift(token: bytes) -> str:
    coded = token[1:-1].replace(b",", b"/")
    if not coded:
        return "&"
    try:
        return binascii.a2b_base64(coded + b"=" * (-len(coded) % 4)).decode("utf-16-be")
    except ValueError as error:
        raise Utf7Error("the base64 in modified UTF-7 is broken") from error
