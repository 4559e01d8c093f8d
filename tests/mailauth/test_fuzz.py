"""Whatever a remote or its DNS says: an outcome, never an error, and one clean field."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from postillon.mailauth import arc, dkim_sign
from postillon.mailauth.authres import Outcome
from postillon.mailauth.dkim_sign import SigningKey
from postillon.mailauth.evaluate import evaluate, field_of, passed_by
from postillon.mailauth.result import Result
from postillon.message.header import fields
from tests.kinds import TableResolver

from .keys import published, rsa_key, signing_keys
from .test_evaluate import BODY, CLIENT, HEADER, NOW, TABLE, Content

NOISE = [
    b"\r\n",
    b"\n",
    b" ",
    b"\t",
    b";",
    b"=",
    b":",
    b"@",
    b"<",
    b">",
    b"(",
    b")",
    b'"',
    b"\\",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"%",
    b".",
]
SNIPPETS = [
    b"d=\xff.test;",
    b"d=xn--a.test;",
    b"d=\xe2\x80\xae.test;",
    b"i=1;",
    b"h=;",
    b"l=1;",
    b"From: ",
    b"\r\nFrom: a@b\r\n",
    b"s=..;",
]


def _message() -> bytes:
    signed = dkim_sign.sign(HEADER, lambda: [BODY], signing_keys("example.test"), NOW) + HEADER
    key, none = SigningKey("list.test", "r1", rsa_key()), arc.Arc(Result.NONE)
    sealed = arc.seal(signed, lambda: [BODY], key, NOW, none, "mx.list.test", [Outcome("dmarc", "pass")])
    assert sealed
    return sealed + signed


def _mutated(octets: bytes, chance: random.Random, times: int) -> bytes:
    found = bytearray(octets)
    for _ in range(times):
        at = chance.randrange(len(found) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            found[at:at] = chance.choice(NOISE)
        elif kind == 1:
            found[at:at] = chance.choice(SNIPPETS)
        elif kind == 2:
            del found[at : at + chance.randrange(1, 30)]
        else:
            found[at : at + 1] = bytes([chance.randrange(256)])
    return bytes(found)


def _mutated_zone(chance: random.Random) -> dict[str, Any]:
    zone: dict[str, Any] = {}
    for name, entry in (TABLE | published("list.test")).items():
        zone[name] = dict(entry)
        if "txt" in entry and chance.random() < 0.7:
            texts = [_mutated(text.encode(), chance, 2).decode("utf-8", "surrogateescape") for text in entry["txt"]]
            zone[name]["txt"] = texts * chance.choice([1, 1, 2])
    return zone


@pytest.mark.parametrize("seed", range(8))
def test_mutated_messages_and_records(seed: int):
    chance = random.Random(seed)
    original = _message()

    async def run() -> None:
        for _ in range(150):
            header = _mutated(original, chance, chance.randrange(1, 12)).replace(b"\r\n\r\n", b"\r\n") + b"\r\n"
            sender = chance.choice(["joe@example.test", "", "a b@example.test", "joe@exämple.test", "x" * 300 + "@example.test"])
            helo = chance.choice(["mail.example.test", "", "[1.2.3.4]", "\udcff", "a" * 300])
            verdict = await evaluate(
                Content(header, lambda: [BODY]),
                client=chance.choice([CLIENT, "2001:db8::7", "::ffff:192.0.2.7"]),
                helo=helo,
                mail_from=sender,
                resolver=TableResolver(_mutated_zone(chance)),
                receiver="mx.other.test",
                now=NOW,
            )
            field = field_of(verdict, CLIENT, "mx.other.test")
            assert len(fields(field)) == 1 and field.endswith(b"\r\n") and field.isascii() and b"\0" not in field
            passed_by(verdict, ["list.test"])

    asyncio.run(run())
