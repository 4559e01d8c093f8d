"""What we know about a message's sender, asked once for all filters that want it; and how sure it is that it is the sender."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ..mailauth.result import Result
from ..model.choice import patterns_of_address, patterns_of_client, patterns_of_domain
from ..storage.knowledge import About, Knowledge, Known
from .examined import Examined
from .shapes import name_hash

MAX_SIGNERS = 3


def is_proven(examined: Examined) -> bool:
    """Whether SPF or DKIM speaks for the author's domain or one above it. True where mail is not authenticated at all."""
    verdict = examined.verdict
    if verdict is None:
        return True
    if any(one.result is Result.PASS for one in verdict.dmarc):
        return True
    domain = examined.author_domain
    proven = [one.domain for one in verdict.dkim if one.result is Result.PASS]
    if verdict.spf.result is Result.PASS and not verdict.spf.is_helo:
        proven.append(verdict.spf.domain)
    return any(domain == one or domain.endswith("." + one) for one in proven if "." in one)


def _hash(kind: str, text: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{kind}:{text}".encode("utf-8", "replace"), digest_size=8).digest(), "big") >> 1


def sender_keys(author: str, signers: Iterable[str], client: str, is_sure: bool) -> dict[str, int]:
    """What a sender is known by → its hash. Who only claims to be somebody is known apart from who is (*is_sure*)."""
    claimed = "" if is_sure else "?"
    found = {}
    if author:
        found["address"] = _hash(f"address{claimed}", author)
        found["domain"] = _hash(f"domain{claimed}", author.rpartition("@")[2])
    for number, domain in enumerate(list(dict.fromkeys(signers))[:MAX_SIGNERS]):
        found[f"signer {number}"] = _hash("signer", domain)
    networks = patterns_of_client(client)
    if networks:
        found["network"] = _hash("network", networks[1])
    return found


class Acquaintance:
    """Asks `Knowledge` about a message, once. Shared by filters."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge

    async def about(self, examined: Examined) -> Known:
        known = examined.notes.get(Known)
        if not isinstance(known, Known):
            known = examined.notes[Known] = await self.knowledge.about(_question(examined))
        return known


def keys_of(examined: Examined) -> dict[str, int]:
    """What the message's sender is known by."""
    found = examined.notes.get(sender_keys)
    if not isinstance(found, dict):
        verdict = examined.verdict
        signers = [one.domain for one in verdict.dkim if one.result is Result.PASS] if verdict else []
        found = sender_keys(examined.author, signers, examined.incoming.client.address, is_proven(examined))
        examined.notes[sender_keys] = found
    return found


def _question(examined: Examined) -> About:
    author, sender = examined.author, examined.incoming.envelope.sender
    patterns = patterns_of_address(author) if author else []
    if sender is not None and sender.key != author:
        patterns += [sender.key, *(one for one in patterns_of_domain(sender.domain) if one not in patterns)]
    patterns += patterns_of_client(examined.incoming.client.address)
    return About(
        accounts=examined.accounts,
        patterns=tuple(patterns),
        author=author,
        name=name_hash(examined.author_name),
        senders=tuple(keys_of(examined).values()),
    )
