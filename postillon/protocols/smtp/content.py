"""A message's octets on their way in: the dots taken away (RFC 5321 §4.5.2), counted, and checked for what mail may not hold.

Everything works on whole chunks at the speed of C; no line is looked at by itself.
"""

from __future__ import annotations

import re

from ..lines import LineBuffer
from .reply import Reply

END_OF_DATA = b"\r\n.\r\n"
_BEGINNINGS = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")  # the longest first: the last is a part of the first
MAX_BODY_LINE = 1 << 20
"""Octets without CRLF. RFC 5321 §4.5.3.1.6 knows 998, real mail does not; beyond this it is no text."""

TOO_LARGE = Reply(552, "Message is too large", "5.3.4")
HAS_NUL = Reply(550, "Message contains a NUL octet", "5.6.0")
HAS_BARE_NEWLINE = Reply(550, "Message contains a bare CR or LF; lines end with CR LF", "5.6.0")
HAS_LONG_LINE = Reply(550, "Message contains a line beyond any limit", "5.6.0")

_NEWLINE = re.compile(rb"\r\n|\r|\n")


class DotReader:
    """Reads the content after DATA up to its end, which is CR LF dot CR LF and nothing else (RFC 5321 §4.1.1.4)."""

    __slots__ = ("_at_start",)

    def __init__(self) -> None:
        # The CR LF of the DATA command counts as the one before the first line.
        self._at_start = True

    def read(self, buffer: LineBuffer) -> tuple[bytes, bool]:
        """(octets of the message that are certain now, whether the end was seen). Consumes them from *buffer*.

        A CR LF is never divided between two answers; what might begin the end stays in *buffer* (up to 4 octets).
        """
        data, at = buffer.data, buffer.at
        if self._at_start:
            if len(data) - at < 3 and b".\r\n".startswith(data[at:]):
                return b"", False
            self._at_start = False
            if data.startswith(b".\r\n", at):
                buffer.at = at + 3
                return b"", True
            if data.startswith(b".", at):
                at += 1
        end = data.find(END_OF_DATA, at)
        if end >= 0:
            buffer.at = end + len(END_OF_DATA)
            return data[at : end + 2].replace(b"\r\n.", b"\r\n"), True
        stop = len(data) - _begun(data, at)
        buffer.at = stop
        return data[at:stop].replace(b"\r\n.", b"\r\n"), False


def _begun(data: bytes, at: int) -> int:
    """How many octets at the end of *data* may be the beginning of END_OF_DATA."""
    for begun in _BEGINNINGS:
        if data.endswith(begun, at):
            return len(begun)
    return 0


class Content:
    """Counts and checks the octets of one message, however they came. *normalise*: bare CR and LF become CR LF.

    *binary*: BODY=BINARYMIME (RFC 3030 §3), any octets are welcome and kept as they are.
    """

    __slots__ = ("_bare", "_binary", "_carry", "_limit", "_line", "_long", "_normalise", "_nul", "size")

    def __init__(self, limit: int, normalise: bool, binary: bool = False) -> None:
        self.size = 0
        """Octets so far, as they would be stored; beyond *limit* as received."""
        self._limit = limit
        self._normalise = normalise
        self._binary = binary
        self._carry = False
        self._line = 0
        self._bare = self._nul = self._long = False

    @property
    def refusal(self) -> Reply | None:
        """What is wrong with the octets so far; the same whatever the chunks were."""
        if self.size > self._limit:
            return TOO_LARGE
        if self._nul:
            return HAS_NUL
        if self._bare:
            return HAS_BARE_NEWLINE
        return HAS_LONG_LINE if self._long else None

    def take(self, data: bytes) -> bytes:
        """The octets to keep of *data*: none once the message is refused."""
        if self._binary:
            self.size += len(data)
            return data if self.size <= self._limit else b""
        if self._carry:
            data = b"\r" + data
        # A CR at the end of a BDAT chunk may belong to the LF that begins the next.
        self._carry = data.endswith(b"\r")
        return self._check(data[:-1] if self._carry else data)

    def finish(self) -> bytes:
        """The octets that were held back, at the end of the message."""
        if not self._carry:
            return b""
        self._carry = False
        return self._check(b"\r")

    def _check(self, data: bytes) -> bytes:
        if self.size > self._limit:
            self.size += len(data)
            return b""
        pairs = data.count(b"\r\n")
        if data.count(b"\n") != pairs or data.count(b"\r") != pairs:
            if self._normalise:
                data = _NEWLINE.sub(b"\r\n", data)
            else:
                self._bare = True
        if b"\0" in data:
            self._nul = True
        self._measure(data)
        self.size += len(data)
        return b"" if self.size > self._limit or self._bare or self._nul or self._long else data

    def _measure(self, data: bytes) -> None:
        """Watch the length of lines, which may run over many chunks."""
        first = data.find(b"\n")
        if first < 0:
            self._line += len(data)
        else:
            # The CR counts; lines inside the chunk are as short as the chunk.
            self._long |= self._line + first > MAX_BODY_LINE + 1
            self._line = len(data) - data.rfind(b"\n") - 1
        if len(data) > MAX_BODY_LINE:
            self._long |= max(map(len, data.split(b"\n"))) > MAX_BODY_LINE + 1
        self._long |= self._line > MAX_BODY_LINE + 1
