"""`postillon trace`: the way of a message through every stage, what was decided and why."""

from __future__ import annotations

import re
import time
from typing import Any

import click

from .commands import Server, fail, on_server

AGAIN_S = 1.2
"""What another worker has noted is written after a second at most."""
_UNITS = {"m": 60, "h": 3600, "d": 86400}


def moment(text: str) -> int:
    """`3h`, `2d`, `30m` before now, or `2026-11-23`, `2026-11-23 14:30` in local time, as epoch seconds."""
    ago = re.fullmatch(r"(\d{1,6})([mhd])", text.strip())
    if ago is not None:
        return int(time.time()) - int(ago[1]) * _UNITS[ago[2]]
    for form in ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"):
        try:
            return int(time.mktime(time.strptime(text.strip(), form)))
        except (ValueError, OverflowError):
            continue
    raise click.UsageError(f'{text!r} is no time: "3h", "2d", "2026-11-23" and "2026-11-23 14:30" are')


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
    found = server.ask("trace", **asked)
    if not found:
        time.sleep(AGAIN_S)
        found = server.ask("trace", **asked)
    if server.as_json:
        server.show(found)
    elif not found:
        fail(f"nothing is known of {name}", 1)
    else:
        for number, one in enumerate(found):
            if number:
                click.echo()
            show(one)


def show(traced: dict[str, Any]) -> None:
    """One message, a line for each stage."""
    identifier = f"  <{traced['message_id']}>" if traced["message_id"] else ""
    click.echo(f"message {traced['message']}{identifier}")
    for record in traced["records"]:
        click.echo(f"  {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(record['at']))}  {record['words']}")
    for waiting in traced["waiting"]:
        due = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(waiting["due"]))
        again = f"; next try {due}" if waiting["state"] == "waiting" else ""
        click.echo(f"  {'now':<19}  {waiting['words']}{again}")
