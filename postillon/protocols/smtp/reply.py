"""SMTP replies: what the server says and the client reads (RFC 5321 §4.2, enhanced status codes RFC 2034).

Pure values and text; who may say which reply when is not here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

MAX_LINE = 512  # RFC 5321 §4.5.3.1.5, octets with CRLF

_UNPRINTABLE = re.compile(r"[^ -~]")
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
# RFC 3463 §2: class "." subject "." detail
_STATUS = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: +|$)")


@dataclass(frozen=True, slots=True)
class Reply:
    """A code, one or several lines of text, and an enhanced status (`2.1.0`; empty where the RFCs want none)."""

    code: int
    text: str | tuple[str, ...]
    status: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        return (self.text,) if isinstance(self.text, str) else self.text or ("",)

    @property
    def kind(self) -> int:
        """The first digit: 2 done, 3 go on, 4 not now, 5 never."""
        return self.code // 100

    def encode(self) -> bytes:
        """The octets to send, the status on each line (RFC 2034 §4). All but printable ASCII becomes `?`; long lines fold."""
        prefix = f"{self.status} " if self.status else ""
        if isinstance(self.text, str) and len(self.text) < 480 and self.text.isascii() and self.text.isprintable():
            return f"{self.code} {prefix}{self.text}\r\n".encode("ascii")
        return _many_lines(self)


@lru_cache(maxsize=64)  # the answer to EHLO is the same for nearly everybody
def _many_lines(reply: Reply) -> bytes:
    prefix = f"{reply.status} " if reply.status else ""
    width = MAX_LINE - 6 - len(prefix)
    lines = [piece for line in reply.lines for piece in _fold(_UNPRINTABLE.sub("?", line), width)]
    last = len(lines) - 1
    return "".join(f"{reply.code}{'-' if i < last else ' '}{prefix}{line}\r\n" for i, line in enumerate(lines)).encode("ascii")


def _fold(line: str, width: int) -> list[str]:
    """Cut *line* at spaces into pieces of at most *width*; a longer word is cut anywhere."""
    pieces = []
    while len(line) > width:
        cut = line.rfind(" ", 1, width + 1)
        if cut < 1:
            pieces.append(line[:width])
            line = line[width:]
        else:
            pieces.append(line[:cut])
            line = line[cut + 1 :]
    return [*pieces, line]


class ReplyError(ValueError):
    """A server sent a line that is no SMTP reply."""


@dataclass(frozen=True, slots=True)
class ReplyLine:
    """One line of a reply as read: *last* is false while more lines of the same reply follow."""

    code: int
    last: bool
    status: str
    text: str


def parse_line(line: bytes) -> ReplyLine:
    """Read one reply line, given without its line end. Raises ReplyError.

    The status is taken only if its class is the code's first digit. Control characters become `?`
    and octets that are not UTF-8 U+FFFD, so the text may go into a report or a log.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise ReplyError("not an SMTP reply line")
    text = _clean((match[3] or b"").decode("utf-8", "replace"))
    status = _STATUS.match(text)
    if status is not None and status[1][0] == chr(match[1][0]):
        return ReplyLine(int(match[1]), match[2] != b"-", status[1], text[status.end() :])
    return ReplyLine(int(match[1]), match[2] != b"-", "", text)


def _clean(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def assemble(lines: Sequence[ReplyLine]) -> Reply:
    """The reply that *lines* make (at least one). RFC 5321 §4.2.1: the last line's code is the one that counts."""
    last = lines[-1]
    status = next((line.status for line in lines if line.status and line.status[0] == str(last.code // 100)), "")
    return Reply(last.code, last.text if len(lines) == 1 else tuple(line.text for line in lines), status)
