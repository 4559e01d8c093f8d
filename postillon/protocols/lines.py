"""Octets that wait to be read: cut into lines with a limit, or taken in bulk. Shared by the line protocols."""

from __future__ import annotations


class LineTooLong(ValueError):
    """A line passed its limit. It has been dropped to its end, so the next one can be read."""


class LineBuffer:
    """The octets `data[at:]` wait. Whoever reads in bulk looks at *data* from *at* and moves *at* on."""

    __slots__ = ("_overlong", "at", "data")

    def __init__(self) -> None:
        self.data = b""
        self.at = 0
        self._overlong = False

    @property
    def pending(self) -> int:
        """How many octets wait."""
        return len(self.data) - self.at

    def feed(self, data: bytes) -> None:
        self.data = data if self.at == len(self.data) else self.data[self.at :] + data
        self.at = 0

    def line(self, limit: int) -> bytes | None:
        """The next line with its end (LF, and CR before it if there was one), or None until it is complete.

        *limit* counts octets with the line end. Raises LineTooLong once the end of such a line was seen; until then its octets
        are dropped as they come, so memory is bounded by *limit* and what is fed at once.
        """
        end = self.data.find(b"\n", self.at) + 1
        if not end:
            if self.pending > limit:
                self._overlong = True
                self.at = len(self.data)
            return None
        start, self.at = self.at, end
        if self._overlong or end - start > limit:
            self._overlong = False
            raise LineTooLong
        return self.data[start:end]

    def take(self, count: int) -> bytes:
        """Up to *count* octets of those that wait."""
        start = self.at
        self.at = min(start + count, len(self.data))
        return self.data[start : self.at]
