"""Non-ASCII text in header fields: encoded words (RFC 2047) and encoded parameters (RFC 2231), both ways.

Reading never fails: what cannot be decoded stays as it is. Time is linear. Decoded text is one line without NUL, so that
it can go nowhere as more than it is.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from urllib.parse import quote_from_bytes, unquote_to_bytes

from . import charset

MAX_WORD = 75
"""RFC 2047 §2: an encoded word is at most 75 characters."""

_WORD = re.compile(rb"=\?([^?\s*]{1,60}+)(?:\*[^?\s]{0,40}+)?\?([BbQq])\?([^?]*+)\?=")
_PARAM_NAME = re.compile(rb"([^*]++)(?:\*([0-9]{1,3}+))?(\*?)")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_ONE_LINE = {0: " ", 10: " ", 13: " "}
_PLAIN = re.compile(r"[ -~]*")
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_TOKEN = re.compile(r"[A-Za-z0-9!#$&+.^_`{|}~-]+")


def decode(value: bytes) -> str:
    """An unfolded field value as text. Octets outside of encoded words are UTF-8, or windows-1252 if they cannot be."""
    if b"=?" not in value:
        return charset.decode(value).translate(_ONE_LINE)
    pieces: list[str] = []
    run: list[bytes] = []  # words of one charset in a row: RFC 2047 §5 forbids to cut a character between them, many do
    label = ""
    at = 0
    for match in _WORD.finditer(value):
        gap = value[at : match.start()]
        new_label = match[1].decode("ascii", "replace").lower()
        # RFC 2047 §6.2: white space between two encoded words is not shown.
        is_next = at > 0 and not gap.strip(b" \t\r\n")
        if not is_next or new_label != label:
            pieces.append(charset.decode(b"".join(run), label))
            run = []
            if not is_next:
                pieces.append(charset.decode(gap))
        label = new_label
        run.append(_word_octets(match[2], match[3]))
        at = match.end()
    pieces.append(charset.decode(b"".join(run), label))
    pieces.append(charset.decode(value[at:]))
    return "".join(pieces).translate(_ONE_LINE)


def _word_octets(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"Qq":
        return binascii.a2b_qp(text, header=True)
    return lenient_base64(text)


def lenient_base64(text: bytes) -> bytes:
    """The octets of one base64 text; foreign characters and missing padding are overlooked, a lone last character too."""
    digits = _NOT_BASE64.sub(b"", text)
    whole = len(digits) - (len(digits) % 4 == 1)
    return binascii.a2b_base64(digits[:whole] + b"=" * (-whole % 4))


def encode(text: str) -> bytes:
    """*text* for an unstructured field or a phrase: as it is if ASCII without controls, else encoded words with spaces between.

    Controls other than tab become spaces. The words are UTF-8, each at most MAX_WORD long, and no character is cut.
    """
    text = "".join(char if char >= " " and char != "\x7f" else " " for char in text)
    if _PLAIN.fullmatch(text) and "=?" not in text:
        return text.encode("ascii")
    octets = text.encode("utf-8", "replace")
    escapes = sum(octet not in _Q_SAFE for octet in octets)
    if escapes * 2 <= len(octets):
        pieces = _cut(text, lambda char: sum(1 if octet in _Q_SAFE or octet == 32 else 3 for octet in char), MAX_WORD - 12)
        return b" ".join(b"=?utf-8?q?%b?=" % _q(piece) for piece in pieces)
    # 45 octets are 60 digits: 72 with `=?utf-8?b?` and `?=`.
    pieces = _cut(text, len, 45)
    return b" ".join(b"=?utf-8?b?%b?=" % binascii.b2a_base64(piece, newline=False) for piece in pieces)


def _q(octets: bytes) -> bytes:
    return b"".join(b"_" if octet == 32 else b"%c" % octet if octet in _Q_SAFE else b"=%02X" % octet for octet in octets)


def _cut(text: str, cost: object, limit: int) -> list[bytes]:
    """UTF-8 of *text* in pieces that cost at most *limit* each."""
    assert callable(cost)
    pieces: list[bytes] = []
    piece = bytearray()
    used = 0
    for char in text:
        octets = char.encode("utf-8", "replace")
        price = cost(octets)
        if used + price > limit:
            pieces.append(bytes(piece))
            piece.clear()
            used = 0
        piece += octets
        used += price
    pieces.append(bytes(piece))
    return pieces


def decode_parameters(params: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Parameters by lower-case name, continuations joined and decoded (RFC 2231); for people, not for offsets.

    The encoded form wins over a plain one of the same name, the first of equals wins. Encoded words in a plain value, which
    RFC 2047 §5 forbids and many send, are decoded too.
    """
    plain: dict[str, str] = {}
    extended: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for name, value in params:
        match = _PARAM_NAME.fullmatch(name.lower())
        if match is None:
            continue
        base = match[1].decode("ascii", "replace")
        if match[2] is None and not match[3]:
            plain.setdefault(base, decode(value))
        else:
            extended.setdefault(base, {}).setdefault(int(match[2] or 0), (value, bool(match[3])))
    for base, segments in extended.items():
        if 0 in segments:
            plain[base] = _joined(segments)
    return plain


def _joined(segments: dict[int, tuple[bytes, bool]]) -> str:
    """The value of numbered segments from 0 up to the first gap."""
    value, is_encoded = segments[0]
    label = ""
    if is_encoded and value.count(b"'") >= 2:
        name, _, value = value.split(b"'", 2)
        label = name.decode("ascii", "replace")
    octets = []
    number = 0
    while number in segments:
        if number:
            value, is_encoded = segments[number]
        octets.append(unquote_to_bytes(value) if is_encoded else value)
        number += 1
    return charset.decode(b"".join(octets), label).translate(_ONE_LINE)


def encode_parameter(name: str, value: str) -> bytes:
    """`name=value`, `name="value"` or RFC 2231 segments with `; ` between; controls become spaces."""
    value = "".join(char if char >= " " and char != "\x7f" else " " for char in value)
    if _TOKEN.fullmatch(value) and len(value) <= 60:
        return f"{name}={value}".encode("ascii")
    if _PLAIN.fullmatch(value) and len(value) <= 60:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{name}="{escaped}"'.encode("ascii")
    # 15 octets are at most 45 characters, which leaves room for any name in a line of 78.
    pieces = _cut(value, len, 15)
    if len(pieces) == 1:
        return f"{name}*=utf-8''{quote_from_bytes(pieces[0], safe='')}".encode("ascii")
    return "; ".join(
        f"{name}*{number}*={'' if number else chr(39).join(('utf-8', '', ''))}{quote_from_bytes(piece, safe='')}"
        for number, piece in enumerate(pieces)
    ).encode("ascii")
