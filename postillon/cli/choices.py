"""`postillon account allow` and its like: what an account has chosen about the judgement of its mail."""

from __future__ import annotations

import click

from .commands import Server, on_server

_COLUMNS = ("entry", "verdict")
_ENTRY = "An ENTRY is an address, a domain (with those below it), or a network (/8, /16, /24, /32; IPv6 /32, /48, /64, /128)."


@click.command("allow", short_help="Always want mail of these, if it is proven theirs.", epilog=_ENTRY)
@click.argument("address")
@click.argument("entries", nargs=-1, required=True)
@on_server
def allow(server: Server, address: str, entries: tuple[str, ...]) -> None:
    """ADDRESS always wants mail from ENTRIES, if it is proven to be from them."""
    server.show(server.ask("judging.set", address=address, entries=list(entries), verdict="allow"), _COLUMNS)


@click.command("deny", epilog=_ENTRY)
@click.argument("address")
@click.argument("entries", nargs=-1, required=True)
@on_server
def deny(server: Server, address: str, entries: tuple[str, ...]) -> None:
    """ADDRESS never wants mail from ENTRIES."""
    server.show(server.ask("judging.set", address=address, entries=list(entries), verdict="deny"), _COLUMNS)


@click.command("unlist")
@click.argument("address")
@click.argument("entries", nargs=-1, required=True)
@on_server
def unlist(server: Server, address: str, entries: tuple[str, ...]) -> None:
    """Undo `allow` or `deny`."""
    server.show(server.ask("judging.set", address=address, entries=list(entries), verdict=""), _COLUMNS)


@click.command("lists")
@click.argument("address")
@on_server
def lists(server: Server, address: str) -> None:
    """Whom ADDRESS allows and denies."""
    server.show(server.ask("judging.list", address=address), _COLUMNS)


@click.command("judging", short_help="Show or change the thresholds of an account.")
@click.argument("address")
@click.option("--tag", type=float, metavar="SCORE", help="From this score on the header says why.")
@click.option("--junk", type=float, metavar="SCORE", help="From this score on mail is filed as junk.")
@click.option("--refuse", type=float, metavar="SCORE", help="From this score on mail is refused.")
@click.option("--reset", is_flag=True, help="The others are as configured again.")
@on_server
def judging(server: Server, address: str, tag: float | None, junk: float | None, refuse: float | None, reset: bool) -> None:
    """Show or change the thresholds of ADDRESS; what is empty is as configured."""
    if reset or any(value is not None for value in (tag, junk, refuse)):
        server.show(server.ask("judging.choose", address=address, tag=tag, junk=junk, refuse=refuse, reset=reset))
    else:
        server.show(server.ask("judging.choice", address=address))


COMMANDS = (allow, deny, unlist, lists, judging)
