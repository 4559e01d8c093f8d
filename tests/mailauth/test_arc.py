"""ARC chains: ours verified by dkimpy, dkimpy's by us, mixed ones, and every way to break them."""

from __future__ import annotations

import re
import time
from typing import Any

import dkim as dkimpy
import pytest

from postillon.mailauth import arc
from postillon.mailauth.arc import Arc
from postillon.mailauth.authres import Outcome
from postillon.mailauth.content import Content
from postillon.mailauth.dkim_sign import SigningKey
from postillon.mailauth.result import Result
from postillon.seams import DnsStatus
from tests.kinds import TableResolver

from .keys import pem, published, rsa_key

HEADER = (
    b"From: Joe <joe@example.test>\r\nTo: list@list.test\r\nSubject: a subject\r\n"
    b"Date: Fri, 11 Jul 2003 21:00:37 -0700\r\nMessage-ID: <1@example.test>\r\n\r\n"
)
BODY = b"Hello  there \t \r\n\r\n Bye\r\n\r\n"
DOMAINS = ("one.test", "two.test", "three.test", "four.test")
TABLE = published(*DOMAINS)


def content(message: bytes) -> Content:
    header, empty, body = message.partition(b"\r\n\r\n")
    return Content(header + empty, lambda: [body])


async def chain(message: bytes, table: dict[str, Any] = TABLE) -> Arc:
    found = content(message)
    return await arc.evaluate(found, arc.read(found), TableResolver(table))


async def sealed(message: bytes, domain: str) -> bytes:
    """By us."""
    before = await chain(message)
    header, empty, body = message.partition(b"\r\n\r\n")
    key = SigningKey(domain, "r1", rsa_key())
    results = [Outcome("dmarc", "pass", (("header.from", "example.test"),))]
    return arc.seal(header + empty, lambda: [body], key, int(time.time()), before, f"mx.{domain}", results) + message


def sealed_by_dkimpy(message: bytes, domain: str) -> bytes:
    message = f"Authentication-Results: mx.{domain}; dmarc=pass header.from=example.test; arc=none\r\n".encode() + message
    if b"ARC-Seal" in message:
        message = message.replace(b"arc=none", b"arc=pass", 1)
    fields = dkimpy.arc_sign(message, b"r1", domain.encode(), pem(rsa_key()), f"mx.{domain}".encode())
    assert fields
    return b"".join(fields) + message


def dkimpy_says(message: bytes) -> bytes:
    def lookup(name: bytes, timeout: int = 5) -> bytes:
        return TABLE[name.decode().rstrip(".")]["txt"][0].encode()

    found, _, _ = dkimpy.arc_verify(message, dnsfunc=lookup)
    return found


async def test_no_chain():
    assert await chain(HEADER + BODY) == Arc(Result.NONE)


async def test_our_chains_are_good_for_dkimpy():
    message = HEADER + BODY
    for number, domain in enumerate(DOMAINS):
        message = await sealed(message, domain)
        assert dkimpy_says(message) == b"pass"
        found = await chain(message)
        assert (found.result, found.sealers) == (Result.PASS, DOMAINS[: number + 1])


async def test_dkimpys_chains_are_good_for_us():
    message = HEADER + BODY
    for domain in DOMAINS:
        message = sealed_by_dkimpy(message, domain)
        found = await chain(message)
        assert found.result is Result.PASS, found.reason


async def test_mixed_chains():
    message = await sealed(sealed_by_dkimpy(await sealed(HEADER + BODY, "one.test"), "two.test"), "three.test")
    found = await chain(message)
    assert (found.result, found.sealers) == (Result.PASS, ("one.test", "two.test", "three.test"))
    assert dkimpy_says(message) == b"pass"
    assert found.said(0).startswith("i=1; mx.one.test; dmarc=pass")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Hello", b"HELLO"),
        (b"a subject", b"another subject"),
        (b"i=1; mx.one.test;\r\n\tdmarc=pass", b"i=1; mx.one.test;\r\n\tdmarc=fail"),
        (b"i=2; mx.two.test;\r\n\tdmarc=pass", b"i=2; mx.two.test;\r\n\tdmarc=none"),
        (b"cv=pass", b"cv=none"),
        (b"cv=none", b"cv=pass"),
        (b"cv=pass", b"cv=fail"),
        (b"ARC-Seal: i=2", b"ARC-Seal: i=3"),
        (b"ARC-Seal: i=2", b"ARC-Seal: i=1"),
        (b"ARC-Seal: i=2", b"ARC-Seal: i=x"),
        (b"ARC-Seal: i=2", b"ARC-Seal: h=from; i=2"),
        (b"ARC-Seal: i=1;", b"X-Seal: i=1;"),
        (b"ARC-Authentication-Results: i=1;", b"ARC-Authentication-Results: j=1;"),
    ],
)
async def test_broken_chains(old: bytes, new: bytes):
    message = await sealed(await sealed(HEADER + BODY, "one.test"), "two.test")
    assert old in message
    assert (await chain(message.replace(old, new, 1))).result is Result.FAIL


async def test_each_seal_is_checked():
    message = await sealed(await sealed(await sealed(HEADER + BODY, "one.test"), "two.test"), "three.test")
    for at in (1, 2, 3):
        broken = re.sub(rb"(ARC-Seal: i=%d;.*?b=)(..)" % at, rb"\1AA", message, count=1, flags=re.DOTALL)
        assert (await chain(broken)).result is Result.FAIL


async def test_dns_trouble_is_temporary_and_a_missing_key_is_not():
    message = await sealed(HEADER + BODY, "one.test")
    assert (await chain(message, {"r1._domainkey.one.test": DnsStatus.SERVFAIL})).result is Result.TEMPERROR
    assert (await chain(message, {})).result is Result.FAIL


async def test_a_broken_chain_gets_no_seal_and_a_long_one_fails():
    message = await sealed(HEADER + BODY, "one.test")
    changed = message.replace(b"Hello", b"HELLO")
    assert await sealed(changed, "two.test") == changed
    many = b"".join(
        b"ARC-Seal: i=%d; a=rsa-sha256; cv=pass; d=a.test; s=s; b=AAAA\r\nARC-Authentication-Results: i=%d; a\r\n"
        b"ARC-Message-Signature: i=%d; a=rsa-sha256; d=a.test; s=s; h=from; bh=AAAA; b=AAAA\r\n" % (n, n, n)
        for n in range(1, 10_000)
    )
    assert (await chain(many + HEADER + BODY)).result is Result.FAIL
