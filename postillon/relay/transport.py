"""The MX and smarthost kind of `seams.Transport`: one attempt to hand a message on, and one outcome for each recipient.

Which hosts are asked, in which order, is `mx` and `smarthost`; what is said to them is `session`. Here is what happens when
one of them will not do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace

from ..log import Log
from ..model.address import Address
from ..model.envelope import Envelope, Recipient
from ..model.queue import NextHop, Outcome, OutcomeKind
from ..seams import Resolver
from .conversation import Trouble
from .egress import Egress
from .hop import Hop, IsSelf, RelaySettings
from .mx import Shuffle, mx_hops
from .opening import open_session
from .outcome import Undeliverable, deferred
from .pool import Pool
from .probe import Prober
from .session import Session, Source
from .smarthost import Routes, route_hops
from .tls_outcomes import TlsOutcomes
from .tls_policy import ClientContexts, TlsRules, TlsWish

log = Log("relay")


class RelayTransport:
    """Hands messages to other servers. `close` says goodbye to kept connections."""

    def __init__(
        self,
        *,
        settings: RelaySettings,
        resolver: Resolver,
        contexts: ClientContexts,
        is_self: IsSelf,
        routes: Callable[[], Routes] = Routes,
        shuffle: Shuffle | None = None,
        rules: TlsRules | None = None,
        outcomes: TlsOutcomes | None = None,
        egress: Egress | None = None,
    ) -> None:
        """*outcomes* counts what becomes of TLS; *egress*: from where we connect."""
        self._egress = egress or Egress()
        self._outcomes = outcomes
        self._settings = settings
        self._resolver = resolver
        self._contexts = contexts
        self._is_self = is_self
        self._routes = routes
        self._shuffle = shuffle or random.Random().shuffle
        self._rules = rules or TlsRules()
        self._pool = Pool(self._connect, idle_s=settings.idle_s, messages=settings.messages_per_connection)

    async def prune(self) -> int:
        """A step of the janitor's: forget policies that are over; how many."""
        return await self._rules.policies.prune() if self._rules.policies is not None else 0

    def prober(self) -> Prober:
        """Who finds out, without sending, how we would deliver."""
        return Prober(self._settings, self._resolver, self._contexts, self._is_self, self._routes, self._rules, self._egress)

    def next_hop(self, domain: str) -> str:
        """A name for where mail for *domain* goes first: equal names share connections, and an attempt. Asks nobody."""
        route = self._routes().chosen(domain) or self._routes().to(domain)
        return domain if route is None else f"{route.host}:{route.port}"

    async def attempt(self, envelope: Envelope, octets: Source, destination: str = "") -> dict[int, Outcome]:
        """Try all recipients once, those of one next hop together. Never raises for the peers' faults.

        *destination*: where an administrator sends them (see `smarthost.via`), whatever their domains are.
        """
        route = self._routes().chosen(destination)
        outcomes: dict[int, Outcome] = {}
        hops: dict[str, list[int]] = {}
        for position, recipient in enumerate(envelope.recipients):
            hops.setdefault(self.next_hop(destination if route else recipient.address.domain), []).append(position)
        step = self._settings.recipients_per_message
        for positions in hops.values():
            for at in range(0, len(positions), step):
                part = positions[at : at + step]
                found = await self._one_hop(_only(envelope, part), octets, route)
                outcomes.update((part[i], outcome) for i, outcome in found.items())
        return outcomes

    async def ask(self, recipient: Address) -> Outcome:
        """What the server of *recipient* says to it, without a message."""
        envelope = Envelope(None, (Recipient(recipient),))
        try:
            hops = await self._hops(envelope, None)
        except Undeliverable as error:
            return error.outcome
        worst = deferred("4.4.1", "no host could be asked")
        for hop in self._best_first(hops):
            for fresh in (False, True):
                try:
                    return await self._asked(hop, envelope.recipients[0], fresh=fresh)
                except Trouble as trouble:
                    worst = trouble.outcome
                    if not trouble.is_stale:
                        break
        return worst

    async def _asked(self, hop: Hop, recipient: Recipient, *, fresh: bool) -> Outcome:
        """Raises Trouble; a stale one if a kept connection turned out to be closed."""
        session = await self._pool.take(hop, fresh=fresh)
        try:
            outcome = await session.ask(recipient)
        except Trouble as trouble:
            session.abort()
            trouble.is_stale = session.sent > 1
            raise
        except BaseException:
            session.abort()
            raise
        self._pool.put(session)
        return outcome

    async def _one_hop(self, envelope: Envelope, octets: Source, route: NextHop | None) -> dict[int, Outcome]:
        """Recipients with one next hop: ask its hosts in turn until each recipient has its outcome."""
        try:
            hops = await self._hops(envelope, route)
        except Undeliverable as error:
            return dict.fromkeys(range(len(envelope.recipients)), error.outcome)
        outcomes: dict[int, Outcome] = {}
        left = list(range(len(envelope.recipients)))
        worst: Outcome | None = None
        is_unrouted = False
        for hop in self._best_first(hops):
            part = _only(envelope, left)
            try:
                found = await self._send(hop, part, octets)
            except Trouble as trouble:
                log.debug("no use", host=hop.remote, status=trouble.outcome.status, reason=trouble.outcome.text)
                outcomes.update((left[i], outcome) for i, outcome in trouble.decided.items())
                if worst is None or is_unrouted:
                    worst, is_unrouted = trouble.outcome, trouble.is_unrouted
                elif not trouble.is_unrouted:  # that we have no way to some addresses is no news from the others
                    worst = _worse(worst, trouble.outcome)
                left = [position for position in left if position not in outcomes]
                if trouble.elsewhere and left:
                    continue
                break
            outcomes.update((left[i], outcome) for i, outcome in found.items())
            left = [position for position in left if position not in outcomes]
            break
        if left:
            outcomes.update(dict.fromkeys(left, worst or deferred("4.4.1", "no host could be asked")))
        return outcomes

    async def _hops(self, envelope: Envelope, route: NextHop | None) -> tuple[Hop, ...]:
        domain = envelope.recipients[0].address.domain
        route = route or self._routes().to(domain)
        if route is not None:
            hops = await route_hops(route, self._resolver, self._settings, self._is_self)
        else:
            wish = TlsWish(envelope.require_tls, envelope.tls_optional)
            hops = await mx_hops(domain, self._resolver, self._settings, self._is_self, self._shuffle, self._rules, wish)
        return self._egress.ways(hops, domain, route)

    def _best_first(self, hops: tuple[Hop, ...]) -> Iterable[Hop]:
        """The order as it is, but among hosts as good as the first one a kept connection is worth more than the shuffle."""
        first = hops[0]
        for hop in hops:
            if hop.preference != first.preference:
                break
            if self._pool.has_idle(hop):
                return (hop, *(other for other in hops if other is not hop))
        return hops

    async def _send(self, hop: Hop, envelope: Envelope, octets: Source) -> dict[int, Outcome]:
        """One hop, once more with the recipients for whom only the transaction was full. Raises Trouble."""
        outcomes = await self._transaction(hop, envelope, octets)
        while True:
            # RFC 5321 §4.5.3.1.10: 452 after others were taken means "not in this transaction".
            again = [position for position, outcome in outcomes.items() if outcome.code == 452]
            if not again or not any(outcome.kind is OutcomeKind.DELIVERED for outcome in outcomes.values()):
                return outcomes
            try:
                found = await self._transaction(hop, _only(envelope, again), octets)
            except Trouble as trouble:
                found = trouble.decided
            outcomes.update((again[i], outcome) for i, outcome in found.items())
            if all(outcome.kind is not OutcomeKind.DELIVERED for outcome in found.values()):
                return outcomes

    async def _transaction(self, hop: Hop, envelope: Envelope, octets: Source) -> dict[int, Outcome]:
        """One message over a kept connection or, when that turns out to be closed, a new one. Raises Trouble."""
        try:
            return await self._over(await self._pool.take(hop), envelope, octets)
        except Trouble as trouble:
            if not trouble.is_stale:
                raise
        return await self._over(await self._pool.take(hop, fresh=True), envelope, octets)

    async def _over(self, session: Session, envelope: Envelope, octets: Source) -> dict[int, Outcome]:
        security = session.security
        try:
            outcomes = await session.send(envelope, octets)
        except BaseException:
            session.abort()  # also when we are cancelled: nobody knows where the conversation stands
            raise
        self._pool.put(session)
        return _with_security(outcomes, security)

    async def _connect(self, hop: Hop) -> Session:
        return await open_session(hop, self._settings.hostname, self._contexts, self._settings.timeouts, self._outcomes)

    async def close(self) -> None:
        await self._pool.close()


def _only(envelope: Envelope, positions: list[int]) -> Envelope:
    if len(positions) == len(envelope.recipients):
        return envelope
    return replace(envelope, recipients=tuple(envelope.recipients[position] for position in positions))


def _with_security(outcomes: dict[int, Outcome], security: str) -> dict[int, Outcome]:
    """Recipients with the same fate share one outcome."""
    told = {id(outcome): replace(outcome, security=security) for outcome in outcomes.values()}
    return {position: told[id(outcome)] for position, outcome in outcomes.items()}


def _worse(one: Outcome | None, other: Outcome) -> Outcome:
    """Of two hosts' words the one that decides: what may still heal outweighs a final no, and the later word an earlier one."""
    if one is not None and one.kind is OutcomeKind.DEFERRED and other.kind is not OutcomeKind.DEFERRED:
        return one
    return other
