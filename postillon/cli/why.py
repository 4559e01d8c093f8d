"""`postillon why`: the verdict on a message, with each piece of evidence."""

from __future__ import annotations

from typing import Any

import click

from .commands import Server, on_server
from .moments import moment, told
from .trace import tell


@click.command()
@click.argument("name", metavar="[MESSAGE-ID|ID]", required=False, default="")
@click.option("--from", "sender", metavar="ADDRESS", default="", help="The envelope's sender.")
@click.option("--to", "recipient", metavar="ADDRESS", default="", help="A recipient.")
@click.option("--since", metavar="TIME", help='The earliest: "3h", "2d" ago, or "2026-11-23 14:30".')
@click.option("--limit", type=click.IntRange(1, 50), default=5, show_default=True, help="Messages at most, the latest ones.")
@click.option("--language", metavar="CODE", default="en", show_default=True, help="Of the sentences: en or fr.")
@on_server
def why(server: Server, name: str, sender: str, recipient: str, since: str | None, limit: int, language: str) -> None:
    """Why a message was delivered, put into Junk, refused or put off.

    By its Message-ID or the id in our answer or the log, or by --from and --to.
    """
    asked: dict[str, Any] = {"name": name, "sender": sender, "recipient": recipient, "limit": limit, "language": language}
    asked["since"] = moment(since) if since else 0
    tell(server, "why", _show, "nothing is known of such a message", **asked)


def _show(one: dict[str, Any]) -> None:
    identifier = f"  <{one['message_id']}>" if one["message_id"] else ""
    click.echo(f"message {one['message']}{identifier}")
    click.echo(f"  {told(one['at'])}  from {one['sender']} to {', '.join(one['recipients'])}")
    click.echo(f"  verdict: {one['verdict']}")
    for verdict in one["verdicts"]:
        click.echo(f"    {verdict}")
    for evidence in one["evidence"]:
        whose = f"  (for {evidence['account']})" if evidence["account"] else ""
        click.echo(f"  {evidence['score']:+6.1f}  {evidence['words']} [{evidence['code']}]{whose}")
    if one["authentication"]:
        click.echo(f"  sender: {'; '.join(one['authentication'])}")
    for answer in one["dns"]:
        click.echo(f"  DNS then: {answer}")
