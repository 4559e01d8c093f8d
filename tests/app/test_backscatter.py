"""Forged mail makes no mail to those whose names it bears: refusals are said in the dialogue, reports are withheld."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pytest

from ..net.dns_server import ZoneServer
from ..relay.sink import Conversation, Sink
from .running import dev
from .test_tls_dev import until

pytestmark = pytest.mark.real

FORGED = 500
AT_ONCE = 9
VICTIM = '@ MX 10 mx\n@ TXT "v=spf1 -all"\nmx A 127.0.0.1\n'


def blast(host: str, port: int, recipients: list[str]) -> list[int]:
    """The reply to each RCPT; as many in a connection as are answered without delay."""
    codes = []
    for at in range(0, len(recipients), AT_ONCE):
        with socket.create_connection((host, port), timeout=30) as sock:
            lines = sock.makefile("rb")
            lines.readline()
            sock.sendall(b"EHLO spammer.test\r\n")
            while lines.readline()[3:4] == b"-":
                pass
            for number, recipient in enumerate(recipients[at : at + AT_ONCE], at):
                sock.sendall(f"RSET\r\nMAIL FROM:<victim{number}@victim.test>\r\nRCPT TO:<{recipient}>\r\n".encode())
                codes.append([int(lines.readline()[:3]) for _ in range(3)][2])
    return codes


async def test_forged_mail_to_nobody_makes_no_report(tmp_path: Path):
    async with Sink() as sink, ZoneServer({"victim.test": VICTIM}) as dns:

        def journey() -> None:
            options = ("--dns", f"127.0.0.1:{dns.port}", "--mx-port", str(sink.port), "--workers", "2")
            with dev(tmp_path, *options) as server:
                names = [f"nobody{number}@example.test" for number in range(FORGED)]
                codes = blast(server.told["host"], server.told["smtp"], names)
                assert codes == [550] * FORGED
                assert server.command("queue", "list", "--json").stdout.strip() == "[]"

        await asyncio.to_thread(journey)
    assert sink.conversations == []


async def test_what_cannot_be_handed_on_is_not_reported_to_a_forged_sender(tmp_path: Path):
    def no(conversation: Conversation, command: bytes) -> str:
        return "550 5.1.1 gone" if command.startswith(b"RCPT TO:<away@") else ""

    zones = {"victim.test": VICTIM, "far.test": "@ MX 10 mx\nmx A 127.0.0.1\n"}
    async with Sink(script=no) as sink, ZoneServer(zones) as dns:

        def journey() -> None:
            options = ("--dns", f"127.0.0.1:{dns.port}", "--mx-port", str(sink.port), "--workers", "1", "-v")
            with dev(tmp_path, *options) as server:
                assert server.command("alias", "add", "list@example.test", "away@far.test").returncode == 0
                server.send("victim@victim.test", "list@example.test", "forged", mx=True)
                until(server, lambda: '"report withheld"' in server.log())
                told = server.command("trace", "list@example.test").stdout
                assert "its sender was not told: that it failed: the sender is likely to be forged" in told
                assert server.command("queue", "list", "--json").stdout.strip() == "[]"

        await asyncio.to_thread(journey)
    assert sink.received == []
    assert not any(re.search(rb"victim\.test>", rcpt) for one in sink.conversations for rcpt in one.rcpts)
