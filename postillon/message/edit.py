"""Changing a header without touching the octets received: fields left out, fields put in front (RFC 6409 §8, RFC 5322 §3.6.3).

The result is a rope over the same blob, or fields for `Octets.with_prefix`.
"""

from __future__ import annotations

from collections.abc import Collection

from . import build
from .header import fields, values
from .octets import Octets, Segment

BLIND = (b"bcc", b"resent-bcc")
"""Fields that name recipients whom the others must not see."""


def without_fields(header: bytes, size: int, names: Collection[bytes] = BLIND) -> Octets:
    """The blob of *size* octets that begins with the header block *header*, less all fields with one of *names* (lower case)."""
    segments: list[Segment] = []
    kept = 0
    for field in fields(header, len(header)):
        if field.name.lower() in names:
            segments.append((kept, field.start))
            kept = field.stop
    segments.append((kept, size))
    return Octets.of(*segments)


def missing_fields(header: bytes, *, at: int, zone: int = 0, message_id: str) -> bytes:
    """Date and Message-ID fields, with CRLF, as far as *header* lacks them (RFC 6409 §8.2, §8.3).

    *at* is epoch seconds, *message_id* has no angle brackets. Raises `build.BuildError` if it is no message id.
    """
    present = values(header)
    added = b""
    if b"date" not in present:
        added += build.date("Date", at, zone)
    if b"message-id" not in present:
        added += build.message_id("Message-ID", [message_id])
    return added
