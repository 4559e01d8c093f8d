"""Who pretends to be somebody else: names and domains that imitate those a recipient knows, links that lead elsewhere.

What a recipient knows is whom it writes to (`workers/learner.py` keeps it), our own domains, and the people of its own domain. So
the same message may be suspicious for one recipient and not for another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..model.ids import AccountId
from ..model.verdict import Finding, Opinion, finding
from ..storage.knowledge import EVERYBODY, Known
from .examined import Examined, address_text
from .known import Acquaintance, is_proven, keys_of
from .links import Link, links_of
from .shapes import likeness, shapes, shown, site

MAX_SITES = 8
"""Sites of one message that are compared with known ones."""
MOST_KEPT = 10_000
FEW = 20
"""Recipients up to which each is told that it does not know the sender."""
LIKENESS = {"looks": 5.0, "typing": 3.0, "ending": 1.0}
_ADDRESS = re.compile(r"[^\s@<>\"',;()]{1,64}@((?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24})")

Personal = dict[AccountId, list[Finding]]


class Fraud:
    name = "fraud"
    is_local = True

    def __init__(self, acquaintance: Acquaintance, own_domains: OwnDomains) -> None:
        self._acquaintance = acquaintance
        self._own = own_domains
        self._similar: dict[str, list[str]] = {}
        """By site: those that somebody here writes to and that share a shape with it; kept as long as the own domains are."""

    async def examine(self, examined: Examined) -> Opinion:
        known = await self._acquaintance.about(examined)
        if await self._own.refresh(self._acquaintance) or len(self._similar) > MOST_KEPT:
            self._similar.clear()
        is_sure = is_proven(examined)
        found = [*self._own_name(examined, is_sure), *_reply(examined), *_names_address(examined), *_new(examined, known)]
        followed = links_of(examined)
        found += _strange_links(examined, followed)
        personal: Personal = {account: [] for account in examined.accounts}
        self._namesakes(examined, known, is_sure, personal)
        for account in examined.accounts:
            if account not in known.contacts and examined.author and len(examined.accounts) <= FEW:
                personal[account].append(finding("fraud.first_contact", 0.1, address=examined.author))
            elif is_sure and account in known.contacts and known.contacts[account].wrote:
                personal[account].append(finding("fraud.contact", -2.0, address=examined.author))
        found += await self._lookalikes(examined, followed, known, personal)
        return Opinion(tuple(found), personal=tuple((account, tuple(own)) for account, own in personal.items() if own))

    def _own_name(self, examined: Examined, is_sure: bool) -> Iterable[Finding]:
        if not is_sure and examined.author_domain in self._own.names:
            yield finding("fraud.own_domain", 3.0, domain=examined.author_domain)

    def _namesakes(self, examined: Examined, known: Known, is_sure: bool, personal: Personal) -> None:
        """The display name is that of a contact or a colleague, the address is not."""
        author = site(examined.author_domain)
        for owner, contact in known.namesakes:
            domain = contact.address.rpartition("@")[2]
            if site(domain) == author or contact.address == examined.author:
                continue
            if owner == EVERYBODY:
                for account, own in personal.items():
                    if domain in examined.domains_of(account) and account not in known.contacts:
                        own.append(finding("fraud.colleague", 3.5, name=examined.author_name, address=contact.address))
            elif owner in personal and contact.wrote and not (is_sure and owner in known.contacts):
                personal[owner].append(finding("fraud.name", 2.5, name=examined.author_name, address=contact.address))

    async def _lookalikes(self, examined: Examined, followed: Sequence[Link], known: Known, personal: Personal) -> list[Finding]:
        """Domains of the sender and of links that may be mistaken for one that we have or a recipient writes to."""
        wanted = {site(examined.author_domain): "sender"} if examined.author_domain else {}
        wanted |= {site(one.host): "link" for one in followed if not one.is_numeric and site(one.host) not in wanted}
        if len(known.domains) == len(examined.accounts) and examined.accounts:
            wanted.pop(site(examined.author_domain), None)
        sites = [one for one in wanted if "." in one and one not in self._own.sites][:MAX_SITES]
        if not sites:
            return []
        shaped = {one: shapes(one) for one in sites}
        common = []
        for one in sites:
            alike = [(likeness(one, other), other) for other in self._own.near(shaped[one])]
            common += _told(one, alike, wanted[one])
        candidates = await self._mistaken_for(shaped)
        pairs = [(one, other, how) for one in sites for other in candidates if (how := likeness(one, other))]
        if pairs:
            theirs = await self._acquaintance.knowledge.writes_to(
                examined.accounts, [*dict.fromkeys(other for _, other, _ in pairs), *sites]
            )
            for account, own in personal.items():
                for one in sites:
                    alike = [(how, other) for each, other, how in pairs if each == one and (account, other) in theirs]
                    if (account, one) not in theirs and not any(each.fact("domain") == shown(one) for each in common):
                        own += _told(one, alike, wanted[one])
        return common

    async def _mistaken_for(self, shaped: Mapping[str, Sequence[int]]) -> list[str]:
        wanted = {one: each for one, each in shaped.items() if one not in self._similar}
        if wanted:
            found = await self._acquaintance.knowledge.mistaken_for([shape for each in wanted.values() for shape in each])
            for one in wanted:
                self._similar[one] = [other for other in found if likeness(one, other)]
        return list(dict.fromkeys(other for one in shaped for other in self._similar[one]))


class OwnDomains:
    """Our domains, read again every minute at most. *monotonic* tells the time in seconds."""

    EVERY_S = 60.0

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._read_at = float("-inf")
        self._by_shape: dict[int, list[str]] = {}
        self.names: frozenset[str] = frozenset()
        self.sites: frozenset[str] = frozenset()

    async def refresh(self, acquaintance: Acquaintance) -> bool:
        """True if it was time to read them again."""
        now = self._monotonic()
        if now - self._read_at < self.EVERY_S:
            return False
        self._read_at = now
        names = frozenset(await acquaintance.knowledge.domains())
        if names == self.names:
            return True
        self.names, self.sites = names, frozenset(map(site, names))
        self._by_shape = {}
        for one in self.sites:
            for shape in shapes(one):
                self._by_shape.setdefault(shape, []).append(one)
        return True

    def near(self, wanted: Sequence[int]) -> list[str]:
        """Our sites that have one of the shapes *wanted*."""
        return list(dict.fromkeys(one for shape in wanted for one in self._by_shape.get(shape, ())))


def _told(one: str, alike: Sequence[tuple[str, str]], where: str) -> list[Finding]:
    """The finding of the closest likeness, if there is any."""
    found = [(LIKENESS[how], how, other) for how, other in alike if how]
    if not found:
        return []
    score, how, other = max(found)
    return [finding(f"fraud.{where}_{how}", score, domain=shown(one), known=other)]


def _reply(examined: Examined) -> Iterable[Finding]:
    answers = [address_text(one).rpartition("@")[2] for one in examined.addresses(b"reply-to")[:5] if one.domain]
    elsewhere = [domain for domain in answers if site(domain) != site(examined.author_domain)]
    if elsewhere and examined.author and not examined.content.named(b"list-id"):
        yield finding("fraud.reply_to", 0.8, domain=elsewhere[0], author=examined.author_domain)


def _names_address(examined: Examined) -> Iterable[Finding]:
    """The display name contains an address, and it is another one."""
    found = _ADDRESS.search(examined.author_name[:300])
    if found is not None and examined.author and site(found[1].lower()) != site(examined.author_domain):
        yield finding("fraud.name_address", 3.0, shown=found[0], address=examined.author)


def _new(examined: Examined, known: Known) -> Iterable[Finding]:
    key = keys_of(examined).get("domain")
    if key is not None and key not in known.reputations:
        yield finding("fraud.new_domain", 0.4, domain=examined.author_domain)


def _strange_links(examined: Examined, followed: Sequence[Link]) -> Iterable[Finding]:
    """One finding of each kind, however many links there are."""
    told: dict[str, Finding] = {}
    is_bulk = bool(examined.content.named(b"list-unsubscribe") or examined.content.named(b"list-id"))
    for one in followed:
        place = one.shown_host
        if place and site(place) != site(one.host):
            # Newsletters count clicks by links through another host, and often show the real one.
            told.setdefault("text", finding("fraud.link_text", 0.5 if is_bulk else 2.0, shown=place, host=one.host))
        if one.has_login:
            told.setdefault("login", finding("fraud.link_login", 2.0, url=one.url))
        if one.is_numeric:
            told.setdefault("number", finding("fraud.link_number", 1.0, host=one.host))
    return told.values()
