"""Commands about mailboxes: RFC 3501 §6.3, RFC 9051 §6.3, RFC 6154, 7162, 8438."""

import pytest

from postillon.protocols.imap import commands as c
from postillon.protocols.imap.commands import StatusAttribute as S
from postillon.protocols.imap.sequence import SequenceSet

from .driver import complaint, is_bad, request


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"SELECT INBOX", c.Select("INBOX")),
        (b"select inbox", c.Select("INBOX")),
        (b'SELECT "inBox"', c.Select("INBOX")),
        (b"SELECT {5}\r\ninbox", c.Select("INBOX")),
        (b"EXAMINE blurdybloop", c.Select("blurdybloop", read_only=True)),
        (b"SELECT Entw&APw-rfe", c.Select("Entwürfe")),
        (b'SELECT "R&-D [x]"', c.Select("R&D [x]")),
        (b"SELECT INBOX (CONDSTORE)", c.Select("INBOX", condstore=True)),
        (b"CREATE owatagusiam/", c.Create("owatagusiam/")),
        (b"CREATE MyDrafts (USE (\\Drafts))", c.Create("MyDrafts", (b"\\Drafts",))),
        (b"CREATE Everything (USE (\\All \\Important))", c.Create("Everything", (b"\\All", b"\\Important"))),
        (b"DELETE blurdybloop", c.Delete("blurdybloop")),
        (b"RENAME blurdybloop sarasoop", c.Rename("blurdybloop", "sarasoop")),
        (b"RENAME INBOX old-mail", c.Rename("INBOX", "old-mail")),
        (b"SUBSCRIBE #news.comp.mail.mime", c.Subscribe("#news.comp.mail.mime")),
        (b"UNSUBSCRIBE #news.comp.mail.mime", c.Unsubscribe("#news.comp.mail.mime")),
        (b"STATUS blurdybloop (UIDNEXT MESSAGES)", c.Status("blurdybloop", (S.UIDNEXT, S.MESSAGES))),
        (b"STATUS x (size SIZE deleted)", c.Status("x", (S.SIZE, S.DELETED))),
        (b"STATUS x (HIGHESTMODSEQ APPENDLIMIT MAILBOXID)", c.Status("x", (S.HIGHESTMODSEQ, S.APPENDLIMIT, S.MAILBOXID))),
        (b"NAMESPACE", c.Namespace()),
        (b"CHECK", c.Check()),
        (b"CLOSE", c.Close()),
        (b"UNSELECT", c.Unselect()),
        (b"IDLE", c.Idle()),
    ],
)
def test_they_are_understood(line, value):
    assert request(line) == value


@pytest.mark.parametrize(
    ("parameters", "value"),
    [
        (b"67890007 20050715194045000", c.QResync(67890007, 20050715194045000)),
        (
            b"67890007 90060115194045000 41:211,214:541",
            c.QResync(67890007, 90060115194045000, SequenceSet(((41, 211), (214, 541)))),
        ),
        (
            b"67890007 90060115194045000 41:211,214:541 (1:3,5 41:43,45)",
            c.QResync(
                67890007,
                90060115194045000,
                SequenceSet(((41, 211), (214, 541))),
                (SequenceSet(((1, 3), (5, 5))), SequenceSet(((41, 43), (45, 45)))),
            ),
        ),
        (b"1 2 (1 9)", c.QResync(1, 2, None, (SequenceSet(((1, 1),)), SequenceSet(((9, 9),))))),
    ],
)
def test_quick_resynchronisation(parameters, value):
    """RFC 7162 §3.2.5."""
    assert request(b"SELECT INBOX (QRESYNC (" + parameters + b"))") == c.Select("INBOX", qresync=value)
    assert request(b"EXAMINE INBOX (CONDSTORE QRESYNC (" + parameters + b"))") == c.Select("INBOX", True, True, value)


def test_broken_ones_are_bad():
    is_bad(
        [
            b"SELECT",
            b"SELECT a b",
            b"SELECT (a)",
            b"SELECT a*",
            b"SELECT INBOX ()",
            b"SELECT INBOX (FOO)",
            b"SELECT INBOX (CONDSTORE",
            b"SELECT INBOX (QRESYNC)",
            b"SELECT INBOX (QRESYNC (1))",
            b"SELECT INBOX (QRESYNC (0 1))",
            b"SELECT INBOX (QRESYNC (1 0))",
            b"SELECT INBOX (QRESYNC (1 2 1:*))",
            b"SELECT INBOX (QRESYNC (1 2 1:5 (1 2) 3))",
            b"SELECT INBOX (QRESYNC (1 9223372036854775808))",
            b"SELECT INBOX (QRESYNC (1 2) QRESYNC (1 2))",
            b"CREATE x (USE)",
            b"CREATE x (USE (Drafts))",
            b"CREATE x (FOO (\\Drafts))",
            b"DELETE",
            b"RENAME a",
            b"RENAME a b c",
            b"STATUS x",
            b"STATUS x ()",
            b"STATUS x MESSAGES",
            b"STATUS x (MESSAGES  UNSEEN)",
            b"STATUS x (FOO)",
            b"IDLE now",
            'SELECT "Entwürfe"'.encode(),
        ]
    )


def test_names_that_cannot_be_are_no():
    assert complaint(b"SELECT a&b").startswith(b"t NO [CANNOT] ")
    assert complaint(b"SELECT &AGE-").startswith(b"t NO [CANNOT] ")
    assert complaint(b'CREATE "a\tb"').startswith(b"t NO [CANNOT] ")
    assert complaint(b"CREATE &AAo-").startswith(b"t NO [CANNOT] ")
    assert complaint(b'CREATE "a\x7fb"', utf8=True).startswith(b"t NO [CANNOT] ")
    assert complaint(b'CREATE "a\xffb"', utf8=True).startswith(b"t NO [CANNOT] ")
    assert complaint(b'CREATE "a\xed\xa0\x80b"', utf8=True).startswith(b"t NO [CANNOT] ")


def test_names_are_utf8_once_that_is_enabled():
    assert request('SELECT "Entwürfe"'.encode(), utf8=True) == c.Select("Entwürfe")
    assert request(b"SELECT R&-D", utf8=True) == c.Select("R&-D")
    assert request(b"SELECT a&b", utf8=True) == c.Select("a&b")
