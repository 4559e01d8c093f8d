"""`postillon queue`: mail that waits to be delivered."""

from __future__ import annotations

import time
from typing import Any

import click

from .commands import Server, on_server


@click.group()
def queue() -> None:
    """Mail that waits to be delivered."""


@queue.command("list")
@on_server
def queue_list(server: Server) -> None:
    """Each recipient that waits."""
    rows = server.ask("queue.list")
    server.show(rows if server.as_json else [_readable(row) for row in rows], _COLUMNS)


_COLUMNS = ("id", "recipient", "sender", "state", "attempts", "due", "last_answer")


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    wait = row["due"] - int(time.time())
    due = "now" if wait <= 0 else f"in {wait // 60} min" if wait >= 60 else f"in {wait} s"
    return row | {"due": due if row["state"] == "waiting" else "", "last_answer": row["last_answer"][:100]}


@queue.command("show")
@click.argument("id")
@on_server
def queue_show(server: Server, id: str) -> None:  # noqa: A002
    """One message: its envelope, its recipients and its header."""
    shown = server.ask("queue.show", id=id)
    if server.as_json:
        server.show(shown)
        return
    server.show(shown["recipients"], ("number", "recipient", "destination", "state", "attempts", "last_answer"))
    click.echo(f"\n{shown['header']}", nl=False)


def _of_messages(name: str, words: str) -> None:
    @queue.command(name, help=words)
    @click.argument("ids", nargs=-1)
    @click.option("--all", "everything", is_flag=True, help="All that waits.")
    @on_server
    def command(server: Server, ids: tuple[str, ...], everything: bool) -> None:
        if not ids and not everything:
            raise click.UsageError("name messages by ID, or --all")
        server.show(server.ask(f"queue.{name}", ids=list(ids), everything=everything))


_of_messages("retry", "Try again now.")
_of_messages("drop", "Remove without a report to the sender.")
_of_messages("hold", "Keep, and do not try until released.")
_of_messages("release", "Try what was held again.")
