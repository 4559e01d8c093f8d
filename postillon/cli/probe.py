"""`postillon probe`: how mail for an address would be delivered."""

from __future__ import annotations

import click

from .commands import Server, on_server


@click.command()
@click.argument("address", metavar="ADDRESS|DOMAIN")
@on_server
def probe(server: Server, address: str) -> None:
    """Say how mail would be delivered, without sending any.

    For an address of ours: aliases and accounts. For others: route or MX, DNSSEC, DANE, MTA-STS, and what each mail host
    answers and offers. Hosts are greeted with EHLO, STARTTLS and QUIT only.
    """
    told = server.ask("probe", address=address)
    if server.as_json:
        server.show(told)
        return
    for line in told["words"]:
        click.echo(line)
