"""`postillon reports`: what other servers tell of mail in our domains' names."""

from __future__ import annotations

from typing import Any

import click

from .commands import Server, on_server, table


@click.group()
def reports() -> None:
    """Reports that other servers send about mail in our domains' names."""


@reports.command("dmarc")
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
