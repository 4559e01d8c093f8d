"""What an account may send, over a running server and its commands."""

from __future__ import annotations

import asyncio
import json
import smtplib
import time
from pathlib import Path
from typing import Any

import pytest

from ..relay.sink import Sink
from .running import Dev, dev

pytestmark = pytest.mark.real

ALICE = "alice@example.test"


def asked(server: Dev, *words: str) -> Any:
    done = server.command(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(server: Dev, recipients: list[str]) -> tuple[int, bytes]:
    """What a mail program hears."""
    message = f"From: {ALICE}\r\nSubject: x\r\n\r\n{time.monotonic_ns()}\r\n"
    with smtplib.SMTP(server.told["host"], server.told["submission"], timeout=20) as smtp:
        smtp.starttls(context=server.tls())
        smtp.login(ALICE, server.accounts[ALICE])
        with pytest.raises((smtplib.SMTPDataError, smtplib.SMTPSenderRefused)) as caught:
            smtp.sendmail(ALICE, recipients, message)
        return caught.value.smtp_code, caught.value.smtp_error


async def test_an_account_is_limited_held_and_released(tmp_path: Path):
    async with Sink() as sink:

        def journey() -> None:
            with dev(tmp_path, "--route", f"there.test=127.0.0.1:{sink.port}", "--workers", "2") as server:
                shown = asked(server, "account", "limit", ALICE, "--messages-per-hour", "3", "--recipients-per-day", "4")
                assert shown["messages_per_hour"] == {"limit": 3, "used": 0}
                code, words = refused(server, [f"u{n}@there.test" for n in range(5)])
                assert code == 554 and words.startswith(b"5.5.3 ") and b"4 recipients a day" in words
                for n in range(3):
                    server.send(ALICE, f"u{n}@there.test", f"one {n}")
                code, words = refused(server, ["u4@there.test"])
                assert code == 450 and words.startswith(b"4.7.1 ") and b"3 messages an hour" in words
                assert server.subjects(ALICE) == [f"{ALICE} has reached a sending limit"]
                asked(server, "account", "limit", ALICE, "--default")
                assert "first time per day" in server.command("account", "limit", ALICE).stdout
                assert asked(server, "account", "language", ALICE, "fr") == {"address": ALICE, "language": "fr"}
                asked(server, "account", "hold", ALICE)
                assert "Votre courrier vers d'autres serveurs est retenu" in server.subjects(ALICE)
                server.send(ALICE, "held@there.test", "two")
                (row,) = asked(server, "queue", "list")
                assert (row["state"], row["recipient"]) == ("account_held", "held@there.test")
                assert "is held since" in server.command("account", "limit", ALICE).stdout
                assert asked(server, "account", "release", ALICE) == {"address": ALICE, "recipients": 1}
                assert server.command("account", "release", ALICE).returncode == 1
                asked(server, "account", "suppressed", ALICE, "--add", "no@there.test")
                with pytest.raises(smtplib.SMTPRecipientsRefused, match="your list of addresses not to write to"):
                    server.send(ALICE, "no@there.test", "three")
                assert "no@there.test" in server.command("account", "suppressed", ALICE).stdout
                assert asked(server, "account", "suppressed", ALICE, "--remove", "no@there.test") == []
                deadline = time.monotonic() + 20
                while asked(server, "queue", "list"):
                    assert time.monotonic() < deadline, server.log()
                    time.sleep(0.1)

        await asyncio.to_thread(journey)
        assert len(sink.received) == 4
