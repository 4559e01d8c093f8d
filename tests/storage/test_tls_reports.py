"""What became of TLS is added up by day and domain, reported once, and others' reports are kept for a time."""

from __future__ import annotations

from postillon.message.prepare import prepare
from postillon.message.tlsrpt import NO_POLICY, Failure, PolicySessions, UsedPolicy, report_of
from postillon.model.plan import File, Plan
from postillon.storage.store import tls_reports
from tests.directory.test_plans import Noting, explain

from .conftest import Office

DANE = UsedPolicy("tlsa", ("3 1 1 00ff",))
MISSING = Failure("starttls-not-supported", "mx.there.test", "192.0.2.9", "198.51.100.2")
DAY = 20_000


async def counted(office: Office) -> None:
    counts = {(DAY, "there.test", DANE, None): 3, (DAY, "there.test", DANE, MISSING): 1, (DAY, "other.test", NO_POLICY, None): 1}
    await office.store.add_tls_sessions(counts)
    await office.store.add_tls_sessions({(DAY, "there.test", DANE, None): 2, (DAY + 1, "there.test", DANE, None): 9})


async def test_counts_add_up_by_day_domain_and_policy(office: Office) -> None:
    await counted(office)
    assert await office.store.tls_due(DAY + 1) == [(DAY, "other.test"), (DAY, "there.test")]
    assert await office.store.tls_due(DAY) == []
    assert await office.store.tls_sessions(DAY, "there.test") == [PolicySessions("there.test", DANE, 5, ((MISSING, 1),))]


async def test_report_and_its_counts_go_in_one_commit(office: Office) -> None:
    await counted(office)
    spool = office.store.spool(1000)
    spool.write(b"Subject: report\r\n\r\n")
    body = await spool.finish()
    plan = Plan(body, prepare(b"Subject: report\r\n\r\n"), 1, items=(File(office.alice, b"", body.size),))
    await office.store.tls_reported(DAY, "there.test", [plan])
    assert await office.store.tls_due(DAY + 2) == [(DAY, "other.test"), (DAY + 1, "there.test")]


async def test_reports_of_others_are_kept_once_and_for_a_time(office: Office) -> None:
    report = report_of(
        DAY,
        [PolicySessions("example.test", DANE, 7, ((MISSING, 2),)), PolicySessions("elsewhere.test", DANE, 1)],
        organization="there.test",
        contact="x",
        report_id="1@there.test",
    )
    assert await office.store.keep_tls_report(report, ["example.test"], report.stop) == 1
    assert await office.store.keep_tls_report(report, ["example.test"], report.stop) == 0, "sent twice"
    ((domain, kept),) = await office.store.tls_reports(0, 10)
    assert (domain, kept.organization, kept.policies) == ("example.test", "there.test", report.policies[:1])
    assert await office.store.tls_reports(report.stop + 1, 10) == []
    assert await office.store.prune_tls_reports(report.stop) == 0
    assert await office.store.prune_tls_reports(report.stop + 1) == 1


async def test_reports_about_a_day_are_bounded(office: Office) -> None:
    await office.database.write(
        lambda tx: tx.many(
            "INSERT INTO tls_report (stop, domain, organization, name, start, successes, failures, report)"
            " VALUES (?, ?, ?, ?, 0, 0, 0, ?)",
            [(DAY * 86400 + number, b"example.test", b"x", b"y", b"\x90") for number in range(tls_reports.MAX_RECEIVED)],
        ),
        heavy=True,
    )
    report = report_of(DAY, [PolicySessions("example.test", DANE, 7)], organization="o", contact="", report_id="1")
    assert await office.store.keep_tls_report(report, ["example.test"], report.stop) == 0


async def test_every_statement_goes_by_an_index(office: Office) -> None:
    noting = Noting(office.database)
    office.store.database = noting  # type: ignore[assignment]
    await counted(office)
    await office.store.tls_due(DAY + 5)
    await office.store.tls_sessions(DAY, "there.test")
    await office.store.tls_reported(DAY, "there.test", [])
    report = report_of(DAY, [PolicySessions("example.test", DANE, 7)], organization="o", contact="", report_id="1")
    await office.store.keep_tls_report(report, ["example.test"], report.stop)
    await office.store.tls_reports(0, 10)
    await office.store.prune_tls_reports(1)
    for sql in noting.statements:
        if "tls_" in sql:
            await explain(office.database, sql)
