"""`postillon quarantine`: mail that is kept from its recipients until somebody looks at it."""

from __future__ import annotations

from typing import Any

import click

from ..model.printable import printable
from .commands import Server, on_server
from .moments import told

NAMED = 5
"""Recipients of one message in the list."""


@click.group()
def quarantine() -> None:
    """Mail that is kept from its recipients."""


@quarantine.command("list")
@on_server
def quarantine_list(server: Server) -> None:
    """What is held, for whom, and why."""
    rows = server.ask("quarantine.list")
    server.show(rows if server.as_json else [_readable(row) for row in rows], _COLUMNS, "The quarantine is empty.")


_COLUMNS = ("id", "since", "until", "sender", "recipients", "subject", "reason")


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value[:100] if isinstance(value, str) else value for name, value in row.items()}
    more = ["…"] if len(row["recipients"]) > NAMED else []
    return shown | {"since": told(row["since"]), "until": told(row["until"]), "recipients": row["recipients"][:NAMED] + more}


@quarantine.command("show")
@click.argument("id")
@on_server
def quarantine_show(server: Server, id: str) -> None:  # noqa: A002
    """One message: why it is held, and its header."""
    shown = server.ask("quarantine.show", id=id)
    if server.as_json:
        server.show(shown)
        return
    server.show([_readable(shown)], _COLUMNS)
    click.echo(f"\n{shown['header']}", nl=False)


@quarantine.command("release")
@click.argument("ids", nargs=-1, required=True)
@on_server
def quarantine_release(server: Server, ids: tuple[str, ...]) -> None:
    """Deliver messages as if they had just arrived. Nothing judges them again."""
    for each in ids:
        row = server.ask("quarantine.release", id=each)
        if not server.as_json:
            click.echo(f"{each} goes to {', '.join(map(printable, row['recipients']))}.")


@quarantine.command("delete")
@click.argument("ids", nargs=-1, required=True)
@on_server
def quarantine_delete(server: Server, ids: tuple[str, ...]) -> None:
    """Throw messages away. Their senders are not told."""
    for each in ids:
        server.ask("quarantine.delete", id=each)
        if not server.as_json:
            click.echo(f"{each} is deleted.")
