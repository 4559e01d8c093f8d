"""Aggregate reports: counted as mail comes, sent once a day to who may have them, and those of others counted once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from postillon.flow.dmarc_count import DAY, DmarcCounter
from postillon.flow.dmarc_heard import DmarcHeard
from postillon.flow.dmarc_send import DmarcSender, DmarcSendSettings, targets
from postillon.flow.judgement import Judgement
from postillon.mailauth.aggregate import BadAggregate, DkimResult, Feedback, Published, Row, SpfResult, read, write
from postillon.mailauth.arc import Arc
from postillon.mailauth.dkim import Dkim
from postillon.mailauth.dmarc import Dmarc
from postillon.mailauth.dmarc_record import Policy, parse
from postillon.mailauth.evaluate import Authors, Verdict
from postillon.mailauth.iprev import Iprev
from postillon.mailauth.result import Result
from postillon.mailauth.spf import Spf
from postillon.message.incoming import Incoming
from postillon.message.report_parts import ReportPart, report_parts
from postillon.model.address import Address
from postillon.model.envelope import Client, Envelope
from postillon.model.ids import BlobId
from postillon.model.plan import Body
from postillon.seams import Database, DnsStatus
from postillon.storage.db import side_schema
from postillon.storage.db.migrate import migrate
from postillon.storage.db.sqlite import SqliteDatabase
from postillon.storage.ids import IdSource
from postillon.storage.store import tallies
from postillon.storage.store.tallies import Kind
from tests.directory.test_plans import Noting, explain
from tests.kinds import FixedClock, TableResolver

RECORD = "v=DMARC1; p=reject; rua=mailto:reports@example.org"


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[Database]:
    database = SqliteDatabase(str(tmp_path / "side.db"), lambda topics: None, synchronous="NORMAL").open()
    await migrate(database, 1, side_schema)
    yield database
    await database.close()


@dataclass
class Postbox:
    """What is sent, instead of `flow.own_mail.OwnMail`: nobody carries it here."""

    sent: list[tuple[bytes, list[Address]]] = field(default_factory=list)

    async def send(self, octets: bytes, to: list[Address], what: str) -> bool:
        self.sent.append((octets, to))
        return bool(to)


def incoming(clock: FixedClock, source: str = "192.0.2.7") -> Incoming:
    body = Body(BlobId(1), 3, b"", b"x\r\n")
    return Incoming(Client(source), Envelope(Address.parse("bounce@mail.example.org")), (), body, clock.at)


def judged(result: Result = Result.FAIL, *, record: str = RECORD, why: str = "DMARC", lot: int = 0) -> Judgement:
    found = parse("example.org", record)
    assert found is not None
    applied = found.policy if result is Result.FAIL else Policy.NONE
    dmarc = Dmarc(result, "example.org", found.policy, applied, found, "example.org", ("spf",) if result is Result.PASS else ())
    verdict = Verdict(
        Spf(Result.PASS, "mail.example.org"),
        (Dkim(Result.FAIL, "example.org", "s1"), Dkim(Result.PASS, "example.net", "s2")),
        (dmarc,),
        Arc(Result.NONE),
        Iprev(Result.NONE),
        Authors(1, ("example.org",)),
    )
    return Judgement(verdict=verdict, why=why)


def sender(side: Database, clock: FixedClock, table: dict[str, Any], post: Postbox) -> DmarcSender:
    return DmarcSender(
        side=side,
        resolver=TableResolver(table),
        mail=post,  # type: ignore[arg-type]
        clock=clock,
        ids=IdSource(),
        settings=DmarcSendSettings("mx.example.test", "Example Test", Address.parse("postmaster@example.test")),
    )


DNS: dict[str, Any] = {"_dmarc.example.org": {"txt": [RECORD]}}
HEADER = b"Subject: hello\r\n\r\n"


async def counted(side: Database, clock: FixedClock, *found: Judgement, header: bytes = HEADER) -> None:
    counter = DmarcCounter(side, clock)
    for one in found:
        counter.note(incoming(clock), one, header)
    await counter.flush()


async def test_equal_messages_are_one_row_and_the_report_is_sent_the_day_after(side: Database) -> None:
    clock, post = FixedClock(), Postbox()
    await counted(side, clock, judged(), judged(), judged(Result.PASS))
    door = sender(side, clock, DNS, post)
    assert await door.send_due() == 0
    clock.at += DAY
    assert await door.send_due() == 1
    ((octets, to),) = post.sent
    assert [str(address) for address in to] == ["reports@example.org"]
    message = message_from_bytes(octets)
    assert message["Subject"].replace("\r\n", "").startswith("Report Domain: example.org Submitter: mx.example.test Report-ID: <")
    (part,) = report_parts(octets)
    assert part.name.startswith("mx.example.test!example.org!") and part.name.endswith(".xml.gz")
    feedback = read(part.octets)
    assert feedback.organization == "Example Test" and feedback.published.p == "reject"
    assert sorted((row.count, row.disposition, row.spf) for row in feedback.rows) == [(1, "none", True), (2, "reject", False)]
    assert feedback.rows[0].dkim_results == (DkimResult("example.org", "fail", "s1"), DkimResult("example.net", "pass", "s2"))
    assert feedback.rows[0].spf_results == (SpfResult("mail.example.org", "pass", "mfrom"),)
    assert await door.send_due() == 0


async def test_reports_have_ids_of_their_own(side: Database) -> None:
    clock, post = FixedClock(), Postbox()
    for _ in range(2):
        await counted(side, clock, judged())
        clock.at += DAY
        await sender(side, clock, DNS, post).send_due()
    ids = [read(report_parts(octets)[0].octets).report_id for octets, _ in post.sent]
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("why", "disposition", "reason"),
    [
        ("DMARC", "reject", ""),
        ("vouched for by lists.example", "none", "trusted_forwarder"),
        ("not enforced", "none", "local_policy"),
    ],
)
async def test_what_was_done_instead_is_told_with_its_reason(side: Database, why: str, disposition: str, reason: str) -> None:
    clock, post = FixedClock(), Postbox()
    await counted(side, clock, judged(why=why))
    clock.at += DAY
    await sender(side, clock, DNS, post).send_due()
    (row,) = read(report_parts(post.sent[0][0])[0].octets).rows
    assert (row.disposition, row.reasons[0][0] if row.reasons else "") == (disposition, reason)


@pytest.mark.parametrize(
    ("found", "header"),
    [
        (judged(Result.TEMPERROR), HEADER),
        (judged(record="v=DMARC1; p=none"), HEADER),
        (judged(), b"subject: Report domain: example.org Submitter: x\r\n\r\n"),
        (Judgement(), HEADER),
    ],
)
async def test_what_is_not_counted(side: Database, found: Judgement, header: bytes) -> None:
    clock, post = FixedClock(), Postbox()
    await counted(side, clock, found, header=header)
    clock.at += DAY
    assert await sender(side, clock, DNS, post).send_due() == 0 and post.sent == []


async def test_another_organization_must_want_the_reports(side: Database) -> None:
    clock, post = FixedClock(), Postbox()
    table = {"_dmarc.example.org": {"txt": ["v=DMARC1; p=none; rua=mailto:a@sub.example.org,mailto:b@reports.example"]}}
    permit = {"example.org._report._dmarc.reports.example": {"txt": ["v=DMARC1;"]}}
    for day, extra in enumerate(({}, permit)):
        await counted(side, clock, judged())
        clock.at += DAY
        await sender(side, clock, table | extra, post).send_due()
        assert [str(address) for address in post.sent[day][1]] == ["a@sub.example.org", "b@reports.example"][: day + 1]


async def test_nobody_is_sent_more_than_it_takes(side: Database) -> None:
    clock, post = FixedClock(), Postbox()
    table = {"_dmarc.example.org": {"txt": ["v=DMARC1; p=none; rua=mailto:a@example.org!10,mailto:b@example.org!1m"]}}
    await counted(side, clock, judged())
    clock.at += DAY
    await sender(side, clock, table, post).send_due()
    assert [str(address) for address in post.sent[0][1]] == ["b@example.org"]


async def test_trouble_with_dns_postpones_a_report_for_some_days(side: Database) -> None:
    clock, post = FixedClock(), Postbox()
    await counted(side, clock, judged())
    clock.at += DAY
    assert await sender(side, clock, {"_dmarc.example.org": DnsStatus.SERVFAIL}, post).send_due() == 0
    clock.at += DAY
    assert await sender(side, clock, DNS, post).send_due() == 1


def test_addresses_and_limits_of_a_record() -> None:
    found = targets("mailto:a@x.example!10m, mailto:b%21c@x.example,https://x.example/,mailto:nobody,mailto:A@x.example")
    assert [(str(one.address), one.limit) for one in found] == [("a@x.example", 10 << 20), ("b!c@x.example", None)]


async def ours(domain: str) -> bool:
    return domain == "example.test"


def heard(side: Database, clock: FixedClock, table: dict[str, Any] | None = None) -> DmarcHeard:
    return DmarcHeard(side=side, resolver=TableResolver(table or {}), clock=clock, is_ours=ours)


def row(count: int, *, domain: str, aligned: bool, result: str = "pass", source: str = "192.0.2.7") -> Row:
    return Row(
        source,
        count,
        "none",
        aligned,
        False,
        "example.test",
        "",
        (),
        (DkimResult(domain, result),) if domain else (),
        (),
    )


def feedback(clock: FixedClock, number: int, *rows: Row, policy: str = "none", domain: str = "example.test") -> Feedback:
    begin = clock.at - clock.at % DAY - number * DAY
    return Feedback("Big", "x@big.example", f"id{number}", begin, begin + DAY - 1, Published(domain, policy), rows)


async def test_a_report_counts_once_and_names_its_senders(side: Database) -> None:
    clock = FixedClock()
    inbox = heard(side, clock, {"198.51.100.9": {"ptr": ["vps9.hoster.example."]}})
    one = feedback(
        clock,
        1,
        row(5, domain="example.test", aligned=True),
        row(3, domain="bounce.sendgrid.net", aligned=False),
        row(2, domain="", aligned=False, source="198.51.100.9"),
        row(1, domain="", aligned=False, source="203.0.113.9"),
    )
    part = ReportPart("application/gzip", "r.xml.gz", b"\xef\xbb\xbf" + write(one))
    assert await inbox.take(part, "big.example")
    assert await inbox.take(part, "big.example")
    (found,) = await inbox.summary(30)
    assert found.messages == 11 and found.aligned == 5 and found.reporters == {"big.example"}
    assert {name: each.messages for name, each in found.senders.items()} == {
        "example.test": 5,
        "SendGrid": 3,
        "vps9.hoster.example": 2,
        "203.0.113.0/24": 1,
    }
    assert [each.sender for each in found.to_mend()] == ["SendGrid"]


async def test_a_report_that_comes_twice_at_a_time_counts_once(side: Database) -> None:
    clock = FixedClock()
    one = feedback(clock, 1, GOOD)
    inbox, other = heard(side, clock), heard(side, clock)
    found = await asyncio.gather(inbox.count(one, "big.example"), other.count(one, "big.example"))
    assert sorted(found) == [False, True]


async def test_a_report_that_begins_in_another_age_counts_for_the_day_it_ends(side: Database) -> None:
    clock = FixedClock()
    for number, begin in enumerate((clock.at + 5000 * DAY, 5, clock.at - 90 * DAY)):
        wrong = replace(feedback(clock, 1, GOOD), begin=begin, report_id=f"wrong{number}")
        assert await heard(side, clock).count(wrong, "big.example")
    found = await side.read(lambda tx: tallies.since(tx, Kind.DMARC_HEARD, 0, 100))
    assert {one.day for one in found} == {clock.at // DAY - 1}


async def test_reports_about_others_or_other_times_are_refused(side: Database) -> None:
    clock = FixedClock()
    inbox = heard(side, clock)
    for wrong in (feedback(clock, 1, domain="elsewhere.example"), feedback(clock, 100), feedback(clock, -5)):
        with pytest.raises(BadAggregate):
            await inbox.count(wrong, "big.example")
    assert await inbox.count(feedback(clock, 1, row(1, domain="", aligned=False), domain="news.example.test"), "big.example")
    assert not await inbox.take(ReportPart("application/json", "r.json", b"{}"), "big.example")


async def step(side: Database, policy: str, *rows: Row, days: int = 20) -> str:
    clock = FixedClock()
    inbox = heard(side, clock)
    for number in range(1, days + 1):
        await inbox.count(feedback(clock, number, *rows, policy=policy), "big.example")
    (found,) = await inbox.summary(30)
    return found.next_step()[0]


GOOD = row(100, domain="example.test", aligned=True)
FORGED = row(900, domain="", aligned=False)


async def test_a_policy_grows_stricter_when_all_own_mail_is_aligned(side: Database) -> None:
    assert await step(side, "none", GOOD, FORGED) == "quarantine"


async def test_from_quarantine_it_goes_on_to_reject(side: Database) -> None:
    assert await step(side, "quarantine", GOOD, FORGED) == "reject"


async def test_some_days_are_too_few(side: Database) -> None:
    assert await step(side, "none", GOOD, days=5) == "none"


async def test_a_service_that_is_not_aligned_is_set_up_first(side: Database) -> None:
    assert await step(side, "none", GOOD, row(10, domain="sendgrid.net", aligned=False)) == "none"


async def test_forged_mail_alone_is_no_ground_for_a_step(side: Database) -> None:
    assert await step(side, "none", FORGED) == "none"


async def test_every_statement_about_tallies_goes_by_an_index(side: Database) -> None:
    clock, noting = FixedClock(), Noting(side)
    counter = DmarcCounter(noting, clock)  # type: ignore[arg-type]
    counter.note(incoming(clock), judged(), HEADER)
    counter._side = Plain(noting)  # type: ignore[assignment]
    await counter.flush()
    clock.at += DAY
    await sender(Plain(noting), clock, DNS, Postbox()).send_due()  # type: ignore[arg-type]
    inbox = heard(Plain(noting), clock)  # type: ignore[arg-type]
    await inbox.count(feedback(clock, 1, GOOD), "big.example")
    await inbox.summary(30)
    await inbox.prune()
    assert len(noting.statements) > 5
    for sql in noting.statements:
        await explain(side, sql)


class Plain:
    """`Noting` without the word about heavy works."""

    def __init__(self, inner: Noting) -> None:
        self.inner = inner

    async def write(self, work: Any, accounts: Any = (), *, heavy: bool = False) -> Any:
        return await self.inner.write(work)

    async def read(self, work: Any) -> Any:
        return await self.inner.read(work)

    async def peek(self, work: Any) -> Any:
        return await self.inner.peek(work)


async def test_rows_of_a_domain_are_bounded_and_what_is_known_still_counts(
    side: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postillon.flow.dmarc_count.MAX_ROWS", 3)
    clock, post = FixedClock(), Postbox()
    counter = DmarcCounter(side, clock)
    for number in (1, 2, 3, 4, 5, 1, 1):
        counter.note(incoming(clock, f"192.0.2.{number}"), judged(), HEADER)
        await counter.flush()
    clock.at += DAY
    await sender(side, clock, DNS, post).send_due()
    rows = read(report_parts(post.sent[0][0])[0].octets).rows
    assert {row.source: row.count for row in rows} == {"192.0.2.1": 3, "192.0.2.2": 1, "192.0.2.3": 1}
    counter.note(incoming(clock, "192.0.2.9"), judged(), HEADER)
    assert len(counter._counted) == 1


async def test_senders_of_a_report_are_bounded(side: Database) -> None:
    clock = FixedClock()
    inbox = heard(side, clock)
    rows = [row(number + 1, domain=f"d{number}.example", aligned=False) for number in range(700)]
    await inbox.count(feedback(clock, 1, *rows), "big.example")
    (found,) = await inbox.summary(30)
    assert len(found.senders) == 501 and found.messages == 700 * 701 // 2
    assert found.senders["(others)"].messages == 200 * 201 // 2


async def test_a_report_about_another_domain_is_not_even_parsed(side: Database) -> None:
    inbox = heard(side, FixedClock())
    octets = b"<feedback><policy_published><domain>elsewhere.example</domain></policy_published><broken"
    with pytest.raises(BadAggregate, match="no domain of ours"):
        await inbox.take(ReportPart("text/xml", "r.xml", octets), "big.example")
