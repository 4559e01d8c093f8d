"""`postillon acl`: who else may use an account's mailboxes."""

from __future__ import annotations

import click

from .commands import Server, on_server

_COLUMNS = ("mailbox", "identifier", "rights")


@click.group()
def acl() -> None:
    """Mailboxes that others may use."""


@acl.command("list")
@click.argument("account")
@click.argument("mailbox", required=False, default="")
@on_server
def acl_list(server: Server, account: str, mailbox: str) -> None:
    """Who may do what in MAILBOX of ACCOUNT, or in all that are shared."""
    server.show(server.ask("acl.list", account=account, mailbox=mailbox), _COLUMNS, "Nothing is shared.")


@acl.command("set", short_help="Give rights, or take them away.", context_settings={"ignore_unknown_options": True})
@click.argument("account")
@click.argument("mailbox")
@click.argument("identifier")
@click.argument("rights")
@on_server
def acl_set(server: Server, account: str, mailbox: str, identifier: str, rights: str) -> None:
    """Give IDENTIFIER (an address, "anyone", or either with "-" before it) RIGHTS like lrs; +s and -s add and take away."""
    rows = server.ask("acl.set", account=account, mailbox=mailbox, identifier=identifier, rights=rights)
    server.show(rows, _COLUMNS)


@acl.command("remove", context_settings={"ignore_unknown_options": True})
@click.argument("account")
@click.argument("mailbox")
@click.argument("identifier")
@on_server
def acl_remove(server: Server, account: str, mailbox: str, identifier: str) -> None:
    """Take away all that was given to IDENTIFIER."""
    server.show(server.ask("acl.remove", account=account, mailbox=mailbox, identifier=identifier), _COLUMNS)
