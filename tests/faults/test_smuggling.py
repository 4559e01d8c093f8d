"""SMTP smuggling (CVE-2023-51764 and its kin): whatever looks like the end of data and is not, it stays one message.

At the MX, at submission, inside BDAT, and at the next hop: a lax server there must not find a second message either.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest

from .conftest import ACCOUNTS, ALICE, BOB
from .server import Server
from .sink import Sink
from .wire import Imap, Smtp

pytestmark = [pytest.mark.real]

ENDS = (b"\n", b"\r", b"\r\n", b"\r\r", b"\n\r", b"\n\n")
TERMINATORS = [before + b"." + after for before, after in itertools.product(ENDS, ENDS)]
TERMINATORS += [
    b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n. \r\n", b"\r\n.\t\r\n", b"\r\n..\r\n", b"\r\n.\r\r\n", b"\0\r\n.\n", b"\x85.\x85",
    b"\v.\v", b"\f.\f", b"\xe2\x80\xa8.\xe2\x80\xa8", b"\r\n\xe2\x80\x8b.\r\n", b"\n.\n.\n", b"\r.\r.\r", b"\n.\r.\n",
]  # fmt: skip
TERMINATORS = [end for end in dict.fromkeys(TERMINATORS) if b"\r\n.\r\n" not in end + b"M"]


def smuggled(recipient: str) -> bytes:
    """What the attacker wants to be a message of its own; it brings the real end of data."""
    return (
        f"MAIL FROM:<admin@example.test>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n"
        f"From: <{ALICE}>\r\nSubject: smuggled\r\n\r\nsmuggled words\r\n.\r\n"
    ).encode()


def attack(smtp: Smtp, sender: str, recipient: str, terminator: bytes) -> int:
    """One transaction with *terminator* inside; the answer's code. Everything is sent at once after 354."""
    for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>"):
        assert smtp.ask(command)[0] == 250
    assert smtp.ask("DATA")[0] == 354
    smtp.send(f"From: <{sender}>\r\nSubject: outer\r\n\r\nouter words".encode() + terminator + smuggled(recipient))
    code, text = smtp.reply()
    assert code in (250, 550), (terminator, code, text)
    # Nothing of it was taken for a command: the next answer is that of our own next command.
    assert smtp.ask("VRFY x")[0] == 252, terminator
    return code


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sink: Sink) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("server") / "data"
    with Server(data, "--route", f"elsewhere.test=127.0.0.1:{sink.port}", accounts=ACCOUNTS) as running:
        yield running
        assert not running.bugs(), running.bugs()[0]


def subjects(server: Server, address: str) -> list[bytes]:
    with Imap(server, login=address) as imap:
        imap.ask("EXAMINE INBOX")
        _, told = imap.ask("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    return [match[1] for line in told if (match := re.search(rb"Subject: (\S+)", line))]


@pytest.mark.parametrize("terminator", TERMINATORS, ids=[repr(end)[2:-1] for end in TERMINATORS])
def test_at_the_mx_it_is_one_message_or_none(server: Server, terminator: bytes):
    before = len(subjects(server, BOB))
    with Smtp(server) as smtp:
        code = attack(smtp, "outer@far.test", BOB, terminator)
    found = subjects(server, BOB)
    assert b"smuggled" not in found
    assert len(found) - before == (1 if code == 250 else 0)
    if re.search(rb"(?<!\r)\n|\r(?!\n)|\0", terminator):
        assert code == 550


def test_at_submission_and_at_the_next_hop_it_is_one_message(server: Server, sink: Sink):
    taken = 0
    with Smtp(server, "submission") as smtp:
        assert smtp.login(ALICE)[0] == 235
        for terminator in TERMINATORS:
            taken += attack(smtp, ALICE, "x@elsewhere.test", terminator) == 250
            attack(smtp, ALICE, BOB, terminator)
    assert taken > len(TERMINATORS) // 2, "bare line ends are made whole here"
    sink.wait(taken)
    check_streams(sink, taken)
    assert b"smuggled" not in subjects(server, BOB)


def test_octets_of_bdat_are_never_an_end(server: Server, sink: Sink):
    before = len(sink.streams)
    taken = 0
    with Smtp(server, "submission") as smtp:
        assert smtp.login(ALICE)[0] == 235
        for terminator in (b"\r\n.\r\n", b"\r\n.\r\n.\r\n", *TERMINATORS[::5]):
            assert smtp.ask(f"MAIL FROM:<{ALICE}>")[0] == 250
            assert smtp.ask("RCPT TO:<x@elsewhere.test>")[0] == 250
            content = f"From: <{ALICE}>\r\nSubject: outer\r\n\r\nouter words".encode() + terminator + smuggled("x@elsewhere.test")
            half = len(content) // 2  # the cut may fall anywhere
            smtp.send(b"BDAT %d\r\n%b" % (half, content[:half]))
            assert smtp.reply()[0] == 250
            smtp.send(b"BDAT %d LAST\r\n%b" % (len(content) - half, content[half:]))
            taken += smtp.reply()[0] == 250
    sink.wait(before + taken)
    check_streams(sink, before + taken)


def check_streams(sink: Sink, count: int) -> None:
    """What went to the next hop has no line end but CR LF, and no line that is one dot: even the laxest reads one message."""
    assert len(sink.streams) == count
    for stream in sink.streams:
        content = stream.removesuffix(b"\r\n.\r\n")
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", content), content
        assert not re.search(rb"(?m)^\.\r?$", content), content
    senders = {command for command in sink.commands if command.upper().startswith(b"MAIL")}
    assert all(ALICE.encode() in sender for sender in senders), senders
