"""Whatever follows STARTTLS or STLS in the clear is never executed under TLS (NO STARTTLS, USENIX 2021)."""

from __future__ import annotations

import socket
import ssl
import time

import pytest

from .canary import Canary
from .conftest import ALICE
from .server import Server
from .wire import Closed, Imap, Pop3, Smtp, Wire

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("unhurt")]

SIZES = (1, 2, 10, 100, 1000, 4096)
UPGRADES = {
    "smtp": (b"STARTTLS\r\n", b"220", b"MAIL FROM:<evil@far.test>\r\n"),
    "submission": (b"STARTTLS\r\n", b"220", b"NOOP injected\r\n"),
    "imap": (b"s STARTTLS\r\n", b"s OK", b"e NOOP\r\n"),
    "pop3": (b"STLS\r\n", b"+OK", b"CAPA\r\n"),
}


def begun(server: Server, service: str) -> Wire:
    """A connection that may ask for TLS now."""
    if service in ("smtp", "submission"):
        return Smtp(server, service)
    return Imap(server) if service == "imap" else Pop3(server)


def injected(command: bytes, size: int) -> bytes:
    """So many octets of whole commands, or the beginning of one."""
    return (command * (size // len(command) + 1))[:size]


@pytest.mark.parametrize("service", UPGRADES)
@pytest.mark.parametrize("split", [False, True], ids=["one segment", "two segments"])
def test_what_follows_in_the_clear_is_never_answered(server: Server, service: str, split: bool):
    upgrade, yes, command = UPGRADES[service]
    with Canary(server):
        for size in SIZES:
            with begun(server, service) as wire:
                wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if split:
                    wire.send(upgrade)
                    wire.send(injected(command, size))
                else:
                    wire.send(upgrade + injected(command, size))
                wire.sock.shutdown(socket.SHUT_WR)
                # Either it is seen at once, or the handshake finds octets that are no handshake. Never a word about them.
                told = wire.rest()
            told = told.removeprefix(yes)
            assert told.count(b"\r\n") <= 1, told
            assert b"e OK" not in told and b"250" not in told and b"NOOP" not in told, told


@pytest.mark.parametrize("service", UPGRADES)
def test_what_was_said_before_tls_does_not_count_under_tls(server: Server, service: str):
    upgrade, yes, _ = UPGRADES[service]
    with begun(server, service) as wire:
        if service == "pop3":
            wire.send(f"USER {ALICE}\r\n".encode())
            wire.line()
        wire.send(upgrade)
        told = wire.line()
        assert told.startswith(yes), told
        wire.start_tls()
        if isinstance(wire, Smtp):
            assert wire.ask("MAIL FROM:<a@far.test>")[0] in (503, 530)  # nobody has said EHLO under TLS
            assert wire.ask("EHLO again.test")[0] == 250
            assert wire.ask("STARTTLS")[0] in (502, 503)
        elif isinstance(wire, Imap):
            done, told_before = wire.ask("CAPABILITY")
            assert done.startswith(b"OK") and b"STARTTLS" not in b"".join(told_before)
        elif isinstance(wire, Pop3):
            assert wire.ask(f"PASS {server.accounts[ALICE]}").startswith(b"-ERR")


@pytest.mark.parametrize("service", UPGRADES)
def test_a_handshake_that_never_comes_ends_alone(server: Server, service: str):
    upgrade, yes, _ = UPGRADES[service]
    with Canary(server), begun(server, service) as silent, begun(server, service) as wire:
        silent.send(upgrade)
        silent.line()
        wire.send(upgrade)
        assert wire.line().startswith(yes)
        wire.send(b"\x16\x03\x01\xff\xff" + bytes(60))  # looks like one, and is none
        began = time.monotonic()
        with pytest.raises((Closed, ssl.SSLError)):
            while time.monotonic() - began < 20:
                wire.octets(1)
