"""A mail server in front hands over mail by LMTP: Python's client, and Postfix."""

from __future__ import annotations

import smtplib
import socket
from pathlib import Path

import pytest

from tests.peers.postfix import Postfix
from tests.peers.postillon import Postillon, port_base
from tests.peers.processes import free_port

pytestmark = pytest.mark.real


@pytest.fixture
def server(tmp_path: Path):
    base = port_base("127.0.0.1")
    server = Postillon(tmp_path / "data", "--lmtp-port", str(base.base + 24), "--workers", "1", base=base)
    with server:
        yield server
    base.release()


class Front:
    """A mail server's side, line by line (Python's own LMTP client reads one answer only)."""

    def __init__(self, server: Postillon) -> None:
        self.connection = socket.create_connection((server.host, server.told["lmtp"]), timeout=10)
        self.file = self.connection.makefile("rwb")
        assert self.reply().startswith(b"220 ")
        assert self.ask(b"LHLO front.test").startswith(b"250")

    def reply(self) -> bytes:
        while (line := self.file.readline())[3:4] == b"-":
            pass
        return line

    def ask(self, line: bytes) -> bytes:
        self.file.write(line + b"\r\n")
        self.file.flush()
        return self.reply()


def test_every_recipient_hears_for_itself(server: Postillon):
    front = Front(server)
    names = ("alice@example.test", "nobody@example.test", "friend@elsewhere.test", "bob@example.test")
    assert front.ask(b"MAIL FROM:<a@front.test>").startswith(b"250 2.1.0")
    codes = [front.ask(f"RCPT TO:<{name}>".encode())[:9] for name in names]
    assert codes == [b"250 2.1.5", b"550 5.1.1", b"550 5.7.1", b"250 2.1.5"]
    assert front.ask(b"DATA").startswith(b"354")
    first = front.ask(b"Subject: by lmtp\r\n\r\nx\r\n.")
    assert [first[:9], front.reply()[:9], front.ask(b"NOOP")[:9]] == [b"250 2.0.0"] * 3
    for name in ("alice", "bob"):
        message = server.account(f"{name}@example.test").wait_for(b"by lmtp")
        assert b" with LMTP id " in message and message.startswith(b"Return-Path: <a@front.test>\r\n")


def test_two_answers_after_the_last_chunk(server: Postillon):
    front = Front(server)
    for line in (b"MAIL FROM:<a@front.test>", b"RCPT TO:<alice@example.test>", b"RCPT TO:<bob@example.test>"):
        assert front.ask(line).startswith(b"250")
    first = front.ask(b"BDAT 18 LAST\r\nSubject: chunk\r\n\r\nNOOP")
    assert [first[:9], front.reply()[:9], front.reply()[:9]] == [b"250 2.0.0"] * 3


def test_postfix_in_front(server: Postillon, tmp_path: Path):
    transport = f"inet:127.0.0.1:{server.told['lmtp']}"
    settings = {"relay_domains": "example.test", "relay_transport": f"lmtp:{transport}", "relay_recipient_maps": ""}
    postfix = Postfix(tmp_path / "postfix", free_port(), settings=settings).start()
    try:
        with smtplib.SMTP("127.0.0.1", postfix.port, timeout=20) as smtp:
            smtp.sendmail("a@front.test", ["alice@example.test", "bob@example.test"], b"Subject: from postfix\r\n\r\nx\r\n")
        for name in ("alice", "bob"):
            server.account(f"{name}@example.test").wait_for(b"from postfix")
    finally:
        postfix.stop()
