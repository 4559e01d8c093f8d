"""Lines, broken ones, and the modes of the engine: RFC 3501 §2.2, §6.2.1, §6.2.2, RFC 2177."""

import base64

from postillon.protocols.imap import commands as c
from postillon.protocols.imap.events import AuthResponse, Command, IdleDone, ProtocolError
from postillon.protocols.imap.limits import ImapLimits
from postillon.protocols.imap.server import ServerEngine

from .driver import engine_after_login, events_of

NOOP = Command(b"a", "NOOP", c.Noop())


def bad(response: bytes) -> ProtocolError:
    return ProtocolError(response)


def test_a_line_may_arrive_in_pieces():
    engine = ServerEngine()
    assert events_of(engine, b"a NO") == []
    assert events_of(engine, b"OP\r") == []
    assert events_of(engine, b"\n") == [NOOP]


def test_pipelined_commands_come_one_by_one():
    engine = ServerEngine()
    events = engine.receive(b"a NOOP\r\nb LOGIN x y\r\nc SEL")
    assert next(events) == NOOP
    assert next(events) == Command(b"b", "LOGIN", c.Login(b"x", b"y"))
    assert list(events) == []
    assert engine.pending == 5


def test_what_the_session_sets_holds_for_the_next_pipelined_command():
    engine = engine_after_login()
    events = engine.receive('a ENABLE UTF8=ACCEPT\r\nb SELECT "ä"\r\n'.encode())
    assert next(events) == Command(b"a", "ENABLE", c.Enable(("UTF8=ACCEPT",)))
    engine.utf8 = True
    assert next(events) == Command(b"b", "SELECT", c.Select("ä"))


def test_broken_commands_are_answered_and_the_connection_lives():
    engine = engine_after_login()
    assert events_of(
        engine,
        b"\r\n",
        b"a\r\n",
        b" NOOP\r\n",
        b"+ NOOP\r\n",
        b"a FOO\r\n",
        b"a  NOOP\r\n",
        b'"a" NOOP\r\n',
        b"\xff\xfe NOOP\r\n",
        b"a\0 NOOP\r\n",
    ) == [
        bad(b"* BAD there must be a tag first\r\n"),
        bad(b"a BAD there is no command\r\n"),
        bad(b"* BAD there must be a tag first\r\n"),
        bad(b"* BAD there must be a tag first\r\n"),
        bad(b"a BAD there is no such command\r\n"),
        bad(b"a BAD there is no command\r\n"),
        bad(b"* BAD there must be a tag first\r\n"),
        bad(b"* BAD there must be a tag first\r\n"),
        bad(b"* BAD there must be a tag first\r\n"),
    ]
    assert events_of(engine, b"a NOOP\r\n") == [NOOP]


def test_what_was_sent_is_never_echoed_but_the_tag():
    [event] = events_of(ServerEngine(), b"a <script>evil</script>\r\n")
    assert event == bad(b"a BAD there is no command\r\n")
    [event] = events_of(ServerEngine(), b"a SELECT INBOX (EVIL)\r\n")
    assert isinstance(event, ProtocolError) and b"EVIL" not in event.response


def test_after_twenty_broken_commands_the_server_hangs_up():
    engine = ServerEngine()
    events = events_of(engine, b"a FOO\r\n" * 30)
    assert len(events) == 20
    assert all(event == bad(b"a BAD there is no such command\r\n") for event in events[:-1])
    assert events[-1] == ProtocolError(b"a BAD there is no such command\r\n* BYE too many broken commands\r\n", True)
    assert events_of(engine, b"a NOOP\r\n") == []


def test_after_login_a_right_command_starts_the_count_again():
    engine = engine_after_login()
    assert not any(event.close for event in events_of(engine, b"a FOO\r\na NOOP\r\n" * 30) if isinstance(event, ProtocolError))
    early = events_of(ServerEngine(), b"a FOO\r\na NOOP\r\n" * 30)
    assert isinstance(early[-1], ProtocolError) and early[-1].close


def test_the_session_counts_its_own_bads_too():
    engine = ServerEngine(ImapLimits(bads=2))
    assert engine.bad(b"a", "not in this state") == bad(b"a BAD not in this state\r\n")
    assert engine.bad(b"b", "not in this state").close


def test_browsers_are_shown_the_door():
    for line in (
        b"GET / HTTP/1.1",
        b"POST /a?b=c HTTP/1.0",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT host:443 HTTP/1.1",
        b"PUT noop HTTP/1.1",
    ):
        engine = ServerEngine()
        assert events_of(engine, line + b"\r\nHost: x\r\n\r\na LOGOUT\r\n") == [
            ProtocolError(b"* BYE this is an IMAP server\r\n", True)
        ]


def test_a_line_that_is_too_long_is_refused_and_skipped():
    for engine, size in ((ServerEngine(), 8 * 1024), (engine_after_login(), 64 * 1024)):
        fits = b"a LOGIN x " + b"y" * (size - 10)
        assert isinstance(events_of(engine, fits + b"\r\n")[0], Command)
        assert events_of(engine, fits + b"y\r\na NOOP\r\n") == [bad(b"a BAD command is too long\r\n"), NOOP]
        assert events_of(engine, fits + b"yyy") == [bad(b"a BAD command is too long\r\n")]
        assert engine.pending == 0
        assert events_of(engine, b"y" * 1000 + b"\r", b"\na NOOP\r\n") == [NOOP]


def test_a_line_without_end_is_not_kept_and_ends_the_connection_before_login():
    engine = ServerEngine()
    events = []
    for _ in range(100):
        events += events_of(engine, b"x" * 4096)
        assert engine.pending <= 8 * 1024 + 4096
    assert events == [bad(b"* BAD command is too long\r\n"), ProtocolError(b"* BYE too much that nobody asked for\r\n", True)]


def test_a_skipped_line_takes_its_literal_with_it():
    engine = engine_after_login()
    line = b"a LOGIN x " + b"y" * 70000 + b" {16+}\r\nb DELETE INBOX\r\n {10+}\r\nc NOOP\r\nxx\r\n"
    assert events_of(engine, line, b"a NOOP\r\n") == [bad(b"a BAD command is too long\r\n"), NOOP]


def test_a_bare_line_feed_ends_no_command():
    engine = engine_after_login()
    assert events_of(engine, b"a NOOP\n") == [bad(b"a BAD lines must end with CR and LF\r\n")]
    assert events_of(engine, b"b DELETE x\nc NOOP\r\n") == []
    assert events_of(engine, b"a NOOP\r\n") == [NOOP]
    assert events_of(engine, b'a SELECT "x\nb DELETE INBOX\r\n') == [bad(b"a BAD lines must end with CR and LF\r\n")]


def test_nothing_that_follows_starttls_is_read():
    engine = ServerEngine()
    assert events_of(engine, b"a STARTTLS\r\nb LOGIN x y\r\n") == [Command(b"a", "STARTTLS", c.StartTls())]
    assert engine.pending == 13
    assert events_of(engine, b"c NOOP\r\n") == []
    engine.resume()
    assert [event.tag for event in events_of(engine, b"")] == [b"b", b"c"]


def test_nothing_that_follows_compress_is_read():
    engine = engine_after_login()
    assert events_of(engine, b"a COMPRESS DEFLATE\r\n\x01\x02") == [Command(b"a", "COMPRESS", c.Compress("DEFLATE"))]
    assert engine.pending == 2


def test_authentication_is_a_dialogue():
    """RFC 3501 §6.2.2."""
    engine = ServerEngine()
    [command] = events_of(engine, b"a AUTHENTICATE SCRAM-SHA-1\r\n")
    assert isinstance(command, Command)
    assert engine.challenge() == b"+ \r\n"
    assert events_of(engine, base64.b64encode(b"n,,n=user,r=x") + b"\r\n") == [AuthResponse(b"n,,n=user,r=x")]
    assert engine.challenge(b"r=xy") == b"+ cj14eQ==\r\n"
    assert events_of(engine, b"\r\n") == [AuthResponse(b"")]
    assert events_of(engine, b"a NOOP\r\n") == [NOOP]


def test_authentication_can_be_cancelled_or_broken():
    for line, event in (
        (b"*", AuthResponse(None)),
        (b"!!!", bad(b"a BAD broken base64\r\n")),
        (b"a NOOP", bad(b"a BAD broken base64\r\n")),
    ):
        engine = ServerEngine()
        list(engine.receive(b"a AUTHENTICATE PLAIN\r\n"))
        engine.challenge()
        assert events_of(engine, line + b"\r\na NOOP\r\n") == [event, NOOP]


def test_a_response_of_authentication_may_be_long_but_not_too_long():
    engine = ServerEngine()
    list(engine.receive(b"a AUTHENTICATE OAUTHBEARER\r\n"))
    engine.challenge()
    token = b"x" * 9000
    assert events_of(engine, base64.b64encode(token) + b"\r\n") == [AuthResponse(token)]
    engine.challenge()
    assert events_of(engine, b"eHh4" * 4000 + b"\r\na NOOP\r\n") == [bad(b"a BAD command is too long\r\n"), NOOP]


def test_idle_ends_with_done():
    engine = engine_after_login()
    [command] = events_of(engine, b"i IDLE\r\n")
    assert command == Command(b"i", "IDLE", c.Idle())
    assert engine.idle_go() == b"+ idling\r\n"
    assert events_of(engine, b"DO") == []
    assert events_of(engine, b"NE\r\na NOOP\r\n") == [IdleDone(b"i"), NOOP]


def test_idle_ends_badly_with_anything_else():
    engine = engine_after_login()
    list(engine.receive(b"i IDLE\r\n"))
    engine.idle_go()
    assert events_of(engine, b"a NOOP\r\na NOOP\r\n") == [bad(b"i BAD DONE expected\r\n"), NOOP]


def test_a_refused_idle_leaves_the_engine_as_it_was():
    engine = engine_after_login()
    assert events_of(engine, b"i IDLE\r\na NOOP\r\n") == [Command(b"i", "IDLE", c.Idle()), NOOP]
