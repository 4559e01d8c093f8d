"""Complaints: reports of the Abuse Reporting Format, from a provider whose user called our mail spam (RFC 5965). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.address import Address, AddressError
from .header import first, header_end, unfold, values
from .part import Part
from .structure import scan
from .transfer import decode

MAX_REPORT = 64 * 1024
"""Octets of the machine's part that are read."""
COMPLAINTS = (b"abuse", b"fraud", b"opt-out", b"opt-out-list", b"virus", b"other")
"""RFC 5965 §7.3, §3.5 of RFC 6650; `not-spam` says the opposite."""


@dataclass(frozen=True, slots=True)
class Complaint:
    kind: str
    """`abuse` and the like (RFC 5965 §7.3)."""
    message_id: str
    """Of the message complained about, without angle brackets; empty if its header is not there."""
    recipient: Address | None
    """Who complained, if that is told: many providers take it out."""
    reporter: str
    """The program that reports, one line."""


def may_be_complaint(header: bytes) -> bool:
    """At a glance: whether to look closer."""
    return b"feedback-report" in header.lower()


def read(message: bytes) -> Complaint | None:
    """The complaint in *message*; None if it is none, or one that is no complaint (`not-spam`)."""
    whole = scan(message)
    # RFC 5965 §2: multipart/report, type feedback-report: words for people, the machine's part, the message or its header.
    if whole.content_type != b"multipart/report" or (whole.param(b"report-type") or b"").lower() != b"feedback-report":
        return None
    report = next((part for part in whole.children if part.content_type == b"message/feedback-report"), None)
    original = next((part for part in whole.children if part.content_type in _ORIGINALS), None)
    if report is None:
        return None
    found = values(_body(message, report))
    kind = _one(found, b"feedback-type").lower()
    if kind not in COMPLAINTS:
        return None
    return Complaint(
        kind.decode("ascii"),
        _message_id(_body(message, original)) if original is not None else "",
        _address(_one(found, b"original-rcpt-to")),
        _one(found, b"user-agent").decode("utf-8", "replace")[:200],
    )


_ORIGINALS = (b"message/rfc822", b"message/global", b"text/rfc822-headers", b"message/global-headers")


def _body(message: bytes, part: Part) -> bytes:
    return decode(message[part.body_start : min(part.body_end, part.body_start + MAX_REPORT)], part.encoding) + b"\r\n"


def _one(found: dict[bytes, list[bytes]], name: bytes) -> bytes:
    return unfold(found[name][0]) if found.get(name) else b""


def _message_id(header: bytes) -> str:
    value = first(header[: header_end(header, 0, len(header))], b"message-id") or b""
    return value.strip().strip(b"<>").decode("utf-8", "replace")


def _address(value: bytes) -> Address | None:
    text = value.decode("utf-8", "replace").strip().removeprefix("<").removesuffix(">")
    try:
        return Address.parse(text)
    except AddressError:
        return None
