"""Complaints: reports of the Abuse Reporting Format, from a provider whose user called our mail spam (RFC 5965). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.address import Address, AddressError
from . import multipart_report
from .header import unfold, values

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
    # RFC 5965 §2.
    report = multipart_report.read(message, b"feedback-report", (b"message/feedback-report",), MAX_REPORT)
    if report is None:
        return None
    found = values(report.machine)
    kind = _one(found, b"feedback-type").lower()
    if kind not in COMPLAINTS:
        return None
    return Complaint(
        kind.decode("ascii"),
        report.message_id,
        _address(_one(found, b"original-rcpt-to")),
        _one(found, b"user-agent").decode("utf-8", "replace")[:200],
    )


def _one(found: dict[bytes, list[bytes]], name: bytes) -> bytes:
    return unfold(found[name][0]) if found.get(name) else b""


def _address(value: bytes) -> Address | None:
    text = value.decode("utf-8", "replace").strip().removeprefix("<").removesuffix(">")
    try:
        return Address.parse(text)
    except AddressError:
        return None
