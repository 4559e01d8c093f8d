"""What a POP3 port says to nonsense, before login and after, and what nonsense costs."""

from __future__ import annotations

import base64
import time

import pytest

from .canary import MEBIBYTE, bounded
from .conftest import BOB
from .server import Server
from .wire import Closed, Pop3, Smtp, Wire

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("unhurt")]

BROKEN = [
    b"\r\n",
    b"\0\r\n",
    b"NOOP\0\r\n",
    b"NOOP\rNOOP\r\n",
    b"\xff\xfe\xfd\r\n",
    b"USER\r\n",
    b"USER " + b"x" * 240 + b"\r\n",
    b"X" * 300 + b"\r\n",
    b"X" * 70_000 + b"\r\n",
    b"PASS x\r\n",
    b"APOP a b\r\n",
    b"RETR 0\r\n",
    b"RETR -1\r\n",
    b"RETR 99999999999999999999999\r\n",
    b"TOP 1\r\n",
    b"TOP 1 -5\r\n",
    b"DELE 1 2 3\r\n",
    b"LIST x\r\n",
    b"UIDL 4294967296\r\n",
    b"STLS now\r\n",
    b"UTF8 maybe\r\n",
]


@pytest.mark.parametrize("login", ["", BOB], ids=["before login", "after login"])
def test_a_broken_command_is_an_error_and_the_next_one_counts(server: Server, login: str):
    with bounded(server, memory=16 * MEBIBYTE, seconds=60):
        for line in BROKEN:
            with Pop3(server, login=login) as pop3:
                pop3.send(line)
                answer = pop3.line()
                if line.startswith(b"USER x"):
                    assert answer.startswith((b"+OK", b"-ERR"))
                else:
                    assert answer.startswith(b"-ERR"), (line[:80], answer)
                assert pop3.ask("QUIT").startswith(b"+OK"), line[:80]


def test_a_line_of_100_mb_is_read_over_or_cut(server: Server):
    for login in ("", BOB):
        with bounded(server, memory=24 * MEBIBYTE, seconds=60), Pop3(server, login=login, timeout_s=60) as pop3:
            try:
                for _ in range(100):
                    pop3.send(b"A" * MEBIBYTE)
                pop3.send(b"\r\n")
                assert pop3.line().startswith(b"-ERR")
            except Closed:
                pass


def test_commands_sent_ahead_of_the_login_are_judged_one_by_one(server: Server):
    with Wire(server, "pop3") as wire:
        password = server.accounts[BOB]
        wire.send(f"USER {BOB}\r\nPASS wrong\r\nSTAT\r\nUSER {BOB}\r\nPASS {password}\r\nSTAT\r\nQUIT\r\n".encode())
        told = [line[:3] for line in wire.rest().split(b"\r\n") if line]
    assert told == [b"+OK", b"+OK", b"-ER", b"-ER", b"+OK", b"+OK", b"+OK", b"+OK"]


def test_a_million_commands_sent_ahead_cost_little(server: Server):
    with bounded(server, memory=24 * MEBIBYTE, seconds=60), Pop3(server, login=BOB, timeout_s=60) as pop3:
        told = 0
        for _ in range(100):
            pop3.send(b"NOOP\r\n" * 1000)
            for _ in range(1000):
                assert pop3.line().startswith(b"+OK")
                told += 1
        assert told == 100_000


def test_broken_sasl_exchanges_end_in_an_error_each(server: Server):
    def b64(data: bytes) -> bytes:
        return base64.b64encode(data)

    for exchange in (
        [b"PLAIN !!!!"],
        [b"PLAIN " + b64(b"no nuls")],
        [b"PLAIN", b"*"],
        [b"PLAIN", b"A" * 13_000],
        [b"PLAIN", b"\0"],
        [b"LOGIN", b64(b"x"), b"*"],
        [b"SCRAM-SHA-256 " + b64(b"n,,n=,r=")],
        [b"SCRAM-SHA-1", b64(b"n,,n=x,r=abc"), b64(b"c=biws,r=abc,p=AAAA")],
        [b"NONSENSE"],
    ):
        with Pop3(server) as pop3:
            answer = b"+"
            for line in [b"AUTH " + exchange[0], *exchange[1:]]:
                assert answer.startswith(b"+") and not answer.startswith(b"+OK"), (exchange, answer)
                answer = pop3.ask(line)
            assert answer.startswith(b"-ERR"), (exchange, answer)
            assert pop3.ask("STAT").startswith(b"-ERR")
            assert pop3.ask("QUIT").startswith(b"+OK")


def test_a_client_that_dies_after_dele_removes_nothing_and_frees_the_maildrop(server: Server):
    with Smtp(server) as smtp:
        assert smtp.deliver("a@far.test", BOB, b"Subject: keep\r\n\r\nkeep\r\n")[0] == 250
    for ending in (b"", b"QUI", b"QUIT", b"QUIT\r", b"QUIT \0\r\n", b"Q" * 300 + b"\r\n"):
        with Pop3(server, login=BOB) as pop3:
            assert pop3.ask("STAT").startswith(b"+OK 1 "), ending
            assert pop3.ask("DELE 1").startswith(b"+OK")
            pop3.send(ending)
    with Pop3(server, login=BOB) as pop3:
        assert pop3.ask("STAT").startswith(b"+OK 1 ")
        pop3.ask("DELE 1")
        assert pop3.ask("QUIT").startswith(b"+OK")


def test_a_client_that_does_not_read_holds_little(server: Server):
    body = b"Subject: big\r\n\r\n" + (b"q" * 70 + b"\r\n") * 14_000
    with Smtp(server, timeout_s=60) as smtp:
        for _ in range(10):
            assert smtp.deliver("a@far.test", BOB, body)[0] == 250
    # 200 MB are asked for; the indexer reads the ten messages meanwhile.
    with bounded(server, memory=64 * MEBIBYTE, seconds=60), Pop3(server, login=BOB) as pop3:
        pop3.send(b"".join(b"RETR %d\r\n" % number for number in range(1, 11)) * 20)
        time.sleep(1)
        for _ in range(20_000):  # more than a message
            pop3.line()
