"""What the administrator may do, and the words of what is refused."""

from __future__ import annotations

import asyncio

import pytest

from postillon.model.account import AccountState
from postillon.model.errors import AlreadyExists, AuthenticationFailed, InUse, NotFound, Refusal
from postillon.seams import DIRECTORY_TOPIC, FindKind
from postillon.storage.store import mailboxes

from .conftest import STRANGER, Town


async def test_domains_come_and_go(town: Town) -> None:
    directory = town.directory
    await directory.create_domain("Example.Test.")
    await directory.create_domain("example.org", alias_of="example.test")
    assert [(view.name, view.alias_of) for view in await directory.domains()] == [
        ("example.org", "example.test"),
        ("example.test", ""),
    ]
    for name in ("EXAMPLE.test", "example.org"):
        with pytest.raises(AlreadyExists):
            await directory.create_domain(name)
    with pytest.raises(NotFound):
        await directory.create_domain("x.test", alias_of="nowhere.test")
    with pytest.raises(Refusal):
        await directory.create_domain("x.test", alias_of="example.org")
    with pytest.raises(InUse, match="repeated by example"):
        await directory.remove_domain("example.test")
    await directory.remove_domain("example.org")
    await directory.create_account("alice@example.test", "secret")
    with pytest.raises(InUse, match="still has"):
        await directory.remove_domain("example.test")
    await directory.remove_account("alice@example.test")
    await directory.remove_domain("example.test")
    with pytest.raises(NotFound):
        await directory.remove_domain("example.test")
    assert await directory.domains() == []


@pytest.mark.parametrize("name", ["", "a b", "-x.test", "[192.0.2.1]", "x..test", "\udcff.test", "y" * 300])
async def test_what_is_no_domain_is_refused(town: Town, name: str) -> None:
    with pytest.raises(Refusal):
        await town.directory.create_domain(name)


async def test_an_account_has_its_mailboxes_and_quota_from_the_start(town: Town) -> None:
    await town.directory.create_domain("example.test")
    town.wakes.topics.clear()
    account = await town.directory.create_account("Alice@example.test", "secret", quota=1000)
    await asyncio.sleep(0)
    assert DIRECTORY_TOPIC in town.wakes.topics
    assert (account.name, account.quota, account.used, account.state) == ("alice@example.test", 1000, 0, AccountState.ACTIVE)
    boxes = await town.database.read(lambda tx: mailboxes.rows(tx, account.id))
    assert {box.path[0] for box in boxes} == {"INBOX", "Drafts", "Sent", "Archive", "Junk", "Trash"}
    assert all(box.subscribed for box in boxes)


@pytest.mark.parametrize(
    "address",
    ["alice", "@example.test", "alice+x@example.test", "a b@example.test", "alice@nowhere.test", "\udcff@example.test", ""],
)
async def test_what_is_no_possible_account_is_refused(town: Town, address: str) -> None:
    await town.directory.create_domain("example.test")
    with pytest.raises(Refusal):
        await town.directory.create_account(address, "secret")
    assert await town.directory.accounts() == []


@pytest.mark.parametrize("password", ["", "a\nb", "a\0b", "x" * 1025, "\u00ad"])
async def test_a_password_that_no_client_could_send_is_refused(town: Town, password: str) -> None:
    await town.directory.create_domain("example.test")
    with pytest.raises(Refusal):
        await town.directory.create_account("alice@example.test", password)


async def test_an_address_belongs_to_one_account_or_alias(town: Town) -> None:
    await town.directory.create_domain("example.test")
    await town.directory.create_account("alice@example.test", "secret")
    await town.directory.create_alias("sales@example.test", ["alice@example.test"])
    with pytest.raises(AlreadyExists, match="as an account"):
        await town.directory.create_account("ALICE@example.test", "secret")
    with pytest.raises(AlreadyExists, match="as an alias"):
        await town.directory.create_account("sales@example.test", "secret")
    with pytest.raises(AlreadyExists, match="as an account"):
        await town.directory.create_alias("alice@example.test", ["sales@example.test"])


async def test_a_removed_account_leaves_its_name_to_a_new_one(town: Town) -> None:
    await town.directory.create_domain("example.test")
    old = await town.directory.create_account("alice@example.test", "secret")
    town.wakes.topics.clear()
    await town.directory.remove_account("alice@example.test")
    await asyncio.sleep(0)
    assert old.id in town.wakes.topics
    assert (await town.find("alice@example.test")).kind is FindKind.UNKNOWN
    with pytest.raises(AuthenticationFailed):
        await town.directory.authenticate("alice@example.test", "secret", STRANGER)
    with pytest.raises(NotFound):
        await town.directory.remove_account("alice@example.test")
    new = await town.directory.create_account("alice@example.test", "another")
    assert new.id != old.id
    assert (await town.directory.authenticate("alice@example.test", "another", STRANGER)).id == new.id
    assert await town.database.read(lambda tx: mailboxes.rows(tx, old.id)) == []
    await town.directory.remove_account("alice@example.test")


async def test_aliases_can_be_listed_changed_and_removed(town: Town) -> None:
    directory = town.directory
    await directory.create_domain("example.test")
    await directory.create_domain("other.test")
    await directory.create_account("alice@example.test", "secret")
    await directory.create_alias("sales@example.test", ["alice@example.test", "ALICE@example.test", "x@far.test"])
    await directory.create_alias("sales@other.test", ["sales@example.test"])
    assert [(row.key, row.targets) for row in await directory.aliases()] == [
        ("sales@example.test", ("ALICE@example.test", "x@far.test")),
        ("sales@other.test", ("sales@example.test",)),
    ]
    await directory.set_targets("Sales@Example.test", ["y@far.test"])
    assert [row.targets for row in await directory.aliases("example.test")] == [("y@far.test",)]
    for wrong in ([], ["nobody@example.test"], ["not an address"], [f"x{n}@far.test" for n in range(1001)]):
        with pytest.raises(Refusal):
            await directory.set_targets("sales@example.test", wrong)
    await directory.remove_alias("sales@other.test")
    for call in (directory.remove_alias("sales@other.test"), directory.remove_alias("alice@example.test")):
        with pytest.raises(NotFound):
            await call
    with pytest.raises(NotFound):
        await directory.create_alias("x@nowhere.test", ["alice@example.test"])


async def test_accounts_are_listed_by_domain_through_all_pages(town: Town) -> None:
    await town.directory.create_domain("a.test")
    await town.directory.create_domain("b.test")
    for n in range(3):
        await town.directory.create_account(f"u{n}@a.test", "secret")
    await town.directory.create_account("x@b.test", "secret")
    assert [account.name for account in await town.directory.accounts("a.test")] == ["u0@a.test", "u1@a.test", "u2@a.test"]
    assert len(await town.directory.accounts()) == 4
    with pytest.raises(NotFound):
        await town.directory.accounts("c.test")


async def test_ensuring_an_account_makes_it_or_replaces_its_password(town: Town) -> None:
    await town.directory.create_domain("example.test")
    made = await town.directory.ensure_account("alice@example.test", "secret")
    version = made.credential_version
    await town.directory.ensure_account("alice@example.test", "secret")
    assert (await town.directory.account(made.id)).credential_version == version
    await town.directory.ensure_account("alice@example.test", "another")
    assert (await town.directory.authenticate("alice@example.test", "another", STRANGER)).id == made.id


async def test_passwords_quotas_and_imports_are_checked(town: Town) -> None:
    await town.directory.create_domain("example.test")
    await town.directory.create_account("alice@example.test", "secret")
    for call in (
        town.directory.set_password("alice@example.test"),
        town.directory.set_password("alice@example.test", "x", imported_hash="y"),
        town.directory.set_password("alice@example.test", imported_hash="{MD5}x"),
        town.directory.set_quota("alice@example.test", -1),
        town.directory.set_quota("alice@example.test", 1 << 62),
    ):
        with pytest.raises(Refusal):
            await call
    for call in (
        town.directory.set_password("bob@example.test", "x"),
        town.directory.set_quota("bob@example.test", 1),
        town.directory.suspend("bob@example.test"),
        town.directory.set_catch_all("example.test", "bob@example.test"),
        town.directory.set_catch_all("nowhere.test", "alice@example.test"),
    ):
        with pytest.raises(NotFound):
            await call
