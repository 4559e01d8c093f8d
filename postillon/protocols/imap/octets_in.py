"""Octets as they arrive, taken out as lines, as counted octets, or thrown away. All limits on input are kept here."""

from __future__ import annotations

import re

_LF, _CR = 0x0A, 0x0D
_TAIL = 32
"""Enough of a line's end to see a literal announced there."""
_NON_SYNCHRONISING = re.compile(rb"\{([0-9]{1,19})\+\}\r\n\Z")


class BrokenLine(Exception):
    """The line cannot be used: it is too long, or its end is not CRLF. It is still there, to be skipped."""


class Flood(Exception):
    """More had to be skipped than the budget allows."""


class OctetsIn:
    """A buffer. Only what has not been taken yet is kept, so it is bounded if the owner takes all it can before feeding more."""

    __slots__ = ("_budget", "_buffer", "_scanned", "_skip", "_tail")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        """There is no LF before this place."""
        self._skip = 0
        self._budget = 0
        self._tail = b""

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def clear(self) -> None:
        self._buffer.clear()
        self._scanned = 0

    def start(self, size: int) -> bytes:
        """A look at the first octets."""
        return bytes(self._buffer[:size])

    def line(self, room: int) -> bytes | None:
        """The next line without its CRLF, or None if it is not whole. Raises BrokenLine (more than *room* octets, bare LF)."""
        buffer = self._buffer
        end = buffer.find(_LF, self._scanned)
        if end < 0:
            if len(buffer) > room + 1:
                raise BrokenLine("command is too long")
            self._scanned = len(buffer)
            return None
        if end > room + 1:
            raise BrokenLine("command is too long")
        if not end or buffer[end - 1] != _CR:
            raise BrokenLine("lines must end with CR and LF")
        line = bytes(buffer[: end - 1])
        del buffer[: end + 1]
        self._scanned = 0
        return line

    def take(self, size: int) -> bytes | None:
        """Exactly *size* octets, or None."""
        if len(self._buffer) < size:
            return None
        return self.some(size)

    def some(self, size: int) -> bytes:
        """Up to *size* octets, as many as there are."""
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._scanned = 0
        return data

    # --- throwing away

    def skip(self, octets: int, budget: int) -> None:
        """From now on: *octets*, then the rest of the line, and the literals that come without being asked for (RFC 7888 §4),
        but at most *budget* in all. `skipped` does the work."""
        self._skip, self._budget, self._tail = octets, budget - octets, b""

    def skipped(self) -> bool:
        """Skip what there is; True once all is skipped. Raises Flood."""
        while self._budget >= 0:
            gone = min(self._skip, len(self._buffer))
            self.some(gone)
            self._skip -= gone
            if self._skip:
                return False
            end = self._buffer.find(_LF)
            piece = self.some(end + 1 if end >= 0 else len(self._buffer))
            self._budget -= len(piece)
            self._tail = (self._tail + piece)[-_TAIL:]
            if end < 0:
                return False if self._budget >= 0 else self._flood()
            if not self._tail.endswith(b"\r\n"):
                continue  # a bare LF ends no line, here as elsewhere
            literal = _NON_SYNCHRONISING.search(self._tail)
            if literal is None:
                return True if self._budget >= 0 else self._flood()
            self._skip, self._tail = int(literal[1]), b""
            self._budget -= self._skip
        return self._flood()

    def _flood(self) -> bool:
        raise Flood
