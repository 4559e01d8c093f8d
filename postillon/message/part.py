"""The tree of MIME parts as offsets, how it is stored, and what an IMAP section number points at (RFC 3501 §6.4.5).

All offsets are octets from the start of the blob. A copy of the message may have header fields added in front of the blob, or
fields cut out of its header. Both change only the length of the outermost header, so with
`delta = rope.size - blob_size` everything past that header lies *delta* further on in the copy: `section` and `shifted`
take that delta. Where a copy was scanned instead of the blob, `prepare` is told the blob's size and stores the blob's offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

SectionKind = Literal["HEADER", "TEXT", "MIME"]


class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message or a part of one: header from *header_start* to *body_start* (with the empty line), body up to *body_end*."""

    header_start: int
    body_start: int
    body_end: int
    lines: int
    """Line ends in the body; counted for text/* and embedded messages only."""
    type: bytes
    """Lower case, as are *subtype*, *encoding*, *disposition* and the names of parameters."""
    subtype: bytes
    params: tuple[tuple[bytes, bytes], ...] = ()
    """Without quotes; RFC 2231 names (`filename*0*`) and values as they came."""
    id: bytes | None = None
    description: bytes | None = None
    encoding: bytes = b"7bit"
    md5: bytes | None = None
    disposition: bytes | None = None
    disposition_params: tuple[tuple[bytes, bytes], ...] = ()
    language: tuple[bytes, ...] = ()
    location: bytes | None = None
    children: tuple[Part, ...] = ()
    """Of a multipart, never empty for one; a multipart in which nothing is found is shown as text/plain."""
    message: Part | None = None
    """The embedded message of message/rfc822 and message/global."""
    envelope: bytes = b""
    """Only of an embedded message: its ENVELOPE, ready to send."""

    @property
    def size(self) -> int:
        """Octets of the body, still encoded."""
        return self.body_end - self.body_start

    @property
    def content_type(self) -> bytes:
        return self.type + b"/" + self.subtype

    def param(self, name: bytes) -> bytes | None:
        """The value of the Content-Type parameter *name* (lower case), or None."""
        return next((value for key, value in self.params if key == name), None)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Part).decode


def encode_structure(part: Part) -> bytes:
    """The tree in the form that is stored beside a message."""
    return _encode(part)


def decode_structure(stored: bytes) -> Part:
    """The tree that `encode_structure` stored. Raises msgspec.MsgspecError (a ValueError) on anything else."""
    return _decode(stored)


def section(structure: Part, path: Sequence[int], kind: SectionKind | None = None, delta: int = 0) -> tuple[int, int] | None:
    """Where the octets of a section begin and end, in message coordinates, or None if there is no such part.

    *path* is the part number (`2.1` is (2, 1), empty is the message itself). HEADER and TEXT are those of a message, so
    with a path only an embedded one has them; MIME is the part's own header and needs a path. HEADER and MIME include the
    empty line. *delta* is explained at the top of this module.
    """
    part = find(structure, path)
    if part is not None and path and kind in ("HEADER", "TEXT"):
        part = part.message
    if part is None or (kind == "MIME" and not path):
        return None
    # The outermost header begins at 0 in every copy, whatever its length.
    start = part.header_start + (0 if part is structure else delta)
    if kind in ("HEADER", "MIME"):
        return start, part.body_start + delta
    if kind is None and not path:
        return start, part.body_end + delta
    return part.body_start + delta, part.body_end + delta


def find(structure: Part, path: Sequence[int]) -> Part | None:
    """The part that *path* numbers. The part 1 of a message that is no multipart is its body."""
    part, is_message = structure, True
    for number in path:
        if not is_message and part.message is not None:
            part, is_message = part.message, True
        if part.children:
            if not 1 <= number <= len(part.children):
                return None
            part = part.children[number - 1]
        elif number != 1 or not is_message:
            return None
        is_message = False
    return part


def shifted(part: Part, delta: int) -> Part:
    """The tree for a copy whose outermost header is *delta* octets longer than the scanned one."""
    if not delta:
        return part
    moved = _moved(part, delta)
    return msgspec.structs.replace(moved, header_start=part.header_start)


def _moved(part: Part, delta: int) -> Part:
    return msgspec.structs.replace(
        part,
        header_start=part.header_start + delta,
        body_start=part.body_start + delta,
        body_end=part.body_end + delta,
        children=tuple(_moved(child, delta) for child in part.children),
        message=_moved(part.message, delta) if part.message else None,
    )
