"""Mailboxes that others may use (RFC 4314), judged in the store, on every kind of database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from postillon.model.access import ALL, Rights, letters, parse_rights
from postillon.model.account import SERVER, Principal
from postillon.model.errors import AlreadyExists, LimitReached, NotFound, NotPermitted, OverQuota, Refusal
from postillon.model.ids import AccountId, MailboxId, ModSeq
from postillon.model.mail import ANSWERED, DELETED, FLAGGED, OTHER_USERS, SEEN, Mailbox
from postillon.model.plan import Prepared
from postillon.seams import Tx
from postillon.storage.store import AppendItem, accounts, acl, across, mailboxes, metadata, rights, viewers
from tests.directory.test_plans import Noting, explain

from .conftest import Office, add_account
from .test_store import TEXT, append, inbox, spooled

ALICE = (OTHER_USERS, "alice@example.test")
KEY = 7


async def shared(
    office: Office, given: str, identifier: str = "bob@example.test", path: tuple[str, ...] = ("Projects",)
) -> Mailbox:
    """A mailbox of Alice's with *rights* for somebody."""
    who = Principal(office.alice)
    try:
        box = await office.store.find_mailbox(who, office.alice, path)
    except NotFound:
        box = await office.store.create_mailbox(who, office.alice, path)
    await give(office, box, identifier, given)
    return box


async def give(office: Office, box: Mailbox, identifier: str, given: str) -> None:
    """Replaces what was given before."""
    await office.store.set_acl(Principal(office.alice), office.alice, box.id, identifier, "replace", parse_rights(given))


async def login_names(office: Office) -> None:
    """The addresses that the directory would have made."""

    def work(tx: Tx) -> None:
        for account, name in ((office.alice, b"alice@example.test"), (office.bob, b"bob@example.test")):
            tx.run("INSERT INTO address (key, account_id, alias_id, domain_id) VALUES (?, ?, 0, 0)", name, account)

    await office.database.write(work)


@pytest.fixture
async def house(office: Office) -> Office:
    await login_names(office)
    return office


async def rights_of(office: Office, who: AccountId, mailbox: MailboxId) -> Rights:
    return await office.database.read(lambda tx: rights.rights_of(tx, Principal(who), office.alice, mailbox))


async def seen_by(office: Office, viewer: AccountId, box: Mailbox) -> list[tuple[int, int]]:
    """(uid, flags) as *viewer* sees them."""
    return [(row[0], row[1]) for row in await office.store.snapshot(Principal(viewer), office.alice, box.id, 0)]


# --- rights as letters ----------------------------------------------------------------------------------------------


def test_the_letters_of_rfc_2086_stand_for_those_of_rfc_4314():
    assert parse_rights("cd") == parse_rights("kxte")
    assert letters(parse_rights("lr")) == "lr"
    assert letters(parse_rights("lrk")) == "lrkc"
    assert letters(ALL) == "lrswipkxteacd"
    with pytest.raises(ValueError):
        parse_rights("lrz")


# --- what each right allows -----------------------------------------------------------------------------------------


async def test_who_has_no_right_finds_nothing_and_is_told_nothing(house: Office):
    store, bob = house.store, Principal(house.bob)
    box = await shared(house, "lr")
    await append(store, house.alice, box)
    await give(house, box, "bob@example.test", "")
    for path in ((*ALICE, "Projects"), (*ALICE, "Nothing"), (OTHER_USERS, "nobody@example.test", "Projects"), ALICE, ALICE[:1]):
        with pytest.raises(NotFound, match="No such mailbox"):
            await store.find_mailbox(bob, house.bob, path)
    assert not [one for one in await store.visible_mailboxes(bob, house.bob) if one.is_shared]
    for refused in calls(house, box):
        with pytest.raises(NotFound, match="No such mailbox"):
            await refused(bob)
        with pytest.raises(NotFound):
            await refused(Principal(AccountId(0)))  # who has not logged in


async def test_who_may_only_see_it_is_refused_by_name(house: Office):
    box = await shared(house, "l")
    await append(house.store, house.alice, box)
    for refused in calls(house, box):
        with pytest.raises(NotPermitted):
            await refused(Principal(house.bob))


async def test_anyone_is_nobody_who_has_not_logged_in(house: Office):
    box = await shared(house, "lrswipkxtea", "anyone")
    for refused in calls(house, box):
        with pytest.raises(NotFound):
            await refused(Principal(AccountId(0)))


def calls(office: Office, box: Mailbox) -> list[Callable[[Principal], Awaitable[Any]]]:
    """Everything that the store does in a mailbox."""
    store, owner, mailbox = office.store, office.alice, box.id
    return [
        lambda who: store.mailbox(who, owner, mailbox),
        lambda who: store.snapshot(who, owner, mailbox, 0),
        lambda who: store.changes(who, owner, mailbox, ModSeq(0)),
        lambda who: store.emails(who, owner, mailbox, [1]),
        lambda who: store.overviews(who, owner, mailbox, [1]),
        lambda who: store.expunged(who, owner, mailbox, [1], ModSeq(0)),
        lambda who: store.email_sizes(who, owner, mailbox, [1]),
        lambda who: store.email_ids(who, owner, mailbox, 1, 9),
        lambda who: store.deleted_size(who, owner, mailbox),
        lambda who: store.metadata(who, owner, mailbox),
        lambda who: store.set_metadata(who, owner, mailbox, [("/shared/comment", b"x")]),
        lambda who: store.store_flags(who, owner, mailbox, [1], "add", FLAGGED),
        lambda who: store.append(who, owner, mailbox, []),
        lambda who: store.copy(who, owner, mailbox, [1], mailbox),
        lambda who: store.move(who, owner, mailbox, [1], mailbox),
        lambda who: store.expunge(who, owner, mailbox, None),
        lambda who: store.remove(who, owner, mailbox, [1]),
        lambda who: store.delete_mailbox(who, owner, mailbox),
        lambda who: store.rename_mailbox(who, owner, mailbox, (*ALICE, "Other")),
        lambda who: store.acl(who, owner, mailbox),
        lambda who: store.set_acl(who, owner, mailbox, "anyone", "add", ALL),
        lambda who: store.check_identifier(who, owner, mailbox, "anyone"),
    ]


async def test_another_accounts_own_things_stay_its_own(house: Office):
    await shared(house, "lrswipkxtea")
    bob, store = Principal(house.bob), house.store
    for refused in (
        store.mailboxes(bob, house.alice),
        store.visible_mailboxes(bob, house.alice),
        store.subscriptions(bob, house.alice),
        store.subscribe(bob, house.alice, ("x",), True),
        store.all_metadata(bob, house.alice),
        store.metadata(bob, house.alice, MailboxId(0)),
        store.emails_by_id(bob, house.alice, [1]),
        store.find_mailbox(bob, house.alice, ("Projects",)),
        store.create_mailbox(bob, house.alice, ("x",)),
    ):
        with pytest.raises(NotFound):
            await refused


async def test_a_shared_mailbox_is_found_and_listed_under_its_owners_address(house: Office):
    box = await shared(house, "lr")
    await append(house.store, house.alice, box, 2)
    found = await house.store.find_mailbox(Principal(house.bob), house.bob, (*ALICE, "Projects"))
    assert (found.account, found.id, found.path, found.total) == (house.alice, box.id, (*ALICE, "Projects"), 2)
    assert found.rights == parse_rights("lr") and found.is_shared
    listed = await house.store.visible_mailboxes(Principal(house.bob), house.bob)
    assert [one.path for one in listed if one.is_shared] == [(*ALICE, "Projects")]
    assert [one for one in listed if one.is_shared] == [found]
    assert [one.path for one in await house.store.mailboxes(Principal(house.bob), house.bob)] == [
        one.path for one in listed if not one.is_shared
    ]


async def test_without_r_nothing_is_told_of_the_messages(house: Office):
    box = await shared(house, "l")
    await append(house.store, house.alice, box, 2)
    (found,) = [one for one in await house.store.visible_mailboxes(Principal(house.bob), house.bob) if one.is_shared]
    assert (found.total, found.unseen, found.size, found.uidnext) == (0, 0, 0, 1)


async def test_anyone_and_negative_rights(house: Office):
    box = await shared(house, "lrs", "anyone")
    store, bob = house.store, Principal(house.bob)
    assert await rights_of(house, house.bob, box.id) == parse_rights("lrs")
    await give(house, box, "-bob@example.test", "s")
    await give(house, box, "bob@example.test", "si")
    assert await rights_of(house, house.bob, box.id) == parse_rights("lri")
    assert await store.acl(Principal(house.alice), house.alice, box.id) == [
        ("alice@example.test", ALL),
        ("-bob@example.test", parse_rights("s")),
        ("anyone", parse_rights("lrs")),
        ("bob@example.test", parse_rights("si")),
    ]
    await give(house, box, "-anyone", "l")
    assert not [one for one in await store.visible_mailboxes(bob, house.bob) if one.is_shared]


async def test_the_owner_has_all_rights_for_ever(house: Office):
    box = await shared(house, "", "-anyone")
    store, alice = house.store, Principal(house.alice)
    await store.set_acl(alice, house.alice, box.id, "alice@example.test", "add", Rights.LOOKUP)
    await store.set_acl(alice, house.alice, box.id, "alice@example.test", "replace", ALL)
    await give(house, box, "-anyone", "lrswipkxtea")
    for identifier, operation in (
        ("alice@example.test", "remove"),
        ("alice@example.test", "replace"),
        ("-alice@example.test", "add"),
    ):
        with pytest.raises(Refusal, match="owner"):
            await store.set_acl(alice, house.alice, box.id, identifier, operation, Rights.LOOKUP)  # type: ignore[arg-type]
    assert (await store.mailbox(alice, house.alice, box.id)).rights == ALL


@pytest.mark.parametrize("identifier", ["", "-", "carol@example.test", "not an address", "Anyone", "bob"])
async def test_rights_are_given_to_accounts_only(house: Office, identifier: str):
    box = await shared(house, "l")
    with pytest.raises(Refusal, match="no such account"):
        await give(house, box, identifier, "l")


async def test_a_list_has_an_end(house: Office, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(acl, "MAX_ENTRIES", 1)
    box = await shared(house, "l")
    with pytest.raises(LimitReached):
        await give(house, box, "anyone", "l")


async def test_nobodys_list_of_mailboxes_is_filled_up_by_another(house: Office, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mailboxes, "MAX_PUBLIC", 2)
    monkeypatch.setattr(mailboxes, "MAX_SHARED", 3)
    box = await shared(house, "l", "anyone")
    await give(house, box, "bob@example.test", "lr")
    await shared(house, "l", "anyone", path=("Projects", "one"))
    with pytest.raises(LimitReached):
        await shared(house, "l", "anyone", path=("two",))
    for name in ("three", "four", "five"):  # those made below begin with what there is room for
        await house.store.create_mailbox(Principal(house.alice), house.alice, ("Projects", name))
    listed = await house.store.visible_mailboxes(Principal(house.bob), house.bob)
    assert len([one for one in listed if one.is_shared]) == 3
    await give(house, box, "anyone", "lr")  # what is shared already may be changed


async def test_an_administrator_of_a_mailbox_may_share_it(house: Office):
    box = await shared(house, "la")
    await house.store.set_acl(Principal(house.bob), house.alice, box.id, "anyone", "add", Rights.READ)
    assert ("anyone", Rights.READ) in await house.store.acl(Principal(house.bob), house.alice, box.id)


async def test_whom_a_change_concerns_is_woken(house: Office):
    box = await shared(house, "l")
    house.wakes.topics.clear()
    await give(house, box, "bob@example.test", "lr")
    assert set(house.wakes.topics) == {house.alice, house.bob}


# --- flags ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "changed"),
    [("s", SEEN), ("t", DELETED), ("w", FLAGGED | 1 << KEY), ("sw", SEEN | FLAGGED | 1 << KEY), ("swt", -1)],
)
async def test_only_flags_that_one_has_the_right_for_change(house: Office, given: str, changed: int):
    box = await shared(house, "lr" + given)
    (uid,) = await append(house.store, house.alice, box)
    asked = SEEN | DELETED | FLAGGED
    result = await house.store.store_flags(Principal(house.bob), house.alice, box.id, [uid], "add", asked, (b"$One",))
    assert [flags for _, flags, _ in result.changed] == [(asked | 1 << KEY) & changed]
    assert await seen_by(house, house.bob, box) == [(uid, (asked | 1 << KEY) & changed)]
    result = await house.store.store_flags(Principal(house.bob), house.alice, box.id, [uid], "replace", 0)
    assert [flags for _, flags, _ in result.changed] == [0]


async def test_flags_without_any_right_are_refused(house: Office):
    box = await shared(house, "lrs")
    (uid,) = await append(house.store, house.alice, box)
    bob, store = Principal(house.bob), house.store
    for operation, flags, keywords in (
        ("add", FLAGGED, ()),
        ("remove", DELETED, ()),
        ("add", 0, (b"$One",)),
        ("replace", FLAGGED, ()),
    ):
        with pytest.raises(NotPermitted):
            await store.store_flags(bob, house.alice, box.id, [uid], operation, flags, keywords)  # type: ignore[arg-type]
    assert await store.keywords(house.alice) == {}, "and no keyword was made"
    await store.store_flags(bob, house.alice, box.id, [uid], "replace", 0)  # RFC 4314 §4: what may be, is done


async def test_seen_is_each_viewers_own(house: Office):
    store, alice, bob = house.store, Principal(house.alice), Principal(house.bob)
    box = await shared(house, "lrsw")
    carol = await add_account(store, "carol@example.test")
    await house.database.write(lambda tx: tx.run("INSERT INTO address VALUES (?, ?, 0, 0)", b"carol@example.test", carol))
    await give(house, box, "carol@example.test", "lrs")
    one, two = await append(store, house.alice, box, 2)
    before = await store.mailbox(alice, house.alice, box.id)
    result = await store.store_flags(bob, house.alice, box.id, [one], "add", SEEN)
    assert await seen_by(house, house.bob, box) == [(one, SEEN), (two, 0)]
    assert await seen_by(house, carol, box) == await seen_by(house, house.alice, box) == [(one, 0), (two, 0)]
    row = await store.mailbox(bob, house.alice, box.id)
    assert (row.unseen, row.modseq) == (1, result.modseq)
    assert await store.mailbox(alice, house.alice, box.id) == before, "nothing happened for the owner"
    assert not (await store.changes(alice, house.alice, box.id, before.modseq)).changed
    assert (await store.changes(bob, house.alice, box.id, before.modseq)).changed == [(one, SEEN, result.modseq)]
    await store.store_flags(alice, house.alice, box.id, [two], "add", SEEN | FLAGGED)
    assert await seen_by(house, house.bob, box) == [(one, SEEN), (two, FLAGGED)]
    assert (await store.mailbox(alice, house.alice, box.id)).unseen == 1
    assert (await store.mailbox(Principal(carol), house.alice, box.id)).unseen == 2
    await store.store_flags(bob, house.alice, box.id, [one, two], "replace", 0)
    assert await seen_by(house, house.bob, box) == [(one, 0), (two, 0)]
    assert (await store.mailbox(bob, house.alice, box.id)).unseen == 2


async def test_unchangedsince_knows_the_viewers_own_marks(house: Office):
    store, bob = house.store, Principal(house.bob)
    box = await shared(house, "lrsw")
    (uid,) = await append(store, house.alice, box)
    first = await store.store_flags(bob, house.alice, box.id, [uid], "add", SEEN)
    late = await store.store_flags(bob, house.alice, box.id, [uid], "add", FLAGGED, (), first.modseq - 1)
    assert late.failed == [uid] and not late.changed
    owner = await store.store_flags(Principal(house.alice), house.alice, box.id, [uid], "add", ANSWERED, (), first.modseq - 1)
    assert [row[0] for row in owner.changed] == [uid], "the owner's idea of the message had not changed"


async def test_what_is_expunged_is_not_counted_as_seen_any_more(house: Office):
    store, bob = house.store, Principal(house.bob)
    box = await shared(house, "lrste")
    uids = await append(store, house.alice, box, 4)
    await store.store_flags(bob, house.alice, box.id, uids[:3], "add", SEEN)
    await store.store_flags(bob, house.alice, box.id, uids[:2], "add", DELETED)
    await store.store_flags(bob, house.alice, box.id, uids[1:2], "remove", SEEN)
    assert await store.expunge(bob, house.alice, box.id, None) == uids[:2]
    row = await store.mailbox(bob, house.alice, box.id)
    assert (row.total, row.unseen) == (2, 1)
    await house.store.delete_mailbox(Principal(house.alice), house.alice, box.id)
    house.clock.at += 1000
    while await store.clean():
        pass
    assert await left_over(house) == {"seen": 0, "viewer": 0, "acl": 0}


async def left_over(office: Office) -> dict[str, int]:
    """Rows by table."""
    counts = ("seen", "SELECT count(*) FROM seen"), ("viewer", "SELECT count(*) FROM viewer"), ("acl", "SELECT count(*) FROM acl")
    return {name: (await office.database.read(lambda tx, sql=sql: tx.one(sql)))[0] for name, sql in counts}  # type: ignore


# --- filing and copying ---------------------------------------------------------------------------------------------


async def test_mail_put_into_anothers_mailbox_is_charged_to_its_owner(house: Office):
    store, bob = house.store, Principal(house.bob)
    box = await shared(house, "lris")
    item = AppendItem(await spooled(store, TEXT), Prepared(b"o", b"s"), SEEN | FLAGGED, (b"$One",), 5, 60)
    _, (uid,) = await store.append(bob, house.alice, box.id, [item])
    assert await seen_by(house, house.bob, box) == [(uid, SEEN)], "with the flags that may be set"
    assert await seen_by(house, house.alice, box) == [(uid, 0)]
    assert (await store.mailbox(Principal(house.alice), house.alice, box.id)).unseen == 1
    assert await used(house) == {house.alice: len(TEXT), house.bob: 0}


async def used(office: Office) -> dict[AccountId, int]:
    rows = await office.database.read(lambda tx: tx.all("SELECT account_id, used FROM account_state"))
    return {AccountId(row[0]): row[1] for row in rows if row[0] in (office.alice, office.bob)}


async def letter(office: Office, account: AccountId, box: Mailbox, message_id: str, references: str = "") -> int:
    """A message with a header of its own, as large as given."""
    from postillon.message.prepare import prepare

    text = f"Message-ID: <{message_id}>\r\nReferences: {references}\r\nSubject: plan\r\n\r\nbody\r\n".encode()
    item = AppendItem(await spooled(office.store, text), prepare(text), FLAGGED, (b"$Two", b"$One"), 77, 60)
    return (await office.store.append(Principal(account), account, box.id, [item]))[1][0]


@pytest.mark.parametrize("moves", [False, True])
async def test_a_copy_in_another_account_is_an_email_of_that_account(house: Office, moves: bool):
    store, alice, bob = house.store, Principal(house.alice), Principal(house.bob)
    box = await shared(house, "lrste")
    mine = await inbox(house, house.bob)
    await store.store_flags(bob, house.bob, mine.id, [await letter(house, house.bob, mine, "one@x")], "add", SEEN, (b"$Other",))
    uids = [
        await letter(house, house.alice, box, "two@x", "<one@x>"),
        await letter(house, house.alice, box, "three@x", "<two@x>"),
    ]
    await store.store_flags(bob, house.alice, box.id, uids[:1], "add", SEEN)
    act = store.move if moves else store.copy
    result = await act(bob, house.alice, box.id, [*uids, 99], mine.id, house.bob)
    assert [pair[0] for pair in result.pairs] == uids
    new = [pair[1] for pair in result.pairs]
    emails = await store.emails(bob, house.bob, mine.id, [1, *new])
    assert len({email.id for email in emails}) == 3 and len({email.thread for email in emails}) == 1, (
        "in the thread of that account"
    )
    assert [email.received for email in emails[1:]] == [77, 77]
    names = await store.keywords(house.bob)
    rows = await store.snapshot(bob, house.bob, mine.id, 1)
    found = [(flags & 31, {names[bit] for bit in names if flags >> bit & 1}) for _, flags, _ in rows]
    assert found == [(SEEN | FLAGGED, {b"$One", b"$Two"}), (FLAGGED, {b"$One", b"$Two"})]
    sizes = [row[3] for row in await store.email_sizes(bob, house.bob, mine.id, [1, *new])]
    assert await used(house) == {house.alice: 0 if moves else sum(sizes[1:]), house.bob: sum(sizes)}
    left = await store.snapshot(alice, house.alice, box.id, 0)
    assert [row[0] for row in left] == ([] if moves else uids)
    # What the owner removes for good does not take the copy's octets along.
    await store.remove(alice, house.alice, box.id, uids)
    house.clock.at += 1000
    while await store.clean():
        pass
    (email,) = await store.emails(bob, house.bob, mine.id, new[:1])
    assert b"<two@x>" in await store.read_octets(store.octets(email), 0, email.size)
    await store.remove(bob, house.bob, mine.id, new)
    house.clock.at += 1000
    while await store.clean():
        pass
    assert await house.database.read(lambda tx: tx.all("SELECT 1 FROM blob_ref")) == [(1,)]


async def test_the_same_email_twice_in_a_copy_is_one_email_with_two_places(house: Office):
    store, alice = house.store, Principal(house.alice)
    box = await shared(house, "lri")
    mine = await inbox(house, house.bob)
    uid = await letter(house, house.bob, mine, "one@x")
    (_, again), *_ = (await store.copy(Principal(house.bob), house.bob, mine.id, [uid], mine.id)).pairs
    result = await store.copy(Principal(house.bob), house.bob, mine.id, [uid, again], box.id, house.alice)
    emails = await store.emails(alice, house.alice, box.id, [new for _, new in result.pairs])
    assert len(emails) == 2 and len({email.id for email in emails}) == 1
    await store.remove(alice, house.alice, box.id, [emails[0].uid])
    house.clock.at += 1000
    while await store.clean():
        pass
    assert len(await store.emails(alice, house.alice, box.id, [emails[1].uid])) == 1


async def test_moving_to_another_account_asks_its_quota_and_both_mailboxes(house: Office):
    store, alice, bob = house.store, Principal(house.alice), Principal(house.bob)
    box = await shared(house, "lr")
    mine = await inbox(house, house.bob)
    uid = await letter(house, house.bob, mine, "one@x")
    with pytest.raises(NotPermitted):
        await store.copy(bob, house.bob, mine.id, [uid], box.id, house.alice)
    await give(house, box, "bob@example.test", "lri")
    await house.database.write(lambda tx: accounts.set_quota(tx, house.alice, 10))
    with pytest.raises(OverQuota):
        await store.move(bob, house.bob, mine.id, [uid], box.id, house.alice)
    await house.database.write(lambda tx: accounts.set_quota(tx, house.alice, 10**6))
    theirs = await letter(house, house.alice, box, "two@x")
    with pytest.raises(NotPermitted):
        await store.move(bob, house.alice, box.id, [theirs], mine.id, house.bob)
    assert [row[0] for row in await store.snapshot(alice, house.alice, box.id, 0)] == [theirs]


async def test_a_copy_to_another_account_has_an_end(house: Office, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(across, "MAX_ACROSS", 1)
    box = await shared(house, "lri")
    mine = await inbox(house, house.bob)
    uids = await append(house.store, house.bob, mine, 2)
    with pytest.raises(LimitReached):
        await house.store.copy(Principal(house.bob), house.bob, mine.id, uids, box.id, house.alice)


async def test_a_viewer_copies_and_moves_within_anothers_account(house: Office):
    store, bob = house.store, Principal(house.bob)
    box = await shared(house, "lrsiwte")
    other = await shared(house, "lris", path=("Done",))
    uids = await append(store, house.alice, box, 2, flags=FLAGGED)
    await store.store_flags(bob, house.alice, box.id, uids[:1], "add", SEEN)
    result = await store.copy(bob, house.alice, box.id, uids, other.id)
    assert await seen_by(house, house.bob, other) == [(1, SEEN), (2, 0)], "no right for \\Flagged there"
    assert [pair[0] for pair in result.pairs] == uids
    await store.move(bob, house.alice, box.id, uids, other.id)
    assert await seen_by(house, house.bob, other) == [(1, SEEN), (2, 0), (3, SEEN), (4, 0)]
    assert await seen_by(house, house.bob, box) == []
    row = await store.mailbox(Principal(house.alice), house.alice, other.id)
    assert (row.total, row.unseen) == (4, 4)
    assert await used(house) == {house.alice: 4 * len(TEXT), house.bob: 0}


async def test_what_one_has_seen_stays_seen_when_another_moves_it(house: Office):
    store, alice, bob = house.store, Principal(house.alice), Principal(house.bob)
    box = await shared(house, "lrs", "anyone")
    other = await shared(house, "lr", "anyone", path=("Done",))
    uids = await append(store, house.alice, box, 3)
    await store.store_flags(bob, house.alice, box.id, uids[1:], "add", SEEN)
    await store.store_flags(bob, house.alice, box.id, uids[2:], "remove", SEEN)
    await store.move(alice, house.alice, box.id, uids, other.id)
    assert await seen_by(house, house.bob, other) == [(1, 0), (2, SEEN), (3, 0)]
    assert (await store.mailbox(bob, house.alice, other.id)).unseen == 2
    assert (await store.mailbox(bob, house.alice, box.id)).unseen == 0
    carol = await add_account(store, "carol@example.test")
    await give(house, other, "anyone", "lrste")
    await store.store_flags(Principal(carol), house.alice, other.id, [1], "add", SEEN)
    await give(house, box, "anyone", "lris")
    await store.move(Principal(carol), house.alice, other.id, [1, 2, 3], box.id)
    assert await seen_by(house, house.bob, box) == [(4, 0), (5, SEEN), (6, 0)]
    assert await seen_by(house, carol, box) == [(4, SEEN), (5, 0), (6, 0)]
    assert (await store.mailbox(Principal(carol), house.alice, box.id)).unseen == 2
    await store.store_flags(alice, house.alice, box.id, [4], "add", SEEN)
    await give(house, box, "anyone", "lrste")
    await give(house, other, "anyone", "lri")
    await store.move(Principal(carol), house.alice, box.id, [4, 5], other.id)
    assert await seen_by(house, house.alice, other) == [(4, SEEN), (5, 0)], "the owner has, too"
    assert (await store.mailbox(alice, house.alice, other.id)).unseen == 1


async def test_a_viewer_does_not_use_up_the_owners_annotations(house: Office, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metadata, "MAX_OF_VIEWER", 2)
    monkeypatch.setattr(metadata, "MAX_ENTRIES", 1)
    store, alice, bob = house.store, Principal(house.alice), Principal(house.bob)
    box = await shared(house, "lr")
    await store.set_metadata(bob, house.alice, box.id, [("/private/a", b"1"), ("/private/b", b"2")])
    with pytest.raises(LimitReached):
        await store.set_metadata(bob, house.alice, box.id, [("/private/c", b"3")])
    await store.set_metadata(alice, house.alice, box.id, [("/private/a", b"1")])
    with pytest.raises(LimitReached):
        await store.set_metadata(alice, house.alice, box.id, [("/private/b", b"1")])


async def test_replace_between_accounts_changes_both_at_once(house: Office):
    store, bob = house.store, Principal(house.bob)
    box = await shared(house, "lrte")
    mine = await inbox(house, house.bob)
    (uid,) = await append(store, house.alice, box)
    item = AppendItem(await spooled(store, TEXT), Prepared(b"o", b"s"))
    await store.replace(bob, house.alice, box.id, uid, mine.id, item, house.bob)  # type: ignore[arg-type]
    assert await used(house) == {house.alice: 0, house.bob: len(TEXT)}


# --- the tree -------------------------------------------------------------------------------------------------------


async def test_a_mailbox_made_below_a_shared_one_is_shared_with_the_same_people(house: Office):
    store, alice, bob = house.store, Principal(house.alice), Principal(house.bob)
    box = await shared(house, "lrk")
    await give(house, box, "-anyone", "p")
    made = await store.create_mailbox(bob, house.bob, (*ALICE, "Projects", "2027", "May"))
    assert made.path == (*ALICE, "Projects", "2027", "May") and made.account == house.alice
    assert made.rights == parse_rights("lrk")
    child = await store.create_mailbox(alice, house.alice, ("Projects", "2027", "June"))
    assert await store.acl(alice, house.alice, child.id) == await store.acl(alice, house.alice, box.id)
    await store.rename_mailbox(alice, house.alice, child.id, ("June",))
    assert await rights_of(house, house.bob, child.id) == parse_rights("lrk"), "the list goes with the mailbox"


async def test_making_a_mailbox_tells_nothing_of_what_is_there(house: Office):
    store, bob = house.store, Principal(house.bob)
    box = await shared(house, "lrk")
    hidden = await shared(house, "", path=("Projects", "Secret"))
    await give(house, hidden, "-bob@example.test", "l")
    refused = [
        (*ALICE, "Projects", "Secret"),
        (*ALICE, "New"),
        (*ALICE, "Archive"),
        (*ALICE, "Archive", "x"),
        (OTHER_USERS, "nobody@example.test", "x"),
        (OTHER_USERS, "bob@example.test", "x"),
    ]
    for path in refused:
        with pytest.raises(NotPermitted, match="You may not make a mailbox there"):
            await store.create_mailbox(bob, house.bob, path)
    with pytest.raises(AlreadyExists):
        await store.create_mailbox(bob, house.bob, (*ALICE, "Projects"))
    with pytest.raises(NotPermitted):
        await store.create_mailbox(bob, house.bob, (*ALICE, "Projects", "x"), "sent")
    for path in ((OTHER_USERS,), (OTHER_USERS, "x", OTHER_USERS, "y")):
        with pytest.raises(Refusal):
            await store.create_mailbox(bob, house.bob, path)
    await give(house, box, "bob@example.test", "lr")
    with pytest.raises(NotPermitted):
        await store.create_mailbox(bob, house.bob, (*ALICE, "Projects", "y"))


async def test_deleting_and_renaming_anothers_mailbox(house: Office):
    store, bob = house.store, Principal(house.bob)
    box = await shared(house, "lrkx")
    one = await store.create_mailbox(bob, house.bob, (*ALICE, "Projects", "one"))
    await store.rename_mailbox(bob, house.alice, one.id, (*ALICE, "Projects", "two"))
    assert (await store.mailbox(bob, house.alice, one.id)).path == (*ALICE, "Projects", "two")
    for path in ((*ALICE, "two"), (*ALICE, "Archive", "two")):
        with pytest.raises(NotPermitted):
            await store.rename_mailbox(bob, house.alice, one.id, path)
    for path in (("two",), (OTHER_USERS, "nobody@example.test", "two")):
        with pytest.raises(Refusal, match="another account"):
            await store.rename_mailbox(bob, house.alice, one.id, path)
    mine = await store.create_mailbox(bob, house.bob, ("mine",))
    with pytest.raises(Refusal, match="another account"):
        await store.rename_mailbox(bob, house.bob, mine.id, (*ALICE, "Projects", "mine"))
    await store.delete_mailbox(bob, house.alice, one.id)
    await store.delete_mailbox(bob, house.alice, box.id)
    assert not await rights_of(house, house.bob, box.id)
    again = await store.create_mailbox(Principal(house.alice), house.alice, ("Projects",))
    assert not await rights_of(house, house.bob, again.id)


async def test_the_inbox_of_another_is_not_renamed(house: Office):
    box = await shared(house, "lrkxte", path=("INBOX",))
    with pytest.raises(NotPermitted):
        await house.store.rename_mailbox(Principal(house.bob), house.alice, box.id, (*ALICE, "INBOX", "x"))


async def test_subscriptions_and_annotations_are_the_viewers_own(house: Office):
    store, alice, bob = house.store, Principal(house.alice), Principal(house.bob)
    box = await shared(house, "lr")
    await store.subscribe(bob, house.bob, (*ALICE, "Projects"), True)
    assert (await store.find_mailbox(bob, house.bob, (*ALICE, "Projects"))).subscribed
    assert not (await store.mailbox(alice, house.alice, box.id)).subscribed
    await store.set_metadata(bob, house.alice, box.id, [("/private/comment", b"bob's")])
    await store.set_metadata(alice, house.alice, box.id, [("/private/comment", b"alice's"), ("/shared/comment", b"ours")])
    assert await store.metadata(bob, house.alice, box.id) == {"/private/comment": b"bob's", "/shared/comment": b"ours"}
    with pytest.raises(NotPermitted):
        await store.set_metadata(bob, house.alice, box.id, [("/shared/comment", b"mine")])


async def test_an_address_with_a_separator_is_one_level(house: Office):
    name = b"a/b%@example.test"
    account = await add_account(house.store, name.decode())
    box = await house.store.find_mailbox(SERVER, account, ("INBOX",))
    await house.store.set_acl(SERVER, account, box.id, "bob@example.test", "add", parse_rights("lr"))
    (found,) = [one for one in await house.store.visible_mailboxes(Principal(house.bob), house.bob) if one.is_shared]
    assert found.path == (OTHER_USERS, "a%2Fb%25@example.test", "INBOX")
    assert await house.store.find_mailbox(Principal(house.bob), house.bob, found.path) == found
    with pytest.raises(NotFound):
        await house.store.find_mailbox(Principal(house.bob), house.bob, (OTHER_USERS, "a%2Fb%@example.test", "INBOX"))


async def test_a_removed_account_leaves_no_rights_and_no_marks(house: Office):
    store, bob = house.store, Principal(house.bob)
    box = await shared(house, "lrs")
    (uid,) = await append(store, house.alice, box)
    await store.store_flags(bob, house.alice, box.id, [uid], "add", SEEN)
    await house.database.write(lambda tx: accounts.remove_account(tx, house.bob, house.clock.now()), (house.bob,))
    assert len(await store.acl(Principal(house.alice), house.alice, box.id)) == 1
    house.clock.at += 1000
    while await store.clean():
        pass
    assert await left_over(house) == {"seen": 0, "viewer": 0, "acl": 0}
    assert await house.database.read(lambda tx: tx.one("SELECT sum(viewers) FROM mailbox")) == (0,)


# --- cost -----------------------------------------------------------------------------------------------------------


async def test_who_shares_nothing_never_asks_for_rights(office: Office):
    """FETCH, STORE, EXPUNGE and delivery look at nothing of this for the owner."""
    noting = Noting(office.database)
    office.store.database = noting  # type: ignore[assignment]
    alice, box = Principal(office.alice), await inbox(office)
    uids = await append(office.store, office.alice, box, 3, flags=DELETED)
    await office.store.mailbox(alice, office.alice, box.id)
    await office.store.snapshot(alice, office.alice, box.id, 0)
    await office.store.changes(alice, office.alice, box.id, ModSeq(0))
    await office.store.overviews(alice, office.alice, box.id, uids)
    await office.store.store_flags(alice, office.alice, box.id, uids, "add", SEEN, (b"$One",))
    await office.store.copy(alice, office.alice, box.id, uids, box.id)
    await office.store.expunge(alice, office.alice, box.id, None)
    assert noting.statements
    assert not [sql for sql in noting.statements if any(f" {table} " in sql for table in ("acl", "viewer", "seen"))]


async def test_every_statement_of_sharing_goes_by_an_index(house: Office):
    noting = Noting(house.database)
    house.store.database = noting  # type: ignore[assignment]
    await test_what_is_expunged_is_not_counted_as_seen_any_more(house)
    await test_a_copy_in_another_account_is_an_email_of_that_account(house, True)
    await noting.write(lambda tx: viewers.forget_viewer(tx, house.bob), ())
    await house.store.visible_mailboxes(Principal(house.bob), house.bob)
    await noting.write(lambda tx: mailboxes.subscribe(tx, house.bob, (*ALICE, "x"), True), (house.bob,))
    for sql in noting.statements:
        if any(f" {table}" in sql for table in ("acl", "viewer", "seen")) and "count(*) FROM" not in sql:
            await explain(house.database, sql)


async def test_counters_hold_when_all_work_at_once(house: Office):
    """Two viewers mark, the owner marks, moves and expunges, mail arrives, and a copy goes each way, on two workers."""
    store, other = house.store, house.again()
    alice, bob = Principal(house.alice), Principal(house.bob)
    carol = await add_account(store, "carol@example.test")
    box, done = await shared(house, "lrswite", "anyone"), await shared(house, "lrswite", "anyone", path=("Done",))
    mine = await inbox(house, house.bob)
    uids = [await letter(house, house.alice, box, f"{n}@x") for n in range(12)]
    theirs = [await letter(house, house.bob, mine, f"{n}@y") for n in range(4)]
    works = []
    for n in range(12):
        some = uids[n % 5 :: 2]
        works += [
            store.store_flags(bob, house.alice, box.id, some, "add" if n % 3 else "remove", SEEN),
            other.store_flags(Principal(carol), house.alice, box.id, some, "add", SEEN | FLAGGED),
            store.store_flags(alice, house.alice, box.id, some[:2], "add" if n % 2 else "remove", SEEN),
        ]
    works += [
        other.move(alice, house.alice, box.id, uids[:3], done.id),
        store.remove(alice, house.alice, box.id, uids[3:5]),
        other.move(bob, house.alice, box.id, uids[5:7], mine.id, house.bob),
        store.move(bob, house.bob, mine.id, theirs[:2], box.id, house.alice),
        other.copy(Principal(carol), house.alice, box.id, uids[7:], done.id),
    ]
    await asyncio.gather(*works)
    for place in (box, done):
        for viewer in (house.bob, carol, house.alice):
            rows = await seen_by(house, viewer, place)
            row = await store.mailbox(Principal(viewer), house.alice, place.id)
            assert (row.total, row.unseen) == (len(rows), sum(not flags & SEEN for _, flags in rows))
    octets = "SELECT coalesce(sum(size), 0) FROM placement WHERE account_id = ?"
    for account in (house.alice, house.bob):
        size = await house.database.read(lambda tx, account=account: tx.one(octets, account))  # type: ignore[misc]
        assert (await used(house))[account] == size[0]
