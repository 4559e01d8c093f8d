"""SPF beyond the published suite: limits, explanations, and pyspf as a second opinion on records made up at random."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import spf as pyspf
from hypothesis import given, settings
from hypothesis import strategies as st

from postillon.mailauth import spf
from postillon.mailauth.result import Result
from postillon.seams import DnsStatus
from tests.kinds import TableResolver

from .zones import ZoneTable


async def checked(records: dict[str, str], client: str = "192.0.2.1", sender: str = "joe@example.test", **more: Any) -> spf.Spf:
    table: dict[str, Any] = {name.replace("__", "."): {"txt": [text]} for name, text in records.items()}
    return await spf.evaluate(client, "mail.example.test", sender, TableResolver(table | more))


async def test_the_explanation_is_the_domains_and_harmless():
    found = await checked(
        {
            "example.test": "v=spf1 exp=why.example.test -all",
            "why.example.test": "No mail from %{i} as %{s}, says %{r}\r\nX-Evil: 1\0",
        }
    )
    assert (found.result, found.explanation) == (
        Result.FAIL,
        "No mail from 192.0.2.1 as joe@example.test, says unknown??X-Evil: 1?",
    )


async def test_terms_and_empty_answers_are_counted():
    ten = "".join(f" exists:a{n}.test" for n in range(10))
    there = {f"a{n}.test": {"a": ["127.0.0.2"]} for n in range(11)}
    assert (await checked({"example.test": f"v=spf1{ten} -all"}, **there)).result is Result.PASS
    nowhere = await checked({"example.test": "v=spf1 a:x.test a:y.test a:z.test -all"})
    assert nowhere.result is Result.PERMERROR and "empty" in nowhere.reason
    loop = await checked({"example.test": "v=spf1 include:example.test -all"})
    assert loop.result is Result.PERMERROR and "more than 10" in loop.reason


@pytest.mark.parametrize("client", ["::ffff:192.0.2.1", "192.0.2.1"])
async def test_ipv4_in_ipv6_clothes_is_ipv4(client: str):
    assert (await checked({"example.test": "v=spf1 ip4:192.0.2.1 -all"}, client)).result is Result.PASS


@pytest.mark.parametrize("domain", ["", "localhost", "[192.0.2.1]", "a..b", "x" * 64 + ".test", "1.2.3.4", "exämple.test"])
async def test_what_is_no_domain_is_not_checked(domain: str):
    assert (await checked({}, sender=f"joe@{domain}")).result is Result.NONE


async def test_trouble_is_temporary():
    for status in (DnsStatus.SERVFAIL, DnsStatus.TIMEOUT, DnsStatus.BOGUS):
        found = await spf.evaluate("192.0.2.1", "h.test", "a@example.test", TableResolver({"example.test": status}))
        assert found.result is Result.TEMPERROR


# --- pyspf

HOSTS = {
    "a.test": [{"A": "192.0.2.1"}],
    "b.test": [{"A": "192.0.2.200"}, {"AAAA": "2001:db8::1"}],
    "c.test": [{"MX": [0, "a.test"]}, {"MX": [5, "b.test"]}],
    "d.test": [{"SPF": "v=spf1 a:a.test ?all"}],
    "e.test": [{"SPF": "v=spf1 mx:c.test -all"}],
    "f.test": [{"SPF": "v=spf1 redirect=d.test"}],
    "g.test": "TIMEOUT",
    # Every client has a name: whether an empty PTR answer counts again for the next term, opinions differ.
    "1.2.0.192.in-addr.arpa": [{"PTR": "a.test"}],
    "77.2.0.192.in-addr.arpa": [{"PTR": "b.test"}],
    ipaddress.ip_address("2001:db8::1").reverse_pointer: [{"PTR": "b.test"}],
}
NAMES = st.sampled_from([*HOSTS, "nowhere.test", "%{i}._x.test", "%{l}.test", "%{d1}.a.test", "%{ir}.%{v}.test"])
CIDR = st.sampled_from(["", "/24", "/32", "/0", "//64", "/24//128", "/33", "/"])
NETWORKS = ["ip4:192.0.2.0/24", "ip4:192.0.2.1", "ip4:192.0.2", "ip6:2001:db8::/32", "ip6:::1"]
OTHERS = ["x=y", "unknown", "exp=a.test", "redirect=e.test", "redirect=nowhere.test", "a", "mx", "a/24", "v=spf1", "all:x", "ptr"]
TERM = st.one_of(
    st.tuples(st.sampled_from(["", "+", "-", "~", "?"]), st.sampled_from(["a:", "mx:"]), NAMES, CIDR).map("".join),
    st.tuples(st.sampled_from(["include:", "exists:", "ptr:", "-include:"]), NAMES).map("".join),
    st.sampled_from([*NETWORKS, "?all", "-all"]),
    st.sampled_from(OTHERS),
)


def lookups(zone: dict[str, Any]) -> Any:
    """pyspf's DNS: octets for AAAA and TXT, its own error for silence."""

    def look(name: str, kind: str, strict: bool = True, timeout: int = 20) -> Iterator[Any]:
        records = zone.get(name.lower().rstrip("."), ())
        if records == "TIMEOUT":
            raise pyspf.TempError("DNS timeout")
        for record in records:
            for stands, value in record.items():
                if ("TXT" if stands == "SPF" else stands) == kind:
                    yield (name, kind), _wire(kind, value)

    return look


def _wire(kind: str, value: Any) -> Any:
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    return (value.encode(),) if kind == "TXT" else tuple(value) if kind == "MX" else value


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(TERM, max_size=6, unique=True), st.sampled_from(["192.0.2.1", "192.0.2.77", "2001:db8::1"]))
def test_pyspf_is_of_the_same_opinion(terms: list[str], client: str):
    record = " ".join(["v=spf1", *terms])
    zone = HOSTS | {"example.test": [{"SPF": record}, {"A": "192.0.2.77"}]}
    pyspf.DNSLookup = lookups(zone)
    theirs = pyspf.check2(i=client, s="joe@example.test", h="mail.example.test")[0]
    table = ZoneTable({name: [records] if isinstance(records, str) else records for name, records in zone.items()})
    ours = asyncio.run(spf.evaluate(client, "mail.example.test", "joe@example.test", table))
    assert ours.result == theirs, (record, ours.reason)
