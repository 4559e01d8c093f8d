"""Messages made to be expensive: the checks that run on the event loop have bounded work, whatever comes."""

from __future__ import annotations

import asyncio
import base64
import time

import pytest

from postillon.filters.classifier import Classifier
from postillon.filters.fraud import Fraud, OwnDomains
from postillon.filters.known import Acquaintance
from postillon.filters.lists import Lists
from postillon.filters.oddities import Oddities
from postillon.filters.reputation import SenderReputation
from postillon.filters.stored import examined_again, results
from postillon.flow.judgement import Judge
from postillon.mailauth.content import Content

from .conftest import ALICE, Office, examined, message

HEAD = b"From: Joe <joe@sender.test>\r\nSubject: hi\r\nMIME-Version: 1.0\r\n"


def parts(kind: str, text: bytes, count: int, encoding: bytes = b"8bit") -> bytes:
    one = b"--b\r\nContent-Type: text/" + kind.encode() + b"; charset=utf-8\r\nContent-Transfer-Encoding: " + encoding
    return (
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + (one + b"\r\n\r\n" + text + b"\r\n") * count + b"--b--\r\n"
    )


def nested(depth: int) -> bytes:
    heads = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth))
    return HEAD + heads + b"\r\nend\r\n"


HOSTILE = {
    "markup without end": parts("html", b"<a href='" * 15_000, 30),
    "links": parts("html", b'<a href="http://x@192.0.2.1/">www.bank.test</a>' * 3000, 30),
    "different links": parts("html", b"".join(b'<a href="http://h%d.test/">h.test</a>' % n for n in range(4000)), 30),
    "words": parts("plain", b" ".join(b"w%d" % n for n in range(20_000)), 30),
    "letters of elsewhere": parts("plain", "\u0430\u200bа ".encode() * 20_000, 30),
    "encoded": parts("plain", base64.encodebytes(b"words and more words " * 10_000), 30, b"base64"),
    "quoted": parts("plain", b"=41=42=43=" * 15_000, 30, b"quoted-printable"),
    "nested": nested(50_000),
    "many parts": parts("plain", b"x", 50_000),
    "names": b"From: " + b'"a b" <x@y.test>, ' * 20_000 + b"\r\nReply-To: " + b"<x@y.test>," * 20_000 + b"\r\n\r\nhi\r\n",
    "one long name": b"From: " + "\u0430rn".encode() * 20_000 + b" <x@" + b"a." * 2000 + b"test>\r\n\r\nhi\r\n",
    "results": b"Authentication-Results: mx.test;" + b" dkim=pass header.d=" * 20_000 + b"\r\nFrom: x@y.test\r\n\r\nhi\r\n",
    "encoded words": b"Subject: "
    + b"=?utf-8?q?=D0=B0?= " * 20_000
    + b"\r\nFrom: =?utf-8?b?"
    + b"0LA" * 20_000
    + b"?= <x@y.test>\r\n\r\n.",
    "folds": b"Subject: a\r\n " + b"\r\n " * 100_000 + b"\r\nFrom: x@y.test\r\n\r\nhi\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_message_keeps_the_others_waiting(office: Office, name: str):
    acquaintance = Acquaintance(office.knowledge)
    filters = (
        Lists(acquaintance),
        SenderReputation(acquaintance),
        Classifier(acquaintance),
        Fraud(acquaintance, OwnDomains(lambda: 0.0)),
        Oddities(),
    )
    one = examined(HOSTILE[name], ALICE)
    await asyncio.to_thread(lambda: one.structure)  # of a large message in a thread, see `prepare`
    for each in filters:
        started = time.process_time()
        await each.examine(one)
        assert time.process_time() - started < 0.4, each.name


@pytest.mark.parametrize("name", ["results", "folds", "names"])
def test_stored_mail_is_read_in_bounded_time(name: str):
    started = time.process_time()
    examined_again(HOSTILE[name], "mx.test")
    results(Content(HOSTILE[name], lambda: ()), "mx.test")
    assert time.process_time() - started < 0.4


async def test_a_judgement_of_something_strange_ends(office: Office):
    judge = Judge(authenticator=None, hostname="mx.test", filters=[Oddities()])
    for octets in (b"", b"\r\n", b"\x00" * 100, message()[:-40], b"From\r\n\r\n", b":\r\n:\r\n\r\n"):
        one = examined_again(octets)
        judged = await judge.judge(one.incoming, one.header)
        assert judged.score >= 0 and not any(finding.code.startswith("filter.") for finding in judged.findings)
