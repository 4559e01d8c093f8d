"""`postillon probe`: where mail for an address would go, and what stands in its way, without sending any."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from ..directory.explain import Step
from ..flow.receive import check_local
from ..model.account import AccountState
from ..model.address import Address, AddressError, parse_domain
from ..model.envelope import Recipient
from ..model.errors import Refusal
from ..model.printable import printable
from ..relay.probe import Probed, ProbedHost
from ..seams import FindKind
from .tools import Tools, operation

MAX_DOMAINS = 5
"""Domains elsewhere that an alias leads to and that are asked."""


@operation("probe")
async def probe(tools: Tools, address: str) -> dict[str, Any]:
    """What would become of mail to *address*, or to a domain: `steps` here, `domains` elsewhere, and all of it in `words`.

    `deliverable`: all of it would arrive now.
    """
    try:
        wanted = Address.parse(address) if "@" in address else None
        domain = wanted.domain if wanted else parse_domain(address)
    except AddressError as error:
        raise Refusal(f"{address!r} is no address: {error}", status="5.1.3") from error
    told: dict[str, Any] = {"address": address, "steps": [], "domains": [], "words": [], "deliverable": True}
    domains = [domain]
    if wanted is not None:
        domains = await _here(tools, wanted, told)
    elif await tools.directory.is_local_domain(domain):
        told["words"].append(
            f"{domain} is a domain of this server: ask about an address in it; `postillon check` looks at its DNS"
        )
        return told
    for name in domains[:MAX_DOMAINS]:
        probed = await tools.prober().probe(name)
        told["domains"].append(asdict(probed))
        told["words"] += _elsewhere(probed)
        told["deliverable"] &= _first_good(probed) is not None
    return told


async def _here(tools: Tools, address: Address, told: dict[str, Any]) -> list[str]:
    """Fill in what our directory says; the domains elsewhere that mail for *address* goes to."""
    found = await tools.directory.find(address)
    if found.kind is FindKind.FOREIGN:
        told["words"].append(f"{address.domain} is no domain of this server")
        return [address.domain]
    for step in await tools.directory.explain(address):
        told["steps"].append(asdict(step))
        told["words"].append("  " * step.depth + await _step(tools, step))
    try:
        check_local(found, Recipient(address), 0)
    except Refusal as refusal:
        told["words"].append(f"refused at RCPT: {refusal.code} {refusal.status} {refusal.text}")
        told["deliverable"] = False
    else:
        told["words"].append("taken at RCPT")
    return list(dict.fromkeys(remote.domain for remote in found.remote))


async def _step(tools: Tools, step: Step) -> str:
    via = f" ({printable(step.via)})" if step.via else ""
    name = f"<{printable(step.address)}>{via}"
    if step.kind == "account":
        account = await tools.directory.account(step.account)
        state = "" if account.state is AccountState.ACTIVE else f", which is {account.state.name.lower()}"
        room = f"{max(account.quota - account.used, 0)} octets free"
        return f"{name}: filed in the account {printable(account.name)}{state}, {room}"
    targets = ", ".join(f"<{printable(target)}>" for target in step.targets)
    return {
        "alias": f"{name}: an alias for {targets}",
        "catch-all": f"{name}: has no address of its own, the catch-all takes it: {targets}",
        "elsewhere": f"{name}: handed on to that domain",
        "unknown": f"{name}: nobody here",
        "repeated": f"{name}: met before, not followed again",
    }[step.kind]


def _elsewhere(probed: Probed) -> list[str]:
    words = [f"mail for {printable(probed.domain)}:"]
    if probed.route:
        words.append(f"  goes by the route {printable(probed.route)}, whatever DNS says")
    elif probed.mx:
        hosts = ", ".join(f"{preference} {printable(host) or '. (takes no mail)'}" for preference, host in probed.mx)
        words.append(f"  MX: {hosts} ({'DNSSEC vouches for it' if probed.secure else 'without DNSSEC'})")
    elif not probed.undeliverable:
        words.append("  has no MX record: the domain itself is its mail host")
    if not probed.route:
        words.append(f"  MTA-STS: {printable(probed.policy) or 'no policy'}")
    if probed.undeliverable:
        words.append(f"  cannot be delivered: {printable(probed.undeliverable)}")
    for host in probed.hosts:
        words += _host(host)
    if probed.hosts:
        good = _first_good(probed)
        last = (
            f"would be handed to {printable(good.name)} [{good.address}], {good.security}"
            if good
            else "would wait: no host takes it now"
        )
        words.append(f"  mail {last}")
    return words


def _first_good(probed: Probed) -> ProbedHost | None:
    """The one that would get the mail."""
    return next((host for host in probed.hosts if not host.trouble), None)


def _host(host: ProbedHost) -> list[str]:
    asked = f"TLS {host.tls}{f' because of {host.why}' if host.why else ''}"
    if host.tlsa:
        asked += f", {host.tlsa} TLSA record{'s' if host.tlsa > 1 else ''}"
    words = [f"  {printable(host.name)} [{host.address}] port {host.port} (preference {host.preference}; {asked}), {host.ms} ms:"]
    words += [f"    tolerated: {printable(note)}" for note in host.notes]
    if host.trouble:
        reached = "answers, but mail would not go there" if host.reachable else "not reachable"
        words.append(f"    {reached}: {printable(host.trouble)}")
        return words
    words.append(f"    {host.security}; offers {', '.join(host.offers) or 'no extension'}")
    if host.certificate is not None:
        until = time.strftime("%Y-%m-%d", time.gmtime(host.certificate.until))
        names = ", ".join(host.certificate.names) or "no name"
        words.append(f"    certificate for {printable(names)}, by {printable(host.certificate.issuer)}, until {until}")
    return words
