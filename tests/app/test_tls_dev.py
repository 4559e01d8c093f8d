"""DANE, MTA-STS and REQUIRETLS as another program's harness sees them: a whole server, DNS, a policy server, a mail host."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import smtplib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from postillon.net.certificates import make_ca, make_certificate
from postillon.net.tls import server_context

from ..net.dns_server import ZoneServer
from ..relay.https import Https, Stripper, page
from ..relay.sink import Sink
from .running import Dev, dev

pytestmark = pytest.mark.real

ALICE = "alice@example.test"
POLICY = b"version: STSv1\nmode: enforce\nmx: mx.there.test\nmax_age: 600\n"


@contextlib.contextmanager
def served(data: Path, dns: ZoneServer, port: int, *options: str) -> Iterator[Dev]:
    common = ("--dns", f"{dns.host}:{dns.port}", "--mx-port", str(port), "--workers", "1", "--retry", "1", "-vv")
    with dev(data, *common, *options) as server:
        yield server


def until(server: Dev, done: object) -> None:
    deadline = time.monotonic() + 30
    while not done():  # type: ignore[operator]
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)


def keys(directory: Path) -> tuple[Path, tuple[Path, Path], str]:
    """Authority, chain with key, and the TLSA record of the key."""
    ca, _ = make_ca(directory)
    chain = make_certificate(directory, ["mx.there.test", "mta-sts.there.test"])
    key = x509.load_pem_x509_certificates(chain[0].read_bytes())[0].public_key()
    return ca, chain, f"3 1 1 {hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()}"


async def test_a_policy_is_fetched_kept_and_obeyed(tmp_path: Path):
    ca, chain, _ = keys(tmp_path / "keys")
    zone = '@ MX 10 mx\nmx A 127.0.0.1\nmta-sts A 127.0.0.1\n_mta-sts TXT "v=STSv1; id=1"\n'
    async with (
        Sink(tls=server_context([chain], "smtp")) as sink,
        Stripper(sink.port) as thief,
        Https(server_context([chain], "http/1.1"), page(POLICY)) as https,
        ZoneServer({"there.test": zone}) as dns,
    ):
        options = ("--mta-sts-port", str(https.port), "--trust", str(ca))

        def journey() -> None:
            with served(tmp_path / "data", dns, thief.port, *options) as server:
                server.send(ALICE, "bob@there.test", "stripped")
                until(server, lambda: "4.7.4" in server.log())
                server.stop()
            # The policy outlives the process, and what hides it.
            dns.set_zone("there.test", "@ MX 10 mx\nmx A 127.0.0.1\n")
            https.answer = page(b"", "404 Not Found")
            with served(tmp_path / "data", dns, thief.port, *options) as server:
                server.send(ALICE, "bob@there.test", "stripped again")
                until(server, lambda: server.log().count("4.7.4") > 1)
                server.stop()
            with served(tmp_path / "data", dns, sink.port, *options) as server:
                until(server, lambda: len(sink.received) == 2)

        await asyncio.to_thread(journey)
        assert [received.tls for received in sink.received] == [True, True]
        assert b"MAIL" not in thief.seen
        assert len(https.asked) == 1


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_dane_counts_when_the_resolver_is_trusted(tmp_path: Path, is_trusted: bool):
    _, chain, record = keys(tmp_path / "keys")
    async with (
        Sink(tls=server_context([chain], "smtp"), extensions=("PIPELINING", "REQUIRETLS")) as sink,
        Stripper(sink.port) as thief,
        ZoneServer({"there.test": f"@ MX 10 mx\nmx A 127.0.0.1\n_{thief.port}._tcp.mx TLSA {record}\n"}) as dns,
    ):
        dns.authentic = True

        def journey() -> None:
            with served(tmp_path / "data", dns, thief.port, *(("--dns-trusted",) if is_trusted else ())) as server:
                server.send(ALICE, "bob@there.test", "hello")
                until(server, lambda: "4.7.4" in server.log() if is_trusted else sink.received)

        await asyncio.to_thread(journey)
        assert bool(sink.received) is not is_trusted


async def test_requiretls_is_offered_under_tls_and_passed_on(tmp_path: Path):
    _, chain, _ = keys(tmp_path / "keys")
    async with Sink(tls=server_context([chain], "smtp"), extensions=("PIPELINING", "REQUIRETLS")) as sink:
        zone = f"@ MX 10 mx\nmx A 127.0.0.1\n_{sink.port}._tcp.mx TLSA {keys(tmp_path / 'keys')[2]}\n"
        async with ZoneServer({"there.test": zone}) as dns:
            dns.authentic = True

            def journey() -> None:
                with served(tmp_path / "data", dns, sink.port, "--dns-trusted") as server:
                    with smtplib.SMTP("127.0.0.1", server.told["submission"], timeout=20) as smtp:
                        smtp.ehlo()
                        assert not smtp.has_extn("requiretls")
                        smtp.starttls(context=server.tls())
                        smtp.ehlo()
                        assert smtp.has_extn("requiretls")
                        smtp.login(ALICE, server.accounts[ALICE])
                        message = f"From: {ALICE}\r\nSubject: secret\r\n\r\nsecret\r\n"
                        smtp.sendmail(ALICE, ["bob@there.test"], message, mail_options=["REQUIRETLS"])
                    until(server, lambda: sink.received)

            await asyncio.to_thread(journey)
            assert b" REQUIRETLS" in sink.received[0].mail
            assert sink.received[0].tls
