"""The administrator's operations of reports: what others tell of our domains. They register themselves."""

from __future__ import annotations

from typing import Any

from ..flow.dmarc_heard import DomainSummary
from ..model.errors import Unavailable
from .tools import Tools, operation

MAX_REPORTS = 1000


def _domain(one: DomainSummary) -> dict[str, Any]:
    policy, why = one.next_step()
    return {
        "domain": one.domain,
        "policy": one.policy,
        "messages": one.messages,
        "aligned": one.aligned,
        "days": len(one.days),
        "reporters": sorted(one.reporters),
        "next_policy": policy,
        "why": why,
        "senders": [
            {
                "sender": each.sender,
                "messages": each.messages,
                "dkim": each.dkim,
                "spf": each.spf,
                "aligned": each.aligned,
                "answers_for_itself": each.answers,
                "refused": each.refused,
            }
            for each in sorted(one.senders.values(), key=lambda each: -each.messages)
        ],
    }


@operation("reports.dmarc")
async def reports_dmarc(tools: Tools, days: int = 30, domain: str = "") -> list[dict[str, Any]]:
    return [_domain(one) for one in await tools.dmarc.summary(days, domain)]


@operation("reports.send")
async def reports_send(tools: Tools, today: bool = False) -> dict[str, int]:
    """Send the aggregate reports that are due, with *today* also about what has come today."""
    if tools.send_reports is None:
        raise Unavailable("The server must run to send reports")
    return {"sent": await tools.send_reports(today)}


@operation("reports.tls")
async def reports_tls(tools: Tools, since: int = 0, limit: int = 200) -> list[dict[str, Any]]:
    """Others' TLS reports about our domains, the latest first."""
    return [
        {
            "domain": domain,
            "by": report.organization,
            "id": report.report_id,
            "start": report.start,
            "stop": report.stop,
            "successes": sum(one.successes for one in report.policies),
            "failures": sum(one.failed for one in report.policies),
            "policies": sorted({one.policy.kind for one in report.policies}),
            "reasons": [
                {
                    "result": failure.result,
                    "host": failure.host,
                    "from": failure.source,
                    "reason": failure.reason,
                    "sessions": count,
                }
                for one in report.policies
                for failure, count in one.failures
            ],
        }
        for domain, report in await tools.store.tls_reports(since, min(max(limit, 1), MAX_REPORTS))
    ]


@operation("reports.tls.sent")
async def reports_tls_sent(tools: Tools) -> list[dict[str, Any]]:
    """What was counted towards others and is not reported yet, by day and domain."""
    found = []
    for day, domain in await tools.store.tls_due(1 << 40):
        sessions = await tools.store.tls_sessions(day, domain)
        found.append(
            {
                "day": day * 86400,
                "domain": domain,
                "successes": sum(one.successes for one in sessions),
                "failures": sum(one.failed for one in sessions),
                "policies": sorted({one.policy.kind for one in sessions}),
                "reasons": sorted({failure.result for one in sessions for failure, _ in one.failures}),
            }
        )
    return found
