"""Failure reports from other servers (RFC 3464): whom they are about, and which message of ours. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.address import Address, AddressError
from . import multipart_report
from .header import unfold, values

MAX_STATUS = 256 * 1024
"""Octets of the machine's part that are read."""
MAX_RECIPIENTS = 100

_STATUS_TYPES = (b"message/delivery-status", b"message/global-delivery-status")


@dataclass(frozen=True, slots=True)
class Failed:
    recipient: Address
    status: str
    """RFC 3463, as it was said."""
    words: str
    """Diagnostic-Code without its type, one line; may be empty."""


@dataclass(frozen=True, slots=True)
class Bounced:
    message_id: str
    """Of the message that was not delivered, without angle brackets; empty if its header is not there."""
    failed: tuple[Failed, ...]


def may_be_bounce(header: bytes) -> bool:
    """At a glance: whether to look closer."""
    return b"delivery-status" in header.lower()


def read(message: bytes) -> Bounced | None:
    """The failures that *message* reports; None if it reports none."""
    report = multipart_report.read(message, b"delivery-status", _STATUS_TYPES, MAX_STATUS)  # RFC 3464 §2
    if report is None:
        return None
    blocks = report.machine.replace(b"\r\n", b"\n").split(b"\n\n")
    # RFC 3464 §2.1: the first block is about the message, each of the others about a recipient.
    failed = tuple(one for block in blocks[1 : MAX_RECIPIENTS + 1] if (one := _failed(block + b"\n")) is not None)
    return Bounced(report.message_id, failed) if failed else None


def _failed(block: bytes) -> Failed | None:
    found = values(block)
    if _one(found, b"action").lower() != "failed":
        return None
    # RFC 3464 §2.3.1, §2.3.2: the address as the sender wrote it, where that is told.
    for name in (b"original-recipient", b"final-recipient"):
        kind, semicolon, text = _one(found, name).partition(";")
        if semicolon and kind.strip().lower() in ("rfc822", "utf-8"):
            try:
                address = Address.parse(text.strip())
            except AddressError:
                continue
            words = " ".join(_one(found, b"diagnostic-code").partition(";")[2].split())
            return Failed(address, _one(found, b"status").partition(" ")[0], words)
    return None


def _one(found: dict[bytes, list[bytes]], name: bytes) -> str:
    return unfold(found[name][0]).decode("utf-8", "replace") if found.get(name) else ""
