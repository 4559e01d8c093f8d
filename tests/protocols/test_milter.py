"""The milter engine, packet by packet."""

from __future__ import annotations

import struct

import pytest

from postillon.protocols.milter import ALL_ACTIONS, ALL_STEPS, MilterEngine, Stage, Steps
from postillon.protocols.milter_answers import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    InsertHeader,
    MilterError,
    Progress,
    Quarantine,
    RemoveRecipient,
    ReplaceBody,
    ReplyCode,
    Verdict,
)


def packet(command: bytes, data: bytes = b"") -> bytes:
    return struct.pack("!I", len(data) + 1) + command + data


def agreed(steps: int = 0, actions: int = 0x1FF, version: int = 6, more: bytes = b"") -> MilterEngine:
    engine = MilterEngine()
    engine.hello()
    assert list(engine.receive(packet(b"O", struct.pack("!III", version, actions, steps) + more))) == [engine.terms]
    return engine


def at_end(actions: int = 0x1FF) -> MilterEngine:
    engine = agreed(actions=actions)
    engine.end({})
    return engine


def test_it_offers_all_that_version_6_has() -> None:
    assert MilterEngine().hello() == packet(b"O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF))
    assert (int(ALL_ACTIONS), int(ALL_STEPS)) == (0x1FF, 0x1FFFFF)


def test_the_dialogue_in_packets() -> None:
    engine = agreed()
    said = []

    def say(octets: bytes) -> None:
        said.append(octets)
        assert engine.awaited
        assert list(engine.receive(packet(b"c"))) == [Verdict.CONTINUE]

    say(engine.connect("mail.example", "192.0.2.1", 1025, {"j": "mx.example", "_": "mail.example [192.0.2.1]", "x": "unasked"}))
    say(engine.helo("mail.example", {}))
    say(engine.mail(["<a@example.org>", "SIZE=100"], {"{mail_addr}": "a@example.org"}))
    say(engine.rcpt(["<b@example.net>"], {}))
    say(engine.data({"i": "1f"}))
    say(engine.header(b"Subject", b" Hi\r\n\tthere"))
    say(engine.end_of_header({}))
    say(engine.body(b"Hello\r\n"))
    say(engine.end({"i": "1f"}))
    assert said == [
        packet(b"D", b"Cj\0mx.example\0_\0mail.example [192.0.2.1]\0")
        + packet(b"C", b"mail.example\x004" + struct.pack("!H", 1025) + b"192.0.2.1\0"),
        packet(b"H", b"mail.example\0"),
        packet(b"D", b"M{mail_addr}\0a@example.org\0") + packet(b"M", b"<a@example.org>\0SIZE=100\0"),
        packet(b"R", b"<b@example.net>\0"),
        packet(b"D", b"Ti\x001f\0") + packet(b"T"),
        packet(b"L", b"Subject\0Hi\n\tthere\0"),
        packet(b"N"),
        packet(b"B", b"Hello\r\n"),
        packet(b"D", b"Ei\x001f\0") + packet(b"E"),
    ]
    assert engine.unknown("XYZZY", {}) == packet(b"U", b"XYZZY\0")
    assert engine.abort() == packet(b"A")
    assert engine.quit() == packet(b"Q")
    assert engine.quit(reuse=True) == packet(b"K")


def test_an_ipv6_client_and_an_unknown_one() -> None:
    assert agreed().connect("x", "2001:db8::1", 25, {}) == packet(b"C", b"x\x006\x00\x19IPv6:2001:db8::1\0")
    assert agreed().connect("x", "", 0, {}) == packet(b"C", b"x\0U")


def test_what_the_milter_does_not_want_is_not_said() -> None:
    engine = agreed(steps=Steps.NO_HELO | Steps.NO_BODY)
    assert engine.helo("x", {}) == b"" and not engine.awaited
    assert engine.body(b"x") == b""
    assert not engine.wants(Stage.BODY)


def test_what_the_milter_does_not_answer_is_not_waited_for() -> None:
    engine = agreed(steps=Steps.MUTE_HEADER | Steps.MUTE_CONNECT)
    assert engine.header(b"A", b" b") == packet(b"L", b"A\0b\0")
    assert not engine.awaited
    with pytest.raises(MilterError):
        list(engine.receive(packet(b"c")))


def test_leading_space_is_kept_if_the_milter_wants_it() -> None:
    assert agreed(steps=Steps.LEADING_SPACE).header(b"A", b"  b") == packet(b"L", b"A\0  b\0")
    assert agreed().header(b"A", b"  b") == packet(b"L", b"A\0 b\0")


def test_macros_that_the_milter_asks_for() -> None:
    engine = agreed(more=struct.pack("!I", 3) + b"{rcpt_addr} i mail_host\0")
    assert engine.rcpt(["<b@c>"], {"i": "7", "{mail_host}": "h", "{rcpt_host}": "c"}).startswith(
        packet(b"D", b"Ri\x007\0{mail_host}\0h\0")
    )


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        (packet(b"a"), Verdict.ACCEPT),
        (packet(b"r"), Verdict.REJECT),
        (packet(b"t"), Verdict.TEMPFAIL),
        (packet(b"d"), Verdict.DISCARD),
        (packet(b"4"), Verdict.SHUTDOWN),
        (packet(b"f"), Verdict.CONNECTION_FAILED),
        (packet(b"y", b"550 5.7.1 No 100%% way\0"), ReplyCode(550, "5.7.1", "No 100% way")),
        (packet(b"y", b"451 Later\0"), ReplyCode(451, "", "Later")),
        (packet(b"y", b"550-5.7.1 One\r\n550 5.7.1 two\0"), ReplyCode(550, "5.7.1", "One two")),
    ],
)
def test_verdicts(octets: bytes, answer: object) -> None:
    engine = at_end()
    assert list(engine.receive(octets)) == [answer]
    assert not engine.awaited


def test_the_body_may_be_skipped_and_nothing_else() -> None:
    engine = agreed()
    engine.body(b"x")
    assert list(engine.receive(packet(b"s"))) == [Verdict.SKIP]
    with pytest.raises(MilterError):
        list(at_end().receive(packet(b"s")))


def test_changes_come_before_the_verdict_in_any_pieces() -> None:
    octets = b"".join(
        (
            packet(b"h", b"X-A\0one\0"),
            packet(b"i", struct.pack("!I", 1) + b"X-B\0two\0"),
            packet(b"m", struct.pack("!I", 2) + b"X-C\0\0"),
            packet(b"e", b"<new@example.org>\0"),
            packet(b"e", b"<new@example.org>\0RET=HDRS\0"),
            packet(b"+", b"<more@example.net>\0"),
            packet(b"2", b"<more@example.net>\0NOTIFY=NEVER\0"),
            packet(b"-", b"<less@example.net>\0"),
            packet(b"p"),
            packet(b"b", b"a\0b\r\n"),
            packet(b"q", b"looks odd\0"),
            packet(b"c"),
        )
    )
    engine = at_end()
    found = [answer for octet in octets for answer in engine.receive(bytes([octet]))]
    assert found == [
        AddHeader(b"X-A", b"one"),
        InsertHeader(1, b"X-B", b"two"),
        ChangeHeader(2, b"X-C", b""),
        ChangeSender("<new@example.org>"),
        ChangeSender("<new@example.org>", "RET=HDRS"),
        AddRecipient("<more@example.net>"),
        AddRecipient("<more@example.net>", "NOTIFY=NEVER"),
        RemoveRecipient("<less@example.net>"),
        Progress(),
        ReplaceBody(b"a\0b\r\n"),
        Quarantine("looks odd"),
        Verdict.CONTINUE,
    ]


@pytest.mark.parametrize(
    "octets",
    [
        b"\0\0\0\0c",
        b"\xff\xff\xff\xffc",
        packet(b"Z"),
        packet(b"y", b"250 fine\0"),
        packet(b"y", b"hello\0"),
        packet(b"y", b"550-a\r\n450 b\0"),
        packet(b"+", b"a\0b\0"),
        packet(b"m", b"\0\0"),
    ],
)
def test_nonsense_is_an_error(octets: bytes) -> None:
    with pytest.raises(MilterError):
        list(at_end().receive(octets))


def test_a_change_that_was_not_agreed_or_comes_too_early_is_an_error() -> None:
    with pytest.raises(MilterError):
        list(at_end(actions=0x1).receive(packet(b"b", b"x")))
    engine = agreed()
    engine.data({})
    with pytest.raises(MilterError):
        list(engine.receive(packet(b"h", b"a\0b\0")))


@pytest.mark.parametrize(
    "answer", [packet(b"c"), packet(b"O", b"short"), packet(b"O", struct.pack("!III", 9, 0, 0)), packet(b"O", b"\xff" * 12)]
)
def test_a_negotiation_that_goes_wrong(answer: bytes) -> None:
    engine = MilterEngine()
    engine.hello()
    with pytest.raises(MilterError):
        list(engine.receive(answer))
