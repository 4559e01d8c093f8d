"""Who speaks another protocol is sent away at once, gets no second line in, and hears nothing of its own words."""

from __future__ import annotations

import socket
import ssl
import time

import pytest

from tests.peers.postillon import OFFSETS

from .canary import Canary
from .server import IMPLICIT_TLS, Server
from .wire import Wire

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("unhurt")]

IN_THE_CLEAR = tuple(service for service in OFFSETS if service not in IMPLICIT_TLS)
VERBS = ("GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "TRACE", "PATCH")


@pytest.mark.parametrize("service", OFFSETS)
def test_a_browser_gets_no_second_line_in(server: Server, service: str):
    with Canary(server):
        for verb in VERBS:
            with Wire(server, service) as wire:
                first = wire.line()
                wire.send(
                    f"{verb} /secret-word HTTP/1.1\r\nHost: secret-word.test\r\nContent-Length: 40\r\n\r\n"
                    "EHLO secret-word\r\na1 NOOP\r\nCAPA\r\n".encode()
                )
                told = wire.rest()
            assert b"secret-word" not in first + told
            assert b"250" not in told and b"a1 OK" not in told and b"+OK" not in told, told
            assert told.count(b"\r\n") <= 2, told


@pytest.mark.parametrize("service", IN_THE_CLEAR)
def test_a_client_hello_on_a_port_without_tls_is_an_error(server: Server, service: str):
    began = time.monotonic()
    context = server.tls()
    with Wire(server, service) as wire:
        wire.line()
        outgoing = ssl.MemoryBIO()
        hello = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            hello.do_handshake()
        # Its last octet may be anything, so the line may not have ended; then we end it.
        wire.send(outgoing.read() + b"\r\n\r\n")
        wire.sock.settimeout(10)
        told = wire.line()
        assert told[:1] in (b"5", b"*", b"-"), told
        assert not told.startswith(b"* OK")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("service", IMPLICIT_TLS)
def test_plain_words_on_a_port_with_tls_are_a_broken_handshake(server: Server, service: str):
    with Canary(server):
        for words in (
            b"EHLO client.test\r\n",
            b"a1 NOOP\r\n",
            b"\r\n" * 4000,
            bytes(70_000),
            b"\x80" * 5000,
            b"\x15\x03\x01\x00\x02\x02\x00",
        ):
            with socket.create_connection((server.host, server.port(service)), timeout=20) as sock:
                try:
                    sock.sendall(words)
                    told = b""
                    while piece := sock.recv(4096):
                        told += piece
                except OSError:
                    continue
                # A TLS alert at most.
                assert not told or told[:1] == b"\x15", told[:80]


def upgrade(sock: socket.socket, service: str) -> None:
    """Ask for TLS, up to the answer."""
    with sock.makefile("rb", buffering=0) as lines:
        lines.readline()
        if service in ("smtp", "submission"):
            sock.sendall(b"EHLO client.test\r\n")
            while lines.readline()[3:4] == b"-":
                pass
        sock.sendall({"imap": b"s STARTTLS\r\n", "pop3": b"STLS\r\n"}.get(service, b"STARTTLS\r\n"))
        lines.readline()


@pytest.mark.parametrize("service", OFFSETS)
def test_another_protocol_in_alpn_is_refused(server: Server, service: str):
    for offered in (["http/1.1"], ["h2"], ["imap"] if "s" in service[:1] else ["smtp"]):
        context = server.tls()
        context.set_alpn_protocols(offered)
        with socket.create_connection((server.host, server.port(service)), timeout=20) as sock:
            if service not in IMPLICIT_TLS:
                upgrade(sock, service)
            with pytest.raises((ssl.SSLError, ConnectionError)), context.wrap_socket(sock, server_hostname="localhost") as tls:
                tls.sendall(b"NOOP\r\n")
                if not tls.recv(100):
                    raise ConnectionError("closed without a word")
