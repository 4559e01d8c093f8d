"""`postillon dkim`: the keys that outgoing mail is signed with."""

from __future__ import annotations

from typing import Any

import click

from ..app.dkim import quoted
from .commands import Server, on_server
from .records import Record


@click.group()
def dkim() -> None:
    """Keys that outgoing mail is signed with."""


@dkim.command("list", short_help="All keys: waiting, signing, or retired.")
@on_server
def dkim_list(server: Server) -> None:
    """All keys: waiting (published, not used yet), signing, or retired (not used any more, still published)."""
    server.show(
        server.ask("dkim.list"),
        ("domain", "selector", "algorithm", "state", "since"),
        "There is no key; `postillon dkim add` makes some.",
    )


@dkim.command("add", short_help="Make keys for DOMAIN and sign with them from now on.")
@click.argument("domain")
@on_server
def dkim_add(server: Server, domain: str) -> None:
    """Make an RSA and an Ed25519 key for DOMAIN, sign with them from now on, and print the records to publish."""
    _show(server, server.ask("dkim.add", domain=domain), "Publish these records now; mail is signed from this moment on:")


@dkim.command("rotate", short_help="Replace the keys of DOMAIN, in two steps.")
@click.argument("domain")
@click.option("--force", is_flag=True, help="Sign with new keys even if DNS does not have their records.")
@on_server
def dkim_rotate(server: Server, domain: str, force: bool) -> None:
    """Replace the keys of DOMAIN, in two steps: make new ones to publish, then, called again, sign with them.

    The second step looks whether DNS has the new records.
    """
    rows = server.ask("dkim.rotate", domain=domain, force=force)
    if any(row["state"] == "waiting" for row in rows):
        waiting = [row for row in rows if row["state"] == "waiting"]
        words = f"Publish these records. A day later, `postillon dkim rotate {domain}` again signs with them:"
        _show(server, waiting if not server.as_json else rows, words)
        return
    retired = ", ".join(row["selector"] for row in rows if row["state"] == "retired")
    words = f"The new keys sign. Leave the records of the old ones for a week, then `postillon dkim retire`: {retired}"
    _show(server, rows if server.as_json else [], words)


@dkim.command("retire", short_help="Remove a key that has not signed for a week.")
@click.argument("selector")
@click.option("--domain", metavar="DOMAIN", default="", help="Needed where several domains have a key of that selector.")
@click.option("--force", is_flag=True, help="Even if mail that it signed may be on its way.")
@on_server
def dkim_retire(server: Server, selector: str, domain: str, force: bool) -> None:
    """Remove a key that has not signed for a week; then its record can go."""
    row = server.ask("dkim.retire", selector=selector, domain=domain, force=force)
    _show(server, row if server.as_json else [], f"The key is gone; remove the record {row['name']} now.")


@dkim.command("records")
@click.argument("domain")
@on_server
def dkim_records(server: Server, domain: str) -> None:
    """The records of all keys of DOMAIN."""
    _show(server, server.ask("dkim.records", domain=domain), "")


def _show(server: Server, rows: Any, words: str) -> None:
    if server.as_json:
        server.show(rows)
        return
    if words:
        click.echo(words)
    for row in rows:
        click.echo(f"  {Record(row['name'], 'TXT', quoted(row['value']))}")
