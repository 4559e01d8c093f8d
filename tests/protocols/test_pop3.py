"""The POP3 engine by octets: grammar, order of commands, limits, dots and tops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.protocols.pop3 import (
    AuthResponse,
    Command,
    DotStuffer,
    Event,
    ProtocolError,
    ServerEngine,
    State,
    TopCutter,
    capabilities,
    err,
    listing,
    ok,
)


def logged_in() -> ServerEngine:
    engine = ServerEngine()
    engine.accepted(Command("AUTH", text=b"PLAIN"))
    return engine


def only(engine: ServerEngine, line: bytes) -> Event:
    (event,) = engine.receive(line)
    return event


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"STAT", Command("STAT")),
        (b"stat", Command("STAT")),
        (b"STAT ", Command("STAT")),
        (b"LIST", Command("LIST")),
        (b"LIST 2", Command("LIST", 2)),
        (b"UIDL 017", Command("UIDL", 17)),
        (b"RETR 999999999", Command("RETR", 999_999_999)),
        (b"DELE 1", Command("DELE", 1)),
        (b"TOP 1 0", Command("TOP", 1, 0)),
        (b"top 12 345 ", Command("TOP", 12, 345)),
        (b"RSET", Command("RSET")),
        (b"NOOP", Command("NOOP")),
        (b"CAPA", Command("CAPA")),
        (b"LANG", Command("LANG")),
        (b"LANG EN", Command("LANG", text=b"en")),
        (b"QUIT", Command("QUIT")),
    ],
)
def test_commands_are_read(line: bytes, command: Command) -> None:
    assert only(logged_in(), line + b"\r\n") == command
    assert only(logged_in(), line + b"\n") == command


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" STAT",
        b"STAT 1",
        b"RETR",
        b"RETR 0",
        b"RETR -1",
        b"RETR 1 2",
        b"RETR one",
        b"RETR 1000000000",
        b"RETR " + b"9" * 200,
        b"RETR \xb2",
        b"DELE",
        b"TOP 1",
        b"TOP 1 -1",
        b"TOP 1 2 3",
        b"TOP  1 2",
        b"LIST 0",
        b"XTND XMIT",
        b"APOP mrose c4c9334bac560ecc979e58001b3e22fb",
        b"RETR 1\r",
        b"RE\0TR 1",
        b"LANG a b",
        b"\xff\xfe",
    ],
)
def test_what_is_malformed_is_refused_and_the_dialogue_goes_on(line: bytes) -> None:
    engine = logged_in()
    first, second = engine.receive(line + b"\r\nNOOP\r\n")
    assert isinstance(first, ProtocolError) and first.reply.startswith(b"-ERR ") and not first.close
    assert second == Command("NOOP")


def test_a_refusal_never_repeats_what_was_said() -> None:
    event = only(logged_in(), b"<script>alert(1)</script>\r\n")
    assert isinstance(event, ProtocolError) and b"script" not in event.reply


@pytest.mark.parametrize("line", [b"STAT", b"LIST", b"RETR 1", b"DELE 1", b"RSET", b"NOOP", b"UIDL", b"TOP 1 1"])
def test_before_login_nothing_of_the_maildrop_is_told(line: bytes) -> None:
    assert only(ServerEngine(), line + b"\r\n") == ProtocolError(err("Log in first"))


@pytest.mark.parametrize("line", [b"USER alice", b"PASS x", b"AUTH PLAIN", b"STLS", b"UTF8"])
def test_after_login_there_is_no_second_login(line: bytes) -> None:
    assert isinstance(only(logged_in(), line + b"\r\n"), ProtocolError)


def test_pass_comes_directly_after_user_and_keeps_its_blanks() -> None:
    engine = ServerEngine()
    assert isinstance(only(engine, b"PASS secret\r\n"), ProtocolError)
    user = only(engine, b"USER alice@example.test\r\n")
    assert user == Command("USER", text=b"alice@example.test")
    engine.accepted(user)
    assert only(engine, b"PASS  two  words \r\n") == Command("PASS", text=b" two  words ")
    assert isinstance(only(engine, b"PASS again\r\n"), ProtocolError)
    engine.accepted(user)
    only(engine, b"CAPA\r\n")
    assert isinstance(only(engine, b"PASS secret\r\n"), ProtocolError)


def test_a_pipelined_command_is_judged_after_the_one_before_it() -> None:
    """RFC 2449 §6.6: USER, PASS and STAT may come in one segment."""
    engine, seen = ServerEngine(), []
    for event in engine.receive(b"USER alice\r\nPASS secret\r\nSTAT\r\nQUIT\r\nNOOP\r\n"):
        assert isinstance(event, Command)
        seen.append(event.verb)
        engine.accepted(event)
    assert seen == ["USER", "PASS", "STAT", "QUIT"]
    assert engine.state is State.ENDED


def test_without_acceptance_pipelined_commands_find_nobody_logged_in() -> None:
    engine = ServerEngine()
    events = engine.receive(b"USER alice\r\nPASS wrong\r\nDELE 1\r\n")
    engine.accepted(next(events))  # type: ignore[arg-type]
    assert next(events) == Command("PASS", text=b"wrong")
    assert next(events) == ProtocolError(err("Log in first"))


def test_auth_carries_mechanism_and_initial_response() -> None:
    assert only(ServerEngine(), b"AUTH plain AGEAYg==\r\n") == Command("AUTH", text=b"PLAIN", initial=b"AGEAYg==")
    assert only(ServerEngine(), b"AUTH LOGIN\r\n") == Command("AUTH", text=b"LOGIN")
    assert only(ServerEngine(), b"AUTH PLAIN =\r\n") == Command("AUTH", text=b"PLAIN", initial=b"=")
    assert only(ServerEngine(), b"AUTH\r\n") == Command("AUTH")
    assert isinstance(only(ServerEngine(), b"AUTH PL/IN\r\n"), ProtocolError)


def test_an_exchange_asks_for_one_response_at_a_time() -> None:
    engine = ServerEngine()
    events = engine.receive(b"AUTH LOGIN\r\nQUIT\r\nQUIT\r\n")
    next(events)
    assert engine.challenge(b"Username:") == b"+ VXNlcm5hbWU6\r\n"
    assert next(events) == AuthResponse(b"QUIT")
    assert next(events) == Command("QUIT")
    assert engine.challenge(b"") == b"+ \r\n"


def test_long_responses_are_for_exchanges_only() -> None:
    engine = ServerEngine()
    assert only(engine, b"AUTH PLAIN " + b"A" * 8000 + b"\r\n") == Command("AUTH", text=b"PLAIN", initial=b"A" * 8000)
    engine.challenge(b"")
    assert only(engine, b"A" * 8000 + b"\r\n") == AuthResponse(b"A" * 8000)
    assert isinstance(only(engine, b"USER " + b"A" * 8000 + b"\r\n"), ProtocolError)
    engine.challenge(b"")
    assert isinstance(only(engine, b"A" * 12_000 + b"\r\n"), ProtocolError)
    assert only(engine, b"CAPA\r\n") == Command("CAPA")


def test_a_line_without_end_costs_no_memory() -> None:
    engine = ServerEngine()
    for _ in range(1000):
        assert list(engine.receive(b"A" * 65536)) == []
        assert engine.pending <= 65536
    assert only(engine, b"\r\n") == ProtocolError(err("Line is too long"))


def test_nothing_is_read_behind_stls() -> None:
    """RFC 2595 §4; CVE-2011-0411 and its kin."""
    engine = ServerEngine()
    injected = b"USER mallory\r\nPASS x\r\n"
    assert list(engine.receive(b"STLS\r\n" + injected)) == [Command("STLS")]
    assert engine.pending == len(injected)
    assert list(engine.receive(b"NOOP\r\n")) == []


def test_after_a_refused_stls_the_dialogue_goes_on() -> None:
    engine = ServerEngine()
    engine.refused(only(engine, b"STLS\r\n"))  # type: ignore[arg-type]
    assert only(engine, b"CAPA\r\n") == Command("CAPA")


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"POST /x HTTP/1.1", b"PRI * HTTP/2.0", b"options *", b"FROB / HTTP/1.0"])
def test_a_browser_is_sent_away_before_its_second_line(line: bytes) -> None:
    events = list(ServerEngine().receive(line + b"\r\nUSER alice\r\n"))
    assert len(events) == 1
    assert isinstance(events[0], ProtocolError) and events[0].close


def test_a_tls_client_in_the_wrong_place_is_told_so() -> None:
    (event,) = ServerEngine().receive(bytes.fromhex("1603010200010001fc0303") + b"x" * 200)
    assert isinstance(event, ProtocolError) and event.close


def test_errors_are_forgiven_a_few_times_only() -> None:
    engine = ServerEngine()
    events = list(engine.receive(b"FROB\r\n" * 10))
    assert len(events) == 5
    assert isinstance(events[-1], ProtocolError) and events[-1].close
    assert len(list(logged_in().receive(b"FROB\r\n" * 200))) == 100


@given(st.binary(max_size=300), st.integers(1, 7))
def test_any_octets_in_any_pieces_give_the_same_events(octets: bytes, step: int) -> None:
    whole = list(ServerEngine().receive(octets))
    engine = ServerEngine()
    pieces = [event for at in range(0, len(octets), step) for event in engine.receive(octets[at : at + step])]
    assert pieces == whole


def test_answers_look_as_the_rfc_wants() -> None:
    assert ok() == b"+OK\r\n"
    assert ok("2 messages") == b"+OK 2 messages\r\n"
    assert err("maildrop locked", "IN-USE") == b"-ERR [IN-USE] maildrop locked\r\n"
    assert listing("x", [b"1 2"]) == b"+OK x\r\n1 2\r\n.\r\n"


def test_capabilities_are_what_is_true_now() -> None:
    before = capabilities(State.AUTHORIZATION, ["PLAIN"], user_allowed=True, tls_offered=True, implementation="X")
    assert {b"USER", b"SASL PLAIN", b"STLS", b"IMPLEMENTATION X", b"EXPIRE NEVER", b"UTF8 USER"} <= set(before)
    closed = capabilities(State.AUTHORIZATION, [], user_allowed=False, tls_offered=True, implementation="X")
    assert not {b"USER", b"SASL "} & set(closed) and not any(line.startswith(b"SASL") for line in closed)
    after = capabilities(State.TRANSACTION, ["PLAIN"], user_allowed=True, tls_offered=True, implementation="X")
    assert not {b"USER", b"SASL PLAIN", b"STLS"} & set(after)
    assert {b"TOP", b"UIDL", b"PIPELINING", b"RESP-CODES", b"AUTH-RESP-CODE", b"LANG"} <= set(after)


def test_secrets_do_not_show_in_events() -> None:
    engine = ServerEngine()
    engine.accepted(only(engine, b"USER alice\r\n"))  # type: ignore[arg-type]
    assert "secret" not in repr(only(engine, b"PASS secret\r\n"))
    assert "c2VjcmV0" not in repr(AuthResponse(b"c2VjcmV0"))


def unstuffed(octets: bytes) -> bytes:
    """What a client makes of an answer: RFC 1939 §3."""
    text, dot, rest = octets.partition(b"\r\n.\r\n")
    assert dot and not rest
    lines = (text + b"\r\n").split(b"\r\n")
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)


PIECES = st.lists(st.sampled_from([b".", b"\r\n", b"\r", b"\n", b"x", b"..", b"\r\n.", b"\r\n.\r\n", b"text"]), max_size=12)


@given(PIECES)
def test_a_message_comes_through_its_dots_in_any_pieces(pieces: list[bytes]) -> None:
    message = b"".join(pieces)
    stuffer = DotStuffer()
    sent = b"".join(map(stuffer.feed, pieces)) + stuffer.end()
    whole = message if message.endswith(b"\r\n") or not message else message + b"\r\n"
    assert b"\r\n" + unstuffed(b"\r\n" + sent)[2:] == b"\r\n" + whole
    at_once = DotStuffer()
    assert at_once.feed(message) + at_once.end() == sent


def test_an_empty_message_is_just_its_end() -> None:
    assert DotStuffer().end() == b".\r\n"


@given(st.lists(st.sampled_from([b"A: 1", b"\r\n", b"\r", b"\n", b"x", b"\r\n\r\n", b"line"]), max_size=12), st.integers(0, 4))
def test_the_top_is_the_same_in_any_pieces(pieces: list[bytes], lines: int) -> None:
    message = b"".join(pieces)
    end = message.find(b"\r\n\r\n") + 4 if not message.startswith(b"\r\n") else 2
    if end == 3:
        expected = message
    else:
        body = message[end:].split(b"\n")
        expected = message[:end] + b"\n".join(body[:lines]) + (b"\n" if 0 < lines < len(body) else b"")
    cutter, found = TopCutter(lines), b""
    for piece in pieces:
        if not cutter.is_complete:
            found += cutter.feed(piece)
    assert found == expected
