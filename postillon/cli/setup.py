"""`postillon setup you@example.org`: configuration, data directory, first domain and account, and what to do next."""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from ..app.alone import alone
from ..app.data import DataError, Layout
from ..app.dkim import make_pair
from ..app.prepare import make_own_certificate
from ..config import Config, parse
from ..model.address import Address, AddressError, parse_domain
from ..model.errors import AlreadyExists, Refusal
from ..supervisor.privileges import become
from . import records
from .commands import DEFAULT_CONFIG, fail
from .passwords import obtain

UNIT = "/etc/systemd/system/postillon.service"
CONFIG = """\
# Postillon. What is not here has a good default; `postillon check` says what is wrong, by line.
# Domains, accounts and aliases are not here: `postillon domain`, `account` and `alias` change them while the server runs.

# Our name: what the MX record names, and what greetings and the certificate say.
hostname = "{host}"

# Mail, queue and keys. Only the server's user may read it.
data = "{data}"
{user}
# Where local programs hand in mail (`postillon sendmail`).
sendmail_socket = "{socket}"

# A certificate for {host}, for example from Let's Encrypt. Until both lines are there we use one of our own, which mail
# programs will not trust. It is read again when the files change.
# [tls]
# certificate = "/etc/letsencrypt/live/{host}/fullchain.pem"
# key = "/etc/letsencrypt/live/{host}/privkey.pem"

# If your provider blocks port 25 outwards, send everything through another server.
# [sending.smarthost]
# host = "smtp.example.net"
# port = 587
# tls = "required"
# login = "you@example.net"
# password_file = "{data}/smarthost-password"
"""
SYSTEMD = """\
[Unit]
Description=Postillon mail server
Documentation=file://{readme}
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
NotifyAccess=main
ExecStart={program} serve --config {config}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
TimeoutStopSec=10
RuntimeDirectory=postillon
RuntimeDirectoryMode=0755
LimitNOFILE=65536
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_CHOWN CAP_KILL CAP_DAC_OVERRIDE
ProtectSystem=strict
ReadWritePaths={data}
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
LockPersonality=yes

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Plan:
    address: Address
    host: str
    data: Path
    config: Path
    unit: Path
    user: str
    """Whom the server will run as; empty: whoever starts it."""


@click.command()
@click.argument("address", metavar="YOU@DOMAIN")
@click.option(
    "--host", metavar="NAME", default="", help="This machine's name, which the MX record will name (default mail.DOMAIN)."
)
@click.option("--data", metavar="DIR", default="/var/lib/postillon", show_default=True)
@click.option("--config", metavar="FILE", default=DEFAULT_CONFIG, show_default=True)
@click.option(
    "--user", metavar="NAME", default=None, help="Whom the server runs as; made if missing (default postillon, as root)."
)
@click.option("--unit", metavar="FILE", default=None, help=f"The systemd unit to write (default {UNIT}, as root).")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--generate", is_flag=True, help="Make a password and print it.")
def setup(
    address: str,
    host: str,
    data: str,
    config: str,
    user: str | None,
    unit: str | None,
    password_stdin: bool,
    generate: bool,
) -> None:
    """Make configuration, data directory, the first domain and account, keys and a systemd unit; print the DNS records."""
    plan = _plan(address, host, data, config, user, unit)
    if plan.config.exists():
        fail(f"{plan.config} exists already; edit it, or remove it to begin again")
    password, tell = obtain(password_stdin, generate, str(plan.address))
    try:
        loaded = _write_files(plan)
        asyncio.run(_fill(loaded, plan, password))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    except DataError as error:
        fail(str(error))
    except Refusal as error:
        fail(error.text)
    _report(plan, password if tell else "")


def _plan(address: str, host: str, data: str, config: str, user: str | None, unit: str | None) -> Plan:
    try:
        mail = Address.parse(address)
        name = parse_domain(host or f"mail.{mail.domain}")
    except AddressError as error:
        fail(f"{address} {host}: {error}")
    is_root = os.geteuid() == 0
    where = Path(config).resolve()
    default_unit = Path(UNIT) if is_root and Path(UNIT).parent.is_dir() else where.with_name("postillon.service")
    return Plan(
        address=mail,
        host=name,
        data=Path(data).resolve(),
        config=where,
        unit=Path(unit).resolve() if unit else default_unit,
        user=user if user is not None else "postillon" if is_root else "",
    )


def _write_files(plan: Plan) -> Config:
    """What only the caller may write; then we become the server's user."""
    _make_user(plan)
    is_system = os.geteuid() == 0 and bool(plan.user)
    text = CONFIG.format(
        host=plan.host,
        data=plan.data,
        user=f'\n# Whom the server runs as, once it has its ports.\nuser = "{plan.user}"\n' if plan.user else "",
        socket="/run/postillon/sendmail.sock" if is_system else plan.data / "run" / "sendmail.sock",
    )
    loaded = parse(text, str(plan.config))
    plan.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    plan.data.chmod(0o700)
    for path, content in ((plan.config, text), (plan.unit, _unit(plan))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        path.chmod(0o644)
    if plan.user and os.geteuid() == 0:
        entry = pwd.getpwnam(plan.user)
        os.chown(plan.data, entry.pw_uid, entry.pw_gid)
        become(entry.pw_uid, entry.pw_gid)
    return loaded


def _make_user(plan: Plan) -> None:
    if not plan.user or os.geteuid() != 0:
        return
    try:
        pwd.getpwnam(plan.user)
    except KeyError:
        command = ["useradd", "--system", "--home-dir", str(plan.data), "--shell", "/usr/sbin/nologin", plan.user]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            fail(f"the user {plan.user} could not be made: {made.stderr.strip()}")


def _unit(plan: Plan) -> str:
    program = Path(sys.argv[0]).resolve()
    command = str(program) if program.name == "postillon" else f"{sys.executable} -m postillon"
    readme = Path(__file__).resolve().parents[2] / "README.md"
    return SYSTEMD.format(program=command, config=plan.config, data=plan.data, readme=readme)


async def _fill(config: Config, plan: Plan, password: str) -> None:
    os.umask(0o077)
    layout = Layout(plan.data)
    layout.make()
    try:
        await alone(config, "domain.add", {"name": plan.address.domain})
    except AlreadyExists:
        pass
    await alone(config, "account.add", {"address": str(plan.address), "password": password})
    make_own_certificate(config, layout)
    make_pair(_dkim_directory(plan), time.strftime("%Y%m", time.gmtime()))


def _dkim_directory(plan: Plan) -> Path:
    return plan.data / "dkim" / plan.address.domain


def _report(plan: Plan, password: str) -> None:
    domain, host = plan.address.domain, plan.host
    keys = sorted(_dkim_directory(plan).glob("*.pem"), reverse=True)
    click.echo(f"Configuration  {plan.config}\nData           {plan.data}\nsystemd unit   {plan.unit}")
    click.echo(f"Account        {plan.address}" + (f"\nPassword       {password}" if password else ""))
    click.echo("\nDNS records to set:\n")
    for record in (*records.needed(domain, host), *(records.dkim_record(key.stem, domain, key) for key in keys)):
        click.echo(f"  {record}")
    click.echo("\nSo that mail programs find the server by the address alone:\n")
    for record in records.for_clients(domain, host):
        click.echo(f"  {record}")
    click.echo("\nSo that others report how TLS towards you goes (`postillon reports tls` shows it):\n")
    for record in records.for_reports(domain):
        click.echo(f"  {record}")
    click.echo("\nFor later, MTA-STS: when a web server of yours serves its policy (`postillon domain records` prints it).\n")
    click.echo(
        f"\nNext:\n"
        f"  1. Set the records, and the reverse name (PTR) of this machine's addresses to {host}.\n"
        f"  2. Get a certificate for {host} and name its files in {plan.config}.\n"
        f"  3. postillon check --config {plan.config}\n"
        f"  4. systemctl enable --now {plan.unit.stem}   (or: postillon serve --config {plan.config})\n"
        f"  5. In your mail program: {plan.address}; IMAP {host} 993 (TLS), SMTP {host} 465 (TLS).\n"
        f"Mail is signed with the DKIM keys above from the start; publish their records before you send."
    )
    _warn_about_place(plan)


def _warn_about_place(plan: Plan) -> None:
    """A server that drops root must still be able to read its own program."""
    places = [*Path(sys.prefix).parents, *Path(sys.base_prefix).parents]
    if plan.user and (hidden := [path for path in places if not os.access(path, os.X_OK)]):
        click.echo(
            f"\nWarning: {plan.user} cannot read {hidden[0]}, where this program lies; install it elsewhere (/opt).", err=True
        )
