"""TLS reports end to end: counted, sent by mail and HTTPS to who asks for them, and others' taken and shown."""

from __future__ import annotations

import asyncio
import gzip
import json
import smtplib
import time
from pathlib import Path

import pytest

from postillon.message.report_parts import report_parts
from postillon.message.tlsrpt import NO_POLICY, Failure, PolicySessions, decode, mail, report_of
from postillon.model.address import Address
from postillon.net.tls import server_context

from ..net.dns_server import ZoneServer
from ..relay.https import Https, page
from ..relay.sink import Sink
from .running import Dev
from .test_tls_dev import ALICE, keys, served, until

pytestmark = pytest.mark.real


def shown(server: Dev, *words: str) -> object:
    done = server.command("reports", "tls", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sent(server: Dev) -> object:
    done = server.command("reports", "send", "--today", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_counted_sessions_are_reported_by_mail_and_https(tmp_path: Path):
    ca, chain, record = keys(tmp_path / "keys")
    async with (
        Sink(tls=server_context([chain], "smtp")) as sink,
        Https(server_context([chain], "http/1.1"), page(b"")) as https,
    ):
        rua = f"mailto:tls@there.test,https://mta-sts.there.test:{https.port}/tlsrpt"
        zone = f'@ MX 10 mx\nmx A 127.0.0.1\nmta-sts A 127.0.0.1\n_smtp._tls TXT "v=TLSRPTv1; rua={rua}"\n'
        zone += f"_{sink.port}._tcp.mx TLSA {record}\n"
        async with ZoneServer({"there.test": zone, "silent.test": "@ MX 10 mx\nmx A 127.0.0.1\n"}) as dns:
            dns.authentic = True

            def journey() -> None:
                with served(tmp_path / "data", dns, sink.port, "--trust", str(ca), "--dns-trusted") as server:
                    assert server.command("dkim", "add", "example.test").returncode in (0, 1)
                    server.send(ALICE, "bob@there.test", "hello")
                    server.send(ALICE, "bob@silent.test", "hello")
                    until(server, lambda: len(sink.received) == 2)
                    assert sent(server) == {"sent": 1}
                    until(server, lambda: len(sink.received) == 3)
                    assert shown(server, "--counted") == [], (
                        "who does not ask is forgotten, and the report's own way is not counted"
                    )
                    assert sent(server) == {"sent": 0}

            await asyncio.to_thread(journey)
    octets = sink.received[2].octets
    assert sink.received[2].mail.startswith(b"MAIL FROM:<>")
    assert sink.received[2].rcpts == [b"RCPT TO:<tls@there.test> NOTIFY=NEVER"]
    assert octets.count(b"DKIM-Signature:") == 2
    (part,) = report_parts(octets)
    report = decode(part.octets)
    assert report.organization == "example.test"
    (sessions,) = report.policies
    assert (sessions.domain, sessions.policy.kind, sessions.successes, sessions.failed) == ("there.test", "tlsa", 1, 0)
    assert sessions.policy.strings == (record.lower(),)
    (posted,) = [asked for asked in https.asked if asked.startswith(b"POST /tlsrpt ")]
    head, _, body = posted.partition(b"\r\n\r\n")
    assert b"Content-Type: application/tlsrpt+gzip" in head
    assert decode(gzip.decompress(body)).policies == report.policies


async def test_reports_of_others_are_shown(tmp_path: Path):
    failure = Failure("certificate-expired", "mx.example.test", "127.0.0.1", "192.0.2.1", "has expired")
    report = report_of(
        int(time.time()) // 86400 - 1,
        [PolicySessions("example.test", NO_POLICY, 12, ((failure, 3),)), PolicySessions("foreign.test", NO_POLICY, 1)],
        organization="Big Mail \x1b[1m Inc",
        contact="x@there.test",
        report_id="7@there.test",
    )
    octets = mail(
        report,
        domain="example.test",
        submitter="there.test",
        sender=Address.parse("noreply@there.test"),
        to=Address.parse("postmaster@example.test"),
        at=int(time.time()),
        name="1.x",
    )
    async with ZoneServer({"there.test": '@ MX 10 mx\n@ TXT "v=spf1 ip4:127.0.0.1 -all"\nmx A 127.0.0.1\n'}) as dns:

        def journey() -> None:
            with served(tmp_path / "data", dns, 25) as server:
                with smtplib.SMTP(server.told["host"], server.told["smtp"]) as client:
                    client.sendmail("noreply@there.test", ["postmaster@example.test"], octets)
                until(server, lambda: shown(server))
                (row,) = shown(server)  # type: ignore[misc]
                assert (row["domain"], row["successes"], row["failures"]) == ("example.test", 12, 3)
                assert row["by"] == "Big Mail ?[1m Inc"
                assert row["reasons"][0]["result"] == "certificate-expired"
                table = server.command("reports", "tls").stdout
                assert "3 certificate-expired at mx.example.test (has expired)" in table

        await asyncio.to_thread(journey)
