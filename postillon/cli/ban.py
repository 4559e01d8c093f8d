"""`postillon ban`: addresses and networks that are refused at accept."""

from __future__ import annotations

import re

import click

from .commands import Server, on_server

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[int]):
    """`30m`, `12h`, `7d`; a number alone is seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        matched = re.fullmatch(r"(\d{1,9})([smhd]?)", str(value))
        if matched is None or not int(matched[1]):
            self.fail(f"{value!r} is no duration like 30m, 12h or 7d", param, ctx)
        return int(matched[1]) * _UNITS[matched[2] or "s"]


@click.group()
def ban() -> None:
    """Addresses and networks that are refused by all services."""


@ban.command("list")
@on_server
def ban_list(server: Server) -> None:
    """Who is banned now, until when, and why."""
    server.show(server.ask("ban.list"), ("network", "since", "ends", "reason"), "Nobody is banned.")


@ban.command("add")
@click.argument("network")
@click.option("--for", "seconds", type=Duration(), metavar="TIME", help="Like 30m, 12h or 7d. Without it: for ever.")
@click.option("--reason", default="", help="A note for yourself; the banned hear it, too.")
@on_server
def ban_add(server: Server, network: str, seconds: int | None, reason: str) -> None:
    """Refuse NETWORK: an address, or a network like 192.0.2.0/24. Connections that it has go on until they end."""
    row = server.ask("ban.add", network=network, seconds=seconds, reason=reason)
    if server.as_json:
        server.show(row)
    else:
        click.echo(f"{row['network']} is refused {'until ' + row['ends'] if row['ends'] else 'for ever'}.")


@ban.command("remove")
@click.argument("network")
@on_server
def ban_remove(server: Server, network: str) -> None:
    """Let NETWORK in again. Its former bans are forgotten."""
    row = server.ask("ban.remove", network=network)
    if server.as_json:
        server.show(row)
    else:
        click.echo(f"{row['network']} may come in again.")
