"""`postillon queue` over a running server."""

from __future__ import annotations

import asyncio
import json
import smtplib
import time
from pathlib import Path
from typing import Any

import pytest

from ..relay.sink import Conversation, Sink
from .running import OFFSETS, Dev, dev

pytestmark = pytest.mark.real

ALICE = "alice@example.test"


def asked(server: Dev, *words: str) -> Any:
    done = server.command("queue", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def totals(server: Dev) -> dict[str, Any]:
    return {row["destination"]: row for row in asked(server, "totals")}


def until(server: Dev, done: Any) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.1)


async def test_an_operator_sees_why_holds_reschedules_and_reroutes(tmp_path: Path):
    def grey(conversation: Conversation, command: bytes) -> str:
        return "451 4.7.1 Greylisted, try again in 20 minutes" if command.startswith(b"RCPT") else ""

    async with Sink(script=grey) as sink, Sink() as other:

        def journey() -> None:
            with dev(tmp_path, "--route", f"there.test=127.0.0.1:{sink.port}", "--workers", "2") as server:
                server.send(ALICE, "bob@there.test", "one")
                server.send(ALICE, "carol@there.test", "two")
                until(server, lambda: all(row["attempts"] for row in asked(server, "list")))
                row = totals(server)["there.test"]
                assert (row["recipients"], row["cause"], row["state"]) == (2, "greylisted", "waiting")
                assert 19 * 60 < row["due"] - time.time() <= 20 * 60 + 10
                assert "greylisted" in server.command("queue", "totals").stdout
                assert asked(server, "hold", "--destination", "there.test") == {"recipients": 2}
                assert totals(server)["there.test"]["state"] == "held"
                assert asked(server, "release", "--all") == {"recipients": 2}
                assert asked(server, "reschedule", "--all", "--in", "60") == {"recipients": 2}
                assert 59 * 60 < totals(server)["there.test"]["due"] - time.time() <= 3600
                assert asked(server, "reschedule", "--all", "--at", "2099-12-24T18:00") == {"recipients": 2}
                assert totals(server)["there.test"]["due"] > time.time() + 86400 * 365
                server.send(ALICE, "dave@there.test", "three")
                until(server, lambda: all(row["attempts"] for row in asked(server, "list") if "dave" in row["recipient"]))
                (dave,) = (row for row in asked(server, "list") if "dave" in row["recipient"])
                assert asked(server, "recall", dave["id"]) == {"recalled": ["dave@there.test"], "under_way": []}
                assert server.command("queue", "recall", dave["id"]).returncode == 1
                assert asked(server, "reroute", "--all", "--via", f"127.0.0.1:{other.port}") == {"recipients": 2}
                until(server, lambda: asked(server, "totals") == [])
                assert server.command("queue", "reroute", "--all", "--via", "no host").returncode != 0
                assert server.command("queue", "hold").returncode != 0

        await asyncio.to_thread(journey)
        assert sorted(received.rcpts[0] for received in other.received) == [
            b"RCPT TO:<bob@there.test>",
            b"RCPT TO:<carol@there.test>",
        ]


async def test_a_table_of_the_settings_holds_beside_the_options_of_the_same_subject(tmp_path: Path):
    def no(conversation: Conversation, command: bytes) -> str:
        return "451 4.2.0 later" if command.startswith(b"RCPT") else ""

    settings = tmp_path / "settings.toml"
    settings.write_text('[sending.destinations."there.test"]\nfirst_wait = 600\n[trusted]\nxclient = ["127.0.0.0/8"]\n')
    async with Sink(script=no) as sink:

        def journey() -> None:
            options = ("--route", f"there.test=127.0.0.1:{sink.port}", "--settings", str(settings), "--workers", "1")
            with dev(tmp_path / "data", *options) as server:
                with smtplib.SMTP("127.0.0.1", server.base + OFFSETS["smtp"]) as client:
                    client.ehlo()
                    assert client.has_extn("xclient")
                server.send(ALICE, "bob@there.test", "one")
                until(server, lambda: any(row["attempts"] for row in asked(server, "list")))
                (row,) = asked(server, "list")
                assert row["due"] - time.time() <= 610

        await asyncio.to_thread(journey)


async def test_a_message_is_dumped_and_dropped_with_a_report(tmp_path: Path):
    def no(conversation: Conversation, command: bytes) -> str:
        return "451 4.2.0 later" if command.startswith(b"RCPT") else ""

    async with Sink(script=no) as sink:

        def journey() -> None:
            with dev(tmp_path, "--route", f"there.test=127.0.0.1:{sink.port}", "--workers", "1") as server:
                server.send(ALICE, "bob@there.test", "old news")
                until(server, lambda: all(row["attempts"] for row in asked(server, "list")) and asked(server, "list"))
                (row,) = asked(server, "list")
                dumped = server.command("queue", "dump", row["id"]).stdout
                assert "Subject: old news" in dumped and dumped.endswith("old news\n")
                target = tmp_path / "dump"
                server.command("queue", "dump", row["id"], "--output", str(target))
                assert target.read_bytes().endswith(b"\r\n\r\nold news\r\n")
                shown = server.command("queue").stdout
                assert "there.test" in shown and "oldest" in shown and "4.2.0 later" in shown
                assert server.command("queue", "drop", row["id"], "--reason", "x").returncode != 0
                assert asked(server, "drop", row["id"], "--report", "--reason", "It was sent by mistake") == {"recipients": 1}
                assert asked(server, "list") == []
                assert server.command("queue", "drop", row["id"], "--report").returncode == 1
                until(server, lambda: len(server.subjects(ALICE)) == 1)
                told = server.command("trace", "bob@there.test").stdout
                assert "dropped <bob@there.test>" in told and "its sender was told by message" in told

        await asyncio.to_thread(journey)
