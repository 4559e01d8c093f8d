"""What changed between two looks at an account's mailboxes, and who wants to hear of it (RFC 5465)."""

from __future__ import annotations

import time

import pytest

from postillon.model.ids import AccountId, MailboxId, ModSeq, Uid
from postillon.model.mail import Mailbox
from postillon.protocols.imap.commands import StatusAttribute
from postillon.protocols.imap.extension_commands import EventGroup, MailboxFilter, NotifyEvent, Scope
from postillon.servers.imap.notifications import MESSAGES, Interest, Picture, annotated, listed, moved, renamed, status_wanted


def box(number: int, name: str, *, total: int = 0, uidnext: int = 1, unseen: int = 0, modseq: int = 1) -> Mailbox:
    path = tuple(name.split("/"))
    return Mailbox(AccountId(1), MailboxId(number), path, "", False, True, 1, Uid(uidnext), ModSeq(modseq), total, unseen, 0, 0)


def picture(*boxes: Mailbox, **metadata: dict[str, bytes]) -> Picture:
    return Picture({one.id: one for one in boxes}, frozenset(), {int(key[1:]): value for key, value in metadata.items()})


def test_children_that_go_along_with_their_parent_are_not_told():
    old = picture(box(1, "a"), box(2, "a/b"), box(3, "a/b/c"), box(4, "d"))
    new = picture(box(1, "x"), box(2, "x/b"), box(3, "x/b/z"), box(4, "d"))
    assert [(one.path, before) for one, before in renamed(old, new)] == [
        (("x",), ("a",)),
        (("x", "b", "z"), ("a", "b", "c")),
    ]
    assert listed(old, new) == []


def test_names_that_come_and_go_are_told_with_their_parents():
    old = picture(box(1, "a"), box(2, "a/b"))
    new = picture(box(1, "a"), box(3, "c"))
    assert listed(old, new) == [("a",), ("a", "b"), ("c",)]


@pytest.mark.parametrize(
    ("scope", "names", "meant"),
    [
        (Scope.PERSONAL, (), ["INBOX", "a", "a/b", "a/b/c", "ab"]),
        (Scope.SUBTREE, ("a",), ["a", "a/b", "a/b/c"]),
        (Scope.SUBTREE_ONE, ("a",), ["a", "a/b"]),
        (Scope.MAILBOXES, ("a/b", "INBOX", "nowhere"), ["INBOX", "a/b"]),
        (Scope.SUBSCRIBED, (), ["ab"]),
        (Scope.SELECTED, (), []),
    ],
)
def test_which_mailboxes_are_meant(scope: Scope, names: tuple[str, ...], meant: list[str]):
    interest = Interest((EventGroup(MailboxFilter(scope, names), MESSAGES),))
    subscribed = frozenset({("ab",)})
    everything = ["INBOX", "a", "a/b", "a/b/c", "ab"]
    assert [name for name in everything if interest.events(tuple(name.split("/")), subscribed)] == meant


def test_inbox_is_meant_in_any_case_also_as_a_parent():
    interest = Interest((EventGroup(MailboxFilter(Scope.MAILBOXES, ("inbox/lists",)), MESSAGES),))
    assert interest.events(("INBOX", "lists"), frozenset()) == MESSAGES
    assert not interest.events(("INBOX", "Lists"), frozenset())


@pytest.mark.parametrize("scope", [Scope.MAILBOXES, Scope.SUBTREE, Scope.SUBTREE_ONE])
def test_ten_thousand_names_are_looked_at_once(scope: Scope):
    interest = Interest((EventGroup(MailboxFilter(scope, tuple(f"a/{n}" for n in range(10_000))), MESSAGES),))
    before = time.process_time()
    found = [interest.events(("a", str(n)), frozenset()) for n in range(9_000, 11_000)]
    assert time.process_time() - before < 1  # once for each mailbox would be some ten seconds
    assert found == [MESSAGES] * 1000 + [frozenset()] * 1000


def test_only_what_was_asked_for_counts_as_news():
    before = box(1, "a", total=3, uidnext=4, unseen=1, modseq=9)
    arrived, seen, flagged = (
        box(1, "a", total=4, uidnext=5, unseen=2, modseq=10),
        box(1, "a", total=3, uidnext=4, unseen=0, modseq=10),
        box(1, "a", total=3, uidnext=4, unseen=1, modseq=10),
    )
    flags = MESSAGES | {NotifyEvent.FLAG_CHANGE}
    assert moved(before, arrived, MESSAGES, condstore=False)
    assert not moved(before, arrived, frozenset((NotifyEvent.MAILBOX_NAME,)), condstore=True)
    assert not moved(before, seen, MESSAGES, condstore=True)
    assert moved(before, seen, flags, condstore=False)
    assert moved(before, flagged, flags, condstore=True)
    assert not moved(before, flagged, flags, condstore=False)
    assert StatusAttribute.HIGHESTMODSEQ in status_wanted(MESSAGES, condstore=True)
    assert status_wanted(frozenset((NotifyEvent.MAILBOX_NAME,)), condstore=True) == ()


def test_annotations_that_changed_or_went_are_named():
    old = picture(box(1, "a"), m1={"/private/a": b"1", "/private/b": b"1"}, m0={"/private/x": b"1"})
    new = picture(box(1, "a"), m1={"/private/a": b"2", "/private/c": b"1"}, m0={"/private/x": b"1"})
    assert list(annotated(old, new)) == [(1, ["/private/a", "/private/b", "/private/c"])]
