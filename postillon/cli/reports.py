"""`postillon reports`: what other servers tell of mail in our domains' names, and on its way to us."""

from __future__ import annotations

import time
from typing import Any

import click

from .commands import Server, on_server, table
from .moments import moment


@click.group()
def reports() -> None:
    """Reports of other servers: about mail in our domains' names, and about TLS on the way to us."""


@reports.command("dmarc", short_help="Who sends mail in the name of our domains.")
@click.argument("domain", default="")
@click.option("--days", type=click.IntRange(1, 400), default=30, show_default=True, help="How far back.")
@on_server
def reports_dmarc(server: Server, domain: str, days: int) -> None:
    """Who sends mail in the name of DOMAIN (or of all), whether it is aligned, and which policy is safe to publish next."""
    found = server.ask("reports.dmarc", days=days, domain=domain)
    if server.as_json:
        server.show(found)
        return
    if not found:
        click.echo("No report has come. The DMARC record must name an address of ours (rua); `postillon check` looks at it.")
    for one in found:
        _show(one)


def _show(one: dict[str, Any]) -> None:
    click.echo(
        f"{one['domain']}: policy {one['policy']}, {one['messages']} messages in {one['days']} days, {one['aligned']} aligned"
    )
    table(one["senders"], ("sender", "messages", "dkim", "spf", "aligned", "answers_for_itself", "refused"))
    if one["next_policy"] != one["policy"]:
        click.echo(f"Publish p={one['next_policy']} next: {one['why']}.")
    else:
        click.echo(f"Leave p={one['policy']}: {one['why']}.")
    click.echo()


@reports.command("send")
@click.option("--today", is_flag=True, help="Also about what has come today; what comes later today is another report.")
@on_server
def reports_send(server: Server, today: bool) -> None:
    """Send the aggregate reports that are due now, instead of tonight."""
    sent = server.ask("reports.send", today=today)
    if server.as_json:
        server.show(sent)
    else:
        click.echo(f"{sent['sent']} reports sent.")


@reports.command("tls")
@click.option("--since", metavar="TIME", help='The earliest: "7d" ago, or "2026-11-23".')
@click.option("--counted", is_flag=True, help="What we have counted towards others and not reported to them yet.")
@on_server
def reports_tls(server: Server, since: str | None, counted: bool) -> None:
    """TLS on the way to us, as others have seen it (RFC 8460)."""
    if counted:
        rows = server.ask("reports.tls.sent")
        columns: tuple[str, ...] = ("day", "domain", "policies", "successes", "failures", "reasons")
    else:
        rows = server.ask("reports.tls", since=moment(since) if since else 0)
        columns = ("day", "domain", "by", "policies", "successes", "failures", "reasons")
    server.show(rows if server.as_json else [_readable(row) for row in rows], columns, "Nothing was reported.")


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    reasons = [_reason(one) if isinstance(one, dict) else str(one) for one in row["reasons"]]
    day = time.strftime("%Y-%m-%d", time.gmtime(row.get("start", row.get("day", 0))))
    return row | {"day": day, "reasons": "; ".join(reasons[:5])}


def _reason(one: dict[str, Any]) -> str:
    where = f" at {one['host']}" if one["host"] else ""
    return f"{one['sessions']} {one['result']}{where}{' (' + one['reason'] + ')' if one['reason'] else ''}"
