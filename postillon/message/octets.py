"""A message as a rope: literal octets and ranges of a blob, in order.

What we received is kept as it came; header fields that we add, remove or rewrite make another rope over the same blob. So a
thousand copies share one body, and DKIM can be verified on the octets that arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

Segment = bytes | tuple[int, int]
"""Literal octets, or (start, stop) of the blob."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes | tuple[int, int]]).decode


def _length(segment: Segment) -> int:
    return len(segment) if isinstance(segment, bytes) else segment[1] - segment[0]


@dataclass(frozen=True, slots=True)
class Octets:
    """The rope. Offsets into it are *message coordinates*, from 0 to `size`."""

    segments: tuple[Segment, ...]
    size: int

    @classmethod
    def of(cls, *segments: Segment) -> Octets:
        kept = tuple(segment for segment in segments if _length(segment))
        return cls(kept, sum(map(_length, kept)))

    @classmethod
    def whole(cls, blob_size: int) -> Octets:
        """The blob as it is."""
        return cls.of((0, blob_size))

    @classmethod
    def decode(cls, recipe: bytes, blob_size: int) -> Octets:
        """The rope that `encode` made; empty is the whole blob. Raises ValueError if it leaves the blob."""
        if not recipe:
            return cls.whole(blob_size)
        rope = cls.of(*_decode(recipe))
        for segment in rope.segments:
            if isinstance(segment, tuple) and not 0 <= segment[0] <= segment[1] <= blob_size:
                raise ValueError("recipe leaves its blob")
        return rope

    def encode(self) -> bytes:
        return _encode(self.segments)

    def with_prefix(self, octets: bytes) -> Octets:
        """The same message with *octets* (whole header fields, each with CRLF) in front."""
        return Octets.of(octets, *self.segments)

    def of_body(self, body: bytes) -> bytes:
        """The message, made from the whole *body*."""
        if len(self.segments) == 1 and self.segments[0] == (0, len(body)):
            return body
        return b"".join([part if isinstance(part, bytes) else body[part[0] : part[1]] for part in self.segments])

    def range(self, start: int, stop: int) -> Iterator[Segment]:
        """The segments, cut, that make up message coordinates *start* to *stop*."""
        at = 0
        for segment in self.segments:
            length = _length(segment)
            first, last = max(start - at, 0), min(stop - at, length)
            if first < last:
                yield segment[first:last] if isinstance(segment, bytes) else (segment[0] + first, segment[0] + last)
            at += length
            if at >= stop:
                return
