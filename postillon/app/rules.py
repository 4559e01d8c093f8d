"""The configuration's rules and relay domains, as the mail path knows them."""

from __future__ import annotations

from ..config import Config, Sending
from ..config import RelayDomain as RelayDomainSettings
from ..config import Rule as RuleSettings
from ..flow.outbound import Fallbacks
from ..flow.relay_domains import Ask, RelayDomain, RelayDomains
from ..flow.rules import IN, OUT, Rule, Rules
from ..model.address import Address
from ..relay.smarthost import via_named
from ..seams import Clock

_WAYS = {"in": frozenset({IN}), "out": frozenset({OUT}), "both": frozenset({IN, OUT})}


def make_rules(config: Config) -> Rules:
    return Rules(tuple(_rule(number, rule) for number, rule in enumerate(config.rules, 1)))


def _rule(number: int, rule: RuleSettings) -> Rule:
    return Rule(
        name=rule.name or str(number),
        ways=_WAYS[rule.on],
        sender=rule.sender,
        recipient=rule.recipient,
        header=rule.header,
        larger_than=int(rule.larger_than or 0),
        bcc=tuple(map(Address.parse, rule.bcc)),
        hold=rule.hold,
        sender_becomes=rule.sender_becomes,
        recipient_becomes=rule.recipient_becomes,
        header_remove=rule.header_remove,
        header_add=tuple(rule.header_add.items()),
        destination=via_named(rule.via) if rule.via else "",
        verp=rule.verp,
        priority=rule.priority,
    )


def make_relay_domains(config: Config, ask: Ask, clock: Clock) -> RelayDomains | None:
    if not config.relay_domains:
        return None
    return RelayDomains({name: _domain(name, one) for name, one in config.relay_domains.items()}, ask, clock)


def _domain(name: str, one: RelayDomainSettings) -> RelayDomain:
    addresses = (Address.parse(text if "@" in text else f"{text}@{name}").key for text in one.recipients)
    return RelayDomain(frozenset(addresses), one.verify)


def make_fallbacks(sending: Sending) -> Fallbacks:
    own = {domain: via_named(one.fallback) for domain, one in sending.destinations.items() if one.fallback}
    return Fallbacks(sending.fallback_after, via_named(sending.fallback) if sending.fallback else "", own)


def make_rates(sending: Sending, workers: int) -> dict[str, float]:
    """Messages a minute for this worker, by domain (one worker serves it) or by next hop (all do)."""
    rates: dict[str, float] = {domain: one.per_minute for domain, one in sending.destinations.items() if one.per_minute}
    hops = [*sending.routes.values(), *sending.next_hops.values(), *([sending.smarthost] if sending.smarthost else [])]
    return rates | {f"{hop.host}:{hop.port}": hop.per_minute / workers for hop in hops if hop.per_minute}
