"""What only extensions have: RFC 4314, 4467, 5255, 5267, 5464, 5465, 5524, 7377, 9208, 9698."""

import pytest

from postillon.protocols.imap import extension_commands as x
from postillon.protocols.imap import search_keys as k
from postillon.protocols.imap.commands import SearchReturn
from postillon.protocols.imap.extension_commands import EventGroup, MailboxFilter, NotifyEvent, Scope
from postillon.protocols.imap.fetch_attributes import Attribute, Kind, Section

from .driver import complaint, is_bad, request

NEW_AND_GONE = frozenset((NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE))
SELECTED = MailboxFilter(Scope.SELECTED)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"SETACL INBOX/Drafts Byron lrswikda", x.SetAcl("INBOX/Drafts", "Byron", "replace", "lrswikda")),
        (b"SETACL x anyone +rr", x.SetAcl("x", "anyone", "add", "r")),
        (b'SETACL x -fred "-lrs"', x.SetAcl("x", "-fred", "remove", "lrs")),
        (b'SETACL x fred ""', x.SetAcl("x", "fred", "replace", "")),
        (b"DELETEACL INBOX Fred", x.DeleteAcl("INBOX", "Fred")),
        (b"GETACL inbox", x.GetAcl("INBOX")),
        (b"LISTRIGHTS ~/Mail/saved smith", x.ListRights("~/Mail/saved", "smith")),
        (b"MYRIGHTS Entw&APw-rfe", x.MyRights("Entwürfe")),
        (b'GETQUOTA ""', x.GetQuota("")),
        (b'GETQUOTA "!partition/sda4"', x.GetQuota("!partition/sda4")),
        (b"GETQUOTAROOT INBOX", x.GetQuotaRoot("INBOX")),
        (b'SETQUOTA "" (STORAGE 512 message 7)', x.SetQuota("", (("STORAGE", 512), ("MESSAGE", 7)))),
        (b'SETQUOTA "" ()', x.SetQuota("", ())),
    ],
)
def test_access_and_quota(line, value):
    assert request(line) == value


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b'GETMETADATA "" /shared/Comment', x.GetMetadata("", ("/shared/comment",))),
        (
            b'GETMETADATA "INBOX" ("/shared/comment" /private/comment)',
            x.GetMetadata("INBOX", ("/shared/comment", "/private/comment")),
        ),
        (b'GETMETADATA (DEPTH 1) "INBOX" (/private/filters)', x.GetMetadata("INBOX", ("/private/filters",), depth="1")),
        (b'GETMETADATA "INBOX" (MAXSIZE 1024) /shared/a', x.GetMetadata("INBOX", ("/shared/a",), 1024)),
        (b"GETMETADATA (MAXSIZE 5 DEPTH Infinity) x /private/a", x.GetMetadata("x", ("/private/a",), 5, "infinity")),
        (
            b'SETMETADATA INBOX (/private/Comment "My new comment" /shared/a NIL)',
            x.SetMetadata("INBOX", (("/private/comment", b"My new comment"), ("/shared/a", None))),
        ),
        (
            b"SETMETADATA INBOX (/private/a ~{3+}\r\na\0b /private/b {2+}\r\ncd)",
            x.SetMetadata("INBOX", (("/private/a", b"a\0b"), ("/private/b", b"cd"))),
        ),
    ],
)
def test_metadata(line, value):
    assert request(line) == value


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"NOTIFY NONE", x.Notify()),
        (
            b"NOTIFY SET (selected (MessageNew MessageExpunge))",
            x.Notify((EventGroup(SELECTED, NEW_AND_GONE),)),
        ),
        (
            b"notify set status (personal (mailboxName subscriptionChange)) (inboxes none)",
            x.Notify(
                (
                    EventGroup(
                        MailboxFilter(Scope.PERSONAL), frozenset((NotifyEvent.MAILBOX_NAME, NotifyEvent.SUBSCRIPTION_CHANGE))
                    ),
                    EventGroup(MailboxFilter(Scope.INBOXES), frozenset()),
                ),
                True,
            ),
        ),
        (
            b"NOTIFY SET (selected-delayed (MessageNew (uid body.peek[header.fields (from)]) MessageExpunge FlagChange)) "
            b"(subtree (a Entw&APw-rfe) (MessageNew MessageExpunge)) (mailboxes misc (MessageNew MessageExpunge))",
            x.Notify(
                (
                    EventGroup(
                        MailboxFilter(Scope.SELECTED_DELAYED),
                        NEW_AND_GONE | {NotifyEvent.FLAG_CHANGE},
                        (Attribute.UID, Section(b"BODY[HEADER.FIELDS (from)]", kind=Kind.FIELDS, fields=(b"from",))),
                    ),
                    EventGroup(MailboxFilter(Scope.SUBTREE, ("a", "Entwürfe")), NEW_AND_GONE),
                    EventGroup(MailboxFilter(Scope.MAILBOXES, ("misc",)), NEW_AND_GONE),
                )
            ),
        ),
        (b"ESEARCH SEEN", x.SearchMailboxes(k.HasFlag(b"\\Seen"))),
        (
            b'ESEARCH IN (mailboxes "folder1" subtree-one (a b) selected) RETURN (MIN) CHARSET UTF-8 TEXT x',
            x.SearchMailboxes(
                k.Text("x"),
                (MailboxFilter(Scope.MAILBOXES, ("folder1",)), MailboxFilter(Scope.SUBTREE_ONE, ("a", "b")), SELECTED),
                SearchReturn(min=True),
            ),
        ),
        (b'CANCELUPDATE "B01" "B02"', x.CancelUpdate((b"B01", b"B02"))),
    ],
)
def test_notify_and_searches_over_mailboxes(line, value):
    assert request(line) == value


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"RESETKEY", x.ResetKey()),
        (b"RESETKEY INBOX internal", x.ResetKey("INBOX", ("INTERNAL",))),
        (
            b'GENURLAUTH "imap://joe@example.com/INBOX/;uid=20;urlauth=submit+fred" INTERNAL u internal',
            x.GenUrlAuth(((b"imap://joe@example.com/INBOX/;uid=20;urlauth=submit+fred", "INTERNAL"), (b"u", "INTERNAL"))),
        ),
        (b'URLFETCH "imap://x" y', x.UrlFetch((x.UrlWanted(b"imap://x"), x.UrlWanted(b"y")))),
        (
            b'URLFETCH ("imap://x" BODYPARTSTRUCTURE binary)',
            x.UrlFetch((x.UrlWanted(b"imap://x", ("BODYPARTSTRUCTURE", "BINARY")),)),
        ),
        (b"LANGUAGE", x.Language()),
        (b'LANGUAGE de-AT fr "*"', x.Language(("de-AT", "fr", "*"))),
        (b"GETJMAPACCESS", x.GetJmapAccess()),
        (b"UIDBATCHES 2000", x.UidBatches(2000)),
        (b"UIDBATCHES 2000 10:20", x.UidBatches(2000, (10, 20))),
    ],
)
def test_others(line, value):
    assert request(line) == value


def test_an_event_that_is_not_known_is_no():
    """RFC 5465 §5: the code lists those that are."""
    response = complaint(b"NOTIFY SET (personal (FooBar))")
    assert response.startswith(b"t NO [BADEVENT (MessageNew MessageExpunge ")


def test_broken_ones_are_bad():
    is_bad(
        [
            b"SETACL INBOX fred",
            b"SETACL INBOX fred LRS",
            b"SETACL INBOX fred +-l",
            b"GETACL",
            b"GETACL a b",
            b"LISTRIGHTS a",
            b"DELETEACL a",
            b"GETQUOTA",
            b"SETQUOTA x",
            b"SETQUOTA x (STORAGE)",
            b"SETQUOTA x (STORAGE -1)",
            b"GETMETADATA x",
            b"GETMETADATA x comment",
            b"GETMETADATA x ()",
            b"GETMETADATA x (/a/)",
            b"GETMETADATA x (/a//b)",
            b"GETMETADATA x /a*",
            b'GETMETADATA x "/a%"',
            b"GETMETADATA (DEPTH 2) x /a",
            b"GETMETADATA (DEPTH 1) x (MAXSIZE 5) /a",
            b"GETMETADATA (FOO 1) x /a",
            b"SETMETADATA x ()",
            b"SETMETADATA x (/a)",
            b"SETMETADATA x (/a b)",
            b"SETMETADATA x /a NIL",
            b"SETMETADATA x (/a {3+}\r\na\0b)",
            b"NOTIFY",
            b"NOTIFY bogus",
            b"NOTIFY NONE ",
            b"NOTIFY SET",
            b"NOTIFY SET STATUS",
            b"NOTIFY SET STATUS ()",
            b"NOTIFY SET (foo (MessageNew MessageExpunge))",
            b"NOTIFY SET (personal MessageNew)",
            b"NOTIFY SET (personal ())",
            b"NOTIFY SET (personal (MessageNew) )",
            b"NOTIFY SET (selected (MailboxName))",
            b"NOTIFY SET (selected (MessageNew))",
            b"NOTIFY SET (selected (FlagChange))",
            b"NOTIFY SET (personal (MessageNew (UID) MessageExpunge))",
            b"NOTIFY SET (selected (MessageNew () MessageExpunge))",
            b"NOTIFY SET (selected NONE) (selected-delayed NONE)",
            b"NOTIFY SET (mailboxes (MessageNew MessageExpunge))",
            b"ESEARCH",
            b"ESEARCH IN () SEEN",
            b"ESEARCH IN (selected-delayed) SEEN",
            b"ESEARCH IN (selected)",
            b"CANCELUPDATE",
            b"CANCELUPDATE x",
            b"RESETKEY ",
            b"GENURLAUTH",
            b"GENURLAUTH x",
            b"URLFETCH",
            b"URLFETCH (x BODY BINARY)",
            b"URLFETCH (x FOO)",
            b"URLFETCH (x",
            b"GETJMAPACCESS now",
            b"UIDBATCHES",
            b"UIDBATCHES 0",
            b"UIDBATCHES 2000 20:10",
            b"UIDBATCHES 2000 5",
        ]
    )
