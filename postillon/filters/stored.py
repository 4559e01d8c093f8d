"""A stored message examined again: to learn from it, or to see what would be thought of it now.

What mail authentication found when it came stands in our own Authentication-Results field; the peer's address too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..mailauth import authres
from ..mailauth.arc import Arc
from ..mailauth.content import Content
from ..mailauth.dkim import Dkim
from ..mailauth.dmarc import Dmarc
from ..mailauth.evaluate import Authors, Verdict
from ..mailauth.iprev import Iprev
from ..mailauth.result import Result
from ..mailauth.spf import Spf
from ..message.header import header_end, unfold
from ..message.incoming import Incoming
from ..model.address import Address, AddressError
from ..model.envelope import Accepted, Client, Envelope, Recipient
from ..model.ids import AccountId, BlobId
from ..model.plan import Body
from .examined import Examined
from .known import sender_keys

MOST = 512 * 1024
"""Octets of a stored message that are looked at."""
_CLIENT = re.compile(rb"policy\.iprev=\"?([0-9A-Fa-f.:]{3,45})")
_SIGNED = re.compile(rb"dkim=pass\b[^;]*?header\.d=([\w.-]{1,255})")
_METHOD = re.compile(rb"(?:^|;)\s*+(spf|dkim|dmarc|arc|iprev)=([a-z]++)([^;]*+)")
_DOMAIN = re.compile(rb"(?:smtp\.mailfrom|smtp\.helo|header\.d|header\.from)=\"?([^\s;\"]{1,255})")
_RESULTS = frozenset(Result)
_SENDER = re.compile(rb"<([^<>]{1,500})>")


@dataclass(frozen=True, slots=True)
class Results:
    """What was found when the message came; empty where it did not come through our MX."""

    client: str = ""
    signers: tuple[str, ...] = ()
    is_proven: bool = False
    verdict: Verdict | None = None
    """As far as the field tells."""


def results(content: Content, hostname: str) -> Results:
    """Of the topmost field that is ours: those below it were there when it came."""
    for field in content.named(b"authentication-results"):
        if authres.authserv_id(field.value) == hostname.lower().encode():
            value = unfold(field.value)[:10_000]
            client = _CLIENT.search(value)
            signers = tuple(one.decode().lower() for one in _SIGNED.findall(value)[:5])
            proven = b"dmarc=pass" in value or bool(signers)
            return Results(client[1].decode() if client else "", signers, proven, _verdict(value))
    return Results()


def _verdict(value: bytes) -> Verdict:
    """What the value of our own field says, to the letter of `mailauth.evaluate.outcomes`."""
    found: dict[bytes, list[tuple[Result, str]]] = {}
    for method, result, rest in _METHOD.findall(value):
        domain = _DOMAIN.search(rest)
        if result.decode() in _RESULTS:
            found.setdefault(method, []).append((Result(result.decode()), domain[1].decode().lower() if domain else ""))
    none = (Result.NONE, "")
    spf = found.get(b"spf", [none])[0]
    dmarc = found.get(b"dmarc", [])
    return Verdict(
        spf=Spf(spf[0], spf[1].rpartition("@")[2], is_helo=b"smtp.helo=" in value),
        dkim=tuple(Dkim(*one) for one in found.get(b"dkim", []) if one[1]),
        dmarc=tuple(Dmarc(*one) for one in dmarc),
        arc=Arc(found.get(b"arc", [none])[0][0]),
        iprev=Iprev(found.get(b"iprev", [none])[0][0]),
        authors=Authors(1, tuple(domain for _, domain in dmarc)),
    )


def examined_again(
    octets: bytes, hostname: str = "", accounts: tuple[AccountId, ...] = (), recipient: str = "", at: int = 0
) -> Examined:
    """*octets* as if they had just come for *accounts*, whose address is *recipient*. Mail authentication is as it was."""
    octets = octets[:MOST]
    header = octets[: header_end(octets, 0, len(octets))]
    content = Content(header, lambda: [octets[len(header) :]])
    path = content.named(b"return-path")
    named = _SENDER.search(path[0].value) if path else None
    try:
        sender = Address.parse(named[1].decode("utf-8", "replace")) if named else None
    except AddressError:
        sender = None
    to = (Recipient(Address.parse(recipient)),) if recipient else ()
    known = results(content, hostname) if hostname else Results()
    incoming = Incoming(
        Client(known.client),
        Envelope(sender, to),
        tuple(Accepted(one, accounts) for one in to),
        Body(BlobId(0), len(octets), b"", data=octets),
        at,
    )
    examined = Examined(incoming, header, content)
    examined.notes[sender_keys] = sender_keys(examined.author, known.signers, known.client, known.is_proven)
    examined.notes[Results] = known
    examined.authentication_ended(known.verdict)
    return examined
