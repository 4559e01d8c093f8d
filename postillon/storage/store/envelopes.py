"""Envelopes and recipients as octets in queue rows."""

from __future__ import annotations

from typing import Any

import msgspec

from ...model.address import Address
from ...model.envelope import DeliverBy, Envelope, Notify, Recipient

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def encode_envelope(envelope: Envelope) -> bytes:
    """All but the recipients, which have rows of their own."""
    sender = None if envelope.sender is None else [envelope.sender.local, envelope.sender.domain]
    properties = [envelope.body, envelope.smtputf8, envelope.size, envelope.ret, envelope.envid, envelope.require_tls]
    by = envelope.deliver_by
    if by is None and not envelope.priority and not envelope.solicit and not envelope.withheld:
        return _encode([sender, *properties, envelope.tls_optional])
    rare = [by and [by.seconds, by.returns, by.traces], envelope.priority, envelope.solicit, envelope.withheld]
    return _encode([sender, *properties, envelope.tls_optional, rare])


def encode_recipient(recipient: Recipient) -> bytes:
    notify = sorted(word.value for word in recipient.notify)
    return _encode([recipient.address.local, recipient.address.domain, notify, recipient.original])


def decode_recipient(data: bytes) -> Recipient:
    local, domain, notify, original = _decode(data)
    return Recipient(Address(local, domain), frozenset(map(Notify, notify)), original)


def decode_envelope(data: bytes, *recipients: Recipient) -> Envelope:
    sender, body, smtputf8, size, ret, envid, require_tls, *later = _decode(data)
    by, priority, solicit, withheld = later[1] if len(later) > 1 else (None, 0, (), "")
    return Envelope(
        sender=None if sender is None else Address(*sender),
        recipients=recipients,
        body=body,
        smtputf8=smtputf8,
        size=size,
        ret=ret,
        envid=envid,
        require_tls=require_tls,
        tls_optional=bool(later and later[0]),
        deliver_by=None if by is None else DeliverBy(*by),
        priority=priority,
        solicit=tuple(solicit),
        withheld=withheld,
    )


def shown(data: bytes) -> str:
    """The sender in an encoded envelope, as an administrator reads it."""
    sender: Any = decode_envelope(data).sender
    return "<>" if sender is None else str(sender)
