"""What became of TLS towards others, until it is reported, and others' reports about us (RFC 8460). Works over a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ...message.tlsrpt import Failure, PolicySessions, TlsReport, UsedPolicy
from ...seams import Tx

MAX_FAILURES = 500
"""Different failures of one policy that are reported."""
MAX_ROWS = 5000
MAX_RECEIVED = 1000
"""Reports of others about one day that are kept."""

_encode = msgspec.msgpack.Encoder().encode
_policy = msgspec.msgpack.Decoder(UsedPolicy).decode
_failure = msgspec.msgpack.Decoder(Failure).decode
_details = msgspec.msgpack.Decoder(tuple[PolicySessions, ...]).decode

Counts = Mapping[tuple[int, str, UsedPolicy, Failure | None], int]
"""By day, domain, policy, and failure (None: none)."""


def add(tx: Tx, counts: Counts) -> None:
    """Add what was counted."""
    tx.many(
        "INSERT INTO tls_session (day, domain, policy, failure, sessions) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (day, domain, policy, failure) DO UPDATE SET sessions = tls_session.sessions + excluded.sessions",
        [
            (day, domain.encode(), _encode(policy), b"" if failure is None else _encode(failure), count)
            for (day, domain, policy, failure), count in counts.items()
        ],
    )


def due(tx: Tx, before: int, limit: int = 100) -> list[tuple[int, str]]:
    """(day, domain) of what was counted on days before *before*, the oldest first: a step of the index for each."""
    found: list[tuple[int, str]] = []
    day, domain = -1, b""
    while len(found) < limit:
        row = tx.one(
            "SELECT day, domain FROM tls_session WHERE (day, domain) > (?, ?) AND day < ? ORDER BY day, domain LIMIT 1",
            day,
            domain,
            before,
        )
        if row is None:
            break
        day, domain = row[0], bytes(row[1])
        found.append((day, domain.decode()))
    return found


def sessions(tx: Tx, day: int, domain: str) -> list[PolicySessions]:
    """What was counted for *domain* on *day*, by policy."""
    successes: dict[UsedPolicy, int] = {}
    failures: dict[UsedPolicy, list[tuple[Failure, int]]] = {}
    for octets, failure, count in tx.all(
        "SELECT policy, failure, sessions FROM tls_session WHERE day = ? AND domain = ? ORDER BY policy, failure LIMIT ?",
        day,
        domain.encode(),
        MAX_ROWS,
    ):
        policy = _policy(bytes(octets))
        successes.setdefault(policy, 0)
        if not failure:
            successes[policy] += count
        elif len(failures.setdefault(policy, [])) < MAX_FAILURES:
            failures[policy].append((_failure(bytes(failure)), count))
    return [PolicySessions(domain, policy, good, tuple(failures.get(policy, ()))) for policy, good in successes.items()]


def forget(tx: Tx, day: int, domain: str) -> int:
    """It was reported, or nobody wants to know."""
    return tx.run("DELETE FROM tls_session WHERE day = ? AND domain = ?", day, domain.encode())


def received(tx: Tx, report: TlsReport, domains: Sequence[str], stop: int) -> int:
    """Keep what *report* says about our *domains*; how many rows. *stop*: the end of its time, as far as we believe it."""
    row = tx.one("SELECT count(*) FROM tls_report WHERE stop >= ? AND stop < ?", stop - stop % 86400, stop - stop % 86400 + 86400)
    if row is not None and row[0] >= MAX_RECEIVED:
        return 0
    kept = 0
    for domain in domains:
        own = tuple(one for one in report.policies if one.domain == domain)
        kept += tx.run(
            "INSERT INTO tls_report (stop, domain, organization, name, start, successes, failures, report)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            stop,
            domain.encode(),
            report.organization.encode(),
            report.report_id.encode(),
            report.start,
            min(sum(one.successes for one in own), (1 << 53)),
            min(sum(one.failed for one in own), (1 << 53)),
            _encode(own),
        )
    return kept


def reports(tx: Tx, since: int, limit: int) -> list[tuple[str, TlsReport]]:
    """(our domain, what was reported about it), the latest first."""
    rows = tx.all(
        "SELECT domain, organization, name, start, stop, report FROM tls_report WHERE stop >= ?"
        " ORDER BY stop DESC, domain DESC, organization DESC, name DESC LIMIT ?",
        since,
        limit,
    )
    return [
        (
            bytes(domain).decode(),
            TlsReport(bytes(organization).decode(), "", bytes(name).decode(), start, stop, _details(bytes(octets))),
        )
        for domain, organization, name, start, stop, octets in rows
    ]


def prune(tx: Tx, before: int, limit: int = 1000) -> int:
    """One step of removing others' reports about times before *before*; how many."""
    return tx.run(
        "DELETE FROM tls_report WHERE (stop, domain, organization, name) IN (SELECT stop, domain, organization, name"
        " FROM tls_report WHERE stop < ? ORDER BY stop, domain, organization, name LIMIT ?)",
        before,
        limit,
    )
