"""Verifying and making signatures: the RFCs' examples, dkimpy in both directions, and what must not pass."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any

import dkim as dkimpy
import pytest

from postillon.mailauth import dkim, dkim_sign
from postillon.mailauth.content import Content
from postillon.mailauth.dkim import Dkim
from postillon.mailauth.dkim_sign import SigningKey
from postillon.mailauth.result import Result
from postillon.seams import DnsStatus
from tests.kinds import TableResolver

from .keys import ed25519_key, pem, published, record, rsa_key, signing_keys

NOW = 1_800_000_000
HEADER = (
    b"From: Joe <joe@example.test>\r\nTo: sue@other.test\r\nSubject: A  folded\r\n\tsubject \r\n"
    b"Date: Fri, 11 Jul 2003 21:00:37 -0700\r\nMessage-ID: <1@example.test>\r\n\r\n"
)
BODY = b"Hello  there \t \r\n\r\n Bye\r\n\r\n\r\n"


def content(message: bytes) -> Content:
    header, empty, body = message.partition(b"\r\n\r\n")
    return Content(header + empty, lambda: [body])


async def verified(message: bytes, table: Mapping[str, Any], now: int = NOW) -> list[Dkim]:
    found = content(message)
    return await dkim.evaluate(found, dkim.read(found), TableResolver(table), now)


async def results(message: bytes, table: Mapping[str, Any], now: int = NOW) -> list[str]:
    return [one.result.value for one in await verified(message, table, now)]


def signed(*keys: SigningKey, header: bytes = HEADER, body: bytes = BODY, now: int = NOW) -> bytes:
    return dkim_sign.sign(header, lambda: [body], keys or signing_keys("example.test"), now) + header + body


# --- what passes

RFC8463 = b"""\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")
RFC8463_KEYS = {
    "brisbane._domainkey.football.example.com": {"txt": ["v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]},
    "test._domainkey.football.example.com": {
        "txt": [
            "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi"
            "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
        ]
    },
}


async def test_the_example_of_rfc_8463():
    assert await results(RFC8463, RFC8463_KEYS) == ["pass", "pass"]
    assert await results(RFC8463.replace(b"hungry", b"Hungry"), RFC8463_KEYS) == ["fail", "fail"]
    assert await results(RFC8463.replace(b"dinner", b"Dinner"), RFC8463_KEYS) == ["fail", "fail"]


async def test_what_we_sign_we_verify_and_dkimpy_does():
    now = int(time.time())  # dkimpy asks the real clock
    message, table = signed(now=now), published("example.test")
    found = await verified(message, table, now)
    assert [(one.result, one.algorithm, one.domain, one.selector) for one in found] == [
        (Result.PASS, "rsa-sha256", "example.test", "r1"),
        (Result.PASS, "ed25519-sha256", "example.test", "e1"),
    ]

    def lookup(name: bytes, timeout: int = 5) -> bytes:
        return table[name.decode().rstrip(".")]["txt"][0].encode()

    for number in (0, 1):
        assert dkimpy.DKIM(message).verify(number, dnsfunc=lookup)


@pytest.mark.parametrize("forms", [(a, b) for a in (b"simple", b"relaxed") for b in (b"simple", b"relaxed")])
@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@pytest.mark.parametrize("body", [BODY, b"", b"\r\n", b"no line end"])
async def test_what_dkimpy_signs_we_verify(forms: tuple[bytes, bytes], kind: str, body: bytes):
    key = rsa_key() if kind == "rsa" else ed25519_key()
    field = dkimpy.sign(
        HEADER + body, b"s", b"example.test", pem(key), canonicalize=forms, signature_algorithm=f"{kind}-sha256".encode()
    )
    table = {"s._domainkey.example.test": {"txt": [record(key)]}}
    assert await results(field + HEADER + body, table) == ["pass"]
    assert await results(field + HEADER.replace(b"<1@", b"<2@") + body, table) == ["fail"]


async def test_relaxed_signatures_survive_folding_and_white_space():
    folded = signed().replace(b"To: sue@other.test", b"TO:   sue@other.test  ").replace(b"Hello  there", b"Hello there")
    assert await results(folded, published("example.test")) == ["pass", "pass"]


# --- what must not pass


@pytest.mark.parametrize("name", [b"From", b"Subject", b"To", b"Content-Type", b"Reply-To", b"MIME-Version"])
async def test_no_field_can_be_added(name: bytes):
    for message in (name + b": x@evil.test\r\n" + signed(), signed().replace(b"\r\n\r\n", b"\r\n" + name + b": x\r\n\r\n", 1)):
        assert await results(message, published("example.test")) == ["fail", "fail"]


async def test_a_part_of_the_body_is_no_proof():
    key = rsa_key()
    field = dkimpy.sign(HEADER + BODY, b"s", b"example.test", pem(key), length=True)
    table = {"s._domainkey.example.test": {"txt": [record(key)]}}
    assert await results(field + HEADER + BODY, table) == ["pass"]  # all of it is signed
    assert await results(field + HEADER + BODY.rstrip() + b"\r\nmore\r\n", table) == ["policy"]
    assert await results(field + HEADER + BODY.replace(b"Bye", b"bye"), table) == ["fail"]
    zero = signed_by_hand("l=0; ", b"")
    assert await results(zero + HEADER + BODY, published("example.test")) == ["policy"]


def signed_by_hand(more: str, body: bytes, *, names: str = "from", algorithm: str = "rsa-sha256", key: Any = None) -> bytes:
    """A signature field (relaxed/simple) with other tags than ours."""
    import hashlib

    body_hash = base64.b64encode(hashlib.sha256(body).digest()).decode()
    value = f" v=1; a={algorithm}; c=relaxed/simple; d=example.test; s=r1; {more}h={names}; bh={body_hash}; b="
    found = content(HEADER)
    data = b"".join([*found.selected(names.encode().split(b":"), True), b"dkim-signature:" + value.strip().encode()])
    octets = SigningKey("example.test", "r1", key or rsa_key()).sign(data)
    return f"DKIM-Signature:{value}{base64.b64encode(octets).decode()}\r\n".encode()


SIMPLE = BODY.rstrip(b"\r\n") + b"\r\n"


@pytest.mark.parametrize(
    ("more", "options", "result"),
    [
        ("", {}, "pass"),
        (f"t={NOW}; x={NOW + 5}; ", {}, "pass"),
        (f"x={NOW - 1000}; ", {}, "policy"),
        (f"t={NOW}; x={NOW - 1000}; ", {}, "neutral"),
        ("i=joe@sub.example.test; ", {}, "pass"),
        ("i=joe@other.test; ", {}, "neutral"),
        ("q=dns/other; ", {}, "neutral"),
        ("", {"names": "to:subject"}, "permerror"),
        ("", {"algorithm": "rsa-sha1"}, "policy"),
        ("", {"algorithm": "rsa-sha512"}, "neutral"),
        ("", {"algorithm": "ed25519-sha256"}, "permerror"),
        ("x=99999999999999999999999; ", {}, "neutral"),
        ("l=9999; ", {}, "fail"),
        ("s=other; ", {}, "neutral"),
    ],
)
async def test_rules_about_tags(more: str, options: dict[str, Any], result: str):
    message = signed_by_hand(more, SIMPLE, **options) + HEADER + BODY
    assert await results(message, published("example.test")) == [result]


@pytest.mark.parametrize(
    ("entry", "result"),
    [
        (DnsStatus.SERVFAIL, "temperror"),
        (DnsStatus.TIMEOUT, "temperror"),
        (DnsStatus.NXDOMAIN, "permerror"),
        ({"txt": []}, "permerror"),
        ({"txt": ["v=DKIM1; p="]}, "permerror"),
        ({"txt": ["v=DKIM2; p=AAAA"]}, "permerror"),
        ({"txt": ["v=DKIM1; p=!!!"]}, "permerror"),
        ({"txt": ["v=DKIM1; p=AAAA"]}, "permerror"),
        ({"txt": ["v=DKIM1; k=ed25519; p=AAAA"]}, "permerror"),
        ({"txt": ["v=DKIM1; k=dsa; p=AAAA"]}, "permerror"),
        ({"txt": [record(ed25519_key())]}, "permerror"),
        ({"txt": [record(rsa_key(), "s=other; ")]}, "permerror"),
        ({"txt": [record(rsa_key(), "s=other:email; t=y:s; h=sha256; ")]}, "pass"),
        ({"txt": [record(rsa_key(), "h=sha1; ")]}, "permerror"),
        ({"txt": ["some other text", record(rsa_key())]}, "pass"),
        ({"txt": [record(rsa_key(512 * 3))]}, "fail"),
        ({"txt": [record(rsa_key()) + "A" * 70_000]}, "permerror"),
    ],
)
async def test_rules_about_keys(entry: Any, result: str):
    table = {"r1._domainkey.example.test": entry}
    assert await results(signed_by_hand("", SIMPLE) + HEADER + BODY, table) == [result]


async def test_the_strict_flag_forbids_identities_of_subdomains():
    message = signed_by_hand("i=@sub.example.test; ", SIMPLE) + HEADER + BODY
    assert await results(message, {"r1._domainkey.example.test": {"txt": [record(rsa_key(), "t=s; ")]}}) == ["permerror"]


# A public key needs no private one: any modulus of that length does.
def _public_of(bits: int, exponent: int = 65537) -> str:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = RSAPublicNumbers(exponent, (1 << (bits - 1)) + 1).public_key()
    octets = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; p={base64.b64encode(octets).decode()}"


@pytest.mark.parametrize(
    ("text", "result"),
    [(_public_of(16_384), "permerror"), (_public_of(2048, (1 << 2000) + 1), "permerror"), (_public_of(1023), "policy")],
)
async def test_keys_out_of_bounds(text: str, result: str):
    assert await results(signed_by_hand("", SIMPLE) + HEADER + BODY, {"r1._domainkey.example.test": {"txt": [text]}}) == [result]


async def test_ten_thousand_signatures_are_ten_and_the_one_that_counts_is_among_them():
    forged = b"".join(
        b"DKIM-Signature: v=1; a=rsa-sha256; d=evil%d.test; s=s; h=from; bh=AAAA; b=AAAA\r\n" % number for number in range(10_000)
    )
    resolver = TableResolver(published("example.test"))
    found = content(b"".join(forged.splitlines(True)[:40]) + signed())
    outcomes = await dkim.evaluate(found, dkim.read(found, ["example.test"]), resolver, NOW)
    assert len(outcomes) == 10 and [one.result for one in outcomes[:2]] == [Result.PASS, Result.PASS]
    found = content(forged + HEADER)
    assert len(await dkim.evaluate(found, dkim.read(found), resolver, NOW)) == 10


@pytest.mark.parametrize(
    "field",
    [
        b"DKIM-Signature:",
        b"DKIM-Signature: v=1; v=1; " + b"x" * 100,
        b"DKIM-Signature: " + b"a=b;" * 30_000,
        b"DKIM-Signature: v=1; a=rsa-sha256; d=example.test; s=r1; h=" + b"from:" * 20_000 + b"; bh=AAAA; b=AAAA",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=example.test; s=r1; h=from; bh=%; b=\xff",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=..; s=r1; h=from; bh=AAAA; b=AAAA",
        b"DKIM-Signature: v=1; a=rsa-sha256; c=strange; d=example.test; s=r1; h=from; bh=AAAA; b=AAAA",
    ],
)
async def test_bad_fields_are_neutral(field: bytes):
    assert await results(field + b"\r\n" + HEADER + BODY, published("example.test")) == ["neutral"]
