"""Bans on a running server: strangers on loopback offend on real sockets, and every service and worker refuses them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.postillon import Postillon
from tests.peers.processes import wait_until

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postillon]:
    with Postillon(tmp_path_factory.mktemp("bans") / "data", "--workers", "2") as running:
        yield running


def said(server: Postillon, service: str, source: str) -> bytes:
    """What a client that says nothing hears first."""
    where = ("127.0.0.1", server.port(service))
    with socket.create_connection(where, timeout=10, source_address=(source, 0)) as sock:
        return sock.recv(200)


def hunt(server: Postillon, source: str, commands: bytes) -> None:
    """Say *commands* and hear the server out."""
    with socket.create_connection(("127.0.0.1", server.port("smtp")), timeout=10, source_address=(source, 0)) as sock:
        sock.recv(200)
        sock.sendall(b"EHLO hunter.example\r\n")
        sock.recv(4096)
        sock.sendall(b"MAIL FROM:<a@example.org>\r\n" + commands + b"QUIT\r\n")
        while sock.recv(4096):
            pass


def banned(server: Postillon) -> list[str]:
    return [row["network"] for row in server.ask("ban.list")]


def test_a_dictionary_attack_ends_in_a_ban_that_holds_for_all_services(server: Postillon, tmp_path: Path) -> None:
    unknown = b"".join(b"RCPT TO:<nobody%d@example.test>\r\n" % n for n in range(9))
    for _ in range(12):
        hunt(server, "127.0.0.66", unknown)
    wait_until(lambda: "127.0.0.66/32" in banned(server), 10, "the ban")
    for _ in range(6):  # on each worker
        wait_until(lambda: said(server, "smtp", "127.0.0.66").startswith(b"421 4.7.0 "), 10, "a refusal")
    assert b"unknown recipients" in said(server, "smtp", "127.0.0.66")
    assert said(server, "imap", "127.0.0.66").startswith(b"* BYE ")
    assert said(server, "pop3", "127.0.0.66").startswith(b"-ERR ")
    assert said(server, "submissions", "127.0.0.66") == b""
    assert said(server, "smtp", "127.0.0.67").startswith(b"220 ")
    wait_until(lambda: "was banned until" in server.command("trace", "127.0.0.66").stdout, 10, "the record")
    done = server.command("ban", "remove", "127.0.0.66")
    assert done.returncode == 0 and "may come in again" in done.stdout
    wait_until(lambda: said(server, "smtp", "127.0.0.66").startswith(b"220 "), 10, "to be let in")


def test_127_0_0_1_is_never_banned(server: Postillon) -> None:
    relay = b"".join(b"RCPT TO:<somebody%d@elsewhere.test>\r\n" % n for n in range(9))
    for _ in range(10):
        hunt(server, "127.0.0.1", relay)
    for _ in range(4):
        hunt(server, "127.0.0.68", relay)
    wait_until(lambda: "127.0.0.68/32" in banned(server), 10, "the ban of the stranger")
    assert "127.0.0.1/32" not in banned(server)
    assert said(server, "smtp", "127.0.0.1").startswith(b"220 ")


def test_who_is_banned_while_talking_is_sent_away(server: Postillon) -> None:
    with socket.create_connection(("127.0.0.1", server.port("smtp")), timeout=10, source_address=("127.0.0.70", 0)) as sock:
        sock.recv(200)
        server.ask("ban.add", network="127.0.0.70", seconds=600, reason="told so")

        def answer() -> bytes:
            sock.sendall(b"NONSENSE\r\n")
            return sock.recv(200)

        wait_until(lambda: answer().startswith(b"421 4.7.0 Your address"), 10, "the goodbye")
        assert sock.recv(200) == b""


def test_a_ban_may_be_made_while_nobody_serves_and_holds_after_the_start(tmp_path: Path) -> None:
    with Postillon(tmp_path / "data", "--workers", "1") as once:
        once.stop()
        assert once.command("ban", "add", "127.0.0.80").stdout == "127.0.0.80/32 is refused for ever.\n"
        once.start()
        wait_until(lambda: said(once, "smtp", "127.0.0.80") == b"421 4.7.0 example.test Your address is refused\r\n", 10, "no")
        assert said(once, "smtp", "127.0.0.81").startswith(b"220 ")


def test_the_administrator_bans_a_network_for_a_time(server: Postillon) -> None:
    done = server.command("ban", "add", "127.0.3.0/24", "--for", "2h", "--reason", "scans")
    assert done.returncode == 0 and "127.0.3.0/24 is refused until" in done.stdout
    for _ in range(6):
        wait_until(lambda: said(server, "smtp", "127.0.3.9").startswith(b"421 4.7.0 "), 10, "a refusal")
    rows = json.loads(server.command("ban", "list", "--json").stdout)
    assert next(row for row in rows if row["network"] == "127.0.3.0/24")["reason"] == "scans"
    assert server.command("ban", "add", "nobody").returncode == 1
    assert server.command("ban", "add", "127.0.4.1", "--for", "soon").returncode == 2
