"""Building header fields and small messages: the only way our own words become a header (RFC 5322 §2.2, §3.6).

Every value is one line: CR, LF and NUL are refused, not repaired, so that no text can become another field. Lines are
folded at white space to at most 78 characters where that is possible; non-ASCII text becomes encoded words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..model.address import Address
from .date import format_date
from .encoded_words import encode, encode_parameter
from .transfer import encode_base64, encode_quoted_printable

LINE = 78

_NAME = re.compile(r"[!-9;-~]{1,76}")
_FORBIDDEN = re.compile(r"[\r\n\x00]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_MSG_ID = re.compile(r"[!-;=?-~\x80-\U0010ffff]+@[!-;=?-~\x80-\U0010ffff]+")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`{|}~0-9A-Za-z-]+")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}")
_LONG_LINE = re.compile(rb"[^\n]{999}")


class BuildError(ValueError):
    """A value cannot be written into a header."""


def _checked(value: str) -> str:
    if _FORBIDDEN.search(value):
        raise BuildError("a header value is one line without NUL")
    return value


def raw(name: str, value: bytes) -> bytes:
    """The field *name* with the finished, unfolded *value*, folded at its spaces, with CRLF. Raises BuildError."""
    if not _NAME.fullmatch(name):
        raise BuildError("not a field name")
    if b"\r" in value or b"\n" in value or b"\0" in value:
        raise BuildError("a header value is one line without NUL")
    return fold(name.encode("ascii") + b": " + value.strip(b" \t")) + b"\r\n"


def fold(line: bytes) -> bytes:
    """*line* (a whole field) with CRLF before the spaces at which it may be folded; a word longer than LINE stays whole."""
    if len(line) <= LINE:
        return line
    words = re.split(rb"(?<=[^ ]) (?=[^ ])", line)
    lines = [words[0]]
    for number, word in enumerate(words[1:]):
        # Nothing is folded right after the name: a line must not consist of the name alone.
        if number and len(lines[-1]) + 1 + len(word) > LINE:
            lines.append(word)
        else:
            lines[-1] += b" " + word
    return b"\r\n ".join(lines)


def text(name: str, value: str) -> bytes:
    """An unstructured field: Subject, Comments, User-Agent. Raises BuildError."""
    return raw(name, encode(_checked(value)))


def date(name: str, epoch: int, zone: int = 0) -> bytes:
    return raw(name, format_date(epoch, zone).encode("ascii"))


def message_id(name: str, ids: Sequence[str]) -> bytes:
    """Message-ID, In-Reply-To or References from ids without angle brackets. Raises BuildError."""
    if not ids or not all(_MSG_ID.fullmatch(one) for one in ids):
        raise BuildError("not a message id")
    return raw(name, " ".join(f"<{one}>" for one in ids).encode("utf-8"))


def addresses(name: str, people: Iterable[tuple[str, Address]]) -> bytes:
    """An address field from (display name, address) pairs; the name may be empty. Raises BuildError."""
    written = [_person(display, address) for display, address in people]
    if not written:
        raise BuildError("an address field has an address")
    return raw(name, b", ".join(written))


def _person(display: str, address: Address) -> bytes:
    spec = _checked(str(address)).encode("utf-8")
    if not display:
        return b"<" + spec + b">" if b" " in spec or b"," in spec else spec
    display = _checked(display)
    if _ATOMS.fullmatch(display) and "=?" not in display and display == " ".join(display.split()):
        return display.encode("ascii") + b" <" + spec + b">"
    if display.isascii() and display.isprintable() and "=?" not in display:
        quoted = display.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <'.encode("ascii") + spec + b">"
    return encode(display) + b" <" + spec + b">"


def content_type(kind: str, **params: str) -> bytes:
    """A Content-Type field; *kind* is `text/plain`. Raises BuildError."""
    if not re.fullmatch(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+", kind):
        raise BuildError("not a content type")
    return _with_params("Content-Type", kind, params)


def disposition(word: str, **params: str) -> bytes:
    """A Content-Disposition field; `filename` may be any text of one line. Raises BuildError."""
    if not _TOKEN.fullmatch(word.encode("utf-8")):
        raise BuildError("not a disposition")
    return _with_params("Content-Disposition", word, params)


def _with_params(name: str, word: str, params: dict[str, str]) -> bytes:
    pieces = [word.encode("ascii"), *(encode_parameter(key, _checked(value)) for key, value in params.items())]
    return raw(name, b"; ".join(pieces))


def text_part(content: str, subtype: str = "plain", fields: bytes = b"") -> bytes:
    """A text part with its header, *fields* (whole fields, each with CRLF) among it. Line ends of *content* become CRLF.

    ASCII with short lines goes as 7bit, other text as quoted-printable in UTF-8, or as base64 where that is shorter.
    """
    octets = re.sub(r"\r\n|\r|\n", "\r\n", content).replace("\0", " ").encode("utf-8", "replace")
    if octets and not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    if octets.isascii() and not _LONG_LINE.search(octets):
        return fields + content_type(f"text/{subtype}", charset="us-ascii") + b"\r\n" + octets
    head = fields + content_type(f"text/{subtype}", charset="utf-8")
    printable = encode_quoted_printable(octets)
    if len(printable) * 3 > len(octets) * 5:
        return head + raw("Content-Transfer-Encoding", b"base64") + b"\r\n" + encode_base64(octets)
    return head + raw("Content-Transfer-Encoding", b"quoted-printable") + b"\r\n" + printable


def attachment(octets: bytes, kind: str = "application/octet-stream", filename: str = "") -> bytes:
    """A base64 part with its header."""
    shown = disposition("attachment", filename=filename) if filename else disposition("attachment")
    return content_type(kind) + shown + raw("Content-Transfer-Encoding", b"base64") + b"\r\n" + encode_base64(octets)


def multipart(subtype: str, boundary: str, parts: Sequence[bytes], **params: str) -> bytes:
    """A multipart with its Content-Type field, the empty line and *parts*, each of which has its own header.

    Raises BuildError if *boundary* is none or stands at the beginning of a line of a part.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise BuildError("not a boundary")
    delimiter = b"--" + boundary.encode("ascii")
    if any(part.startswith(delimiter) or b"\n" + delimiter in part for part in parts):
        raise BuildError("the boundary occurs in a part")
    # The parameters come first, so that the boundary ends the field, where everybody finds it.
    head = content_type(f"multipart/{subtype}", **params, boundary=boundary)
    body = b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts)
    return head + b"\r\n" + body + delimiter + b"--\r\n"
