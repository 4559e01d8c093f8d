"""Whatever a stranger writes stays what it is: no new header field, no new line in the log, nothing that moves a terminal."""

from __future__ import annotations

import asyncio
import email
import imaplib
import re
import smtplib
from pathlib import Path

import pytest

from ..relay.sink import Conversation, Sink
from .running import Dev, dev
from .test_tls_dev import until

pytestmark = pytest.mark.real

ALICE = "alice@example.test"
ENCODED = "=?utf-8?q?a=0D=0AX-Evil:_1=0D=0A=0D=0Abody=1B[2J=00?="
HOSTILE = (
    f'From: "{ENCODED}" <{ALICE}>\r\nTo: {ENCODED} <bob@there.test>\r\nSubject: {ENCODED}\r\n'
    f"Message-ID: <a=0D=0AX-Evil@there.test>\r\nX-Bare: a\x1b[2Jb\r\n\r\ntext\r\n"
)
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warning|error) [a-z]+ \"")


def inbox(server: Dev) -> list[bytes]:
    with imaplib.IMAP4_SSL(server.told["host"], server.told["imaps"], ssl_context=server.tls(), timeout=20) as imap:
        imap.login(ALICE, server.accounts[ALICE])
        imap.select("INBOX", readonly=True)
        _, found = imap.fetch("1:*", "(BODY.PEEK[])")
        return [part[1] for part in found if isinstance(part, tuple)]


def submit(server: Dev) -> None:
    with smtplib.SMTP(server.told["host"], server.told["submission"], timeout=20) as smtp:
        smtp.starttls(context=server.tls())
        smtp.login(ALICE, server.accounts[ALICE])
        smtp.ehlo()
        assert smtp.docmd("MAIL FROM:<alice@example.test> ENVID=a+0D+0AX-Evil:+201 RET=HDRS")[0] == 501
        assert smtp.docmd("MAIL FROM:<alice@example.test> ENVID=a+3Db RET=HDRS")[0] == 250
        assert smtp.docmd("RCPT TO:<eve@there.test> ORCPT=rfc822;x+0D+0AX-Evil:+201@there.test")[0] == 501
        assert smtp.docmd('RCPT TO:<"x\\"y z"@there.test> NOTIFY=FAILURE')[0] == 250
        assert smtp.docmd("RCPT TO:<bob@there.test> NOTIFY=FAILURE")[0] == 250
        assert smtp.data(HOSTILE.encode())[0] == 250


def strangers(server: Dev) -> None:
    """Names with control characters in every command of the MX."""
    for line in ("EHLO a\x1b[2Jb", "EHLO a\rX-Evil: 1", "MAIL FROM:<a\x07@b.test>", "VRFY \x1b]0;title\x07", "\x00\x01\x02"):
        with smtplib.SMTP(server.told["host"], server.told["smtp"], timeout=20) as smtp:
            smtp.sock.sendall(line.encode() + b"\r\n")
            smtp.getreply()
    with smtplib.SMTP(server.told["host"], server.told["smtp"], timeout=20) as smtp:
        smtp.ehlo("fair.test")
        smtp.mail("eve@fair.test")
        assert smtp.docmd('RCPT TO:<"nobody\\[2J =?q?"@example.test>')[0] >= 500


async def test_no_words_of_strangers_become_fields_lines_or_escapes(tmp_path: Path):
    def no(conversation: Conversation, command: bytes) -> str:
        return "550 5.1.1 \x1b[31mred\x07 =?utf-8?q?=0D=0AX-Evil:_1?= \xff" if command.startswith(b"RCPT") else ""

    async with Sink(script=no) as sink:

        def journey() -> None:
            with dev(tmp_path, "--route", f"there.test=127.0.0.1:{sink.port}", "--workers", "1", "-vv") as server:
                strangers(server)
                submit(server)
                until(server, lambda: inbox(server))
                (report,) = inbox(server)
                parsed = email.message_from_bytes(report)
                for part in parsed.walk():
                    assert "X-Evil" not in part or part.get_content_type() == "text/rfc822-headers"
                    assert not any("\x1b" in value or "\x07" in value for value in part.values())
                head = report.partition(b"\r\n\r\n")[0]
                assert not re.search(rb"(?m)^X-Evil", head)
                assert all(byte in b"\r\n\t" or 32 <= byte < 127 for byte in head)
                delivery = next(part for part in parsed.walk() if part.get_content_type() == "message/delivery-status")
                for block in delivery.get_payload():
                    assert "X-Evil" not in block.keys()  # noqa: SIM118  (a message has no `in` for several blocks)
                names = ("bob@there.test", "eve@fair.test", "127.0.0.1")
                told = [server.command("trace", name).stdout for name in names]
                assert "\\x1b[31mred" not in told[0] and "[31mred" in told[0], "an escape is made harmless when it is heard"
                for text in told:
                    assert text and all(char.isprintable() or char == "\n" for char in text), text
                for line in server.log().splitlines():
                    assert LINE.match(line) and line.isprintable(), line

        await asyncio.to_thread(journey)
