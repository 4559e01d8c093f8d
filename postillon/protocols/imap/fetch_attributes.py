"""What FETCH can ask for, as values (RFC 3501 §6.4.5, RFC 9051 §6.4.5, RFC 7162, 8474, 8514, 8970)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Attribute(Enum):
    """Attributes without parameters; the value is the word in the response."""

    FLAGS = b"FLAGS"
    UID = b"UID"
    INTERNALDATE = b"INTERNALDATE"
    RFC822_SIZE = b"RFC822.SIZE"
    ENVELOPE = b"ENVELOPE"
    BODY = b"BODY"
    """The non-extensible BODYSTRUCTURE."""
    BODYSTRUCTURE = b"BODYSTRUCTURE"
    MODSEQ = b"MODSEQ"
    EMAILID = b"EMAILID"
    THREADID = b"THREADID"
    SAVEDATE = b"SAVEDATE"
    PREVIEW = b"PREVIEW"
    PREVIEW_LAZY = b"PREVIEW (LAZY)"
    """Answered as PREVIEW, but only if it costs nothing (RFC 8970 §3.1)."""


class Kind(Enum):
    """Which octets of the part (or of the message) are meant (RFC 3501 §6.4.5 section-text)."""

    ALL = b""
    HEADER = b"HEADER"
    FIELDS = b"HEADER.FIELDS"
    FIELDS_NOT = b"HEADER.FIELDS.NOT"
    TEXT = b"TEXT"
    MIME = b"MIME"


@dataclass(frozen=True, slots=True)
class Section:
    """BODY[…], BINARY[…], BINARY.SIZE[…] and the RFC822 attributes, which are sections under other names."""

    label: bytes
    """The name in the response, `BODY[1.HEADER.FIELDS (DATE FROM)]<0>` or `RFC822`: ready to send, a value follows."""
    part: tuple[int, ...] = ()
    """Part numbers from the root; () is the message itself."""
    kind: Kind = Kind.ALL
    fields: tuple[bytes, ...] = ()
    """For FIELDS and FIELDS_NOT: lower case."""
    partial: tuple[int, int] | None = None
    """(first octet, how many octets at most); the second is at least 1."""
    peek: bool = True
    """False: reading it sets \\Seen."""
    binary: bool = False
    """Decode the content transfer encoding (RFC 3516); the value may be a literal8."""
    size_only: bool = False
    """BINARY.SIZE: the value is a number."""


FetchAttribute = Attribute | Section

FAST = (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.RFC822_SIZE)
ALL = (*FAST, Attribute.ENVELOPE)
FULL = (*ALL, Attribute.BODY)
