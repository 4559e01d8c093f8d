"""What a submission's header lacks is added and what must not leave is taken out (RFC 6409 §8, RFC 5322 §3.6). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..message.addresses import Group, parse_addresses
from ..message.date import format_date
from ..message.header import Field, fields, unfold
from ..model.address import Address, AddressError
from ..model.errors import Refusal

LEFT_OUT = {b"bcc", b"resent-bcc", b"return-path"}
"""RFC 5322 §3.6.3: blind recipients stay blind; RFC 5321 §4.4: Return-Path is written at the end of the way, not before."""
AUTHORS = (b"from", b"sender", b"resent-from", b"resent-sender")


@dataclass(frozen=True, slots=True)
class Completed:
    header: bytes
    """The header as it goes out, with its empty line."""
    body_start: int
    """Where the body begins in the octets received."""
    authors: tuple[Address, ...]
    """Every address in From, Sender and their Resent- forms."""


def complete(header: bytes, *, sender: Address, at: int, message_id: str) -> Completed:
    """The header section *header* made whole. Raises Refusal for one that names its author twice or not at all rightly.

    A message that begins without a header gets one; *sender* becomes From where there is none, *at* (epoch seconds) Date.
    """
    found = fields(header)
    if found and not found[0].name:  # the first line is no field: there is no header, all of it is body
        found, header = [], b""
    names = [field.name.lower() for field in found]
    if names.count(b"from") > 1 or names.count(b"sender") > 1:
        raise Refusal("The message has more than one From or Sender field", status="5.6.0", code=554)
    added = []
    if b"from" not in names:
        added.append(f"From: {sender}")
    if b"date" not in names:
        added.append(f"Date: {format_date(at)}")
    if b"message-id" not in names:
        added.append(f"Message-ID: <{message_id}>")
    kept = b"".join(_octets(header, field) for field in found if field.name.lower() not in LEFT_OUT)
    front = "".join(line + "\r\n" for line in added).encode()
    authors = [address for field in found if field.name.lower() in AUTHORS for address in _addresses(field)]
    if b"from" not in names:
        authors.append(sender)
    return Completed(front + kept + b"\r\n", len(header), tuple(authors))


def _octets(header: bytes, field: Field) -> bytes:
    octets = header[field.start : field.stop]
    return octets if octets.endswith(b"\n") else octets + b"\r\n"


def _addresses(field: Field) -> list[Address]:
    """Raises Refusal if the field names nobody, or somebody in a way that readers may understand differently."""
    name = field.name.decode("ascii", "replace")
    parsed = parse_addresses(unfold(field.value))
    entries = [one for entry in parsed.entries for one in (entry.members if isinstance(entry, Group) else (entry,))]
    if not entries:
        raise Refusal(f"The {name} field has no address", status="5.6.0", code=554)
    try:
        return [entry.address() for entry in entries]
    except AddressError as error:
        raise Refusal(f"The {name} field has a bad address: {error}", status="5.6.0", code=554) from error
