"""CRLF at the end of each line, whatever the ends were (RFC 5322 §2.3)."""

from __future__ import annotations


class LineEnds:
    """Makes CRLF of every bare CR or LF, piece by piece: what we store is mail, whatever a client's files are."""

    __slots__ = ("_cr", "is_clean")

    def __init__(self) -> None:
        self._cr = False
        self.is_clean = True
        """So far nothing was changed."""

    def feed(self, data: bytes) -> bytes:
        if self._cr:
            data = b"\r" + data
        self._cr = data.endswith(b"\r")
        if self._cr:
            data = data[:-1]
        crlf = data.count(b"\r\n")
        if crlf == data.count(b"\n") and crlf == data.count(b"\r"):
            return data
        self.is_clean = False
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")

    def finish(self) -> bytes:
        """What was kept."""
        if self._cr:
            self.is_clean = False
        return b"\r\n" if self._cr else b""
