"""COMPRESS=DEFLATE (RFC 4978): the layer between a session's octets and its stream. No I/O.

What comes is inflated a step at a time: a few octets can stand for megabytes, so nothing is inflated before what came earlier
was read by the engine with its limits.
"""

from __future__ import annotations

import zlib

STEP = 64 << 10
"""Octets that `step` gives at most."""
LEVEL = 3
WINDOW = -12
"""4 KiB: with MEMORY 38 KiB a connection instead of 262. What we read may use the largest window."""
MEMORY = 5


class BrokenStream(Exception):
    """What came is not deflated, or ended."""


class Compression:
    """Both directions of one connection."""

    __slots__ = ("_deflate", "_ended", "_inflate", "_more", "_waiting")

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW, MEMORY)
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._waiting = b""
        self._more = False
        self._ended = False
        """The client ended its stream: what waits is not compressed."""

    @property
    def has_more(self) -> bool:
        """`step` may have something without anything new from the client."""
        return self._more

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._waiting += data
        self._more = True

    def step(self) -> bytes:
        """The next octets of the client, at most STEP; empty if more must come first. Raises BrokenStream."""
        if self._ended:
            # RFC 4978 §3: nobody may end the compression but with the connection, or by UNAUTHENTICATE.
            raise BrokenStream("the compressed stream ended")
        try:
            found = self._inflate.decompress(self._waiting, STEP)
        except zlib.error as error:
            raise BrokenStream(str(error)) from error
        if self._inflate.eof:
            self._ended, self._waiting = True, self._inflate.unused_data
            self._more = bool(self._waiting)
            return found
        self._waiting = self._inflate.unconsumed_tail
        # A full step may have left something inside, even if all input was taken.
        self._more = bool(self._waiting) or len(found) == STEP
        return found

    def leave(self) -> bytes:
        """The layer ends here: octets that came behind it and are not compressed."""
        return self._waiting

    def deflate(self, data: bytes) -> bytes:
        """*data* as it goes out, up to a point where the client can read all of it."""
        return self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
