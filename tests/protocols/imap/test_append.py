"""APPEND, MULTIAPPEND, CATENATE and REPLACE, streamed: RFC 3501 §6.3.11, RFC 3502, 3516, 4469, 6855, 8508."""

import pytest

from postillon.protocols.imap import commands as c
from postillon.protocols.imap.commands import Append, AppendMessage, LiteralPart, Replace, UrlPart
from postillon.protocols.imap.events import (
    AppendStart,
    Command,
    Continue,
    LiteralChunk,
    LiteralEnd,
    LiteralStart,
    ProtocolError,
)
from postillon.protocols.imap.limits import ImapLimits
from postillon.protocols.imap.server import ServerEngine

from .driver import complaint, engine_after_login, events_of

NOOP = Command(b"a", "NOOP", c.Noop())
CUT_OFF = ProtocolError(b"* BYE octets of a literal came without leave\r\n", True)


def appended(line: bytes) -> c.Request:
    """The command value of a whole APPEND or REPLACE (without tag and last CRLF)."""
    command = events_of(engine_after_login(), b"a " + line + b"\r\n")[-1]
    assert isinstance(command, Command), command
    return command.request


def test_a_message_is_streamed_as_it_arrives():
    engine = engine_after_login()
    events = engine.receive(b"a APPEND saved-messages (\\Seen) {10}\r\n")
    assert next(events) == AppendStart(b"a", "APPEND", Append("saved-messages"))
    assert next(events) == LiteralStart(10, True, False, 0, 0)
    assert engine.literal_go() == b"+ go ahead\r\n"
    assert list(events) == []
    assert list(engine.receive(b"Date")) == [LiteralChunk(b"Date")]
    assert list(engine.receive(b": 1\r\n\r")) == [LiteralChunk(b": 1\r\n\r"), LiteralEnd(False)]
    assert list(engine.receive(b"\r")) == []
    assert list(engine.receive(b"\n")) == [
        Command(b"a", "APPEND", Append("saved-messages", (AppendMessage((LiteralPart(10),), (b"\\Seen",)),)))
    ]


def test_without_waiting_nothing_is_said():
    engine = engine_after_login()
    events = engine.receive(b"a APPEND x {5+}\r\nhello\r\na NOOP\r\n")
    next(events)
    assert next(events) == LiteralStart(5, False, False, 0, 0)
    assert engine.literal_go() == b""
    assert list(events) == [
        LiteralChunk(b"hello"),
        LiteralEnd(False),
        Command(b"a", "APPEND", Append("x", (AppendMessage((LiteralPart(5),)),))),
        NOOP,
    ]


def test_flags_date_and_binary():
    assert appended(b'APPEND "Sent" (\\seen $Forwarded) "27-Dec-1993 16:06:40 +0100" {5+}\r\nhello') == Append(
        "Sent", (AppendMessage((LiteralPart(5),), (b"\\Seen", b"$Forwarded"), (757_004_800, 60)),)
    )
    assert appended(b'APPEND x " 7-Feb-1994 21:52:25 -0800" {1+}\r\nx').messages[0].date == (760_686_745, -480)
    assert appended(b"APPEND x () ~{3+}\r\na\0b") == Append("x", (AppendMessage((LiteralPart(3, binary=True),)),))
    assert appended(b"APPEND x UTF8 (~{3+}\r\na\0b)") == Append("x", (AppendMessage((LiteralPart(3, binary=True),)),))


def test_recent_is_not_for_the_client_to_set_but_copying_programs_send_it():
    assert appended(b"APPEND x (\\Recent \\Seen) {1+}\r\nx").messages[0].flags == (b"\\Seen",)


def test_a_nul_is_told():
    for literal, told in ((b"{3+}\r\na\0b", True), (b"~{3+}\r\na\0b", False), (b"{3+}\r\nabc", False)):
        assert LiteralEnd(told) in events_of(engine_after_login(), b"a APPEND x " + literal + b"\r\n")


def test_an_empty_literal_has_no_chunks():
    """RFC 3502 §6.3.11: it cancels the message; the session decides."""
    assert events_of(engine_after_login(), b"a APPEND x {0+}\r\n\r\n")[1:3] == [
        LiteralStart(0, False, False, 0, 0),
        LiteralEnd(False),
    ]


def test_several_messages():
    """RFC 3502."""
    line = b'a APPEND x (\\Seen) " 7-Feb-1994 22:43:04 -0800" {3+}\r\none {3+}\r\ntwo (\\Draft) {0+}\r\n\r\n'
    events = events_of(engine_after_login(), line)
    assert [event for event in events if isinstance(event, LiteralStart)] == [
        LiteralStart(3, False, False, 0, 0),
        LiteralStart(3, False, False, 1, 0),
        LiteralStart(0, False, False, 2, 0),
    ]
    assert [event.data for event in events if isinstance(event, LiteralChunk)] == [b"one", b"two"]
    assert events[-1].request.messages == (
        AppendMessage((LiteralPart(3),), (b"\\Seen",), (760_689_784, -480)),
        AppendMessage((LiteralPart(3),)),
        AppendMessage((LiteralPart(0),), (b"\\Draft",)),
    )


def test_catenate():
    """RFC 4469 §3."""
    line = (
        b'a APPEND Drafts (\\Draft) CATENATE (URL "/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER" '
        b"TEXT {4+}\r\nfrob URL {5+}\r\n/a;UI TEXT {2+}\r\nxy)\r\n"
    )
    events = events_of(engine_after_login(), line)
    assert events == [
        AppendStart(b"a", "APPEND", Append("Drafts")),
        LiteralStart(4, False, False, 0, 1, True),
        LiteralChunk(b"frob"),
        LiteralEnd(False),
        LiteralStart(2, False, False, 0, 3, True),
        LiteralChunk(b"xy"),
        LiteralEnd(False),
        events[-1],
    ]
    parts = (UrlPart(b"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER"), LiteralPart(4), UrlPart(b"/a;UI"), LiteralPart(2))
    assert events[-1] == Command(b"a", "APPEND", Append("Drafts", (AppendMessage(parts, (b"\\Draft",)),)))


def test_catenate_without_a_literal():
    assert events_of(engine_after_login(), b"a APPEND x CATENATE (URL u) CATENATE (URL v URL w)\r\n") == [
        AppendStart(b"a", "APPEND", Append("x")),
        Command(b"a", "APPEND", Append("x", (AppendMessage((UrlPart(b"u"),)), AppendMessage((UrlPart(b"v"), UrlPart(b"w")))))),
    ]
    many = b"a APPEND x" + b" CATENATE (URL u)" * 3000 + b"\r\n"
    assert len(events_of(engine_after_login(), many)[-1].request.messages) == 3000


def test_replace():
    """RFC 8508 §3."""
    message = AppendMessage((LiteralPart(3),), (b"\\Seen", b"\\Draft"))
    assert events_of(engine_after_login(), b"a REPLACE 4 Drafts (\\Seen \\Draft) {3+}\r\nabc\r\n") == [
        AppendStart(b"a", "REPLACE", Replace(False, 4, "Drafts")),
        LiteralStart(3, False, False, 0, 0),
        LiteralChunk(b"abc"),
        LiteralEnd(False),
        Command(b"a", "REPLACE", Replace(False, 4, "Drafts", message)),
    ]
    assert appended(b"UID REPLACE 2000 Drafts (\\Seen \\Draft) {3+}\r\nabc") == Replace(True, 2000, "Drafts", message)
    assert appended(b"replace * inbox {1+}\r\na").number == 0


def test_the_name_of_the_mailbox_may_be_a_literal_itself():
    engine = engine_after_login()
    assert events_of(engine, b"a APPEND {5}\r\n") == [Continue(b"+ go ahead\r\n")]
    assert events_of(engine, b"x (y) (\\Seen) {3+}\r\nabc\r\n")[-1] == Command(
        b"a", "APPEND", Append("x (y)", (AppendMessage((LiteralPart(3),), (b"\\Seen",)),))
    )


@pytest.mark.parametrize("at_start", [True, False])
def test_a_refused_message_does_not_come_if_the_client_waits(at_start):
    engine = engine_after_login()
    events = engine.receive(b"a APPEND x {5}\r\n")
    assert isinstance(next(events), AppendStart)
    if not at_start:
        assert isinstance(next(events), LiteralStart)
    assert engine.literal_refuse(b"a NO [TRYCREATE] no such mailbox\r\n") == b"a NO [TRYCREATE] no such mailbox\r\n"
    assert list(events) == []
    assert events_of(engine, b"a NOOP\r\n") == [NOOP]


@pytest.mark.parametrize("at_start", [True, False])
def test_a_refused_message_that_comes_anyway_is_read_over(at_start):
    engine = engine_after_login()
    events = engine.receive(b"a APPEND x {13+}\r\na DELETE x\r\n")
    assert isinstance(next(events), AppendStart)
    if not at_start:
        assert isinstance(next(events), LiteralStart)
    engine.literal_refuse(b"a NO no\r\n")
    assert list(events) == []
    assert engine.pending == 0
    assert events_of(engine, b"\n (\\Seen) {12+}\r\na DELETE x\r\n\r\na NOOP\r\n") == [NOOP]


def test_a_message_may_be_refused_half_way():
    engine = engine_after_login()
    events_of(engine, b"a APPEND x {20+}\r\n12345")
    assert engine.literal_refuse(b"a NO [OVERQUOTA] full\r\n") == b"a NO [OVERQUOTA] full\r\n"
    assert events_of(engine, b"678901234567890\r\na NOOP\r\n") == [NOOP]


def test_a_message_may_be_refused_when_all_of_it_has_come():
    engine = engine_after_login()
    events_of(engine, b"a APPEND x {5+}\r\n12345")
    engine.literal_refuse(b"a NO no\r\n")
    assert events_of(engine, b" (\\Seen) {5+}\r\n67890\r\na NOOP\r\n") == [NOOP]
    events = engine.receive(b"a APPEND x {5+}\r\n12345\r\na NOOP\r\n")
    assert [type(next(events)) for _ in range(2)] == [AppendStart, LiteralStart]
    engine.literal_go()
    assert next(events) == LiteralChunk(b"12345")
    engine.literal_refuse(b"a NO no\r\n")
    assert list(events) == [NOOP]


def test_a_catenation_without_a_literal_may_be_refused_at_its_start():
    engine = engine_after_login()
    events = engine.receive(b"a APPEND x CATENATE (URL u)\r\na NOOP\r\n")
    assert isinstance(next(events), AppendStart)
    engine.literal_refuse(b"a NO no\r\n")
    assert list(events) == [NOOP]


def test_a_refusal_that_comes_too_late_changes_nothing():
    engine = engine_after_login()
    assert isinstance(events_of(engine, b"a APPEND x {5+}\r\n12345 oops {30+}\r\n")[-1], ProtocolError)
    engine.literal_refuse(b"")
    assert events_of(engine, b"a DELETE x\r\na DELETE x\r\n123456\r\na NOOP\r\n") == [NOOP]


def test_a_refused_message_of_a_client_that_should_have_waited_cuts_it_off():
    engine = engine_after_login()
    events = engine.receive(b"a APPEND x {14}\r\na DELETE x\r\n\r\n")
    assert [type(next(events)) for _ in range(2)] == [AppendStart, LiteralStart]
    engine.literal_refuse(b"a NO no\r\n")
    assert list(events) == [CUT_OFF]


def test_a_refused_message_of_enormous_size_ends_the_connection():
    engine = engine_after_login()
    events = engine.receive(b"a APPEND x {9000000000+}\r\nabc")
    assert [type(next(events)) for _ in range(2)] == [AppendStart, LiteralStart]
    engine.literal_refuse(b"a NO [TOOBIG] too big\r\n")
    assert list(events) == [ProtocolError(b"* BYE too much that nobody asked for\r\n", True)]


def test_no_answer_is_a_refusal():
    engine = engine_after_login()
    assert list(engine.receive(b"a APPEND x {5}\r\n"))[-1] == ProtocolError(b"a NO [CANNOT] not now\r\n")
    assert list(engine.receive(b"a NOOP\r\n")) == [NOOP]


def test_nothing_is_streamed_before_login():
    engine = ServerEngine()
    refusal = ProtocolError(b"a BAD log in first\r\n")
    assert events_of(engine, b"a APPEND x {5}\r\n") == [refusal]
    assert events_of(engine, b"a APPEND x {5+}\r\nhello\r\na NOOP\r\n") == [refusal, NOOP]
    assert events_of(engine, b"a REPLACE 1 x CATENATE (URL u)\r\n") == [refusal]
    assert events_of(engine, b"a APPEND x {70000+}\r\n")[-1].close


def test_broken_ones_are_bad():
    for line in (
        b"APPEND",
        b"APPEND x",
        b"APPEND x ",
        b"APPEND x hello",
        b"APPEND x (\\Foo) {5}",
        b"APPEND x (\\Seen){5}",
        b"APPEND x () () {5}",
        b'APPEND x "31-Feb-2024 00:00:00 +0000" {5}',
        b'APPEND x "1-Feb-2024 00:00:00" {5}',
        b'APPEND x "01-Feb-2024 25:00:00 +0000" {5}',
        b'APPEND x "01-Feb-2024 00:00:00 +2400" {5}',
        b'APPEND x "01-Foo-2024 00:00:00 +0000" {5}',
        b'APPEND x "01-Feb-2024 00:00:00 +0000" () {5}',
        b"APPEND x CATENATE ()",
        b"APPEND x CATENATE (FOO y)",
        b"APPEND x CATENATE (URL u",
        b"APPEND x CATENATE (URL u) y",
        b"APPEND x CATENATE {5}",
        b"REPLACE x {5}",
        b"REPLACE 0 x {5}",
        b"REPLACE 1:2 x {5}",
        b"REPLACE 4294967296 x {5}",
        b"REPLACE 1 x CATENATE (URL u) CATENATE (URL v)",
        b"UID APPEND x {5}",
    ):
        assert complaint(line).startswith(b"t BAD "), line


def test_what_breaks_behind_the_message_comes_instead_of_the_command():
    for rest in (b" FOO", b"x", b" ", b" (\\Foo) {5}", b")"):
        engine = engine_after_login()
        events = events_of(engine, b"a APPEND x {5+}\r\nhello" + rest + b"\r\n")
        assert [type(event) for event in events] == [AppendStart, LiteralStart, LiteralChunk, LiteralEnd, ProtocolError]
        assert events[-1].response.startswith(b"a BAD APPEND: ")
        assert events_of(engine, b"a NOOP\r\n") == [NOOP]


def test_a_broken_line_behind_the_message_has_the_tag_of_the_command():
    engine = engine_after_login()
    events = events_of(engine, b"a APPEND x {5+}\r\nhello (\\Seen\n", b"\r\na NOOP\r\n")
    assert events[-2:] == [ProtocolError(b"a BAD lines must end with CR and LF\r\n"), NOOP]
    events = events_of(engine, b"a APPEND x {5+}\r\nhello" + b" " * 70000 + b"\r\na NOOP\r\n")
    assert events[-2:] == [ProtocolError(b"a BAD command is too long\r\n"), NOOP]


def test_what_stands_between_the_messages_is_bounded():
    engine = ServerEngine(ImapLimits(append_lines=1000), authenticated=True)
    events = events_of(engine, b"a APPEND x" + b" (a b c d e f) {1+}\r\nx" * 100 + b"\r\na NOOP\r\n")
    assert events[-2:] == [ProtocolError(b"a BAD command is too long\r\n"), NOOP]


def test_a_refusal_at_the_last_octet_reads_over_the_rest_of_the_line():
    engine = ServerEngine(authenticated=True)
    seen = []
    for event in engine.receive(b"a APPEND INBOX {2+}\r\nhi (\\Seen) {3+}\r\nyou\r\nb NOOP\r\n"):
        seen.append(type(event).__name__)
        if isinstance(event, LiteralStart):
            engine.literal_go()
        elif isinstance(event, LiteralChunk):
            engine.literal_refuse(b"a NO no\r\n")
    assert seen == ["AppendStart", "LiteralStart", "LiteralChunk", "Command"]
