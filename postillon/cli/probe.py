"""`postillon probe`: how mail for an address would be delivered."""

from __future__ import annotations

import sys

import click

from .commands import Server, on_server

NOT_NOW = 4
"""The exit status where mail would be refused, returned, or would wait."""


@click.command()
@click.argument("address", metavar="ADDRESS|DOMAIN")
@on_server
def probe(server: Server, address: str) -> None:
    """Say how mail would be delivered, without sending any.

    For an address of ours: aliases and accounts. For others: route or MX, DNSSEC, DANE, MTA-STS, and what each mail host
    answers and offers. Hosts are greeted with EHLO, STARTTLS and QUIT only. Ends with 4 if mail would not arrive now.
    """
    told = server.ask("probe", address=address)
    if server.as_json:
        server.show(told)
    else:
        for line in told["words"]:
            click.echo(line)
    if not told["deliverable"]:
        sys.exit(NOT_NOW)
