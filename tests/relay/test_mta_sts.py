"""MTA-STS: policies are read strictly, fetched carefully, and not forgotten when somebody hides them."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from postillon.net.certificates import make_ca, make_certificate
from postillon.net.http_client import HttpError
from postillon.net.tls import client_context, server_context
from postillon.relay.hop import is_public
from postillon.relay.mta_sts import BadPolicy, Policy, PolicyFetcher, StsPolicies, parse_policy, record_id
from postillon.seams import DnsStatus

from ..kinds import FixedClock, TableResolver
from .https import Https, page

TEXT = b"version: STSv1\r\nmode: enforce\r\nmx: mail.there.test\r\nmx: *.there.test\r\nmax_age: 86400\r\n"


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (("v=STSv1; id=20260101;",), "20260101"),
        (("spf", "v=STSv1;id=a1"), "a1"),
        (("v=STSv1; id=a; x=y",), "a"),
        ((), None),
        (("v=STSv1; id=a", "v=STSv1; id=b"), None),
        (("v=STSv1; id=no-dashes",), None),
        (("v=STSv10; id=a",), None),
        (("v=STSv1;",), None),
    ],
)
def test_the_record_has_one_id(records: tuple[str, ...], found: str | None):
    assert record_id(records) == found


def test_a_policy_is_read():
    assert parse_policy(TEXT) == Policy("enforce", ("mail.there.test", "*.there.test"), 86400)
    assert parse_policy(TEXT.replace(b"\r\n", b"\n")).mode == "enforce"
    assert parse_policy(TEXT + b"mode: none\nnew: field\n").mode == "enforce"  # the first counts
    assert parse_policy(b"version: STSv1\nmode: none\nmax_age: 60\n").mx == ()
    assert parse_policy(TEXT.replace(b"86400", b"9999999999")).max_age == 31_557_600


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        TEXT.replace(b"STSv1", b"STSv2"),
        TEXT.replace(b"enforce", b"strict"),
        TEXT.replace(b"86400", b"-1"),
        TEXT.replace(b"max_age", b"age"),
        b"version: STSv1\nmode: enforce\nmax_age: 1\n",
        TEXT.replace(b"*.there", b"*.*.there"),
        TEXT.replace(b"mail.there.test", b"\xff"),
    ],
)
def test_what_is_no_policy_is_refused(text: bytes):
    with pytest.raises(BadPolicy):
        parse_policy(text)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("mail.there.test", True),
        ("MX1.there.test.", True),
        ("there.test", False),
        ("a.b.there.test", False),
        ("there.test.evil.test", False),
    ],
)
def test_a_star_is_one_label(host: str, allowed: bool):
    assert Policy("enforce", ("mail.there.test", "*.there.test"), 1).allows(host) is allowed


@dataclass
class Memory:
    kept: dict[str, bytes] = field(default_factory=dict)

    async def setting(self, name: str) -> bytes | None:
        return self.kept.get(name)

    async def set_setting(self, name: str, value: bytes) -> None:
        self.kept[name] = value

    async def settings_after(self, name: str, limit: int) -> list[tuple[str, bytes]]:
        return sorted(item for item in self.kept.items() if item[0] > name)[:limit]

    async def remove_setting(self, name: str, value: bytes) -> None:
        if self.kept.get(name) == value:
            del self.kept[name]


@dataclass
class House:
    """A domain with a policy, and somebody who asks for it."""

    text: bytes | None = TEXT
    table: dict[str, object] = field(default_factory=lambda: {"_mta-sts.there.test": {"txt": ["v=STSv1; id=1"]}})
    memory: Memory = field(default_factory=Memory)
    clock: FixedClock = field(default_factory=FixedClock)
    fetched: int = 0

    def record(self, id: str | None) -> None:  # noqa: A002
        self.table["_mta-sts.there.test"] = {"txt": [f"v=STSv1; id={id}"]} if id else DnsStatus.NXDOMAIN

    async def fetch(self, domain: str) -> bytes:
        self.fetched += 1
        await asyncio.sleep(0)
        if self.text is None:
            raise HttpError("gone")
        return self.text

    def policies(self) -> StsPolicies:
        resolver = TableResolver(self.table)  # type: ignore[arg-type]
        return StsPolicies(resolver=resolver, fetch=self.fetch, memory=self.memory, clock=self.clock)


async def test_a_policy_is_fetched_once_and_survives_us():
    house = House()
    found = await asyncio.gather(*(policies.of("there.test") for policies in [house.policies()] * 5))
    assert [policy.mode for policy in found if policy] == ["enforce"] * 5
    assert house.fetched == 1
    assert (await house.policies().of("there.test")) == found[0]
    assert house.fetched == 1


async def test_policies_that_are_over_are_forgotten_in_steps(monkeypatch: pytest.MonkeyPatch):
    house = House()
    house.memory.kept |= {"a secret": b"1", "zebra": b"2", "mta-sts:broken.test": b"{"}
    policies = house.policies()
    for number in range(5):
        house.table[f"_mta-sts.{number}.test"] = {"txt": ["v=STSv1; id=1"]}
        await policies.of(f"{number}.test")
    assert await policies.prune() == 1, "what cannot be read"
    house.clock.at += 86399
    assert await policies.prune() == 0
    house.clock.at += 1
    monkeypatch.setattr("postillon.relay.mta_sts.PRUNED_AT_ONCE", 2)
    assert [await policies.prune() for _ in range(4)] == [2, 2, 1, 0]
    assert set(house.memory.kept) == {"a secret", "zebra"}
    house.text = None
    assert await policies.of("1.test") is None


async def test_without_a_record_nothing_is_fetched():
    house = House()
    house.record(None)
    assert await house.policies().of("there.test") is None
    assert house.fetched == 0


@pytest.mark.parametrize("status", [DnsStatus.NXDOMAIN, DnsStatus.TIMEOUT, DnsStatus.SERVFAIL])
async def test_hiding_the_record_does_not_hide_the_policy(status: DnsStatus):
    house = House()
    assert await house.policies().of("there.test")
    house.table["_mta-sts.there.test"] = status
    house.text = None
    assert await house.policies().of("there.test")
    house.clock.at += 86400  # its max_age
    assert await house.policies().of("there.test") is None


async def test_a_new_id_is_a_new_policy():
    house = House()
    policies = house.policies()
    await policies.of("there.test")
    house.text = TEXT.replace(b"enforce", b"testing")
    house.record("2")
    policy = await policies.of("there.test")
    assert policy is not None and policy.mode == "testing"
    assert house.fetched == 2


async def test_a_web_server_that_fails_leaves_the_policy_and_is_not_asked_again_at_once():
    house = House()
    policies = house.policies()
    await policies.of("there.test")
    house.record("2")
    house.text = None
    for _ in range(3):
        policy = await policies.of("there.test")
        assert policy is not None and policy.mode == "enforce"
    assert house.fetched == 2
    house.clock.at += 301
    await policies.of("there.test")
    assert house.fetched == 3


async def test_mode_none_ends_a_policy():
    house = House()
    policies = house.policies()
    await policies.of("there.test")
    house.record("2")
    house.text = b"version: STSv1\nmode: none\nmax_age: 600\n"
    assert await policies.of("there.test") is None


# --- over the wire ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The policy server's context, and ours."""
    directory: Path = tmp_path_factory.mktemp("sts")
    ca, _ = make_ca(directory)
    chain = make_certificate(directory, ["mta-sts.there.test"])
    return server_context([chain], "http/1.1"), client_context(verify=True, ca_file=str(ca))


def fetcher(server: Https, context: ssl.SSLContext, address: str = "127.0.0.1", *, guarded: bool = False) -> PolicyFetcher:
    table = {f"mta-sts.{name}.test": {"a": [address]} for name in ("there", "other")}
    allowed = is_public if guarded else lambda address: True
    return PolicyFetcher(resolver=TableResolver(table), context=context, port=server.port, is_allowed=allowed)


async def test_a_policy_comes_over_https(tls: tuple[ssl.SSLContext, ssl.SSLContext]):
    async with Https(tls[0], page(TEXT)) as server:
        assert await fetcher(server, tls[1])("there.test") == TEXT
        (asked,) = server.asked
        assert asked.startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.there.test:")


async def test_chunks_and_an_open_end_are_read(tls: tuple[ssl.SSLContext, ssl.SSLContext]):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(TEXT[i : i + 9]), TEXT[i : i + 9]) for i in range(0, len(TEXT), 9))
    async with Https(tls[0]) as server:
        server.answer = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        assert await fetcher(server, tls[1])("there.test") == TEXT
        server.answer = head + b"\r\n" + TEXT
        assert await fetcher(server, tls[1])("there.test") == TEXT


@pytest.mark.parametrize(
    "answer",
    [
        page(TEXT, "301 Moved\r\nLocation: https://elsewhere.test/"),
        page(TEXT, "404 Not Found"),
        page(TEXT, kind="text/html"),
        page(b"x" * 65537),
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 70000,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n" + b"x" * 70000,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 500\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 90000,
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"",
    ],
)
async def test_other_answers_are_no_policy(tls: tuple[ssl.SSLContext, ssl.SSLContext], answer: bytes):
    async with Https(tls[0], answer) as server:
        with pytest.raises(HttpError):
            await fetcher(server, tls[1])("there.test")


async def test_a_certificate_for_another_name_or_of_nobody_is_no_policy(tls: tuple[ssl.SSLContext, ssl.SSLContext]):
    async with Https(tls[0], page(TEXT)) as server:
        with pytest.raises(HttpError):
            await fetcher(server, tls[1])("other.test")
        with pytest.raises(HttpError):
            await fetcher(server, client_context(verify=True))("there.test")
        assert server.asked == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1"])
async def test_private_addresses_are_not_asked(tls: tuple[ssl.SSLContext, ssl.SSLContext], address: str):
    async with Https(tls[0], page(TEXT)) as server:
        with pytest.raises(HttpError, match="not public"):
            await fetcher(server, tls[1], address, guarded=True)("there.test")
        assert server.asked == []
