"""`postillon check` looks at DNS: what is missing or wrong, record by record, and what to publish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from postillon.admin.dns import FINE, MISSING, OPTIONAL, UNKNOWN, WRONG, Seen, look
from postillon.app.dkim import DkimKeys, record_text
from postillon.seams import DnsStatus
from tests.kinds import TableResolver
from tests.peers.postillon import Postillon
from tests.peers.zones import Zones

HOST, DOMAIN = "mail.example.test", "example.test"


@pytest.fixture
def keys(tmp_path: Path) -> DkimKeys:
    keys = DkimKeys(tmp_path)
    keys.add(DOMAIN, "202611")
    return keys


def right(keys: DkimKeys) -> dict[str, Any]:
    """Every record as it should be."""
    table: dict[str, Any] = {
        HOST: {"a": ["192.0.2.25"], "aaaa": ["2001:db8::25"]},
        "192.0.2.25": {"ptr": [HOST]},
        "2001:db8::25": {"ptr": [HOST + "."]},
        DOMAIN: {"mx": [(10, HOST)], "txt": ["v=spf1 mx -all"]},
        f"_dmarc.{DOMAIN}": {"txt": ["v=DMARC1; p=reject; rua=mailto:a@example.test"]},
        f"_mta-sts.{DOMAIN}": {"txt": ["v=STSv1; id=1"]},
        f"_smtp._tls.{DOMAIN}": {"txt": ["v=TLSRPTv1; rua=mailto:a@example.test"]},
    }
    return table | {one.record_name: {"txt": [record_text(one.path)]} for one in keys.of(DOMAIN)}


async def seen(keys: DkimKeys, table: dict[str, Any], **words: Any) -> list[Seen]:
    return await look(TableResolver(table), HOST, {DOMAIN: keys.of(DOMAIN)}, **words)


async def troubles(keys: DkimKeys, changed: dict[str, Any]) -> list[Seen]:
    return [one for one in await seen(keys, right(keys) | changed) if one.status != FINE]


async def test_all_is_fine(keys: DkimKeys) -> None:
    found = await seen(keys, right(keys))
    assert {one.status for one in found} == {FINE} and len(found) == 10


@pytest.mark.parametrize(
    ("changed", "name", "kind", "status", "words"),
    [
        ({DOMAIN: {"txt": ["v=spf1 mx -all"]}}, DOMAIN, "MX", MISSING, "does not come here"),
        ({DOMAIN: {"mx": [(0, "")], "txt": ["v=spf1 ip4:192.0.2.25 ip6:2001:db8::25"]}}, DOMAIN, "MX", WRONG, "null MX"),
        ({DOMAIN: {"mx": [(1, "mx.old.test")], "txt": ["v=spf1 a:mail.example.test"]}}, DOMAIN, "MX", WRONG, "mx.old.test"),
        ({DOMAIN: {"mx": [(10, HOST)]}}, DOMAIN, "TXT", MISSING, "no SPF record"),
        ({DOMAIN: {"mx": [(10, HOST)], "txt": ["v=spf1 -all", "v=spf1 mx"]}}, DOMAIN, "TXT", WRONG, "2 SPF records"),
        ({DOMAIN: {"mx": [(10, HOST)], "txt": ["v=spf1 ip4:192.0.2.25 -all"]}}, DOMAIN, "TXT", WRONG, "2001:db8::25"),
        ({f"_dmarc.{DOMAIN}": {"txt": []}}, f"_dmarc.{DOMAIN}", "TXT", MISSING, "no DMARC record"),
        ({f"_dmarc.{DOMAIN}": {"txt": ["v=DMARC1; p=none"]}}, f"_dmarc.{DOMAIN}", "TXT", OPTIONAL, "rua"),
        ({f"_mta-sts.{DOMAIN}": {"txt": []}}, f"_mta-sts.{DOMAIN}", "TXT", OPTIONAL, "MTA-STS"),
        ({"192.0.2.25": {"ptr": []}}, "25.2.0.192.in-addr.arpa", "PTR", MISSING, "no reverse name"),
        ({"192.0.2.25": {"ptr": ["dsl-25.isp.test"]}}, "25.2.0.192.in-addr.arpa", "PTR", WRONG, "dsl-25.isp.test"),
        ({"192.0.2.25": DnsStatus.SERVFAIL}, "25.2.0.192.in-addr.arpa", "PTR", UNKNOWN, "no answer"),
        ({f"e202611._domainkey.{DOMAIN}": {}}, f"e202611._domainkey.{DOMAIN}", "TXT", MISSING, "signing"),
        (
            {f"e202611._domainkey.{DOMAIN}": {"txt": ["v=DKIM1; k=ed25519; p=AAAA"]}},
            f"e202611._domainkey.{DOMAIN}",
            "TXT",
            WRONG,
            "another key",
        ),
    ],
)
async def test_each_record_is_told_with_its_trouble(
    keys: DkimKeys, changed: dict[str, Any], name: str, kind: str, status: str, words: str
) -> None:
    found = {(one.name, one.type): one for one in await troubles(keys, changed)}
    assert (name, kind) in found and found[name, kind].status == status and words in found[name, kind].words


async def test_a_host_without_an_address_is_told(keys: DkimKeys) -> None:
    table = right(keys)
    del table[HOST]
    assert (await seen(keys, table))[0].status == MISSING


async def test_behind_a_smarthost_spf_need_not_name_us(keys: DkimKeys) -> None:
    table = right(keys) | {DOMAIN: {"mx": [(10, HOST)], "txt": ["v=spf1 include:smart.test -all"]}}
    assert all(one.status == FINE for one in await seen(keys, table, smarthost=True))


async def test_without_keys_it_says_how_to_get_some(tmp_path: Path, keys: DkimKeys) -> None:
    found = await look(TableResolver(right(keys)), HOST, {DOMAIN: []})
    assert any(one.status == MISSING and "postillon dkim add" in one.words for one in found)


@pytest.mark.real
def test_a_running_server_looks_at_real_dns(tmp_path: Path) -> None:
    zone = (
        '@ A 127.0.0.1\n@ MX 10 example.test.\n@ TXT "v=spf1 mx -all"\n_dmarc TXT "v=DMARC1; p=none; rua=mailto:x@example.test"'
    )
    zones = {"example.test": zone, "0.0.127.in-addr.arpa": "1 PTR example.test."}
    with Zones(zones) as dns, Postillon(tmp_path / "data", "--dns", dns.option, "--workers", "1") as server:
        found = server.ask("dns.check", hostname="example.test")
        assert found["reachable"]
        trouble = {(one["name"], one["status"]) for one in found["records"] if one["status"] not in (FINE, OPTIONAL)}
        assert trouble == {("(selector)._domainkey.example.test", MISSING)}
        assert server.command("dkim", "add", "example.test").returncode == 0
        made = server.command("dkim", "rotate", "example.test")
        assert made.stdout.count("_domainkey") == 2
        early = server.command("dkim", "rotate", "example.test")
        assert early.returncode == 1 and "publish what" in early.stderr
        records = [
            line.strip().replace(".example.test.", "")
            for line in server.command("dkim", "records", "example.test").stdout.splitlines()
        ]
        dns.server.set_zone("example.test", zone + "\n" + "\n".join(records) + "\n")
        server.stop()
        server.start()  # what was not there is remembered for some minutes
        assert "The new keys sign" in server.command("dkim", "rotate", "example.test").stdout
        old = next(row["selector"] for row in server.ask("dkim.list") if row["state"] == "retired")
        assert "7 more days" in server.command("dkim", "retire", old).stderr
        assert server.command("dkim", "retire", old, "--force").returncode == 0


@pytest.mark.real
def test_without_dns_the_server_says_so(tmp_path: Path) -> None:
    with Postillon(tmp_path / "data", "--workers", "1") as server:
        assert server.ask("dns.check", hostname="example.test") == {"reachable": False, "records": []}
