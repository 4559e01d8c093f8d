"""`postillon domain`, `account` and `alias`: what an administrator changes while the server runs."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict

import click

from ..app.dkim import quoted
from ..config import Size
from . import choices, records
from .commands import Server, on_server
from .moments import told
from .passwords import obtain
from .records import Record


class Octets(click.ParamType[int]):
    """`5G`, `500M`; a number alone is octets."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(Size.parse(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


@click.group()
def domain() -> None:
    """Domains we take mail for."""


@domain.command("add")
@click.argument("name")
@click.option("--alias-of", metavar="DOMAIN", default="", help="Every address here means the same one there.")
@click.option("--catch-all", metavar="ADDRESS", default="", help="Who gets mail for unknown addresses.")
@on_server
def domain_add(server: Server, name: str, alias_of: str, catch_all: str) -> None:
    """Take mail for NAME."""
    server.show(server.ask("domain.add", name=name, alias_of=alias_of, catch_all=catch_all))


@domain.command("list")
@on_server
def domain_list(server: Server) -> None:
    """All domains."""
    server.show(server.ask("domain.list"), ("name", "accounts", "alias_of", "catch_all"))


@domain.command("records")
@click.argument("name")
@on_server
def domain_records(server: Server, name: str) -> None:
    """The DNS records of a domain, and its MTA-STS policy."""
    host = server.config().hostname
    keys = [Record(row["name"], "TXT", quoted(row["value"])) for row in server.ask("dkim.records", domain=name)]
    groups = {
        "needed": [*records.needed(name, host), *keys],
        "for mail programs": records.for_clients(name, host),
        "for reports about TLS": records.for_reports(name),
        "for MTA-STS, once its policy is served": records.for_mta_sts(name, host),
    }
    policy = records.mta_sts_policy(host)
    if server.as_json:
        rows = [{"for": group, **asdict(record)} for group, found in groups.items() for record in found]
        server.show({"records": rows, "mta_sts_policy": policy})
        return
    for group, found in groups.items():
        click.echo(f"{group}:\n")
        for record in found:
            click.echo(f"  {record}")
        click.echo()
    click.echo(f"the policy at https://mta-sts.{name}/.well-known/mta-sts.txt, as text/plain:\n")
    for line in policy.splitlines():
        click.echo(f"  {line}")


@domain.command("remove")
@click.argument("name")
@on_server
def domain_remove(server: Server, name: str) -> None:
    """Take no more mail for NAME. Refused while it has accounts."""
    server.show(server.ask("domain.remove", name=name))


@click.group()
def account() -> None:
    """Accounts: who reads and sends mail here."""


_password_options = (
    click.option("--password-stdin", is_flag=True, help="Read the password from standard input."),
    click.option("--generate", is_flag=True, help="Make a password and print it."),
    click.option(
        "--hash-stdin", is_flag=True, help="Read a hash of it from another server: {SSHA256}…, $6$…, $2b$…, $argon2id$…"
    ),
)


def _with_password(command: click.decorators.FC) -> click.decorators.FC:
    for option in _password_options:
        command = option(command)
    return command


def _secret(
    server: Server, look: str, address: str, password_stdin: bool, generate: bool, hash_stdin: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """(what the operation gets, what is shown besides its answer). *look* is asked about the address before anybody types."""
    if hash_stdin:
        return {"imported_hash": sys.stdin.readline().strip()}, {}
    if not password_stdin and not generate:
        server.ask(look, address=address)
    password, tell = obtain(password_stdin, generate, address)
    return {"password": password}, {"password": password} if tell else {}


@account.command("add")
@click.argument("address")
@click.option("--quota", type=Octets(), metavar="SIZE", help='Like "5G"; otherwise the configured one.')
@_with_password
@on_server
def account_add(server: Server, address: str, quota: int | None, password_stdin: bool, generate: bool, hash_stdin: bool) -> None:
    """Make an account. Its domain must exist."""
    secret, shown = _secret(server, "account.look", address, password_stdin, generate, hash_stdin)
    server.show(server.ask("account.add", address=address, quota=quota, **secret) | shown)


@account.command("list")
@click.option("--domain", "domain_name", metavar="NAME", default="", help="Only those of this domain.")
@on_server
def account_list(server: Server, domain_name: str) -> None:
    """All accounts."""
    server.show(server.ask("account.list", domain=domain_name), ("address", "state", "used", "quota"), "There is no account.")


@account.command("remove")
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_server
def account_remove(server: Server, address: str, yes: bool) -> None:
    """Remove an account with all its mail."""
    if not yes:
        click.confirm(f"Remove {address} and all its mail?", abort=True, err=True)
    server.show(server.ask("account.remove", address=address))


@account.command("password")
@click.argument("address")
@_with_password
@on_server
def account_password(server: Server, address: str, password_stdin: bool, generate: bool, hash_stdin: bool) -> None:
    """Set a new password. The old one is void at once; open sessions go on."""
    secret, shown = _secret(server, "account.show", address, password_stdin, generate, hash_stdin)
    server.show(server.ask("account.password", address=address, **secret) | shown)


@account.command("quota")
@click.argument("address")
@click.argument("size", type=Octets())
@on_server
def account_quota(server: Server, address: str, size: int) -> None:
    """Let an account hold SIZE, like "5G"."""
    server.show(server.ask("account.quota", address=address, quota=size))


@account.command("suspend")
@click.argument("address")
@on_server
def account_suspend(server: Server, address: str) -> None:
    """No more logins; sessions end; mail is still taken."""
    server.show(server.ask("account.suspend", address=address))


@account.command("resume")
@click.argument("address")
@on_server
def account_resume(server: Server, address: str) -> None:
    """Undo `suspend`."""
    server.show(server.ask("account.resume", address=address))


@account.command("hide", short_help="Hide IMAP capabilities from the programs of an account.")
@click.argument("address")
@click.argument("capabilities", nargs=-1)
@click.option("--offer", multiple=True, metavar="CAPABILITY", help="Offer it to this account though others do not see it.")
@click.option("--default", is_flag=True, help="Drop what was set for this account before.")
@on_server
def account_hide(server: Server, address: str, capabilities: tuple[str, ...], offer: tuple[str, ...], default: bool) -> None:
    """Hide IMAP capabilities that a program of this account does not get on with; show what is hidden. From the next login on."""
    server.show(server.ask("account.hide", address=address, capabilities=capabilities, offer=offer, default=default))


_LIMITS = (
    ("messages-per-hour", "Messages within an hour; 0: no limit, as for all of these."),
    ("messages-per-day", "Messages within 24 hours."),
    ("recipients-per-hour", "Recipients within an hour."),
    ("recipients-per-day", "Recipients within 24 hours."),
    ("first-time-per-hour", "Recipients within an hour to whom the account has not written before."),
    ("first-time-per-day", "The same within 24 hours."),
)


def _with_limits(command: click.decorators.FC) -> click.decorators.FC:
    for name, words in reversed(_LIMITS):
        command = click.option(f"--{name}", type=click.IntRange(0), metavar="N", help=words)(command)
    return command


@account.command("limit", short_help="What an account may send and has sent; other limits.")
@click.argument("address")
@_with_limits
@click.option("--default", is_flag=True, help="Drop what was set for this account before.")
@on_server
def account_limit(server: Server, address: str, default: bool, **limits: int | None) -> None:
    """Show what an account may send and has sent, or let it send more or less than others."""
    changes = {name: value for name, value in limits.items() if value is not None}
    shown = server.ask("account.limit", address=address, changes=changes, default=default)
    if server.as_json:
        server.show(shown)
        return
    rows = [
        {"limit": name.replace("_", " "), "at most": one["limit"] or "-", "used": one["used"]}
        for name, one in shown.items()
        if isinstance(one, dict)
    ]
    server.show(rows, ("limit", "at most", "used"))
    if "held_since" in shown:
        click.echo(f"\nIts mail is held since {told(shown['held_since'])}: {shown['held_why']}.")
        click.echo(f"`postillon account release {address}` lets it go.")


@account.command("language", short_help="The language of reports and notices to an account.")
@click.argument("address")
@click.argument("code", default="")
@on_server
def account_language(server: Server, address: str, code: str) -> None:
    """The language in which an account gets reports and notices, `en` or `fr`; with CODE, set it."""
    if code:
        server.ask("judging.choose", address=address, language=code)
    server.show({"address": address, "language": server.ask("judging.choice", address=address)["language"]})


@account.command("suppressed")
@click.argument("address")
@click.option("--add", metavar="RECIPIENT", default="", help="Do not let it write to RECIPIENT.")
@click.option("--remove", metavar="RECIPIENT", default="", help="Let it write to RECIPIENT again.")
@on_server
def account_suppressed(server: Server, address: str, add: str, remove: str) -> None:
    """Addresses that an account does not write to any more, and why."""
    rows = server.ask("account.suppressed", address=address, add=add, remove=remove)
    if not server.as_json:
        rows = [row | {"since": time.strftime("%Y-%m-%d", time.gmtime(row["at"]))} for row in rows]
    server.show(rows, ("address", "since", "cause", "words"))


@account.command("hold")
@click.argument("address")
@on_server
def account_hold(server: Server, address: str) -> None:
    """Keep what an account sends, until it is released."""
    server.show(server.ask("account.hold", address=address))


@account.command("release")
@click.argument("address")
@on_server
def account_release(server: Server, address: str) -> None:
    """Send what was held of an account."""
    server.show(server.ask("account.release", address=address))


for _command in choices.COMMANDS:
    account.add_command(_command)


@click.group()
def alias() -> None:
    """Addresses that lead to others, here or elsewhere."""


@alias.command("add")
@click.argument("address")
@click.argument("targets", nargs=-1, required=True)
@on_server
def alias_add(server: Server, address: str, targets: tuple[str, ...]) -> None:
    """Mail for ADDRESS goes to all TARGETS; those it has already stay."""
    server.show(server.ask("alias.add", address=address, targets=list(targets)))


@alias.command("list")
@on_server
def alias_list(server: Server) -> None:
    """All aliases."""
    server.show(server.ask("alias.list"), ("address", "targets"), "There is no alias.")


@alias.command("remove")
@click.argument("address")
@click.argument("targets", nargs=-1)
@on_server
def alias_remove(server: Server, address: str, targets: tuple[str, ...]) -> None:
    """Remove ADDRESS, or only some of its TARGETS."""
    server.show(server.ask("alias.remove", address=address, targets=list(targets)))
