"""`postillon trace`: the way of a message through every stage, what was decided and why."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from .commands import Server, fail, on_server
from .moments import moment, told

AGAIN_S = 1.2
"""What another worker has noted is written after a second at most."""


def tell(server: Server, operation: str, show: Callable[[dict[str, Any]], None], nothing: str, **asked: Any) -> None:
    """Ask, once more if nothing is known yet, and show each message; ends the program with *nothing* where there is none."""
    found = server.ask(operation, **asked)
    if not found:
        time.sleep(AGAIN_S)
        found = server.ask(operation, **asked)
    if server.as_json:
        server.show(found)
    elif not found:
        fail(nothing)
    else:
        for number, one in enumerate(found):
            if number:
                click.echo()
            show(one)


@click.command()
@click.argument("name", metavar="MESSAGE-ID|ADDRESS|ID")
@click.option("--since", metavar="TIME", help='The earliest: "3h", "2d" ago, or "2026-11-23 14:30". Default: all that is kept.')
@click.option("--until", metavar="TIME", help="The latest.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="Messages at most, the latest ones.")
@on_server
def trace(server: Server, name: str, since: str | None, until: str | None, limit: int) -> None:
    """What became of a message, from the connection to the mailbox.

    By its Message-ID, by a sender's or recipient's address, by the id in our answer or in the log, by its id in the queue, by
    the address of a client or the id of its session: also what was refused.
    """
    asked: dict[str, Any] = {"name": name, "limit": limit, "since": moment(since) if since else 0}
    if until:
        asked["until"] = moment(until)
    tell(server, "trace", _show, f"nothing is known of {name}", **asked)


def _show(traced: dict[str, Any]) -> None:
    """One message, a line for each stage."""
    identifier = f"  <{traced['message_id']}>" if traced["message_id"] else ""
    click.echo(f"message {traced['message']}{identifier}")
    for record in traced["records"]:
        click.echo(f"  {told(record['at'])}  {record['words']}")
    for waiting in traced["waiting"]:
        again = f"; next try {told(waiting['due'])}" if waiting["state"] == "waiting" else ""
        click.echo(f"  {'now':<20}  {waiting['words']}{again}")
