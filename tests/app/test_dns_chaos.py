"""DNS that fails in every way while mail goes out: nothing is returned to its sender, everything arrives once, later."""

from __future__ import annotations

import asyncio
import imaplib
import random
import smtplib
import time
from pathlib import Path

import pytest

from ..net.dns_server import ZoneServer
from ..relay.sink import Sink
from .running import Dev, dev

pytestmark = pytest.mark.real

ALICE = "alice@example.test"
DOMAINS = [f"d{number}.test" for number in range(20)]
MESSAGES = 200
FAULTS = ("servfail", "refused", "formerr", "bogus", "truncate", "garbage", "wrong-id", "wrong-question", "timeout", None)


def submit(server: Dev) -> None:
    with smtplib.SMTP(server.told["host"], server.told["submission"], timeout=60) as smtp:
        smtp.starttls(context=server.tls())
        smtp.login(ALICE, server.accounts[ALICE])
        for number in range(MESSAGES):
            to = f"bob@{DOMAINS[number % len(DOMAINS)]}"
            smtp.sendmail(ALICE, [to], f"From: {ALICE}\r\nTo: {to}\r\nSubject: message {number}\r\n\r\n{number}\r\n")


def reports(server: Dev) -> int:
    with imaplib.IMAP4_SSL(server.told["host"], server.told["imaps"], ssl_context=server.tls(), timeout=20) as imap:
        imap.login(ALICE, server.accounts[ALICE])
        return int((imap.select("INBOX", readonly=True)[1][0] or b"0").decode())


async def test_no_failure_of_dns_returns_a_message(tmp_path: Path):
    chance = random.Random(15)
    zones = dict.fromkeys(DOMAINS, "@ MX 10 mx\n@ MX 20 mx2\nmx A 127.0.0.1\nmx2 A 127.0.0.1\n")
    async with Sink() as sink, ZoneServer(zones) as dns:

        async def chaos() -> None:
            """Other faults for other names, each tenth of a second."""
            while True:
                for domain in DOMAINS:
                    name = chance.choice((domain, f"mx.{domain}", f"mx2.{domain}", f"_mta-sts.{domain}"))
                    dns.fail(name, chance.choice(FAULTS))
                await asyncio.sleep(0.1)

        storm = asyncio.create_task(chaos())
        options = ("--dns", f"127.0.0.1:{dns.port}", "--mx-port", str(sink.port), "--workers", "2", "--retry", "1")
        with dev(tmp_path, *options) as server:
            await asyncio.to_thread(submit, server)
            await asyncio.sleep(3)  # the storm goes on for some attempts
            storm.cancel()
            for domain in DOMAINS:
                for name in (domain, f"mx.{domain}", f"mx2.{domain}", f"_mta-sts.{domain}"):
                    dns.fail(name, None)
            deadline = time.monotonic() + 120
            while len(sink.received) < MESSAGES:
                assert time.monotonic() < deadline, (len(sink.received), server.log()[-3000:])
                await asyncio.sleep(0.1)
            assert await asyncio.to_thread(reports, server) == 0, "nothing was returned"
            deferred = server.log()
        subjects = [next(line for line in one.octets.split(b"\r\n") if line.startswith(b"Subject:")) for one in sink.received]
        assert len(set(subjects)) == MESSAGES == len(subjects), "each arrived once"
        assert "result=failed" not in deferred
