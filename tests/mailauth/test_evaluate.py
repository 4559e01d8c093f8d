"""A whole message judged: what comes out together, within the budget, whatever a remote sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest

from postillon.mailauth import arc, dkim_sign
from postillon.mailauth.authres import Outcome
from postillon.mailauth.content import Content
from postillon.mailauth.dkim_sign import SigningKey
from postillon.mailauth.dmarc_record import Policy
from postillon.mailauth.evaluate import Verdict, evaluate, field_of, passed_by
from postillon.mailauth.questions import Questions
from postillon.mailauth.result import Result
from postillon.seams import Answer, DnsStatus
from tests.kinds import TableResolver

from .keys import published, rsa_key, signing_keys

NOW = 1_800_000_000
HEADER = b"From: Joe <joe@example.test>\r\nTo: sue@other.test\r\nSubject: hi\r\nDate: Fri, 11 Jul 2003 21:00:37 -0700\r\n\r\n"
BODY = b"Hello\r\n"
CLIENT = "192.0.2.7"
TABLE: dict[str, Any] = {
    "example.test": {"txt": ["v=spf1 include:_spf.example.test -all"], "mx": [(10, "mail.example.test")]},
    "_spf.example.test": {"txt": ["v=spf1 ip4:192.0.2.0/24 -all"]},
    "_dmarc.example.test": {"txt": ["v=DMARC1; p=reject; rua=mailto:d@example.test"]},
    "mail.example.test": {"a": [CLIENT]},
    CLIENT: {"ptr": ["mail.example.test"]},
} | published("example.test")


async def judged(
    message: bytes,
    table: Mapping[str, Any] = TABLE,
    mail_from: str = "joe@example.test",
    client: str = CLIENT,
    resolver: Any = None,
    **options: Any,
) -> Verdict:
    header, empty, body = message.partition(b"\r\n\r\n")
    content = Content(header + empty, lambda: [body])
    options = {"resolver": resolver or TableResolver(table), "receiver": "mx.other.test", "now": NOW} | options
    return await evaluate(content, client=client, helo="mail.example.test", mail_from=mail_from, **options)


def signed() -> bytes:
    return dkim_sign.sign(HEADER, lambda: [BODY], signing_keys("example.test"), NOW) + HEADER + BODY


async def test_an_honest_message():
    verdict = await judged(signed())
    assert verdict.spf.result is verdict.iprev.result is Result.PASS
    assert [one.result for one in verdict.dkim] == [Result.PASS, Result.PASS]
    assert (verdict.dmarc[0].result, verdict.dmarc[0].aligned, verdict.policy) == (Result.PASS, ("spf", "dkim"), Policy.NONE)
    assert verdict.findings == ()
    field = field_of(verdict, CLIENT, "mx.other.test").decode()
    for words in ("spf=pass", "smtp.mailfrom=example.test", "dkim=pass", "header.s=e1", "dmarc=pass", "iprev=pass", "p=reject"):
        assert words in field
    assert all(len(line) < 130 for line in field.split("\r\n"))


async def test_a_forged_message():
    verdict = await judged(HEADER + BODY, mail_from="x@evil.test", client="198.51.100.1")
    assert (verdict.dmarc[0].result, verdict.policy) == (Result.FAIL, Policy.REJECT)


async def test_forwarding_keeps_the_signature():
    verdict = await judged(signed(), mail_from="list@list.test", client="198.51.100.1")
    assert (verdict.dmarc[0].result, verdict.dmarc[0].aligned) == (Result.PASS, ("dkim",))


async def test_the_null_sender_is_the_helo_name():
    verdict = await judged(
        HEADER + BODY, mail_from="", table=TABLE | {"mail.example.test": {"txt": ["v=spf1 ip4:192.0.2.7 -all"]}}
    )
    assert (verdict.spf.result, verdict.spf.is_helo, verdict.dmarc[0].result) == (Result.PASS, True, Result.PASS)


async def test_two_authors_must_both_be_proved():
    forged = HEADER.replace(b"From: Joe", b"From: me@evil.test, Joe")
    verdict = await judged(
        forged + BODY, mail_from="me@evil.test", table=TABLE | {"_dmarc.evil.test": {"txt": ["v=DMARC1; p=none"]}}
    )
    assert verdict.authors.domains == ("evil.test", "example.test") and verdict.policy is Policy.REJECT
    twice = await judged(b"From: me@evil.test\r\n" + HEADER + BODY, mail_from="me@evil.test")
    assert twice.authors.fields == 2 and twice.policy is Policy.REJECT


@pytest.mark.parametrize(
    "author",
    [
        b"joe@example.test",
        b"<joe@EXAMPLE.Test>",
        b'"x@evil.test" <joe@example.test>',
        b"x (joe@evil.test) <joe@example.test>",
        b"=?utf-8?q?x=40evil.test?= <joe@example.test>",
        b"Joe\r\n <joe@example.test>",
        b"g: joe@example.test;",
        b"<@evil.test:joe@example.test>",
        b"joe@example.test.",
        b'"joe@evil.test"@example.test',
    ],
)
async def test_the_domain_that_readers_see_is_the_one_that_is_checked(author: bytes):
    verdict = await judged(HEADER.replace(b"Joe <joe@example.test>", author) + BODY, mail_from="x@evil.test")
    assert verdict.authors.domains == ("example.test",) and verdict.policy is Policy.REJECT


async def test_an_address_that_cannot_be_read_is_told():
    verdict = await judged(HEADER.replace(b"joe@example.test", b"joe@exam\0ple..test") + BODY)
    assert verdict.authors.is_bad and verdict.findings


async def test_an_author_behind_many_fields_is_seen():
    verdict = await judged(b"X: y\r\n" * 170_000 + HEADER + BODY, mail_from="x@evil.test")
    assert verdict.policy is Policy.REJECT


# --- the budget


class Slow:
    """Answers nothing, ever, for names under *slow*; the others from a table."""

    def __init__(self, table: Mapping[str, Any], slow: str) -> None:
        self._table = TableResolver(table)
        self._slow = slow

    def __getattr__(self, kind: str) -> Any:
        async def ask(name: str, *rest: Any, **more: Any) -> Answer:
            if name.endswith(self._slow):
                await asyncio.Event().wait()
            return await getattr(self._table, kind)(name, *rest, **more)

        return ask


async def test_silence_ends_with_the_deadline_and_forgeries_show_all_the_same():
    forged = b"DKIM-Signature: v=1; a=rsa-sha256; d=evil.test; s=s; h=from; bh=AAAA; b=AAAA\r\n" + HEADER + BODY
    verdict = await judged(forged, mail_from="x@evil.test", resolver=Slow(TABLE, "evil.test"), seconds=0.05)
    assert verdict.policy is Policy.REJECT
    assert {finding.split()[-3] for finding in verdict.findings} == {"SPF", "DKIM"}


async def test_nobody_can_spend_the_questions_that_show_a_forgery():
    names = {f"{n}.evil.test": {"txt": [f"v=spf1 mx:{n + 1}.evil.test include:{n + 1}.evil.test -all"]} for n in range(20)}
    names |= {name: entry | {"mx": [(1, f"h{n}.evil.test") for n in range(10)]} for name, entry in names.items()}
    signatures = b"".join(
        b"DKIM-Signature: v=1; a=rsa-sha256; d=s%d.evil.test; s=s; h=from; bh=AAAA; b=AAAA\r\n" % n for n in range(50)
    )
    resolver = TableResolver(TABLE | names)
    verdict = await judged(signatures + HEADER + BODY, mail_from="x@0.evil.test", resolver=resolver, client="198.51.100.1")
    assert verdict.policy is Policy.REJECT and len(resolver.asked) <= 30


async def test_the_same_question_is_asked_once():
    resolver = TableResolver(TABLE)
    await judged(signed(), resolver=resolver)
    assert len(resolver.asked) == len(set(resolver.asked))


async def test_shares_of_the_budget():
    questions = Questions(TableResolver({}), total=5)
    first, second = questions.share(2), questions.share()
    for n in range(3):
        assert (await second.txt(f"{n}.test")).status is DnsStatus.NXDOMAIN
    assert (await second.txt("more.test")).status is DnsStatus.TIMEOUT and second.is_spent
    assert (await second.txt("0.test")).status is DnsStatus.NXDOMAIN  # known already
    assert (await first.addresses("a.test")).status is DnsStatus.NXDOMAIN and not first.is_spent
    assert (await first.txt("b.test")).status is DnsStatus.TIMEOUT and first.is_spent


@pytest.mark.parametrize("status", [DnsStatus.SERVFAIL, DnsStatus.TIMEOUT, DnsStatus.BOGUS])
async def test_broken_dns_is_neither_a_pass_nor_a_refusal(status: DnsStatus):
    verdict = await judged(signed(), table=dict.fromkeys(TABLE, status))
    assert verdict.policy is Policy.NONE and verdict.dmarc[0].result is Result.TEMPERROR
    assert verdict.spf.result is Result.TEMPERROR and {one.result for one in verdict.dkim} == {Result.TEMPERROR}


# --- forwarders that are trusted


async def test_a_trusted_forwarder_speaks_for_what_it_changed():
    key = SigningKey("list.test", "r1", rsa_key())
    header = HEADER.replace(b"hi", b"[list] hi")
    results = [Outcome("dmarc", "pass", (("header.from", "example.test"),))]
    fields = arc.seal(header, lambda: [BODY], key, NOW, arc.Arc(Result.NONE), "mx.list.test", results)
    verdict = await judged(fields + header + BODY, TABLE | published("list.test"), "list@list.test", "198.51.100.1")
    assert verdict.arc.result is Result.PASS and verdict.policy is Policy.REJECT
    assert passed_by(verdict, ["list.test"]) == "list.test" and passed_by(verdict, ["other.test"]) == ""
    assert "arc=pass" in field_of(verdict, CLIENT, "mx").decode()
    changed = await judged(fields + header + b"changed\r\n", TABLE | published("list.test"), "list@list.test", "198.51.100.1")
    assert passed_by(changed, ["list.test"]) == ""


# --- hostile messages


def _bombs() -> list[Any]:
    loop = {"loop.test": {"txt": ["v=spf1 include:loop.test redirect=loop.test"]}}
    huge = {
        "example.test": {"txt": ["v=spf1 " + "ip4:192.0.2.1 " * 4600]},
        "_dmarc.example.test": {"txt": ["v=DMARC1;" + "a=b;" * 16_000]},
    }
    macros = {"example.test": {"txt": ["v=spf1 exists:" + "%{s}" * 4000 + ".example.test -all"]}}
    return [
        pytest.param(HEADER, loop, "x@loop.test", id="spf-loop"),
        pytest.param(HEADER, huge, "x@example.test", id="64-KiB-records"),
        pytest.param(HEADER, macros, "x" * 200 + "@example.test", id="macros"),
        pytest.param(b"X: y\r\n" * 150_000 + HEADER, TABLE, "x@example.test", id="150000-fields"),
        pytest.param(b"From: a@b.test\r\n" * 30_000 + HEADER, TABLE, "x@example.test", id="30000-From"),
        pytest.param(b"From: " + b"a@b.test," * 100_000 + b"\r\n" + HEADER, TABLE, "x@example.test", id="100000-authors"),
        pytest.param(b"DKIM-Signature: v=1\r\n" * 10_000 + HEADER, TABLE, "x@example.test", id="10000-signatures"),
        pytest.param(b"DKIM-Signature: " + b"\t " * 400_000 + b"\r\n" + HEADER, TABLE, "x@example.test", id="white-space"),
        pytest.param(b"ARC-Seal: i=1\r\n" * 50_000 + HEADER, TABLE, "x@example.test", id="50000-seals"),
        pytest.param(b"Authentication-Results: " + b"(" * 100_000 + b"\r\n" + HEADER, TABLE, "x@example.test", id="comments"),
    ]


@pytest.mark.parametrize(("header", "table", "mail_from"), _bombs())
async def test_bombs_are_bounded(header: bytes, table: Mapping[str, Any], mail_from: str):
    started = time.process_time()
    verdict = await judged(header + BODY, table, mail_from)
    field = field_of(verdict, CLIENT, "mx")
    assert time.process_time() - started < 3 and len(field) < 20_000
