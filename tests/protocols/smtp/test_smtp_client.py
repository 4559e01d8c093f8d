"""The client engine: replies from bytes, commands to bytes, octets fit for DATA."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postillon.model.address import Address
from postillon.model.envelope import Envelope, Notify, Recipient
from postillon.protocols.smtp import client as smtp
from postillon.protocols.smtp.client import BadReply, ClientEngine, Extensions, Stuffer, one_line
from postillon.protocols.smtp.reply import Reply

ALICE = Address.parse("alice@example.org")
BOB = Recipient(Address.parse("bob@example.net"))
EVERYTHING = Extensions(esmtp=True, pipelining=True, eightbit=True, smtputf8=True, dsn=True, has_size=True)


def test_a_reply_may_arrive_octet_by_octet():
    engine = ClientEngine()
    octets = b"250-2.1.0 one\r\n250 2.1.0 two\r\n"
    replies = [reply for i in range(len(octets)) for reply in engine.receive(octets[i : i + 1])]
    assert replies == [Reply(250, ("one", "two"), "2.1.0")]
    assert engine.pending == 0


def test_several_replies_in_one_piece_come_in_order():
    replies = ClientEngine().receive(b"250 2.1.0 ok\r\n550-5.1.1 no\r\n550 5.1.1 such user\r\n354 go\r\n")
    assert [(reply.code, reply.status, reply.lines) for reply in replies] == [
        (250, "2.1.0", ("ok",)),
        (550, "5.1.1", ("no", "such user")),
        (354, "", ("go",)),
    ]


def test_a_reply_without_text_or_with_bare_lf_is_taken():
    assert [reply.code for reply in ClientEngine().receive(b"250\r\n220 hello\n")] == [250, 220]


def test_octets_of_an_unfinished_reply_are_pending():
    engine = ClientEngine()
    assert engine.receive(b"220 go ahead\r\n250-injected\r\n2") == [Reply(220, "go ahead")]
    assert engine.pending > 0


@pytest.mark.parametrize("line", [b"hello\r\n", b"150 too early\r\n", b"99\r\n", b"650 no\r\n", b"\r\n", b"2500 ok\r\n"])
def test_what_is_no_reply_is_an_error(line: bytes):
    with pytest.raises(BadReply):
        ClientEngine().receive(line)


def test_a_line_without_end_is_an_error():
    engine = ClientEngine()
    with pytest.raises(BadReply):
        for _ in range(10):
            engine.receive(b"250 " + b"x" * 1000)


def test_a_reply_without_end_is_an_error():
    engine = ClientEngine()
    with pytest.raises(BadReply):
        for _ in range(2000):
            engine.receive(b"250-and another one of these lines\r\n" * 10)


def test_a_good_reply_counts_whatever_follows_it():
    engine = ClientEngine()
    assert engine.receive(b"250 taken\r\ngarbage\r\n") == [Reply(250, "taken")]
    assert engine.pending > 0
    with pytest.raises(BadReply):
        engine.receive(b"250 again\r\n")


def test_their_words_become_one_printable_line():
    assert one_line("a\r\n  b\tc\x00\x1b[31m d\u202ee " + "x" * 1000) == ("a b c [31m d?e " + "x" * 1000)[:500]
    assert one_line("  as it is ") == "as it is"


def test_ehlo_reply_tells_the_extensions():
    reply = ClientEngine().receive(
        b"250-mx.example.net greets you\r\n250-PIPELINING\r\n250-size 10240000\r\n250-8bitmime\r\n250-SMTPUTF8\r\n"
        b"250-AUTH PLAIN login\r\n250-AUTH=XOLD\r\n250-DSN\r\n250 STARTTLS\r\n"
    )[0]
    assert Extensions.of(reply) == Extensions(
        esmtp=True,
        pipelining=True,
        eightbit=True,
        smtputf8=True,
        dsn=True,
        starttls=True,
        size=10240000,
        has_size=True,
        auth=frozenset({"PLAIN", "LOGIN", "XOLD"}),
    )


def test_a_greeting_line_is_no_extension():
    assert Extensions.of(Reply(250, "STARTTLS")) == Extensions(esmtp=True)


@pytest.mark.parametrize("size", ["", "many", "-1", "9" * 30])
def test_a_size_that_says_nothing_limits_nothing(size: str):
    assert Extensions.of(Reply(250, ("hi", f"SIZE {size}"))).size == 0


def test_mail_has_only_parameters_that_the_server_knows():
    envelope = Envelope(ALICE, (BOB,), ret="HDRS", envid="a+b=c", smtputf8=True)
    bare = smtp.mail(envelope, Extensions(), size=7, eightbit=True, smtputf8=False)
    assert bare == b"MAIL FROM:<alice@example.org>\r\n"
    full = smtp.mail(envelope, EVERYTHING, size=7, eightbit=True, smtputf8=True)
    assert full == b"MAIL FROM:<alice@example.org> SIZE=7 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb+3Dc\r\n"


def test_the_null_sender_is_an_empty_path():
    assert smtp.mail(Envelope(None), Extensions(), size=1, eightbit=False, smtputf8=False) == b"MAIL FROM:<>\r\n"


def test_rcpt_hands_on_what_the_sender_wanted_to_know():
    recipient = Recipient(BOB.address, frozenset({Notify.SUCCESS, Notify.FAILURE}), "rfc822;bob+x@example.net")
    assert smtp.rcpt(recipient, Extensions()) == b"RCPT TO:<bob@example.net>\r\n"
    wanted = b"RCPT TO:<bob@example.net> NOTIFY=FAILURE,SUCCESS ORCPT=rfc822;bob+2Bx@example.net\r\n"
    assert smtp.rcpt(recipient, EVERYTHING) == wanted


def test_an_odd_local_part_is_quoted():
    recipient = Recipient(Address('a b"c', "example.net"))
    assert smtp.rcpt(recipient, Extensions()) == b'RCPT TO:<"a b\\"c"@example.net>\r\n'


def test_login_in_one_command():
    assert smtp.auth_plain("tim", "tanstaaf") == b"AUTH PLAIN AHRpbQB0YW5zdGFhZg==\r\n"


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (b"", b".\r\n"),
        (b"hello\r\n", b"hello\r\n.\r\n"),
        (b"no end", b"no end\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r.\rb\r", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\n.\r\nMAIL FROM:<x>\r\n", b"a\r\n..\r\nMAIL FROM:<x>\r\n.\r\n"),
        (b"a\r\n.\rb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r\r\n.\r\n", b"a\r\n\r\n..\r\n.\r\n"),
        (b"..\r\n", b"...\r\n.\r\n"),
    ],
)
def test_only_crlf_leaves_us_and_dots_are_doubled(message: bytes, wire: bytes):
    stuffer = Stuffer()
    assert stuffer.stuff(message) + stuffer.finish() == wire


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n.", b"\r\n.\r\n"]), max_size=12), st.data())
def test_pieces_make_the_same_as_the_whole_and_end_only_once(pieces: list[bytes], data: st.DataObject):
    message = b"".join(pieces)
    whole = Stuffer()
    expected = whole.stuff(message) + whole.finish()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=5)))
    stuffer = Stuffer()
    parts = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
    assert b"".join(map(stuffer.stuff, parts)) + stuffer.finish() == expected
    # What a receiver must never see before the end: the end.
    assert expected.find(b"\r\n.\r\n") in (-1, len(expected) - 5)
    assert expected.count(b"\r\n") == expected.count(b"\r") == expected.count(b"\n")
