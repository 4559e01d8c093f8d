"""`postillon check`: what is wrong with the configuration and the data, before or while the server runs."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import click

from ..admin.client import NoAccess, NoServer, ask, ask_or_do
from ..app.services import silent_services
from ..config import SERVICES, Config, ConfigError, load
from ..model.errors import Refusal
from ..supervisor.privileges import PrivilegeError, identity
from ..supervisor.sockets import BindError, free
from .certificate import complaints
from .commands import DEFAULT_CONFIG


@click.command()
@click.option("--config", metavar="FILE", default=DEFAULT_CONFIG, show_default=True)
@click.option("--no-database", is_flag=True, help="Do not read the whole database.")
@click.option("--no-dns", is_flag=True, help="Do not look at the records of our domains.")
def check(config: str, no_database: bool, no_dns: bool) -> None:
    """Say what is wrong with the configuration (by line), the data, the ports, the certificate, filters that do not
    answer, and our domains' DNS records.

    Ends with 1 if anything is. Where DNS cannot be reached its records are not looked at.
    """
    try:
        loaded = load(config)
    except ConfigError as error:
        click.echo(str(error))
        sys.exit(1)
    found = [*_user(loaded), *_data(loaded)]
    running = _is_running(loaded)
    if not running:
        found += _ports(loaded)
    found += _certificate(loaded)
    found += asyncio.run(silent_services(loaded))
    if not no_database and not found:
        found += _database(loaded)
    notes: list[str] = []
    if not no_dns and not found:
        found, notes = _dns(loaded)
    for line in (*found, *notes):
        click.echo(line)
    if not found:
        click.echo(f"{config}: fine{'; the server is running' if running else ''}")
    sys.exit(1 if found else 0)


def _user(config: Config) -> list[str]:
    try:
        identity(config.user, config.group)
    except PrivilegeError as error:
        return [f"`user`, `group`: {error}"]
    if not config.user and os.geteuid() == 0:
        return ["`user` is not set: the server would run as root"]
    return []


def _data(config: Config) -> list[str]:
    data = Path(config.data)
    try:
        state = data.stat()
    except OSError as error:
        return [f"`data`: {data}: {error.strerror}"]
    found = []
    if stat.S_IMODE(state.st_mode) & 0o077:
        found.append(f"`data`: {data} can be read by others (mode {stat.S_IMODE(state.st_mode):o}): chmod 700 {data}")
    try:
        wanted = identity(config.user, config.group)
    except PrivilegeError:
        return found
    if wanted and state.st_uid != wanted[0]:
        found.append(f"`data`: {data} belongs to user {state.st_uid}, not to {config.user}: chown -R {config.user} {data}")
    return found


def _is_running(config: Config) -> bool:
    try:
        ask(config.data, "status", {}, timeout_s=10)
    except (NoServer, NoAccess):
        return False
    except Refusal:
        return True
    return True


def _ports(config: Config) -> list[str]:
    wanted = [(service, getattr(config.listen, service)) for service in SERVICES]
    try:
        return free([(service, address, port) for service, port in wanted if port for address in config.listen.addresses])
    except BindError as error:
        return [f"`listen.addresses`: {error}"]


def _certificate(config: Config) -> list[str]:
    if config.tls.certificate:
        return complaints(Path(config.tls.certificate), Path(config.tls.key), config.hostname)
    own = Path(config.data) / "cert.pem"
    if not os.access(own, os.R_OK):
        return []  # made at the first start
    return complaints(own, own.with_name("key.pem"), config.hostname)


def _dns(config: Config) -> tuple[list[str], list[str]]:
    """(what is wrong, notes) about the records of our domains."""
    try:
        seen = ask_or_do(config, "dns.check", {"hostname": config.hostname, "smarthost": config.sending.smarthost is not None})
    except (NoServer, NoAccess, Refusal) as error:
        return [f"DNS: {error.text if isinstance(error, Refusal) else error}"], []
    if not seen["reachable"]:
        return [], ["DNS: not reachable, so the records of our domains were not looked at (--no-dns leaves them out)"]
    found, notes = [], []
    for one in seen["records"]:
        line = f"DNS: {one['name']} {one['type']}: {one['words']}"
        if one["status"] in ("missing", "wrong"):
            found.append(line + (f". You, where your DNS is served: {one['value']}" if one["value"] else ""))
        elif one["status"] in ("unknown", "optional"):
            notes.append(line)
    return found, notes


def _database(config: Config) -> list[str]:
    try:
        return [f"database: {line}" for line in ask_or_do(config, "check", {})]
    except (NoServer, NoAccess) as error:
        return [f"database: {error}"]
    except Refusal as error:
        return [f"database: {error.detail or error.text}"]
