"""Whether the client's address has a name that leads back to it (RFC 8601 §3)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from ..seams import Resolver
from .result import Result

MAX_NAMES = 3


@dataclass(frozen=True, slots=True)
class Iprev:
    result: Result
    name: str = ""


async def evaluate(client: str, resolver: Resolver) -> Iprev:
    """Raises ValueError if *client* is no IP address."""
    address = ipaddress.ip_address(client.partition("%")[0])
    pointers = await resolver.ptr(str(address))
    if pointers.is_temporary:
        return Iprev(Result.TEMPERROR)
    if not pointers.records:
        return Iprev(Result.PERMERROR)
    is_unsure = False
    for name in pointers.records[:MAX_NAMES]:
        answer = await resolver.addresses(name, ipv6=address.version == 6, ipv4=address.version == 4)
        if any(ipaddress.ip_address(text) == address for text in answer.records):
            return Iprev(Result.PASS, name)
        is_unsure = is_unsure or answer.is_temporary
    return Iprev(Result.TEMPERROR if is_unsure else Result.FAIL, pointers.records[0])
