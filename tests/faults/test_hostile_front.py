"""Attacks on the doors for machines in front of us: LMTP and the PROXY port. They relay for nobody and wait for nobody."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.postillon import Postillon, port_base

from .sink import Sink
from .test_open_relay import RECIPIENTS, SENDERS
from .test_smuggling import TERMINATORS

pytestmark = [pytest.mark.real]

BOB = "bob@example.test"
HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 25\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postillon]:
    base = port_base("127.0.0.1")
    ports = ("--lmtp-port", str(base.base + 24), "--proxy-port", str(base.base + 26))
    data: Path = tmp_path_factory.mktemp("front") / "data"
    with Sink() as sink:
        server = Postillon(data, *ports, "--workers", "1", "--route", f"elsewhere.test=127.0.0.1:{sink.port}", base=base)
        with server:
            yield server
            assert "trace=" not in server.log_text
            assert server.ask("queue.list") == [] and sink.connections == 0
    base.release()


class Wire:
    def __init__(self, server: Postillon, service: str) -> None:
        self.sock = socket.create_connection((server.host, server.told[service]), timeout=20)
        self.file = self.sock.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.sock.close()

    def reply(self) -> bytes:
        while (line := self.file.readline())[3:4] == b"-":
            pass
        return line

    def ask(self, command: str) -> bytes:
        self.sock.sendall(command.encode() + b"\r\n")
        return self.reply()

    def rest(self) -> bytes:
        """All until they close."""
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := self.sock.recv(4096):
                heard += piece
        return heard


def front(server: Postillon) -> Wire:
    wire = Wire(server, "lmtp")
    assert wire.reply().startswith(b"220 ")
    assert wire.ask("LHLO front.test").startswith(b"250")
    return wire


@pytest.mark.parametrize("sender", SENDERS)
def test_lmtp_relays_for_nobody(server: Postillon, sender: str):
    for recipient in RECIPIENTS:
        with front(server) as wire:
            wire.ask(f"MAIL FROM:<{sender}>")
            answer = wire.ask(f"RCPT TO:<{recipient}>")
            assert answer[:1] == b"5", (recipient, answer)
            assert wire.ask("DATA")[:3] == b"503"


def test_nothing_is_smuggled_through_lmtp(server: Postillon):
    inner = (
        f"MAIL FROM:<admin@example.test>\r\nRCPT TO:<{BOB}>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled words\r\n.\r\n".encode()
    )
    for terminator in TERMINATORS:
        with front(server) as wire:
            wire.ask("MAIL FROM:<x@front.test>")
            wire.ask("RCPT TO:<alice@example.test>")
            assert wire.ask("DATA")[:3] == b"354"
            wire.sock.sendall(b"Subject: outer\r\n\r\nouter words" + terminator + inner)
            assert wire.reply()[:3] in (b"250", b"550"), terminator
            assert wire.ask("VRFY x")[:3] == b"252", terminator
    assert server.account(BOB).messages() == []


@pytest.mark.parametrize("size", [1, 100, 4096])
def test_what_follows_starttls_is_never_executed(server: Postillon, size: int):
    with front(server) as wire:
        wire.sock.sendall(b"STARTTLS\r\n" + (b"NOOP injected\r\n" * 300)[:size])
        heard = wire.rest()
        assert heard.count(b"250") == 0, heard


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"EHLO there\r\n",
        b"PROXY TCP4 x\r\n",
        b"PROXY " + b"9" * 5000,
    ],
)
def test_who_brings_no_header_hears_nothing(server: Postillon, words: bytes):
    with Wire(server, "proxy") as wire:
        wire.sock.sendall(words)
        assert wire.rest() == b""


def test_a_client_behind_the_proxy_cannot_name_another(server: Postillon):
    """A second header is a bad command, and the address stays that of the first."""
    with Wire(server, "proxy") as wire:
        wire.sock.sendall(HEADER)
        assert wire.reply().startswith(b"220 ")
        assert wire.ask("PROXY TCP4 127.0.0.1 127.0.0.1 1 25")[:3] == b"500"
        assert b"XCLIENT" not in wire.ask("EHLO there")
        assert wire.ask("XCLIENT ADDR=127.0.0.1")[:3] == b"502"


def test_hundreds_that_say_nothing_keep_nobody_waiting(server: Postillon):
    waiting = [Wire(server, "proxy") for _ in range(300)]
    try:
        began = time.monotonic()
        with Wire(server, "proxy") as wire:
            wire.sock.sendall(HEADER)
            assert wire.reply().startswith(b"220 ")
        with server.smtp() as smtp:
            assert smtp.ehlo()[0] == 250
        assert time.monotonic() - began < 5
        assert waiting[0].rest() == b""  # their time is over soon
        assert time.monotonic() - began < 20
    finally:
        for wire in waiting:
            wire.sock.close()
