"""multipart/report: words for people, a part for machines, the original message or its header (RFC 6522 §3). Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .header import first, header_end
from .part import Part
from .structure import scan
from .transfer import decode

_ORIGINALS = (b"message/rfc822", b"message/global", b"text/rfc822-headers", b"message/global-headers")


@dataclass(frozen=True, slots=True)
class MultipartReport:
    machine: bytes
    """The part for machines, decoded; it ends with CRLF."""
    message_id: str
    """Of the original, without angle brackets; empty if its header is not there."""


def read(message: bytes, report_type: bytes, machine_types: Collection[bytes], limit: int) -> MultipartReport | None:
    """The report in *message* if it is of *report_type* and has a part of *machine_types*, all in lower case; else None.

    *limit*: octets that are read of each part.
    """
    whole = scan(message)
    if whole.content_type != b"multipart/report" or (whole.param(b"report-type") or b"").lower() != report_type:
        return None
    machine = next((part for part in whole.children if part.content_type in machine_types), None)
    original = next((part for part in whole.children if part.content_type in _ORIGINALS), None)
    if machine is None:
        return None
    return MultipartReport(
        _body(message, machine, limit), _message_id(_body(message, original, limit)) if original is not None else ""
    )


def _body(message: bytes, part: Part, limit: int) -> bytes:
    return decode(message[part.body_start : min(part.body_end, part.body_start + limit)], part.encoding) + b"\r\n"


def _message_id(header: bytes) -> str:
    value = first(header[: header_end(header, 0, len(header))], b"message-id") or b""
    return value.strip().strip(b"<>").decode("utf-8", "replace")
