"""Reports as other programs see them: a whole server, a next hop without DSN, and times of seconds."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import imaplib
import smtplib
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from ..relay.sink import Conversation, Sink
from .running import Dev, dev

pytestmark = pytest.mark.real

ALICE = "alice@example.test"


def send(server: Dev, *recipients: tuple[str, str], subject: str = "hello") -> None:
    """As alice; recipients with their RCPT parameters."""
    with smtplib.SMTP("127.0.0.1", server.told["submission"], timeout=20) as smtp:
        smtp.ehlo()
        assert smtp.has_extn("dsn")
        smtp.login(ALICE, server.accounts[ALICE])
        assert smtp.mail(ALICE, ["ENVID=abc", "RET=HDRS"])[0] == 250
        for address, parameters in recipients:
            assert smtp.rcpt(address, [parameters] if parameters else [])[0] == 250
        assert smtp.data(f"From: {ALICE}\r\nSubject: {subject}\r\n\r\nhello\r\n")[0] == 250


def reports(server: Dev) -> list[tuple[str, str]]:
    """(action, final recipient) of what alice was told."""
    found: list[tuple[str, str]] = []
    with imaplib.IMAP4("127.0.0.1", server.told["imap"], timeout=20) as imap:
        imap.login(ALICE, server.accounts[ALICE])
        imap.select()
        for part in imap.fetch("1:*", "(BODY.PEEK[])")[1]:
            if isinstance(part, tuple):
                message = email.message_from_bytes(part[1], policy=email.policy.default)
                assert isinstance(message, EmailMessage)
                if message.get_content_type() == "multipart/report":
                    _, status, _ = message.iter_parts()
                    found += [(block["Action"], block["Final-Recipient"].split("; ")[1]) for block in status.get_payload()[1:]]  # type: ignore[union-attr,index]
    return found


def until(server: Dev, *wanted: tuple[str, str]) -> None:
    deadline = time.monotonic() + 30
    while sorted(reports(server)) != sorted(wanted):
        assert time.monotonic() < deadline, (reports(server), server.log())
        time.sleep(0.1)


@contextlib.contextmanager
def served(data: Path, sink: Sink, *options: str) -> Iterator[Dev]:
    with dev(data, "--route", f"there.test=127.0.0.1:{sink.port}", "--workers", "1", "-v", *options) as server:
        yield server


def script(conversation: Conversation, command: bytes) -> str:
    """`busy` waits, `gone` does not exist, all others are taken."""
    return "450 4.2.1 busy" if b"<busy" in command else "550 5.1.1 nobody" if b"<gone" in command else ""


async def test_each_wish_is_fulfilled(tmp_path: Path):
    async with Sink(extensions=("PIPELINING",), script=script) as sink:

        def journey() -> None:
            with served(tmp_path, sink, "--retry", "1") as server:
                send(
                    server,
                    ("bob@example.test", "NOTIFY=SUCCESS"),
                    (ALICE, "NOTIFY=NEVER"),
                    ("ok@there.test", "NOTIFY=SUCCESS,FAILURE"),
                    ("quiet@there.test", ""),
                    ("gone@there.test", "NOTIFY=FAILURE"),
                    ("gone-too@there.test", "NOTIFY=NEVER"),
                )
                until(server, ("delivered", "bob@example.test"), ("relayed", "ok@there.test"), ("failed", "gone@there.test"))

        await asyncio.to_thread(journey)


async def test_a_hop_with_dsn_is_told_the_wishes(tmp_path: Path):
    async with Sink(extensions=("PIPELINING", "DSN")) as sink:

        def journey() -> None:
            with served(tmp_path, sink) as server:
                send(server, ("ok@there.test", "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Ok@There.test"))
                deadline = time.monotonic() + 20
                while not sink.received:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                assert reports(server) == []

        await asyncio.to_thread(journey)
        (received,) = sink.received
        assert b" RET=HDRS ENVID=abc" in received.mail
        assert received.rcpts == [b"RCPT TO:<ok@there.test> NOTIFY=DELAY,SUCCESS ORCPT=rfc822;Ok@There.test"]


async def test_delay_and_end_in_seconds(tmp_path: Path):
    async with Sink(script=script) as sink:

        def journey() -> None:
            with served(tmp_path, sink, "--retry", "1", "--delay-report", "2", "--queue-lifetime", "6") as server:
                send(server, ("busy@there.test", ""))
                until(server, ("delayed", "busy@there.test"))
                until(server, ("delayed", "busy@there.test"), ("failed", "busy@there.test"))

        await asyncio.to_thread(journey)
