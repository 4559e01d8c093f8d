"""`postillon probe` over a running server: what it finds, and that it sends nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from postillon.net.tls import server_context

from ..net.dns_server import ZoneServer
from ..relay.https import Https, Stripper, page
from ..relay.sink import Sink
from .running import Dev, dev
from .test_tls_dev import POLICY, keys, served

pytestmark = pytest.mark.real

ALICE = "alice@example.test"


def probed(server: Dev, address: str) -> tuple[dict[str, Any], str]:
    """(the values, the words)."""
    values = server.command("probe", address, "--json")
    words = server.command("probe", address)
    found = json.loads(values.stdout)
    assert values.returncode == words.returncode == (0 if found["deliverable"] else 4), values.stderr
    return found, words.stdout


def commands(sink: Sink) -> set[bytes]:
    return {command.split(b" ")[0].upper() for conversation in sink.conversations for command in conversation.commands}


async def test_dane_and_its_hosts_are_explained_without_mail(tmp_path: Path):
    _, chain, record = keys(tmp_path / "keys")
    async with Sink(tls=server_context([chain], "smtp")) as sink:
        zone = f"@ MX 10 mx\n@ MX 20 gone\nmx A 127.0.0.1\ngone A 127.0.0.9\n_{sink.port}._tcp.mx TLSA {record}\n"
        async with ZoneServer({"there.test": zone}) as dns:
            dns.authentic = True

            def journey() -> None:
                with served(tmp_path / "data", dns, sink.port, "--dns-trusted") as server:
                    values, words = probed(server, "bob@there.test")
                    (domain,) = values["domains"]
                    assert domain["mx"] == [[10, "mx.there.test"], [20, "gone.there.test"]] and domain["secure"]
                    best, worse = domain["hosts"]
                    assert (best["tls"], best["why"], best["tlsa"], best["reachable"], best["trouble"]) == (
                        "dane",
                        "DANE",
                        1,
                        True,
                        "",
                    )
                    assert best["offers"] == ["PIPELINING", "SIZE 10000000", "8BITMIME", "SMTPUTF8", "DSN", "STARTTLS"]
                    assert best["certificate"]["names"][0] == "mx.there.test"
                    assert not worse["reachable"] and "no connection" in worse["trouble"]
                    assert "certificate fits its TLSA records (DANE)" in words
                    assert "mail would be handed to mx.there.test [127.0.0.1]" in words

            await asyncio.to_thread(journey)
        assert commands(sink) == {b"EHLO", b"STARTTLS", b"QUIT"}


async def test_what_a_policy_forbids_is_named(tmp_path: Path):
    ca, chain, _ = keys(tmp_path / "keys")
    zone = '@ MX 10 mx\nmx A 127.0.0.1\nmta-sts A 127.0.0.1\n_mta-sts TXT "v=STSv1; id=1"\n'
    async with (
        Sink(tls=server_context([chain], "smtp")) as sink,
        Stripper(sink.port) as thief,
        Https(server_context([chain], "http/1.1"), page(POLICY)) as https,
        ZoneServer({"there.test": zone}) as dns,
    ):

        def journey() -> None:
            options = ("--mta-sts-port", str(https.port), "--trust", str(ca))
            with served(tmp_path / "data", dns, thief.port, *options) as server:
                values, words = probed(server, "there.test")
                (host,) = values["domains"][0]["hosts"]
                assert (host["tls"], host["why"], host["reachable"]) == ("required", "MTA-STS", True)
                assert "4.7.4" in host["trouble"] and not values["deliverable"]
                assert "MTA-STS: enforce: mx.there.test, for 600 seconds" in words
                assert "mail would wait: no host takes it now" in words

        await asyncio.to_thread(journey)
        assert b"MAIL" not in thief.seen


async def test_routes_and_hopeless_domains_are_explained(tmp_path: Path):
    async with Sink() as sink, ZoneServer({"null.test": "@ MX 0 .\n", "there.test": "@ MX 10 mx\nmx A 127.0.0.1\n"}) as dns:

        def journey() -> None:
            route = ("--route", f"routed.test=127.0.0.1:{sink.port}")
            with served(tmp_path / "data", dns, sink.port, *route) as server:
                values, words = probed(server, "x@routed.test")
                assert values["domains"][0]["route"].startswith(f"127.0.0.1 port {sink.port}")
                assert "mail would be handed to 127.0.0.1 [127.0.0.1], in clear" in words and values["deliverable"]
                values, words = probed(server, "x@null.test")
                assert "5.1.10 the domain null.test does not accept mail (null MX)" in words and not values["deliverable"]
                assert server.command("probe", "x@bad_domain..test").returncode == 1

        await asyncio.to_thread(journey)


async def test_own_addresses_are_explained_step_by_step(tmp_path: Path):
    async with Sink() as sink:

        def journey() -> None:
            with dev(tmp_path, "--route", f"far.test=127.0.0.1:{sink.port}", "--workers", "1") as server:
                for words in (
                    ("alias", "add", "sales@example.test", "bob@example.test", "carol@far.test"),
                    ("alias", "add", "all@example.test", ALICE, "sales@example.test"),
                    ("domain", "add", "twin.test", "--alias-of", "example.test"),
                ):
                    assert server.command(*words).returncode == 0
                values, words = probed(server, "all+x@twin.test")
                kinds = [(step["address"], step["kind"], step["depth"]) for step in values["steps"]]
                assert kinds == [
                    ("all+x@twin.test", "alias", 0),
                    (ALICE, "account", 1),
                    ("sales@example.test", "alias", 1),
                    ("bob@example.test", "account", 2),
                    ("carol@far.test", "elsewhere", 2),
                ]
                assert "<all+x@twin.test> (subaddress 'x' of all, the domain repeats example.test): an alias for" in words
                assert "taken at RCPT" in words
                assert [domain["domain"] for domain in values["domains"]] == ["far.test"] and values["deliverable"]
                assert "is a domain of this server" in probed(server, "example.test")[1]
                values, refused = probed(server, "nobody@example.test")
                assert "nobody here" in refused and "refused at RCPT: 550 5.1.1" in refused and not values["deliverable"]

        await asyncio.to_thread(journey)
