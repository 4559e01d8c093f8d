"""What we think of a sender before the message comes."""

from __future__ import annotations

from ..model.errors import Refusal
from ..seams import DnsStatus, Resolver


async def judge_sender(resolver: Resolver, domain: str) -> None:
    """RFC 7505 §4.2: a domain with a null MX sends no mail. Raises Refusal 5.7.27. Trouble with DNS is no verdict."""
    if domain.startswith("["):
        return
    answer = await resolver.mx(domain)
    if answer.status is DnsStatus.OK and answer.records and all(not host for _, host in answer.records):
        raise Refusal("Sender's domain says that it accepts and sends no mail (null MX)", status="5.7.27", code=550)
