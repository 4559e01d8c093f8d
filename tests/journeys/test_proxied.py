"""Mail that comes through a proxy: the server sees the client, and nobody who cannot say who it is."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.peers.postillon import Postillon, port_base
from tests.peers.processes import wait_until

pytestmark = pytest.mark.real


@pytest.fixture
def server(tmp_path: Path):
    base = port_base("127.0.0.1")
    port = base.base + 26
    server = Postillon(tmp_path / "data", "--proxy-port", str(port), "--workers", "1", base=base)
    with server:
        yield server
    base.release()


def say(server: Postillon, data: bytes) -> bytes:
    with socket.create_connection((server.host, server.told["proxy"]), timeout=10) as connection:
        connection.sendall(data)
        heard = b""
        while piece := connection.recv(4096):
            heard += piece
    return heard


def test_the_message_came_from_whom_the_header_names(server: Postillon):
    header = b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 25\r\n"
    with socket.create_connection((server.host, server.told["proxy"]), timeout=10) as connection:
        connection.sendall(header)
        file = connection.makefile("rwb")
        assert file.readline().startswith(b"220 ")
        for command in (b"EHLO elsewhere.test", b"MAIL FROM:<a@elsewhere.test>", b"RCPT TO:<alice@example.test>", b"DATA"):
            file.write(command + b"\r\n")
            file.flush()
            while (line := file.readline())[3:4] == b"-":
                pass
            assert line[:1] in b"23", line
        file.write(b"Subject: by proxy\r\n\r\nHello\r\n.\r\nQUIT\r\n")
        file.flush()
        assert file.readline().startswith(b"250 ")
    message = server.account("alice@example.test").wait_for(b"by proxy")
    assert b"[192.0.2.7]" in message and b"[127.0.0.1]" not in message
    wait_until(lambda: "peer=192.0.2.7" in server.log_text, 10, "the line in the log")


def test_without_a_valid_header_the_connection_is_closed(server: Postillon):
    assert say(server, b"EHLO elsewhere.test\r\n") == b""
    assert say(server, b"PROXY TCP4 nobody nobody 1 1\r\n") == b""
    assert say(server, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\4oops") == b""
