"""`postillon trace` over a running server: a message from the connection to the mailbox, attempts elsewhere, refusals."""

from __future__ import annotations

import asyncio
import json
import smtplib
import time
from pathlib import Path
from typing import Any

import pytest

from ..relay.sink import Conversation, Sink
from .running import Dev, dev

pytestmark = pytest.mark.real

ALICE = "alice@example.test"


def traced(server: Dev, name: str, *words: str) -> list[dict[str, Any]]:
    done = server.command("trace", name, *words, "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def stages(message: dict[str, Any]) -> list[str]:
    return [record["stage"] for record in message["records"]]


def until(server: Dev, name: str, wanted: list[str]) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while True:
        found = traced(server, name)
        if found and stages(found[0]) == wanted:
            return found[0]
        assert time.monotonic() < deadline, (found, server.log())
        time.sleep(0.1)


def incoming(server: Dev, recipient: str, name: str = "one") -> None:
    with smtplib.SMTP(server.told["host"], server.told["smtp"], "mail.sender.test") as client:
        client.sendmail("bob@sender.test", [recipient], f"Message-ID: <{name}@sender.test>\r\nSubject: {name}\r\n\r\nText\r\n")


async def test_a_message_is_followed_into_the_mailbox(tmp_path: Path):
    def journey() -> None:
        with dev(tmp_path, "--workers", "2") as server:
            incoming(server, ALICE)
            for name in ("<one@sender.test>", "bob@sender.test", ALICE):
                (message,) = traced(server, name)
                assert stages(message)[0] == "accepted" and stages(message)[-1] == "filed"
            told = server.command("trace", "one@sender.test").stdout
            assert f"message {message['message']}  <one@sender.test>" in told
            assert "from 127.0.0.1 (EHLO mail.sender.test, in clear, port" in told
            assert f"sender <bob@sender.test>, to <{ALICE}>" in told
            assert f"filed in INBOX of {ALICE}, UID 1" in told
            assert traced(server, message["message"]) == [message], "by the id in our answer"
            server.stop()
            assert traced(server, "one@sender.test") == [message], "while the server is down"

    await asyncio.to_thread(journey)


async def test_refusals_are_found_by_whom_they_concern(tmp_path: Path):
    def journey() -> None:
        with dev(tmp_path, "--workers", "2") as server:
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                incoming(server, "nobody@example.test")
            for name in ("nobody@example.test", "bob@sender.test", "127.0.0.1"):
                found = [record for message in traced(server, name) for record in message["records"]]
                assert [record["facts"]["command"] for record in found] == ["RCPT"]
            told = server.command("trace", "nobody@example.test").stdout
            assert "refused at RCPT, from 127.0.0.1" in told
            assert "550 5.1.1 No such mailbox here: <nobody@example.test>" in told
            unknown = server.command("trace", "carol@example.test")
            assert unknown.returncode == 1 and "nothing is known of carol@example.test" in unknown.stderr

    await asyncio.to_thread(journey)


async def test_attempts_elsewhere_are_told_with_the_answers_and_the_report(tmp_path: Path):
    def answers(conversation: Conversation, command: bytes) -> str:
        if not command.startswith(b"RCPT"):
            return ""
        seen.append(command)
        return "451 4.7.1 Greylisted, come back" if len(seen) == 1 else "550 5.1.1 No such user"

    seen: list[bytes] = []
    async with Sink(script=answers) as sink:

        def journey() -> None:
            with dev(tmp_path, "--route", f"there.test=127.0.0.1:{sink.port}", "--workers", "1", "--retry", "600") as server:
                server.send(ALICE, "bob@there.test", "hello")
                message = until(server, "bob@there.test", ["accepted", "queued", "deferred"])
                queue_id = message["records"][1]["facts"]["queue"]
                assert traced(server, queue_id)[0]["message"] == message["message"]
                assert [row["recipient"] for row in message["waiting"]] == ["bob@there.test"]
                shown = server.command("trace", queue_id).stdout
                assert f"queued as {queue_id} for <bob@there.test>" in shown
                assert (
                    "put off by 127.0.0.1 [127.0.0.1] (in clear) at attempt 1: 451 4.7.1 Greylisted, come back; next try" in shown
                )
                assert "<bob@there.test> still waits after 1 attempts" in shown
                assert "deferred" in json.loads(server.command("queue", "show", queue_id, "--json").stdout)["history"][2]["stage"]
                assert "Greylisted, come back; next try" in server.command("queue", "show", queue_id).stdout
                server.command("queue", "hold", queue_id)
                server.command("queue", "release", queue_id)
                server.command("queue", "retry", queue_id)
                wanted = ["accepted", "queued", "deferred", "held", "released", "rescheduled", "failed", "reported"]
                message = until(server, "bob@there.test", wanted)
                assert message["waiting"] == []
                told = traced(server, "bob@there.test")
                assert len(told) == 2 and told[1]["message"] == message["records"][-1]["facts"]["report"]
                assert stages(told[1]) == ["accepted", "filed"], "the report lies in its sender's mailbox"
                assert f"a report made here about message {message['message']}" in told[1]["records"][0]["words"]

        await asyncio.to_thread(journey)
