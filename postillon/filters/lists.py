"""Whom an account, or the administrator for everybody, always or never wants to hear from.

An entry is an address, a domain with those below it, or a network. The closest entry counts: an address before its domain, a
domain before a network, an account's list before everybody's. Who is allowed must be proven to be it (SPF or DKIM), since From
is easily forged; who is denied is denied whoever it really is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model.choice import Listed, patterns_of_address, patterns_of_client, patterns_of_domain
from ..model.ids import AccountId
from ..model.verdict import NO_OPINION, Finding, Opinion, finding
from ..storage.knowledge import EVERYBODY
from .examined import Examined
from .known import Acquaintance, is_proven

WEIGHT = 100.0
"""So much that nothing else counts."""


class Lists:
    name = "lists"
    is_local = True

    def __init__(self, acquaintance: Acquaintance) -> None:
        self._acquaintance = acquaintance

    async def examine(self, examined: Examined) -> Opinion:
        known = await self._acquaintance.about(examined)
        if not known.listed:
            return NO_OPINION
        claims = _claims(examined)
        everybody = known.listed.get(EVERYBODY, {})
        shared = _finding(everybody, claims, examined, "lists.all")
        personal: list[tuple[AccountId, tuple[Finding, ...]]] = []
        for account in examined.accounts:
            own = _finding(known.listed.get(account, {}), claims, examined, "lists.own")
            if own is not None:
                # An account's word outweighs everybody's.
                away = (finding("lists.overruled", -shared.score),) if shared else ()
                personal.append((account, (own, *away)))
        return Opinion((shared,) if shared else (), personal=tuple(personal))


def _claims(examined: Examined) -> list[tuple[str, bool]]:
    """Entries that would mean the sender, the closest first, and whether it is sure that it is them."""
    is_sure = is_proven(examined)
    sender = examined.incoming.envelope.sender
    verdict = examined.verdict
    found = [(one, is_sure) for one in patterns_of_address(examined.author)] if examined.author else []
    if sender is not None:
        sent = verdict is None or (verdict.spf.result == "pass" and not verdict.spf.is_helo)
        found += [(sender.key, sent), *((one, sent) for one in patterns_of_domain(sender.domain))]
    return found + [(one, True) for one in patterns_of_client(examined.incoming.client.address)]


def _finding(entries: Mapping[str, Listed], claims: Sequence[tuple[str, bool]], examined: Examined, code: str) -> Finding | None:
    for claim, is_sure in claims if entries else ():
        verdict = entries.get(claim)
        if verdict is Listed.DENY:
            return finding(f"{code}.denied", WEIGHT, entry=claim)
        if verdict is Listed.ALLOW and is_sure:
            return finding(f"{code}.allowed", -WEIGHT, entry=claim)
    return None
