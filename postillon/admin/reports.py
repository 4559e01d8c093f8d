"""The administrator's operations of reports: what others tell of our domains. They register themselves."""

from __future__ import annotations

from typing import Any

from ..flow.dmarc_heard import DomainSummary
from ..model.errors import Unavailable
from .tools import Tools, operation


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
