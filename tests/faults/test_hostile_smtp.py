"""What an SMTP port says to nonsense, and what nonsense costs: a clear error or the end, bounded time and memory."""

from __future__ import annotations

import base64
import time

import pytest

from .canary import MEBIBYTE, bounded
from .conftest import ALICE
from .server import Server
from .wire import Closed, Imap, Smtp, Wire

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("unhurt")]

MX_AND_SUBMISSION = ("smtp", "submission", "submissions")


def start_message(smtp: Smtp, sender: str = "a@far.test", recipient: str = ALICE) -> None:
    assert smtp.ask(f"MAIL FROM:<{sender}>")[0] == 250
    assert smtp.ask(f"RCPT TO:<{recipient}>")[0] == 250
    assert smtp.ask("DATA")[0] == 354


def inbox(server: Server, address: str = ALICE) -> int:
    with Imap(server, login=address) as imap:
        _, told = imap.ask("STATUS INBOX (MESSAGES)")
        return int(told[0].rpartition(b"MESSAGES ")[2].rstrip(b")\r\n"))


@pytest.mark.parametrize("service", MX_AND_SUBMISSION)
@pytest.mark.parametrize(
    "line",
    [
        b"NOOP \0\r\n",
        b"\0\0\0\0\r\n",
        b"MAIL FROM:<a\0b@far.test>\r\n",
        b"NOOP\n",
        b"NOOP\rNOOP\r\n",
        b"\xff\xfe\xfd\r\n",
        b"MAIL FROM:<a@b" + b"," * 1000 + b">\r\n",
        b"MAIL FROM:<" + b"(" * 1000 + b"@b>\r\n",
        b"RCPT TO:<@a,@b:c@d>\r\n",
        b"EHLO \x01\r\n",
        b"MAIL FROM:<> SIZE=" + b"9" * 500 + b"\r\n",
        b"\r\n",
        b" \t \r\n",
        b"NOOP" + b" " * 2042 + b"x\r\n",
        b"X" * 2047 + b"\r\n",
        b"X" * 12_290 + b"\r\n",
        b"X" * 70_000 + b"\r\n",
    ],
)
def test_a_broken_line_is_an_error_and_the_next_one_counts(server: Server, service: str, line: bytes):
    with Smtp(server, service) as smtp:
        smtp.send(line)
        code, text = smtp.reply()
        assert 500 <= code < 600, (code, text)
        assert smtp.ask("RSET")[0] == 250
        assert smtp.ask("QUIT")[0] == 221


@pytest.mark.parametrize("service", MX_AND_SUBMISSION)
def test_a_line_of_100_mb_without_an_end_is_read_over_or_cut(server: Server, service: str):
    with bounded(server, memory=24 * MEBIBYTE, seconds=60), Smtp(server, service, timeout_s=60) as smtp:
        piece = b"A" * MEBIBYTE
        try:
            for _ in range(100):
                smtp.send(piece)
            smtp.send(b"\r\n")
            code, text = smtp.reply()
            assert code in (421, 500), (code, text)
        except Closed:
            pass


def test_twenty_mistakes_are_enough(server: Server):
    with Smtp(server) as smtp:
        for _ in range(20):
            smtp.send(b"NONSENSE\r\n")
        codes = []
        with pytest.raises(Closed):
            while True:
                codes.append(smtp.reply()[0])
    assert codes[-1] == 421
    assert len(codes) <= 20


@pytest.mark.parametrize(
    "early", [b"EHLO client.test\r\nMAIL FROM:<a@far.test>\r\n", b"EHLO client.test\r\nEHLO client.test\r\n"]
)
def test_pipelining_before_its_time_ends_the_connection(server: Server, early: bytes):
    with Smtp(server, hello="") as smtp:
        smtp.send(early)
        told = smtp.rest()
    assert told.startswith(b"554 ") and told.count(b"\r\n") == 1, told


def test_content_before_354_ends_the_connection_and_is_no_message(server: Server):
    before = inbox(server)
    with Smtp(server) as smtp:
        smtp.send(f"MAIL FROM:<a@far.test>\r\nRCPT TO:<{ALICE}>\r\nDATA\r\nSubject: early\r\n\r\nhello\r\n.\r\n".encode())
        told = smtp.rest()
    assert told.count(b"250") == 2 and b"\r\n554 " in told and b"354" not in told, told
    assert inbox(server) == before


def test_who_speaks_before_the_greeting_gets_no_message_in(server: Server):
    before = inbox(server)
    for _ in range(5):
        with Wire(server, "smtp") as wire:
            wire.send(
                b"EHLO early.test\r\nMAIL FROM:<a@far.test>\r\n"
                + f"RCPT TO:<{ALICE}>\r\nDATA\r\nSubject: early\r\n\r\nhello\r\n.\r\nQUIT\r\n".encode()
            )
            assert b"354" not in wire.rest()
    assert inbox(server) == before


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"Subject: nul\r\n\r\na\0b\r\n", 550),
        (b"Subject: lf\r\n\r\nbare\nline feed\r\n", 550),
        (b"Subject: cr\r\n\r\nbare\rcarriage return\r\n", 550),
        (b"Subject: line\r\n\r\n" + b"x" * (MEBIBYTE + 10) + b"\r\n", 550),
        (b"X-Long: y\r\n" + (b" " + b"y" * 900 + b"\r\n") * 11_000 + b"\r\nbody\r\n", 552),
        (b"".join(b"X-%d: y\r\n" % number for number in range(900_000)) + b"\r\nbody\r\n", 552),
        (b"Received: from a by b\r\n" * 60 + b"\r\nround and round\r\n", 554),
    ],
    ids=["NUL", "bare LF", "bare CR", "line beyond 1 MiB", "header field of 10 MB", "header of 10 MB", "60 hops"],
)
def test_a_message_that_cannot_be_is_refused_and_the_session_lives(server: Server, content: bytes, wanted: int):
    before = inbox(server)
    with bounded(server, memory=60 * MEBIBYTE, seconds=30), Smtp(server, timeout_s=30) as smtp:
        start_message(smtp)
        smtp.send(content + b".\r\n")
        code, text = smtp.reply()
        assert (code, text[:1]) == (wanted, "5"), (code, text)
        assert smtp.ask("NOOP")[0] == 250
    assert inbox(server) == before


def test_a_message_beyond_the_size_is_refused_after_its_end_without_being_kept(server: Server):
    with bounded(server, memory=24 * MEBIBYTE, seconds=60), Smtp(server, timeout_s=60) as smtp:
        assert smtp.ask(f"MAIL FROM:<a@far.test> SIZE={51 * MEBIBYTE}")[0] == 552
        start_message(smtp)
        line = b"z" * 70 + b"\r\n"
        for _ in range(51):
            smtp.send(line * (MEBIBYTE // len(line) + 1))
        smtp.send(b".\r\n")
        assert smtp.reply()[0] == 552
        assert smtp.ask("NOOP")[0] == 250
    assert list((server.data / "spool").iterdir()) == []


def test_a_client_that_dies_inside_a_message_leaves_nothing(server: Server):
    before = inbox(server)
    for content in (b"", b"Subject: x\r\n\r\nhalf", b"x" * 200_000, b"Subject: x\r\n\r\nall but the end\r\n."):
        with Smtp(server) as smtp:
            start_message(smtp)
            smtp.send(content)
    with Smtp(server) as smtp:  # a BDAT that is cut
        assert smtp.ask("MAIL FROM:<a@far.test>")[0] == 250
        assert smtp.ask(f"RCPT TO:<{ALICE}>")[0] == 250
        smtp.send(b"BDAT 100000 LAST\r\n" + b"y" * 70_000)
    deadline = time.monotonic() + 10
    while list((server.data / "spool").iterdir()):
        assert time.monotonic() < deadline, "a spool file is left over"
        time.sleep(0.05)
    assert inbox(server) == before


@pytest.mark.parametrize("size", ["99999999999", "18446744073709551616", "-1", "1x", "", "0x10", "2147483647"])
def test_a_bdat_that_cannot_be_is_refused(server: Server, size: str):
    with Smtp(server) as smtp:
        assert smtp.ask("MAIL FROM:<a@far.test>")[0] == 250
        assert smtp.ask(f"RCPT TO:<{ALICE}>")[0] == 250
        smtp.send(f"BDAT {size} LAST\r\n".encode())
        code, text = smtp.reply()
        assert code in (501, 552), (code, text)


def test_so_many_recipients_are_cut_at_the_limit_and_cost_little(server: Server):
    command = f"RCPT TO:<{ALICE}>\r\n".encode()
    rounds, of = 100, 1000  # a million would say no more: from the limit on each costs the same
    with bounded(server, memory=24 * MEBIBYTE, seconds=60), Smtp(server, timeout_s=60) as smtp:
        assert smtp.ask("MAIL FROM:<a@far.test>")[0] == 250
        codes: dict[int, int] = {}
        try:
            for _ in range(rounds):
                smtp.send(command * of)
                for _ in range(of):
                    code, _ = smtp.reply()
                    codes[code] = codes.get(code, 0) + 1
        except Closed:
            pass
    assert codes[250] == 1000
    assert set(codes) <= {250, 452, 421}
    if 421 not in codes:
        assert codes[452] == rounds * of - 1000


def test_unknown_recipients_end_the_connection(server: Server):
    with Smtp(server) as smtp:
        assert smtp.ask("MAIL FROM:<a@far.test>")[0] == 250
        codes = []
        with pytest.raises(Closed):
            for number in range(50):
                smtp.send(f"RCPT TO:<unknown{number}@example.test>\r\n".encode())
            while True:
                codes.append(smtp.reply()[0])
    assert set(codes) == {550, 421}
    assert len(codes) <= 20


@pytest.mark.parametrize("service", ["submission", "submissions"])
def test_broken_sasl_exchanges_end_in_an_error_each(server: Server, service: str):
    def b64(data: bytes) -> bytes:
        return base64.b64encode(data)

    exchanges: list[list[bytes]] = [
        [b"AUTH PLAIN !!!!"],
        [b"AUTH PLAIN A"],
        [b"AUTH PLAIN ="],
        [b"AUTH PLAIN " + b64(b"no nuls")],
        [b"AUTH PLAIN " + b64(b"\0\0")],
        [b"AUTH PLAIN " + b64(b"\0" * 50)],
        [b"AUTH PLAIN " + b64(b"\xff\0\xff\0\xff")],
        [b"AUTH PLAIN", b"*"],
        [b"AUTH PLAIN", b"====="],
        [b"AUTH PLAIN", b"A" * 12_400],
        [b"AUTH LOGIN", b"*"],
        [b"AUTH LOGIN", b64(b"x"), b"*"],
        [b"AUTH LOGIN", b"\0\0\0"],
        [b"AUTH SCRAM-SHA-256 " + b64(b"n,,n=,r=")],
        [b"AUTH SCRAM-SHA-256 " + b64(b"y,,n=a,m=x,r=abc")],
        [b"AUTH SCRAM-SHA-256 " + b64(b"p=tls-exporter,,n=a,r=abc")],
        [b"AUTH SCRAM-SHA-1", b64(b"n,,n=" + b"a" * 5000 + b",r=abc"), b64(b"c=biws,r=abc,p=AAAA")],
        [b"AUTH SCRAM-SHA-256", b64(b"n,,n=alice,r=abc"), b"*"],
        [b"AUTH NONSENSE"],
        [b"AUTH"],
        [b"AUTH PLAIN AAAA BBBB"],
    ]
    for exchange in exchanges:
        with Smtp(server, service) as smtp:
            code = 0
            for line in exchange:
                code, text = smtp.ask(line)
                if code != 334:
                    break
            assert code in (500, 501, 504, 535), (exchange, code, text)
            assert smtp.ask("NOOP")[0] == 250
            assert smtp.ask("MAIL FROM:<a@far.test>")[0] == 530


def test_half_a_command_and_silence_cost_nothing_to_others(server: Server):
    halves: list[Smtp] = []
    with bounded(server, memory=24 * MEBIBYTE, seconds=60):
        for number in range(200):
            smtp = Smtp(server, hello="" if number % 2 else "client.test")
            smtp.send((b"", b"M", b"EHLO x", b"MAIL FROM:<a@", b"X" * 2000)[number % 5])
            halves.append(smtp)
        time.sleep(0.5)
    for smtp in halves:
        smtp.close()
