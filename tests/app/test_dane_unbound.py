"""DANE with a real validating resolver and a signed zone: what DNSSEC proves counts, and nobody between takes anything."""

from __future__ import annotations

import asyncio
import smtplib
from pathlib import Path

import pytest

from postillon.net.tls import server_context

from ..peers.unbound import Unbound
from ..relay.https import Https, Stripper, page
from ..relay.sink import Sink
from .running import dev
from .test_tls_dev import ALICE, POLICY, keys, until

pytestmark = pytest.mark.real

HOST = "@ MX 10 mx\nmx A 127.0.0.1\n"


def options(resolver: Unbound, port: int) -> tuple[str, ...]:
    return ("--dns", resolver.option, "--dns-trusted", "--mx-port", str(port), "--workers", "1", "--retry", "1", "-vv")


async def test_signed_zone_is_obeyed_and_a_thief_gets_nothing(tmp_path: Path):
    _, chain, record = keys(tmp_path / "keys")
    async with Sink(tls=server_context([chain], "smtp")) as sink, Stripper(sink.port) as thief:
        zone = f"{HOST}_{sink.port}._tcp.mx TLSA {record}\n_{thief.port}._tcp.mx TLSA {record}\n"

        def journey() -> None:
            with Unbound(tmp_path / "dns", {"signed.test": zone}) as resolver:
                with dev(tmp_path / "one", *options(resolver, sink.port)) as server:
                    server.send(ALICE, "bob@signed.test", "hello")
                    until(server, lambda: sink.received)
                    told = server.command("trace", "bob@signed.test").stdout
                    assert "certificate fits its TLSA records (DANE)" in told
                    assert "DNSSEC vouches for it" in server.command("probe", "signed.test").stdout
                with dev(tmp_path / "two", *options(resolver, thief.port)) as server:
                    server.send(ALICE, "bob@signed.test", "stripped")
                    until(server, lambda: "4.7.4" in server.log())

        await asyncio.to_thread(journey)
    assert [received.tls for received in sink.received] == [True]
    assert b"MAIL" not in thief.seen


async def test_forged_tlsa_records_make_mail_wait(tmp_path: Path):
    _, chain, record = keys(tmp_path / "keys")
    async with Sink(tls=server_context([chain], "smtp")) as sink:
        name = f"_{sink.port}._tcp.mx"

        def journey() -> None:
            zone = {"signed.test": f"{HOST}{name} TLSA {record}\n"}
            with (
                Unbound(tmp_path / "dns", zone, spoilt=(f"{name}.signed.test",)) as resolver,
                dev(tmp_path / "data", *options(resolver, sink.port)) as server,
            ):
                server.send(ALICE, "bob@signed.test", "hello")
                until(server, lambda: "TLSA records of mx.signed.test failed for now" in server.log())

        await asyncio.to_thread(journey)
    assert sink.received == []
    assert sink.conversations == [], "it was not even greeted"


async def test_signed_zone_without_tlsa_records_and_unsigned_ones_with_them_ask_for_nothing(tmp_path: Path):
    _, chain, record = keys(tmp_path / "keys")
    wrong = record.rpartition(" ")[0] + " " + "00" * 32
    async with Sink(tls=server_context([chain], "smtp")) as sink:
        unsigned = {"unsigned.test": f"{HOST}_{sink.port}._tcp.mx TLSA {wrong}\n"}

        def journey() -> None:
            with (
                Unbound(tmp_path / "dns", {"signed.test": HOST}, unsigned) as resolver,
                dev(tmp_path / "data", *options(resolver, sink.port)) as server,
            ):
                server.send(ALICE, "bob@signed.test", "one")
                server.send(ALICE, "bob@unsigned.test", "two")
                until(server, lambda: len(sink.received) == 2)

        await asyncio.to_thread(journey)
    assert {received.tls for received in sink.received} == {True}, "as much as is offered"


async def test_thief_gets_nothing_of_what_a_policy_or_its_sender_protects(tmp_path: Path):
    ca, chain, _ = keys(tmp_path / "keys")
    zone = f'{HOST}mta-sts A 127.0.0.1\n_mta-sts TXT "v=STSv1; id=1"\n'
    async with (
        Sink(tls=server_context([chain], "smtp"), extensions=("PIPELINING", "REQUIRETLS")) as sink,
        Stripper(sink.port) as thief,
        Https(server_context([chain], "http/1.1"), page(POLICY)) as https,
    ):

        def journey() -> None:
            with Unbound(tmp_path / "dns", {"signed.test": HOST}, {"there.test": zone}) as resolver:
                more = ("--mta-sts-port", str(https.port), "--trust", str(ca))
                with dev(tmp_path / "data", *options(resolver, thief.port), *more) as server:
                    server.send(ALICE, "bob@there.test", "by policy")
                    until(server, lambda: "4.7.4" in server.log())

                    with smtplib.SMTP("127.0.0.1", server.told["submission"], timeout=20) as smtp:
                        smtp.starttls(context=server.tls())
                        smtp.login(ALICE, server.accounts[ALICE])
                        message = f"From: {ALICE}\r\nSubject: by its sender\r\n\r\nsecret\r\n"
                        smtp.sendmail(ALICE, ["bob@signed.test"], message, mail_options=["REQUIRETLS"])
                    until(server, lambda: "bob@signed.test" in server.log() and server.log().count("4.7.4") > 1)

        await asyncio.to_thread(journey)
    assert sink.received == []
    assert b"MAIL" not in thief.seen and b"secret" not in thief.seen
