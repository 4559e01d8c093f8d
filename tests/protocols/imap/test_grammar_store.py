"""STORE, COPY, MOVE, EXPUNGE: RFC 3501 §6.4, RFC 4315, 6851, 7162."""

import pytest

from postillon.protocols.imap import commands as c
from postillon.protocols.imap.sequence import SAVED, STAR, SequenceSet

from .driver import is_bad, request

TWO_TO_FOUR = SequenceSet(((2, 4),))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"STORE 2:4 +FLAGS (\\Deleted)", c.Store(False, TWO_TO_FOUR, "add", (b"\\Deleted",))),
        (b"UID STORE 2:4 -flags.silent (\\seen $Junk)", c.Store(True, TWO_TO_FOUR, "remove", (b"\\Seen", b"$Junk"), True)),
        (b"STORE 2:4 FLAGS ()", c.Store(False, TWO_TO_FOUR, "replace", ())),
        (b"STORE 2:4 FLAGS \\ANSWERED Work work Work", c.Store(False, TWO_TO_FOUR, "replace", (b"\\Answered", b"Work", b"work"))),
        (b"STORE $ +FLAGS (\\Flagged)", c.Store(False, SAVED, "add", (b"\\Flagged",))),
        (
            b"UID STORE 2:4 (UNCHANGEDSINCE 12121230045) +FLAGS.SILENT (\\Deleted)",
            c.Store(True, TWO_TO_FOUR, "add", (b"\\Deleted",), True, 12121230045),
        ),
        (b"STORE 2:4 (UNCHANGEDSINCE 0) FLAGS x", c.Store(False, TWO_TO_FOUR, "replace", (b"x",), False, 0)),
        (b"COPY 2:4 MEETING", c.Copy(False, TWO_TO_FOUR, "MEETING")),
        (b"UID COPY $ inbox", c.Copy(True, SAVED, "INBOX")),
        (b"MOVE 2:4 foo", c.Move(False, TWO_TO_FOUR, "foo")),
        (b"UID MOVE * Entw&APw-rfe", c.Move(True, SequenceSet(((STAR, STAR),)), "Entwürfe")),
        (b"EXPUNGE", c.Expunge()),
        (b"UID EXPUNGE 2:4", c.Expunge(TWO_TO_FOUR)),
    ],
)
def test_they_are_understood(line, value):
    assert request(line) == value


def test_the_uid_form_shows():
    assert request(b"UID EXPUNGE 1").uid and not request(b"EXPUNGE").uid


def test_broken_ones_are_bad():
    is_bad(
        [
            b"STORE 1 FLAGS",
            b"STORE 1 FLAGS ",
            b"STORE 1 FLAGS (\\Recent)",
            b"STORE 1 FLAGS (\\Foo)",
            b"STORE 1 FLAGS (\\*)",
            b"STORE 1 FLAGS (a  b)",
            b"STORE 1 FLAGS (a",
            b"STORE 1 FLAGS a)",
            b"STORE 1 FLAGS (a]b)",
            b'STORE 1 FLAGS ("a")',
            b"STORE 1 *FLAGS (a)",
            b"STORE 1 FLAGS.LOUD (a)",
            b"STORE 0 FLAGS (a)",
            b"STORE 1 (UNCHANGEDSINCE) FLAGS (a)",
            b"STORE 1 (UNCHANGEDSINCE -1) FLAGS (a)",
            b"STORE 1 (UNCHANGEDSINCE 1)FLAGS (a)",
            b"STORE 1 (CHANGEDSINCE 1) FLAGS (a)",
            b"COPY 1",
            b"COPY INBOX",
            b"MOVE 1 a b",
            b"UID EXPUNGE",
            b"UID NOOP",
            b"UID",
            b"EXPUNGE 1",
        ]
    )
