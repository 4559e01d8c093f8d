"""DMARC: where records are found, what aligns, what follows."""

from __future__ import annotations

from typing import Any

import pytest

from postillon.mailauth import dmarc
from postillon.mailauth.dkim import Dkim
from postillon.mailauth.dmarc import Dmarc
from postillon.mailauth.dmarc_record import Policy, names_above, parse, walk
from postillon.mailauth.result import Result
from postillon.mailauth.spf import Spf
from postillon.seams import DnsStatus
from tests.kinds import TableResolver

EXISTS = {"mx": [(10, "mx.example.test")]}
NO_SPF = Spf(Result.FAIL, "evil.test")


def zone(**records: str) -> dict[str, Any]:
    """Records by domain, dots written as two underscores."""
    return {"_dmarc." + name.replace("__", "."): {"txt": [text]} for name, text in records.items()}


async def judged(domain: str, table: dict[str, Any], spf: Spf = NO_SPF, *signatures: Dkim, lot: int = 0) -> Dmarc:
    resolver = TableResolver(table)
    return await dmarc.evaluate(domain, await dmarc.find(resolver, domain), spf, signatures, resolver, lot=lot)


def signed(domain: str, result: Result = Result.PASS) -> Dkim:
    return Dkim(result, domain)


# --- records

TOP, LOW = "v=DMARC1; p=reject", "v=DMARC1; p=none"


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("v=DMARC1; p=reject", Policy.REJECT),
        ("v=DMARC1;p=Quarantine;", Policy.QUARANTINE),
        (" v = DMARC1 ; p=none", Policy.NONE),
        ("v=DMARC1; p=bogus; rua=mailto:a@b.test", Policy.NONE),
        ("v=DMARC1; p=bogus", None),
        ("v=DMARC1; rua=mailto:a@b.test", Policy.NONE),
        ("v=DMARC1", Policy.NONE),
        ("v=dmarc1; p=reject", None),
        ("v=DMARC2; p=reject", None),
        ("p=reject; v=DMARC1", None),
        ("v=DMARC1; p=reject; p=none", None),
        ("v=DMARC1; p=reject; " + "x" * 70_000, None),
        ("v=spf1 -all", None),
    ],
)
def test_reading_records(text: str, policy: Policy | None):
    record = parse("example.test", text)
    assert (record and record.policy) == policy


def test_the_walk_asks_eight_names_at_most():
    assert names_above("a.example.test") == ["a.example.test", "example.test", "test"]
    assert names_above("1.2.3.4.5.6.7.8.9.example.test") == [
        "1.2.3.4.5.6.7.8.9.example.test",
        "5.6.7.8.9.example.test",
        "6.7.8.9.example.test",
        "7.8.9.example.test",
        "8.9.example.test",
        "9.example.test",
        "example.test",
        "test",
    ]
    assert len(names_above(".".join("abcdefghijklmnop"))) == 8


@pytest.mark.parametrize(
    ("domain", "table", "organization", "speaks"),
    [
        ("a.b.example.test", zone(example__test=TOP), "example.test", "example.test"),
        ("a.b.example.test", zone(b__example__test=LOW, example__test=TOP), "example.test", "example.test"),
        ("b.example.test", zone(b__example__test=LOW, example__test=TOP), "example.test", "b.example.test"),
        ("a.b.example.test", zone(b__example__test=LOW + "; psd=n", example__test=TOP), "b.example.test", "b.example.test"),
        ("a.bank.test", zone(test=TOP + "; psd=y"), "bank.test", "test"),
        ("a.bank.test", zone(bank__test=LOW, test=TOP + "; psd=y"), "bank.test", "bank.test"),
        ("test", zone(test=TOP + "; psd=y"), "test", "test"),
        ("nothing.test", {}, "nothing.test", None),
    ],
)
async def test_the_walk_up_the_tree(domain: str, table: dict[str, Any], organization: str, speaks: str | None):
    found = await walk(TableResolver(table), domain)
    assert (found.organization, found.record and found.record.domain) == (organization, speaks)


async def test_two_records_are_as_good_as_none():
    table = {"_dmarc.example.test": {"txt": ["v=DMARC1; p=reject", "v=DMARC1; p=none"]}}
    assert (await judged("example.test", table)).result is Result.NONE


# --- alignment

REJECT = zone(example__test="v=DMARC1; p=reject")
STRICT = zone(example__test="v=DMARC1; p=reject; adkim=s; aspf=s")


@pytest.mark.parametrize(
    ("author", "other", "table", "result"),
    [
        ("example.test", "example.test", REJECT, "pass"),
        ("example.test", "mail.example.test", REJECT, "pass"),
        ("a.example.test", "b.example.test", REJECT, "pass"),
        ("a.example.test", "example.test", REJECT, "pass"),
        ("example.test", "notexample.test", REJECT, "fail"),
        ("example.test", "test", REJECT, "fail"),
        ("example.test", "evil.test", REJECT, "fail"),
        ("example.test", "example.test", STRICT, "pass"),
        ("example.test", "mail.example.test", STRICT, "fail"),
        ("a.example.test", "example.test", STRICT, "fail"),
        ("a.example.test", "own.b.example.test", REJECT | zone(b__example__test="v=DMARC1; psd=n"), "fail"),
    ],
)
async def test_alignment(author: str, other: str, table: dict[str, Any], result: str):
    assert (await judged(author, table, NO_SPF, signed(other))).result == result
    assert (await judged(author, table, Spf(Result.PASS, other))).result == result


async def test_what_did_not_pass_proves_nothing():
    for word in (Result.FAIL, Result.POLICY, Result.NEUTRAL, Result.PERMERROR, Result.NONE):
        assert (await judged("example.test", REJECT, NO_SPF, signed("example.test", word))).result is Result.FAIL
        assert (await judged("example.test", REJECT, Spf(word, "example.test"))).result is Result.FAIL
    assert (await judged("example.test", REJECT, Spf(Result.SOFTFAIL, "example.test"))).result is Result.FAIL


async def test_foreign_domains_cost_no_question():
    resolver = TableResolver(REJECT)
    found = await dmarc.find(resolver, "example.test")
    before = len(resolver.asked)
    await dmarc.evaluate(
        "example.test", found, Spf(Result.PASS, "evil.test"), [signed(f"a{n}.evil.test") for n in range(10)], resolver
    )
    assert len(resolver.asked) == before


# --- what follows


@pytest.mark.parametrize(
    ("record", "lot", "applied"),
    [
        ("p=reject", 99, Policy.REJECT),
        ("p=quarantine", 99, Policy.QUARANTINE),
        ("p=none", 0, Policy.NONE),
        ("p=reject; t=y", 0, Policy.QUARANTINE),
        ("p=quarantine; t=y", 0, Policy.NONE),
        ("p=reject; pct=20", 19, Policy.REJECT),
        ("p=reject; pct=20", 20, Policy.QUARANTINE),
        ("p=reject; pct=0", 0, Policy.QUARANTINE),
        ("p=reject; pct=nonsense", 99, Policy.REJECT),
    ],
)
async def test_the_policy_of_a_failure(record: str, lot: int, applied: Policy):
    found = await judged("example.test", zone(example__test=f"v=DMARC1; {record}"), lot=lot)
    assert (found.result, found.applied) == (Result.FAIL, applied)


@pytest.mark.parametrize(
    ("record", "there", "policy"),
    [
        ("p=reject", True, Policy.REJECT),
        ("p=reject; sp=none", True, Policy.NONE),
        ("p=none; sp=quarantine; np=reject", True, Policy.QUARANTINE),
        ("p=none; sp=quarantine; np=reject", False, Policy.REJECT),
        ("p=none; np=reject", False, Policy.REJECT),
        ("p=reject; sp=none", False, Policy.NONE),
    ],
)
async def test_policies_for_names_below(record: str, there: bool, policy: Policy):
    table = zone(example__test=f"v=DMARC1; {record}") | ({"sub.example.test": EXISTS} if there else {})
    assert (await judged("sub.example.test", table)).applied is policy


async def test_dns_trouble_is_no_verdict():
    for status in (DnsStatus.SERVFAIL, DnsStatus.TIMEOUT, DnsStatus.BOGUS):
        found = await judged("example.test", {"_dmarc.example.test": status})
        assert (found.result, found.applied) == (Result.TEMPERROR, Policy.NONE)
    # It might have passed but for DNS.
    unsure = await judged("example.test", REJECT, NO_SPF, signed("example.test", Result.TEMPERROR))
    assert (unsure.result, unsure.applied) == (Result.TEMPERROR, Policy.NONE)
    # What cannot count anyway is no excuse.
    assert (await judged("example.test", REJECT, NO_SPF, signed("evil.test", Result.TEMPERROR))).result is Result.FAIL


async def test_trouble_above_a_domain_with_its_own_record_shields_no_forgery():
    table = zone(sub__example__test="v=DMARC1; p=reject") | {
        "_dmarc.example.test": DnsStatus.SERVFAIL,
        "_dmarc.test": DnsStatus.SERVFAIL,
    }
    assert (await judged("sub.example.test", table)).applied is Policy.REJECT
    assert (await judged("sub.example.test", table, Spf(Result.PASS, "evil.test"))).applied is Policy.REJECT
    assert (await judged("sub.example.test", table, NO_SPF, signed("sub.example.test"))).result is Result.PASS
    # The organization may be example.test, and then this would be aligned.
    assert (await judged("sub.example.test", table, NO_SPF, signed("example.test"))).result is Result.TEMPERROR
    # Without any record nobody knows what is wanted.
    assert (await judged("x.example.test", table)).result is Result.TEMPERROR
