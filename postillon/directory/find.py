"""Where an address leads: accounts here, addresses elsewhere, or nowhere. Plain functions that run inside one transaction.

In this order: exact account or alias, subaddress stripped, the same in the domain that an alias domain repeats, postmaster and
abuse, catch-all. An account's subaddresses all lead to it, so the catch-all never sees them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from postillon.model.address import Address, subaddress
from postillon.model.errors import Refusal
from postillon.model.ids import AccountId
from postillon.seams import FindKind, Found, Tx
from postillon.storage.store import accounts
from postillon.storage.store.accounts import DomainRow

MAX_DEPTH = 10
MAX_TARGETS = 1000
ROLE_NAMES = ("postmaster", "abuse")
"""RFC 5321 §4.5.1, RFC 2142 §4: these reach somebody in every domain."""

UNKNOWN = Found(FindKind.UNKNOWN)
FOREIGN = Found(FindKind.FOREIGN)


@dataclass(frozen=True, slots=True)
class Hit:
    """What a local address names: an account, an alias (by id), or another address that takes its mail (catch-all)."""

    account: AccountId = AccountId(0)
    alias: int = 0
    target: str = ""
    detail: str | None = None


@dataclass(slots=True)
class _Expansion:
    accounts: dict[AccountId, None] = field(default_factory=dict)
    remote: dict[str, Address] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    left: int = MAX_TARGETS


def find(tx: Tx, address: Address) -> Found:
    """Raises Refusal (5.4.6) when aliases lead to too many addresses or too deep."""
    exact = accounts.exact(tx, address.domain, address.key)
    if exact is None:
        return FOREIGN
    if exact[0]:
        return Found(FindKind.LOCAL, (exact[0],), free=exact[1])
    domain = accounts.domain(tx, address.domain)
    if domain is None:
        return FOREIGN
    # A second look where an alias leads nowhere any more: postmaster reaches somebody all the same.
    for hit in (locate(tx, address, domain), _role(tx, address, domain)):
        if hit is not None:
            found = _Expansion(seen={address.key})
            _follow(tx, hit, found, MAX_DEPTH)
            if found.accounts or found.remote:
                free = max((accounts.free(tx, account) for account in found.accounts), default=0)
                return Found(FindKind.LOCAL, tuple(found.accounts), tuple(found.remote.values()), hit.detail, free)
    return UNKNOWN


def postmaster(tx: Tx, domains: tuple[str, ...] = ()) -> Found:
    """Bare `<Postmaster>`: postmaster of the first of *domains* where it is somebody, else the server's first account."""
    for name in domains:
        found = find(tx, Address("postmaster", name))
        if found.kind is FindKind.LOCAL:
            return found
    first = accounts.first_account_of_all(tx)
    return Found(FindKind.LOCAL, (first,), free=accounts.free(tx, first)) if first is not None else UNKNOWN


def owns(tx: Tx, account: AccountId, address: Address) -> bool:
    """May the account send as *address*? Its own address, subaddresses of it, aliases that lead to it alone, and these in
    alias domains.
    """
    for _ in range(MAX_DEPTH):
        domain = accounts.domain(tx, address.domain)
        hit = _named(tx, address, domain) if domain is not None else None
        if hit is None:
            return False
        if hit.account:
            return hit.account == account
        targets = accounts.targets(tx, hit.alias)
        if len(targets) != 1:
            return False
        address = Address.parse(targets[0])
    return False


def locate(tx: Tx, address: Address, domain: DomainRow) -> Hit | None:
    """One step from a local address, aliases not followed."""
    named = _named(tx, address, domain) or _role(tx, address, domain)
    if named is not None:
        return named
    catch_all = next((each.catch_all for each in _domains(tx, domain) if each.catch_all), None)
    return Hit(target=catch_all) if catch_all else None


def _role(tx: Tx, address: Address, domain: DomainRow) -> Hit | None:
    """Who gets postmaster's and abuse's mail where nobody was named: the first account of the domain, else of the server."""
    if subaddress(_local(address))[0] not in ROLE_NAMES:
        return None
    for each in _domains(tx, domain):
        first = accounts.first_account(tx, each.id)
        if first is not None:
            return Hit(account=first)
    first = accounts.first_account_of_all(tx)
    return Hit(account=first) if first is not None else None


def _local(address: Address) -> str:
    return address.key.rpartition("@")[0]


def _domains(tx: Tx, domain: DomainRow) -> list[DomainRow]:
    """The domain and those it repeats, one after the other."""
    chain = [domain]
    while chain[-1].alias_of and len(chain) < MAX_DEPTH:
        following = accounts.domain_by_id(tx, chain[-1].alias_of)
        if following is None or following in chain:
            break
        chain.append(following)
    return chain


def _named(tx: Tx, address: Address, domain: DomainRow) -> Hit | None:
    """The account or alias of that name: exact first, then without its subaddress, then the same in the repeated domain."""
    local = _local(address)
    user, detail = subaddress(local)
    if detail is not None:
        # The detail is told as it was written (Sieve may look at it), the name is looked up folded.
        detail = subaddress(address.local)[1]
    for each in _domains(tx, domain):
        row = accounts.address(tx, f"{local}@{each.name}")
        if row is not None:
            return Hit(*row)
        if detail is not None:
            row = accounts.address(tx, f"{user}@{each.name}")
            if row is not None:
                return Hit(*row, detail=detail)
    return None


def _follow(tx: Tx, hit: Hit, found: _Expansion, depth: int) -> None:
    """Add where *hit* leads. An address met before is passed over, so loops end and each account gets one copy."""
    if hit.account:
        found.accounts[hit.account] = None
        return
    if depth == 0:
        raise Refusal("Aliases are nested too deep", status="5.4.6")
    for target in accounts.targets(tx, hit.alias) if hit.alias else [hit.target]:
        found.left -= 1
        if found.left < 0:
            raise Refusal("The alias leads to too many addresses", status="5.4.6")
        address = Address.parse(target)
        if address.key in found.seen:
            continue
        found.seen.add(address.key)
        domain = accounts.domain(tx, address.domain)
        if domain is None:
            found.remote[address.key] = address
            continue
        following = locate(tx, address, domain)
        if following is not None:
            _follow(tx, following, found, depth - 1)
