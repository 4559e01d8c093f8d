"""Where an address leads: accounts, subaddresses, aliases, alias domains, catch-all, postmaster; and who may send as whom."""

from __future__ import annotations

import pytest

from postillon.model.address import Address
from postillon.model.errors import Refusal
from postillon.model.ids import AccountId
from postillon.seams import FindKind, Found

from .conftest import Town


def local(*accounts: AccountId, remote: tuple[str, ...] = (), detail: str | None = None) -> Found:
    return Found(FindKind.LOCAL, accounts, tuple(map(Address.parse, remote)), detail)


async def make(town: Town, *names: str) -> list[AccountId]:
    for domain in ("example.test", "other.test"):
        await town.directory.create_domain(domain)
    return [(await town.directory.create_account(name, "secret")).id for name in names]


async def test_an_account_is_found_whatever_the_case(town: Town) -> None:
    (alice,) = await make(town, "Alice@Example.Test")
    assert await town.find("alice@example.test") == local(alice)
    assert await town.find("ALICE@EXAMPLE.TEST") == local(alice)
    assert (await town.find("bob@example.test")).kind is FindKind.UNKNOWN
    assert (await town.find("alice@elsewhere.test")).kind is FindKind.FOREIGN
    assert await town.directory.is_local_domain("example.test")
    assert not await town.directory.is_local_domain("elsewhere.test")


async def test_international_addresses_are_found_in_every_spelling(town: Town) -> None:
    await town.directory.create_domain("bücher.example")
    account = await town.directory.create_account("jürgen@bücher.example", "secret")
    assert await town.find("ju\u0308rgen@xn--bcher-kva.example") == local(account.id)
    assert await town.find("JÜRGEN@BÜCHER.EXAMPLE") == local(account.id)


async def test_a_subaddress_leads_to_its_account_and_tells_the_detail(town: Town) -> None:
    (alice,) = await make(town, "alice@example.test")
    assert await town.find("alice+Lists@example.test") == local(alice, detail="Lists")
    assert await town.find("alice+a+b@example.test") == local(alice, detail="a+b")
    assert await town.find("alice+@example.test") == local(alice, detail="")
    assert (await town.find("+lists@example.test")).kind is FindKind.UNKNOWN
    assert (await town.find("bob+lists@example.test")).kind is FindKind.UNKNOWN


async def test_an_alias_leads_to_all_its_targets_each_once(town: Town) -> None:
    alice, bob = await make(town, "alice@example.test", "bob@other.test")
    await town.directory.create_alias("sales@example.test", ["alice@example.test", "bob@other.test", "Eve@Far.test"])
    await town.directory.create_alias("all@example.test", ["sales@example.test", "alice@example.test", "alice+x@example.test"])
    assert await town.find("sales@example.test") == local(alice, bob, remote=("Eve@far.test",))
    found = await town.find("All+now@example.test")
    assert set(found.accounts) == {alice, bob} and len(found.accounts) == 2
    assert (found.remote, found.detail) == ((Address("Eve", "far.test"),), "now")


async def test_an_exact_alias_comes_before_the_stripped_subaddress(town: Town) -> None:
    alice, bob = await make(town, "alice@example.test", "bob@example.test")
    await town.directory.create_alias("alice+bob@example.test", ["bob@example.test"])
    assert await town.find("alice+bob@example.test") == local(bob)
    assert await town.find("alice+carl@example.test") == local(alice, detail="carl")


async def test_aliases_that_go_in_circles_end(town: Town) -> None:
    (alice,) = await make(town, "alice@example.test")
    await town.directory.create_alias("a@example.test", ["alice@example.test"])
    await town.directory.create_alias("b@example.test", ["a@example.test"])
    await town.directory.set_targets("a@example.test", ["b@example.test"])
    assert (await town.find("a@example.test")).kind is FindKind.UNKNOWN
    await town.directory.set_targets("a@example.test", ["b@example.test", "alice@example.test"])
    assert await town.find("b@example.test") == local(alice)


async def test_aliases_are_bounded_in_depth_and_number(town: Town) -> None:
    await make(town, "alice@example.test")
    await town.directory.create_alias("a0@example.test", ["alice@example.test"])
    for n in range(1, 12):
        await town.directory.create_alias(f"a{n}@example.test", [f"a{n - 1}@example.test"])
    assert (await town.find("a9@example.test")).kind is FindKind.LOCAL
    with pytest.raises(Refusal) as caught:
        await town.find("a11@example.test")
    assert caught.value.status == "5.4.6"
    for list_name in ("x", "y"):
        await town.directory.create_alias(f"{list_name}@example.test", [f"{list_name}{n}@far.test" for n in range(600)])
    await town.directory.create_alias("both@example.test", ["x@example.test", "y@example.test"])
    with pytest.raises(Refusal) as caught:
        await town.find("both@example.test")
    assert caught.value.status == "5.4.6"


async def test_an_alias_domain_repeats_the_addresses_of_another(town: Town) -> None:
    (alice,) = await make(town, "alice@example.test")
    await town.directory.create_domain("example.org", alias_of="example.test")
    await town.directory.create_alias("sales@example.test", ["alice@example.test"])
    await town.directory.set_catch_all("example.test", "alice@example.test")
    assert await town.find("alice@example.org") == local(alice)
    assert await town.find("alice+x@example.org") == local(alice, detail="x")
    assert await town.find("sales@example.org") == local(alice)
    assert await town.find("whoever@example.org") == local(alice)
    bob = await town.directory.create_account("bob@example.org", "secret")
    assert await town.find("bob@example.org") == local(bob.id)


async def test_the_catch_all_takes_only_what_nobody_has(town: Town) -> None:
    alice, bob = await make(town, "alice@example.test", "bob@other.test")
    await town.directory.set_catch_all("example.test", "bob@other.test")
    assert await town.find("typo@example.test") == local(bob)
    assert await town.find("typo+x@example.test") == local(bob)
    assert await town.find("alice+unheard-of@example.test") == local(alice, detail="unheard-of")
    assert (await town.find("typo@other.test")).kind is FindKind.UNKNOWN
    await town.directory.set_catch_all("example.test", "Box@far.test")
    assert await town.find("typo@example.test") == local(remote=("Box@far.test",))
    await town.directory.set_catch_all("example.test", None)
    assert (await town.find("typo@example.test")).kind is FindKind.UNKNOWN


async def test_postmaster_and_abuse_reach_somebody_from_the_start(town: Town) -> None:
    await town.directory.create_domain("empty.test")
    alice, bob, carl = await make(town, "alice@example.test", "bob@other.test", "carl@other.test")
    for name in ("postmaster", "Abuse", "POSTMASTER"):
        assert await town.find(f"{name}@example.test") == local(alice)
        assert await town.find(f"{name}@other.test") == local(bob)
        assert await town.find(f"{name}@empty.test") == local(alice)
    assert await town.directory.postmaster() == local(alice)
    await town.directory.create_alias("postmaster@other.test", ["carl@other.test"])
    assert await town.find("postmaster@other.test") == local(carl)
    await town.directory.remove_account("carl@other.test")
    assert await town.find("postmaster@other.test") == local(bob)


async def test_without_any_account_postmaster_is_unknown(town: Town) -> None:
    await town.directory.create_domain("empty.test")
    assert (await town.find("postmaster@empty.test")).kind is FindKind.UNKNOWN
    assert (await town.directory.postmaster()).kind is FindKind.UNKNOWN


async def test_who_may_send_as_whom(town: Town) -> None:
    alice, bob = await make(town, "alice@example.test", "bob@example.test")
    await town.directory.create_domain("example.org", alias_of="example.test")
    await town.directory.create_alias("sales@example.test", ["alice@example.test"])
    await town.directory.create_alias("shop@example.test", ["sales@example.test"])
    await town.directory.create_alias("team@example.test", ["alice@example.test", "bob@example.test"])
    await town.directory.create_alias("away@example.test", ["alice@far.test"])
    await town.directory.create_alias("loop@example.test", ["team@example.test"])
    await town.directory.set_targets("loop@example.test", ["loop@example.test"])
    await town.directory.set_catch_all("example.test", "alice@example.test")
    allowed = ["alice", "ALICE", "alice+list", "sales", "sales+x", "shop"]
    for name in allowed:
        for domain in ("example.test", "example.org"):
            assert await town.directory.may_send_as(alice, Address(name, domain))
            assert not await town.directory.may_send_as(bob, Address(name, domain))
    for name in ("bob", "team", "away", "loop", "unknown", "postmaster", "abuse"):
        assert not await town.directory.may_send_as(alice, Address(name, "example.test"))
    assert not await town.directory.may_send_as(alice, Address("alice", "far.test"))
