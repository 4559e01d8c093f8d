"""Rules, next hops and a relay domain in the configuration of a real `postillon serve`."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from postillon.admin.client import ask

from ..app.running import OFFSETS
from ..app.test_setup import PASSWORD, Installed, install, own_tls, serving
from ..peers.postillon import mail
from ..peers.processes import wait_until
from ..relay.sink import Conversation, Sink

pytestmark = pytest.mark.real

YOU = "you@example.org"


def submit(installed: Installed, recipient: str, subject: str) -> None:
    context = own_tls(installed)
    context.check_hostname = False
    with smtplib.SMTP("127.0.0.1", installed.base + OFFSETS["submission"], timeout=20) as smtp:
        smtp.starttls(context=context)
        smtp.login(YOU, PASSWORD)
        smtp.sendmail(YOU, [recipient], mail(YOU, [recipient], subject))


def primary(_: Conversation, command: bytes) -> str:
    return "550 5.1.1 no such user" if command.startswith(b"RCPT TO:<nobody@") else ""


async def test_mail_goes_by_the_rules(tmp_path: Path):
    installed = install(tmp_path, "--user", "")
    async with Sink() as gate, Sink(script=primary) as server, Sink() as safe:
        with installed.config.open("a") as config:
            config.write(
                f"""
[sending.next_hops.gate]
host = "127.0.0.1"
port = {gate.port}

[sending.next_hops.safe]
host = "127.0.0.1"
port = {safe.port}

[sending]
fallback = "safe"
fallback_after = 1

[sending.routes."gone.test"]
host = "127.0.0.1"
port = 1

[relay_domains."backup.test"]
host = "127.0.0.1"
port = {server.port}

[[rules]]
name = "partner"
recipient = ["*@partner.test"]
via = "gate"
header_add = {{ "X-Partner" = "yes" }}
header_remove = ["Subject"]

[[rules]]
name = "secret"
header = {{ "Subject" = "*secret*" }}
hold = true
"""
            )
        await asyncio.to_thread(journey, installed)
        (partner,) = gate.received
        assert partner.rcpts == [b"RCPT TO:<a@partner.test>"]
        assert b"X-Partner: yes\r\n" in partner.message and b"\r\nSubject:" not in partner.message
        assert b"DKIM-Signature:" in partner.message
        assert [received.rcpts[0] for received in server.received] == [b"RCPT TO:<somebody@backup.test>"]
        assert [received.rcpts[0] for received in safe.received] == [b"RCPT TO:<b@gone.test>"]


def journey(installed: Installed) -> None:
    data = str(installed.data)

    def queue() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = ask(data, "queue.list", {})
        return rows

    with serving(installed):
        submit(installed, "a@partner.test", "open")
        submit(installed, YOU, "a secret")
        wait_until(lambda: [row["state"] for row in queue()] == ["held"])
        assert queue()[0]["last_answer"] == "held by the rule secret"
        ask(data, "queue.release", {"ids": [], "everything": True})
        wait_until(lambda: queue() == [])
        submit(installed, "b@gone.test", "by the other way")
        with smtplib.SMTP("127.0.0.1", installed.base + OFFSETS["smtp"], timeout=30) as smtp:
            smtp.ehlo("peer.test")
            assert smtp.mail("<>")[0] == 250
            assert smtp.rcpt("nobody@backup.test")[0] == 550
            assert smtp.rcpt("x@elsewhere.test")[0] == 550
            assert smtp.rcpt("somebody@backup.test")[0] == 250
            assert smtp.data(b"Subject: for the primary\r\n\r\nx\r\n")[0] == 250
        wait_until(_empty(queue))


def _empty(queue: Callable[[], list[Any]]) -> Callable[[], bool]:
    return lambda: queue() == []
