"""What a rule of the configuration may not say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..model.address import Address, AddressError
from .egress import senseless_egress
from .kinds import Found
from .sending import RelayDomain, Rule, Sending

_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")
_OURS = {"received", "return-path", "dkim-signature", "authentication-results", "bcc"}
_ACTIONS = ("bcc", "hold", "sender_becomes", "recipient_becomes", "header_remove", "header_add", "via", "verp", "priority")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")


def senseless_rules(rules: tuple[Rule, ...], sending: Sending) -> Iterator[Found]:
    for number, rule in enumerate(rules):
        for key, words in _of_rule(rule, sending):
            yield ("rules", str(number), key), f"rule {rule.name or number + 1}: {words}"


def _of_rule(rule: Rule, sending: Sending) -> Iterator[tuple[str, str]]:
    acts = (rule.bcc, rule.hold, rule.sender_becomes, rule.recipient_becomes, rule.header_remove, rule.header_add, rule.via)
    if not any(acts) and not rule.verp and not rule.priority:
        yield "name", f"it does nothing; known: {', '.join(_ACTIONS)}"
    if not -9 <= rule.priority <= 9:
        yield "priority", f"`priority`: {rule.priority} is not from -9 to 9"
    for key, addresses in (("bcc", rule.bcc), ("sender_becomes", (rule.sender_becomes,)), ("recipient_becomes", _one(rule))):
        for text in filter(None, addresses):
            if not _is_address(text, star=key != "bcc"):
                yield key, f"`{key}`: {text!r} is not an address"
    if rule.recipient_becomes and (rule.header or rule.larger_than):
        yield "recipient_becomes", "`recipient_becomes` is done before header and size are known: no such conditions with it"
    if rule.recipient_becomes and not rule.recipient:
        yield "recipient_becomes", "`recipient_becomes` needs `recipient`: whom it is about"
    for key, names in (("header", rule.header), ("header_remove", rule.header_remove), ("header_add", rule.header_add)):
        for name in names:
            if not _FIELD_NAME.fullmatch(name):
                yield key, f"`{key}`: {name!r} is not the name of a header field"
            elif key != "header" and name.lower() in _OURS:
                yield key, f"`{key}`: {name} is not for rules to change"
    for name, value in rule.header_add.items():
        if not value.isprintable():
            yield "header_add", f"`header_add`: the value of {name} is more than a line"
    if rule.via and rule.via not in sending.next_hops:
        known = ", ".join(sending.next_hops) or "there are none"
        yield "via", f"`via`: there is no `sending.next_hops.{rule.via}`; known: {known}"


def _one(rule: Rule) -> tuple[str, ...]:
    return (rule.recipient_becomes,)


def _is_address(text: str, *, star: bool) -> bool:
    local, _, domain = text.rpartition("@")
    try:
        Address.parse(f"x@{domain}" if star and local == "*" else text)
    except AddressError:
        return False
    return True


def senseless_hops(sending: Sending) -> Iterator[Found]:
    for name in sending.next_hops:
        if not NAME.fullmatch(name):
            yield ("sending", "next_hops", name), f"`{name}`: the name of a next hop is lower case letters, digits and hyphens"
    named: list[tuple[tuple[str, ...], str]] = [(("sending", "fallback"), sending.fallback)]
    named += [(("sending", "destinations", name, "fallback"), one.fallback) for name, one in sending.destinations.items()]
    for where, name in named:
        if name and name not in sending.next_hops:
            yield where, f"`{'.'.join(where)}`: there is no `sending.next_hops.{name}`"
    yield from senseless_egress(sending)
    for where, rate in _rates(sending):
        if rate is not None and rate < 1:
            yield where, f"`{'.'.join(where)}`: at least 1 message a minute"
    if sending.fallback_after < 1:
        yield ("sending", "fallback_after"), "`sending.fallback_after`: at least 1"


def senseless_relay_domains(domains: dict[str, RelayDomain]) -> Iterator[Found]:
    for name, one in domains.items():
        for text in one.recipients:
            if not _is_address(text if "@" in text else f"{text}@{name}", star=False):
                yield ("relay_domains", name, "recipients"), f"`relay_domains.{name}.recipients`: {text!r} is not an address"
        if one.recipients and one.verify == "any":
            yield ("relay_domains", name, "verify"), f'`relay_domains.{name}.verify`: with `recipients` it is "list" or "ask"'
        if one.verify == "list" and not one.recipients:
            yield ("relay_domains", name, "recipients"), f"`relay_domains.{name}.verify` is `list`, and `recipients` has none"


def _rates(sending: Sending) -> Iterator[tuple[tuple[str, ...], int | None]]:
    for table in ("routes", "next_hops", "destinations"):
        for name, one in getattr(sending, table).items():
            yield ("sending", table, name, "per_minute"), one.per_minute
    if sending.smarthost is not None:
        yield ("sending", "smarthost", "per_minute"), sending.smarthost.per_minute
