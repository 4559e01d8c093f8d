"""What strangers go through at RCPT: DNS blocklists refuse, greylisting makes the suspicious come back.

At RCPT and not before, so that postmaster can be written to by everybody, and the records know whom it was about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..directory.known import Known, Trial
from ..filters.blocklists import ADDRESS, HELO, SENDER, Blocklists, Listing, total
from ..filters.suspicion import ENOUGH, Reason, suspicion
from ..filters.words import sentence
from ..log import Log
from ..mailauth import spf
from ..mailauth.result import Result
from ..model.address import Address
from ..model.choice import Listed, patterns_of_address, patterns_of_client
from ..model.envelope import Client, Envelope, Recipient
from ..model.errors import Greylisted, NotPermitted, Refusal
from ..model.ids import AccountId
from ..net.networks import Networks
from ..seams import Clock, Resolver
from ..storage.knowledge import EVERYBODY, About, Knowledge

log = Log("gate")

REMEMBERED_S = 600
"""How long what was found about a client holds for its next recipients and messages."""
KEPT = 5000


@dataclass(frozen=True, slots=True)
class GateSettings:
    hostname: str = "localhost"
    refuse_listed: float = 8.0
    """From this sum of blocklists' scores on mail is refused; 0: never."""
    greylist: bool = True
    greylist_wait_s: int = 60
    trusted: tuple[str, ...] = ("127.0.0.1", "::1")


class Gate:
    """*known* remembers who came back."""

    def __init__(
        self,
        *,
        resolver: Resolver,
        known: Known,
        blocklists: Blocklists,
        clock: Clock,
        settings: GateSettings | None = None,
        knowledge: Knowledge | None = None,
    ) -> None:
        """*knowledge*: whom accounts write to, and whom they and the administrator have allowed."""
        self._knowledge = knowledge
        self._resolver = resolver
        self._known = known
        self._blocklists = blocklists
        self._clock = clock
        self._settings = settings or GateSettings()
        self._trusted = Networks(self._settings.trusted)
        self._found: dict[tuple[str, str, str], tuple[int, asyncio.Future[_Found]]] = {}

    async def admit(self, client: Client, envelope: Envelope, recipient: Recipient, accounts: tuple[AccountId, ...] = ()) -> None:
        """Raises Refusal: 550 5.7.1 for who is listed, 450 4.7.1 for who must come back. *accounts*: who *recipient* is."""
        if client.account is not None or client.address in self._trusted or client.address == "unix":
            return
        if recipient.address.local.casefold() == "postmaster":
            return  # RFC 5321 §4.5.1: whoever is refused must be able to ask why
        found = await self._about(client, envelope)
        score = total(found.listings)
        if self._settings.refuse_listed and score >= self._settings.refuse_listed:
            if await self._is_welcome(client, envelope, accounts, surely=True):
                return
            raise _refusal(found.listings, score)
        if score >= 0 and sum(reason.points for reason in found.reasons) >= ENOUGH:
            if await self._known.has_passed(Trial.RETURN, client.address):
                return
            if not await self._is_welcome(client, envelope, accounts, surely=False):
                await self._greylist(client, envelope, recipient, found.reasons)

    async def _is_welcome(self, client: Client, envelope: Envelope, accounts: tuple[AccountId, ...], *, surely: bool) -> bool:
        """Is the client's network allowed, or the sender; or does one of *accounts* write to the sender?

        *surely*: SPF must show that it is the sender, and having written to it is not enough.
        """
        if self._knowledge is None:
            return False
        sender, networks = envelope.sender, patterns_of_client(client.address)
        claimed = patterns_of_address(sender.key) if sender else []
        try:
            known = await self._knowledge.about(About(accounts, (*claimed, *networks), sender.key if sender else ""))
        except Refusal as refusal:
            log.warning("not known who is welcome", reason=refusal.detail or refusal.text)
            return False
        lists = [known.listed.get(owner, {}) for owner in (*accounts, EVERYBODY)]
        if _allow(lists, networks):
            return True
        if sender is not None and _allow(lists, claimed):
            return not surely or await self._is_proven(client, sender)
        return not surely and any(contact.wrote for contact in known.contacts.values())

    async def _is_proven(self, client: Client, sender: Address) -> bool:
        mail_from = f"{sender.local}@{sender.domain}"
        found = await spf.evaluate(client.address, client.hello, mail_from, self._resolver, receiver=self._settings.hostname)
        return found.result is Result.PASS

    async def _about(self, client: Client, envelope: Envelope) -> _Found:
        """Found out once for all recipients of a connection, and for what comes soon after."""
        key = (client.address, client.hello, envelope.sender.domain if envelope.sender else "")
        now = self._clock.now()
        until, asked = self._found.get(key, (0, None))
        if asked is None or until <= now:
            if len(self._found) >= KEPT:
                del self._found[next(iter(self._found))]
            asked = asyncio.ensure_future(self._ask(client, envelope))
            self._found.pop(key, None)
            self._found[key] = (now + REMEMBERED_S, asked)
        try:
            return await asyncio.shield(asked)
        except Exception:
            self._found.pop(key, None)
            raise

    async def _ask(self, client: Client, envelope: Envelope) -> _Found:
        listings, reasons = await asyncio.gather(
            self._listings(client, envelope) if self._blocklists else _nothing(),
            self._reasons(client, envelope) if self._settings.greylist else _nothing(),
        )
        if total(listings) > 0:
            reasons = [*reasons, Reason(ENOUGH, "it is on a blocklist")] if self._settings.greylist else []
        return _Found(listings, reasons)

    async def _listings(self, client: Client, envelope: Envelope) -> list[Listing]:
        lists = self._blocklists
        found = await asyncio.gather(
            lists.of_address(client.address) if lists.asks(ADDRESS) else _nothing(),
            lists.of_domains(HELO, [client.hello]),
            lists.of_domains(SENDER, [envelope.sender.domain] if envelope.sender else []),
        )
        return [one for some in found for one in some]

    async def _reasons(self, client: Client, envelope: Envelope) -> list[Reason]:
        return await suspicion(client, envelope, self._resolver, receiver=self._settings.hostname, now=self._clock.now())

    async def _greylist(self, client: Client, envelope: Envelope, recipient: Recipient, reasons: list[Reason]) -> None:
        try:
            sender = envelope.sender.key if envelope.sender else ""
            wait = await self._known.wait_of(client.address, sender, recipient.address.key, self._settings.greylist_wait_s)
        except Refusal as refusal:
            log.warning("not greylisted", reason=refusal.detail or refusal.text)
            return
        if wait == 0:
            await self._known.passed(Trial.RETURN, client.address)
            return
        worst = max(reasons, key=lambda reason: reason.points)
        raise Greylisted(
            f"We do not know your server yet; try again in {wait} seconds or later ({worst.words})",
            detail="; ".join(reason.words for reason in reasons),
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """About a client with an EHLO name and a sender's domain."""

    listings: list[Listing]
    reasons: list[Reason]


def _allow(lists: Iterable[Mapping[str, Listed]], patterns: Sequence[str]) -> bool:
    """What the first of *lists* says that says anything of *patterns*, the closest first."""
    found = (entries[one] for entries in lists for one in patterns if one in entries)
    return next(found, Listed.DENY) is Listed.ALLOW


async def _nothing() -> list[Any]:
    return []


def _refusal(found: list[Listing], score: float) -> NotPermitted:
    worst = max(found, key=lambda one: one.score)
    lists = ", ".join(dict.fromkeys(f"{one.zone} ({one.answer})" for one in found if one.score > 0))
    return NotPermitted(
        f"{sentence(worst.finding)}; ask there to be removed, or write to postmaster here",
        status="5.7.1",
        detail=f"score {score:g}: {lists}",
    )
