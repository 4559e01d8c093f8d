"""Literals of ordinary commands: RFC 3501 §4.3, RFC 7888, RFC 3516."""

import tracemalloc

from postillon.protocols.imap import commands as c
from postillon.protocols.imap.events import Command, Continue, ProtocolError
from postillon.protocols.imap.server import ServerEngine

from .driver import engine_after_login, events_of

GO = Continue(b"+ go ahead\r\n")
NOOP = Command(b"a", "NOOP", c.Noop())
TOO_LARGE = ProtocolError(b"a BAD [TOOBIG] literal is too large\r\n")


def test_the_client_waits_for_leave():
    engine = ServerEngine()
    assert events_of(engine, b"a LOGIN {11}\r\n") == [GO]
    assert events_of(engine, b"FRED FOOBAR {7}\r\n") == [GO]
    assert events_of(engine, b"fat man\r\n") == [Command(b"a", "LOGIN", c.Login(b"FRED FOOBAR", b"fat man"))]


def test_the_client_does_not_wait():
    assert events_of(ServerEngine(), b"a LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man\r\n") == [
        Command(b"a", "LOGIN", c.Login(b"FRED FOOBAR", b"fat man"))
    ]


def test_a_literal_may_be_empty_or_hold_line_ends():
    assert events_of(ServerEngine(), b"a LOGIN {0+}\r\n {6+}\r\nx\r\ny\r\n\r\n") == [
        Command(b"a", "LOGIN", c.Login(b"", b"x\r\ny\r\n"))
    ]
    assert events_of(ServerEngine(), b"a LOGIN x {0}\r\n", b"\r\n") == [GO, Command(b"a", "LOGIN", c.Login(b"x", b""))]


def test_nul_is_refused():
    [event] = events_of(ServerEngine(), b"a LOGIN x {3+}\r\ny\0z\r\n")
    assert isinstance(event, ProtocolError) and b"NUL" in event.response


def test_an_error_before_the_literal_shows_at_once():
    engine = engine_after_login()
    for line, response in (
        (b"a FOO {5}", b"a BAD there is no such command\r\n"),
        (b"{5}", b"* BAD there is no command\r\n"),
        (b"a NOOP {5}", b"a BAD NOOP: no literal may stand here\r\n"),
        (b"a SELECT INBOX {5}", b'a BAD SELECT: "(" expected\r\n'),
        (b"a SELECT ~{5}", b"a BAD SELECT: "),
        (b"a SEARCH FOO {5}", b"a BAD SEARCH: there is no such search key\r\n"),
        (b"a SEARCH CHARSET X TEXT {5}", b"a NO [BADCHARSET"),
    ):
        [event] = events_of(engine, line + b"\r\n")
        assert isinstance(event, ProtocolError) and event.response.startswith(response), event
        assert events_of(engine, b"a NOOP\r\n") == [NOOP]


def test_an_error_before_a_literal_that_comes_anyway_does_not_make_it_a_command():
    engine = engine_after_login()
    for line in (b"a FOO {16+}", b"{16+}", b"a NOOP {16+}", b"a SEARCH FOO {16+}"):
        [event, after] = events_of(engine, line + b"\r\nb DELETE INBOX\r\n\r\na NOOP\r\n")
        assert isinstance(event, ProtocolError) and b" BAD " in event.response
        assert after == NOOP


def test_before_login_a_literal_has_at_most_four_kibibytes():
    engine = ServerEngine()
    assert events_of(engine, b"a LOGIN x {4096}\r\n") == [GO]
    assert events_of(engine, b"y" * 4096 + b"\r\n") == [Command(b"a", "LOGIN", c.Login(b"x", b"y" * 4096))]
    assert events_of(engine, b"a LOGIN x {4097}\r\n", b"a NOOP\r\n") == [TOO_LARGE, NOOP]
    assert events_of(engine, b"a LOGIN x {4097+}\r\n" + b"y" * 4097 + b"\r\na NOOP\r\n") == [TOO_LARGE, NOOP]


def test_before_login_a_command_has_at_most_eight_kibibytes():
    engine = ServerEngine()
    assert events_of(engine, b"a LOGIN {4096}\r\n", b"x" * 4096 + b" {4096}\r\n") == [GO, TOO_LARGE]
    assert events_of(engine, b"a NOOP\r\n") == [NOOP]


def test_after_login_a_command_has_at_most_64_kibibytes():
    engine = engine_after_login()
    assert events_of(engine, b"a SEARCH TEXT {65000}\r\n", b"x" * 65000 + b" TEXT {600}\r\n") == [GO, TOO_LARGE]
    assert events_of(engine, b"a SEARCH TEXT {65000+}\r\n" + b"x" * 65000 + b" TEXT " + b"y" * 600 + b"\r\na NOOP\r\n") == [
        ProtocolError(b"a BAD command is too long\r\n"),
        NOOP,
    ]


def test_literals_of_two_gibibytes_cost_nothing():
    tracemalloc.start()
    engines = [ServerEngine() for _ in range(500)]
    before = tracemalloc.take_snapshot()
    for engine in engines:
        assert events_of(engine, b"a LOGIN {2147483647}\r\n") == [TOO_LARGE]
        events = events_of(engine, b"a LOGIN {2147483647+}\r\n" + b"x" * 1000)
        assert events[0] == TOO_LARGE and events[1].close
        assert engine.pending == 0
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    grown = sum(difference.size_diff for difference in after.compare_to(before, "filename"))
    assert grown < 500 * 2048


def test_a_flood_that_must_be_read_over_ends_the_connection():
    assert events_of(ServerEngine(), b"a LOGIN {2147483647+}\r\n") == [
        TOO_LARGE,
        ProtocolError(b"* BYE too much that nobody asked for\r\n", True),
    ]
    assert events_of(ServerEngine(), b"a LOGIN {9999999999999999999+}\r\n")[-1].close


def test_after_login_what_is_too_large_is_read_over():
    engine = engine_after_login()
    assert events_of(engine, b"a SELECT {1000000+}\r\n") == [TOO_LARGE]
    for _ in range(100):
        assert events_of(engine, b"b DELETE x" * 1000) == []
        assert engine.pending == 0
    assert events_of(engine, b"\r\na NOOP\r\n") == [NOOP]


def test_who_does_not_wait_for_leave_is_cut_off_when_it_is_refused():
    """Else a message's text, sent on by a careless program, would be taken for commands."""
    engine = ServerEngine()
    assert events_of(engine, b"a LOGIN x {5000}\r\nb DELETE INBOX\r\n") == [
        TOO_LARGE,
        ProtocolError(b"* BYE octets of a literal came without leave\r\n", True),
    ]


def test_many_small_literals_are_bounded_too():
    engine = engine_after_login()
    events = events_of(engine, b"a SEARCH" + b" TEXT {1+}\r\nx" * 500 + b"\r\n")
    assert len(events) == 1 and isinstance(events[0], Command)
    events = events_of(engine, b"a SEARCH" + b" TEXT {1+}\r\nx" * 501 + b"\r\na NOOP\r\n")
    assert events == [TOO_LARGE, NOOP]
    assert events_of(engine, *[b"a SEARCH TEXT {1}\r\n"], *[b"x TEXT {1}\r\n"] * 20, b"x\r\n")[:-1] == [GO] * 21


def test_braces_that_announce_nothing_are_just_broken():
    engine = engine_after_login()
    for line in (
        b"a SELECT {}",
        b"a SELECT {x}",
        b"a SELECT {-1}",
        b"a SELECT {5-}",
        b"a SELECT {99999999999999999999}",
        b"a SELECT {5} ",
    ):
        [event] = events_of(engine, line + b"\r\n")
        assert isinstance(event, ProtocolError) and event.response.startswith(b"a BAD")
