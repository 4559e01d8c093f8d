"""Is a stranger suspicious before its mail has come? Points for what honest mail servers rarely are; for greylisting.

Trouble with DNS is never held against anybody.
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass

from ..mailauth import iprev, spf
from ..mailauth.names import canonical
from ..mailauth.questions import Questions
from ..mailauth.result import Result
from ..model.envelope import Client, Envelope
from ..seams import Resolver

QUESTIONS = 20
SECONDS = 8.0
ENOUGH = 2
"""So many points are suspicious."""
_HOME: tuple[str, ...] = (
    "dyn",
    "dynamic",
    "dhcp",
    "pool",
    "dsl",
    "adsl",
    "vdsl",
    "xdsl",
    "dialup",
    "dial",
    "ppp",
    "pppoe",
    "cable",
    "broadband",
)
_HOME += ("customer", "cust", "client", "res", "residential", "mobile", "wifi", "user", "fttx", "fiber", "catv", "hsd")
_SERVER = ("mail", "smtp", "mx", "mta", "relay", "out", "outbound", "mailout", "static")


@dataclass(frozen=True, slots=True)
class Reason:
    points: int
    words: str
    """Completes “we do not know …: ”, in words for whoever runs the server."""


async def suspicion(client: Client, envelope: Envelope, resolver: Resolver, *, receiver: str, now: int) -> list[Reason]:
    """What speaks against *client*, by its names and by SPF. *receiver* is our host name."""
    try:
        ipaddress.ip_address(client.address)
    except ValueError:
        return []
    questions = Questions(resolver, total=QUESTIONS, seconds=SECONDS)
    named, sent = questions.share(8), questions.share(12)
    sender = envelope.sender
    mail_from = f"{sender.local}@{sender.domain}" if sender else ""
    reverse, found = await asyncio.gather(
        iprev.evaluate(client.address, named),
        spf.evaluate(client.address, client.hello, mail_from, sent, receiver=receiver, now=now),
    )
    return [*_of_names(reverse, client, receiver), *_of_spf(found)]


def _of_names(reverse: iprev.Iprev, client: Client, receiver: str) -> list[Reason]:
    reasons: list[Reason] = []
    if reverse.result is Result.PERMERROR:
        reasons.append(Reason(2, "its address has no reverse name"))
    elif reverse.result is Result.FAIL:
        reasons.append(Reason(1, "its reverse name does not lead back to its address"))
    if reverse.name and looks_dynamic(reverse.name, client.address):
        reasons.append(Reason(2, "its reverse name looks like a line at home"))
    hello = canonical(client.hello)
    if hello is None or "." not in hello:
        reasons.append(Reason(1, "its EHLO name is no host name"))
    elif hello == receiver:
        reasons.append(Reason(2, "it says our name in EHLO"))
    return reasons


def _of_spf(found: spf.Spf) -> list[Reason]:
    match found.result:
        case Result.FAIL | Result.SOFTFAIL:
            return [Reason(2, "the sender's domain does not name it (SPF)")]
        case Result.NONE | Result.PERMERROR:
            return [Reason(1, "the sender's domain has no SPF record that holds")]
    return []


def looks_dynamic(name: str, address: str) -> bool:
    """Does the host *name* look generated from *address*, or say that it is a line at home?"""
    host = name.lower().rstrip(".")
    words = "".join(char if char.isalpha() else " " for char in host.rsplit(".", 2)[0]).split()
    if any(word in _SERVER for word in words):
        return False
    return any(word in _HOME for word in words) or _carries(host, address)


def _carries(host: str, address: str) -> bool:
    """Stand the octets of the IPv4 *address* in *host*, in this order or the reverse, or as hexadecimal digits?"""
    ip = ipaddress.ip_address(address)
    if ip.version == 6:
        digits = ip.exploded.replace(":", "")
        plain = host.replace("-", "").replace(".", "")
        return digits[-16:] in plain or digits[::-1][:16] in plain
    octets = str(ip).split(".")
    numbers = "".join(char if char.isdigit() else " " for char in host).split()
    padded = "".join(octet.zfill(3) for octet in octets)
    if padded in host or f"{int(ip):08x}" in host:
        return True
    stripped = [str(int(number[:6])) for number in numbers[:32]]
    forward = any(stripped[at : at + 4] in (octets, octets[::-1]) for at in range(len(stripped)))
    return forward or (len(set(octets[2:])) == 2 and sum(octet in stripped for octet in octets) >= 3)
