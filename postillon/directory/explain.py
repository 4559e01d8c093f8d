"""Why an address leads where it leads, step by step, for `postillon probe`. Plain functions inside one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.address import Address, subaddress
from ..model.ids import AccountId
from ..seams import Tx
from ..storage.store import accounts
from .find import MAX_DEPTH, Hit, locate

MAX_STEPS = 200


@dataclass(frozen=True, slots=True)
class Step:
    """One address on the way: *kind* is `account`, `alias`, `catch-all`, `elsewhere`, `unknown` or `repeated`."""

    address: str
    kind: str
    depth: int
    account: AccountId = AccountId(0)
    targets: tuple[str, ...] = ()
    via: str = ""
    """What was looked at instead: `subaddress x of bob`, `the domain repeats example.org`."""


def explain(tx: Tx, address: Address) -> list[Step]:
    """The steps from *address* to accounts and to addresses elsewhere, depth first; MAX_STEPS at most."""
    steps: list[Step] = []
    _explain(tx, address, 0, steps, set())
    return steps


def _explain(tx: Tx, address: Address, depth: int, steps: list[Step], seen: set[str]) -> None:
    if len(steps) >= MAX_STEPS or depth > MAX_DEPTH:
        return
    name = str(address)
    if address.key in seen:
        steps.append(Step(name, "repeated", depth))
        return
    seen.add(address.key)
    domain = accounts.domain(tx, address.domain)
    if domain is None:
        steps.append(Step(name, "elsewhere", depth))
        return
    hit = locate(tx, address, domain)
    if hit is None:
        steps.append(Step(name, "unknown", depth))
        return
    via = _via(tx, address, hit, domain.alias_of)
    if hit.account:
        steps.append(Step(name, "account", depth, hit.account, via=via))
        return
    targets = tuple(accounts.targets(tx, hit.alias)) if hit.alias else (hit.target,)
    steps.append(Step(name, "alias" if hit.alias else "catch-all", depth, targets=targets, via=via))
    for target in targets:
        _explain(tx, Address.parse(target), depth + 1, steps, seen)


def _via(tx: Tx, address: Address, hit: Hit, alias_of: int) -> str:
    words = []
    if hit.detail is not None:
        words.append(f"subaddress {hit.detail!r} of {subaddress(address.local)[0]}")
    if alias_of:
        following = accounts.domain_by_id(tx, alias_of)
        if following is not None:
            words.append(f"the domain repeats {following.name}")
    return ", ".join(words)
