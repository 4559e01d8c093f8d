"""Content-Transfer-Encoding, decoded tolerantly and piece by piece (RFC 2045 §6).

Decoding never fails: what is no digit of the encoding is overlooked (base64) or kept as it stands (quoted-printable).
"""

from __future__ import annotations

import binascii
import re
from typing import Protocol

IDENTITY = (b"7bit", b"8bit", b"binary")
ENCODINGS = (*IDENTITY, b"base64", b"quoted-printable")
"""What `decoder` knows. RFC 3516 §4.3: for others the answer is UNKNOWN-CTE."""

_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_PADDING = re.compile(rb"=+")
# binascii takes `==` for one `=`, and drops all that follows `=` and a bare CR up to the next LF. Neither is an escape.
_BEFORE_ANOTHER = re.compile(rb"=(?==)")
_BEFORE_CR = re.compile(rb"=(?=\r(?!\n))")
_QUOTED = [b"%c" % octet if octet == 9 or (32 <= octet < 127 and octet != 61) else b"=%02X" % octet for octet in range(256)]
_LINE = re.compile(rb".{1,75}(?<!=)(?<!=.)")
_CHUNK = 64 * 1024


class Decoder(Protocol):
    def feed(self, octets: bytes) -> bytes:
        """What can be decoded now; the rest is kept for later, never more than a line's end."""
        ...

    def finish(self) -> bytes:
        """What was kept."""
        ...


class Identity:
    def feed(self, octets: bytes) -> bytes:
        return octets

    def finish(self) -> bytes:
        return b""


class Base64:
    """Foreign octets are skipped; padding ends a text, and another may follow it, as in parts put together from several."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, octets: bytes) -> bytes:
        digits = self._kept + octets.translate(None, _NOT_BASE64)
        if b"=" not in digits:
            whole = len(digits) & ~3
            self._kept = digits[whole:]
            return binascii.a2b_base64(digits[:whole])
        bare = digits.rstrip(b"=")
        if b"=" not in bare:  # it stands at the very end, as it mostly does
            self._kept = b""
            return _base64(bare)
        *closed, last = _PADDING.split(digits)
        out = [_base64(text) for text in closed]
        whole = len(last) & ~3
        self._kept = last[whole:]
        out.append(binascii.a2b_base64(last[:whole]))
        return b"".join(out)

    def finish(self) -> bytes:
        kept, self._kept = self._kept, b""
        return _base64(kept)


def _base64(digits: bytes) -> bytes:
    """Digits without padding; a lone last one says nothing."""
    whole = len(digits) - (len(digits) % 4 == 1)
    return binascii.a2b_base64(digits[:whole] + b"=" * (-whole % 4))


class QuotedPrintable:
    """White space before a line end is dropped (RFC 2045 §6.7 rule 3), a `=` that begins no escape stays."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, octets: bytes) -> bytes:
        octets = _BEFORE_ANOTHER.sub(b"=3D", self._kept + octets)
        # Held back: an escape that is not complete, and white space that may turn out to end the line.
        end = len(octets.rstrip(b" \t\r"))
        escape = octets.find(b"=", max(end - 2, 0), end)
        if escape >= 0:
            end = escape
        if len(octets) - end > _CHUNK:  # no line has so much white space at its end
            end = len(octets)
        self._kept = octets[end:]
        return _quoted_printable(octets[:end])

    def finish(self) -> bytes:
        kept, self._kept = self._kept, b""
        return _quoted_printable(kept.rstrip(b" \t"))


def _quoted_printable(octets: bytes) -> bytes:
    if b" \r\n" in octets or b"\t\r\n" in octets or b" \n" in octets or b"\t\n" in octets:
        octets = b"\n".join([_without_trailing_space(line) for line in octets.split(b"\n")])
    if b"=\r" in octets:
        octets = _BEFORE_CR.sub(b"=3D", octets)
    return binascii.a2b_qp(octets)


def _without_trailing_space(line: bytes) -> bytes:
    if line.endswith(b"\r"):
        return line[:-1].rstrip(b" \t") + b"\r"
    return line.rstrip(b" \t")


def decoder(encoding: bytes) -> Decoder:
    """The decoder for *encoding* (lower case). Raises ValueError for one that is not in ENCODINGS."""
    if encoding in IDENTITY:
        return Identity()
    if encoding == b"base64":
        return Base64()
    if encoding == b"quoted-printable":
        return QuotedPrintable()
    raise ValueError("unknown content-transfer-encoding")


def decode(octets: bytes, encoding: bytes) -> bytes:
    """*octets* decoded; as they are if *encoding* (lower case) is unknown."""
    if encoding not in ENCODINGS or encoding in IDENTITY:
        return octets
    one = decoder(encoding)
    return one.feed(octets) + one.finish()


def encode_base64(octets: bytes) -> bytes:
    """Lines of 76 digits, each with CRLF."""
    return b"".join(binascii.b2a_base64(octets[at : at + 57], newline=False) + b"\r\n" for at in range(0, len(octets), 57))


def encode_quoted_printable(text: bytes) -> bytes:
    """Text with CRLF line ends, in lines of at most 76 characters. A bare CR or LF is encoded like any other control."""
    return b"\r\n".join(map(_quoted_line, text.split(b"\r\n")))


def _quoted_line(line: bytes) -> bytes:
    encoded = b"".join(map(_QUOTED.__getitem__, line))
    if encoded.endswith((b" ", b"\t")):
        encoded = encoded[:-1] + b"=%02X" % encoded[-1]
    # Pieces of at most 75 characters, so that a `=` may follow; none ends within an escape.
    return b"=\r\n".join(_LINE.findall(encoded)) if len(encoded) > 76 else encoded
