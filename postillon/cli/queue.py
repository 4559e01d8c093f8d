"""`postillon queue`: mail that waits to be delivered."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import click

from .commands import Server, on_server
from .moments import moment, told


@click.group(invoke_without_command=True)
@on_server
@click.pass_context
def queue(context: click.Context, server: Server) -> None:
    """Mail that waits to be delivered; without a command its totals."""
    if context.invoked_subcommand is None:
        _show_totals(server)


@queue.command("list")
@on_server
def queue_list(server: Server) -> None:
    """Each recipient that waits."""
    rows = server.ask("queue.list")
    server.show(rows if server.as_json else [_readable(row) for row in rows], _COLUMNS, "Nothing waits.")


_COLUMNS = ("id", "recipient", "sender", "state", "attempts", "due", "last_answer")


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    wait = row["due"] - int(time.time())
    due = "now" if wait <= 0 else f"in {_span(wait)}"
    return row | {"due": due if row["state"] == "waiting" else "", "last_answer": row["last_answer"][:100]}


@queue.command("totals", short_help="How much waits for each destination, and why.")
@on_server
def queue_totals(server: Server) -> None:
    """How much waits for each destination, since when, why, and when it is tried next."""
    _show_totals(server)


def _show_totals(server: Server) -> None:
    rows = server.ask("queue.totals")
    server.show(rows if server.as_json else [_readable_total(row) for row in rows], _TOTALS, "Nothing waits.")


_TOTALS = ("recipients", "destination", "state", "oldest", "due", "attempts", "why")


def _readable_total(row: dict[str, Any]) -> dict[str, Any]:
    oldest = _span(int(time.time()) - row["made_at"])
    return _readable(row) | {"oldest": oldest, "why": row["cause"] or row["last_answer"][:80]}


@queue.command("show")
@click.argument("id")
@on_server
def queue_show(server: Server, id: str) -> None:  # noqa: A002
    """One message: its recipients, its whole history and its header."""
    shown = server.ask("queue.show", id=id)
    if server.as_json:
        server.show(shown)
        return
    server.show(shown["recipients"], ("number", "recipient", "destination", "state", "attempts", "last_answer"))
    click.echo()
    for record in shown["history"]:
        click.echo(f"{told(record['at'])}  {record['words']}")
    click.echo(f"\n{shown['header']}", nl=False)


def _span(seconds: int) -> str:
    for name, unit in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{max(seconds, 0)} s"


def _chosen(command: Callable[..., None]) -> Callable[..., None]:
    """The ways to say which recipients are meant."""
    command = click.option("--destination", default="", metavar="NAME", help="All that waits for a destination.")(command)
    command = click.option("--all", "everything", is_flag=True, help="All that waits.")(command)
    return click.argument("ids", nargs=-1)(command)


def _check(ids: tuple[str, ...], everything: bool, destination: str) -> None:
    if not ids and not everything and not destination:
        raise click.UsageError("name messages by ID, a --destination, or --all")


def _of_recipients(name: str, words: str) -> None:
    @queue.command(name, help=words)
    @_chosen
    @on_server
    def command(server: Server, ids: tuple[str, ...], everything: bool, destination: str) -> None:
        _check(ids, everything, destination)
        server.show(server.ask(f"queue.{name}", ids=list(ids), everything=everything, destination=destination))


@queue.command("reschedule")
@_chosen
@click.option("--in", "minutes", type=click.FloatRange(0, 366 * 1440), default=None, metavar="MINUTES", help="From now.")
@click.option("--at", metavar="TIME", help="Like 2026-12-24T18:00, in the time of this machine; with a Z behind, in UTC.")
@on_server
def queue_reschedule(
    server: Server, ids: tuple[str, ...], everything: bool, destination: str, minutes: float | None, at: str | None
) -> None:
    """Try next at another time."""
    _check(ids, everything, destination)
    if (minutes is None) == (at is None):
        raise click.UsageError("give either --in or --at")
    wait = round(minutes * 60) if minutes is not None else 0
    if at is not None:
        wait = moment(at) - int(time.time())
        if wait < 0:
            raise click.UsageError("--at is in the past")
    server.show(server.ask("queue.reschedule", ids=list(ids), everything=everything, destination=destination, seconds=wait))


@queue.command("recall")
@click.argument("id")
@on_server
def queue_recall(server: Server, id: str) -> None:  # noqa: A002
    """Take back a message that waits. Who got it already, or is just getting it, keeps it."""
    server.show(server.ask("queue.recall", id=id))


@queue.command("reroute")
@_chosen
@click.option(
    "--via", "hop", default="", metavar="HOST[:PORT]", help="The next hop; without it, back to the recipients' domains."
)
@on_server
def queue_reroute(server: Server, ids: tuple[str, ...], everything: bool, destination: str, hop: str) -> None:
    """Send by another next hop, now."""
    _check(ids, everything, destination)
    host, colon, port = hop.rpartition(":")
    if not colon or hop.endswith("]"):
        host, port = hop, "25"
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise click.UsageError(f"{hop!r}: a next hop is given as HOST or HOST:PORT")
    asked = {"ids": list(ids), "everything": everything, "destination": destination, "host": host, "port": int(port)}
    server.show(server.ask("queue.reroute", **asked))


@queue.command("drop")
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that waits.")
@click.option("--report", is_flag=True, help="Tell the senders that delivery has failed.")
@click.option("--reason", default="", metavar="TEXT", help="What they read as the reason.")
@on_server
def queue_drop(server: Server, ids: tuple[str, ...], everything: bool, report: bool, reason: str) -> None:
    """Remove; without --report nobody is told."""
    if not ids and not everything:
        raise click.UsageError("name messages by ID, or --all")
    if reason and not report:
        raise click.UsageError("a --reason is for a --report")
    server.show(server.ask("queue.drop", ids=list(ids), everything=everything, report=report, words=reason))


@queue.command("dump")
@click.argument("id")
@click.option("--output", metavar="FILE", type=click.File("wb"), default="-", help="Instead of standard output.")
@on_server
def queue_dump(server: Server, id: str, output: BinaryIO) -> None:  # noqa: A002
    """The whole message, octet by octet as it would be sent."""
    at = 0
    while True:
        piece = server.ask("queue.dump", id=id, start=at)
        output.write(base64.b64decode(piece["octets"]))
        at = piece["next"]
        if at >= piece["size"]:
            return


_of_recipients("retry", "Try again now.")
_of_recipients("hold", "Keep, and do not try until released.")
_of_recipients("release", "Try what was held again.")
