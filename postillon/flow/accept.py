"""From octets to a commit: what every entry point shares. There is no other way to say 250.

The octets received are kept as they came; fields that we add stand in the rope before them.
"""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
from dataclasses import replace

from ..message import trace
from ..message.header import first
from ..message.incoming import Incoming
from ..message.prepare import prepare, prepare_under
from ..model.envelope import Envelope
from ..model.errors import Refusal
from ..model.plan import Body, Prepared
from ..seams import DnsStatus, Resolver

PREPARE_ON_LOOP = 64 * 1024
"""Octets up to which a message is scanned on the event loop; larger ones go to a thread."""
MAX_HEADER = 1 << 20
MAX_HOPS = 50


async def check_sender_domain(resolver: Resolver, domain: str) -> None:
    """RFC 7505 §4.2: a domain with a null MX sends no mail. Raises Refusal 5.7.27. Trouble with DNS is no verdict."""
    if domain.startswith("["):
        return
    answer = await resolver.mx(domain)
    if answer.status is DnsStatus.OK and answer.records and all(not host for _, host in answer.records):
        raise Refusal("Sender's domain says that it accepts and sends no mail (null MX)", status="5.7.27", code=550)


def accept_key(peer: str, envelope: Envelope, body: Body) -> bytes:
    """What tells a message that is sent again from another one: who sends, from whom, to whom, which octets (RFC 1047)."""
    digest = hashlib.sha256(body.sha256)
    for word in (peer, str(envelope.sender), *(str(recipient.address) for recipient in envelope.recipients)):
        digest.update(word.encode("utf-8", "surrogatepass") + b"\0")
    return digest.digest()


async def prepared(body: Body, head: bytes | None = None, cut: int = 0) -> Prepared:
    """What is stored beside the message: the body as it is, or *head* and then the body from octet *cut* on."""
    if body.size <= PREPARE_ON_LOOP:
        return _prepare(body, head, cut)
    return await asyncio.to_thread(_prepare, body, head, cut)


def _prepare(body: Body, head: bytes | None, cut: int) -> Prepared:
    if body.data is not None:
        return prepare(body.data) if head is None else prepare(head + body.data[cut:], body.size)
    # Mapped, not read: many large messages may come at once.
    with open(body.path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return prepare(mapped) if head is None else prepare_under(head, mapped, cut)


def header_octets(body: Body) -> bytes:
    """The header section with its empty line, cut at MAX_HEADER. Raises Refusal if it is longer than that."""
    start = body.data
    if start is None:
        fd = os.open(body.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            start = os.pread(fd, MAX_HEADER + 4, 0)
        finally:
            os.close(fd)
    if start.startswith(b"\r\n"):
        return b"\r\n"
    end = start.find(b"\r\n\r\n", 0, MAX_HEADER + 4)
    if end >= 0:
        return start[: end + 4]
    if body.size > MAX_HEADER:
        raise Refusal("The header section is longer than 1 MiB", status="5.6.0", code=552)
    return start


def check_hops(header: bytes) -> None:
    """RFC 5321 §6.3: a message that has passed too many hosts goes round in a circle. Raises Refusal."""
    if header.lower().count(b"received:") <= MAX_HOPS:
        return  # at a glance, which is all that most messages need
    hops = trace.hops(header)
    if hops > MAX_HOPS:
        raise Refusal(f"The message has passed {hops} hosts and seems to go round in a circle", status="5.4.6", code=554)


def with_tls_wish(envelope: Envelope, header: bytes) -> Envelope:
    """*envelope* with what the header says about TLS (RFC 8689 §5): `TLS-Required: No`, which REQUIRETLS outweighs."""
    if envelope.require_tls or b"tls-required" not in header.lower():
        return envelope
    wish = first(header, b"tls-required") or b""
    return replace(envelope, tls_optional=True) if wish.strip().lower() == b"no" else envelope


def message_name(incoming: Incoming) -> str:
    """The id of a message in the log and in our answer: its blob's."""
    return f"{incoming.body.blob:x}"
