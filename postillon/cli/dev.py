"""`postillon dev`: a server for development and tests, on this machine, with nothing to configure.

Other programs' test harnesses drive it too: its options and its line of JSON are an interface.
"""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from ..app.remembered import remembered
from ..config import (
    LOOPBACK,
    SERVICES,
    Config,
    ConfigError,
    Development,
    Dns,
    Listen,
    Logging,
    Protection,
    Route,
    Sending,
    parse,
    server_address,
)
from ..model.address import Address, AddressError, parse_domain
from ..supervisor.lifeline import Wishes
from .commands import fail
from .running import run

OFFSETS = {"smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995}
"""Ports are the base plus these."""
DEFAULT_DOMAIN = "example.test"


_PORT = click.IntRange(1, 65535)
_SECONDS = click.IntRange(1, 366 * 86400)


@dataclass(frozen=True, slots=True)
class Asked:
    domains: tuple[str, ...]
    accounts: tuple[tuple[str, str], ...]


@click.command()
@click.option("--data", metavar="DIR", default="dev-data", show_default=True, help="Everything is kept here.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port-base", default=10000, show_default=True, help="Ports are this plus 25, 587, 465, 143, 993, 110, 995.")
@click.option("--domain", "domains", multiple=True, metavar="NAME", help=f"A domain to take mail for (default {DEFAULT_DOMAIN}).")
@click.option("--account", "accounts", multiple=True, metavar="ADDRESS:PASSWORD", help="An account (default alice and bob).")
@click.option("--accounts-file", metavar="FILE", help="Accounts, one ADDRESS:PASSWORD a line.")
@click.option(
    "--proxy-port", type=click.IntRange(0, 65535), default=0, help="Another MX, where a connection begins with a PROXY header."
)
@click.option("--lmtp-port", type=_PORT, help="LMTP, for mail servers on this machine.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes (default one for each core).")
@click.option("--dns", metavar="HOST:PORT", help="Resolver. Without it and --route nothing is sent elsewhere.")
@click.option("--route", "routes", multiple=True, metavar="DOMAIN=HOST:PORT", help="A fixed next hop for a domain.")
@click.option("--mx-port", type=click.IntRange(1, 65535), default=25, show_default=True, help="Port to connect to on an MX.")
@click.option("--dns-trusted", is_flag=True, help="Believe what the resolver says about DNSSEC.")
@click.option("--mta-sts-port", type=click.IntRange(1, 65535), default=443, show_default=True, help="Where policies are fetched.")
@click.option("--trust", metavar="FILE", help="Authorities that policies and next hops are verified with.")
@click.option("--retry", type=_SECONDS, metavar="SECONDS", help="Wait before the second attempt at a recipient.")
@click.option("--delay-report", type=_SECONDS, metavar="SECONDS", help="When a sender hears of a delay.")
@click.option("--queue-lifetime", type=_SECONDS, metavar="SECONDS", help="When a message is given up and returned.")
@click.option("--settings", metavar="FILE", help="Tables of a configuration file: protection, blocklists, filters and the like.")
@click.option("--json", "as_json", is_flag=True, help="When ready, print one line of JSON.")
@click.option("-v", "--verbose", count=True, help="Log what happens; twice: everything.")
def dev(
    data: str,
    host: str,
    port_base: int,
    domains: tuple[str, ...],
    accounts: tuple[str, ...],
    accounts_file: str | None,
    proxy_port: int | None,
    lmtp_port: int | None,
    workers: int | None,
    dns: str | None,
    routes: tuple[str, ...],
    mx_port: int,
    dns_trusted: bool,
    mta_sts_port: int,
    trust: str | None,
    retry: int | None,
    delay_report: int | None,
    queue_lifetime: int | None,
    settings: str | None,
    as_json: bool,
    verbose: int,
) -> None:
    """Run a throw-away server for development and tests.

    It makes its domains, accounts, certificate and authority itself, lets clients on loopback addresses log in without TLS, and
    never mails the world. SIGTERM or Ctrl-C ends it; the same DIR goes on where it was.
    """
    if not 0 <= port_base <= 65535 - max(OFFSETS.values()):
        fail(f"--port-base is a number from 0 to {65535 - max(OFFSETS.values())}, since ports are counted from it")
    _check_dns(dns)
    root = Path(data).resolve()
    if root.exists() and not root.is_dir():
        fail(f"--data {data}: is a file; name a directory, which need not be there yet")
    asked = _asked(root, domains, [*accounts, *_lines(accounts_file)])
    found = _settings(settings)
    config = replace(
        found,
        hostname=asked.domains[0],
        data=str(root),
        workers=workers or 0,
        loop=os.environ.get("POSTILLON_LOOP", "auto"),
        listen=Listen(
            (host,),
            **{service: port_base + offset for service, offset in OFFSETS.items()},
            proxy=proxy_port or 0,
            lmtp=lmtp_port or 0,
        ),
        trusted=replace(found.trusted, proxies={"proxy": LOOPBACK} | found.trusted.proxies),
        dns=Dns((dns,) if dns else (), trusted=dns_trusted),
        sending=_sending(found.sending, routes, first_wait=retry, delay_report=delay_report, lifetime=queue_lifetime),
        logging=Logging(("warning", "info", "debug")[min(verbose, 2)]),
        development=Development(mx_port=mx_port, sends=bool(dns or routes), mta_sts_port=mta_sts_port, trust=_authorities(trust)),
    )
    wishes = Wishes(asked.domains, asked.accounts, default_accounts=not accounts and not accounts_file)

    def announce(told: dict[str, Any]) -> None:
        _announce(config, host, told, as_json)

    sys.exit(run(config, announce, wishes))


GENTLE: dict[str, Any] = {"greylist": False, "greet_delay": 0}
"""Of `protection`: a harness' first message is taken at once."""


def _settings(path: str | None) -> Config:
    """What a file says about all that the options do not. Ends the program if it is wrong."""
    hostname, data = f"dev.{DEFAULT_DOMAIN}", "/"
    if path is None:
        return Config(hostname=hostname, data=data, protection=Protection(**GENTLE))
    try:
        text = Path(path).read_text(encoding="utf-8")
        found = parse(f'hostname = "{hostname}"\ndata = "{data}"\n{text}', path)
    except OSError as error:
        fail(f"--settings {path}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"--settings {path}: is not UTF-8 text")
    except ConfigError as error:
        before = 2  # the lines that stand before the file's own
        own = [replace(mistake, line=max(mistake.line - before, 0)) for mistake in error.mistakes]
        fail(f"--settings {ConfigError(path, own)}")
    asked = tomllib.loads(text).get("protection", {})
    gentle = {name: value for name, value in GENTLE.items() if name not in asked}
    return replace(found, protection=replace(found.protection, **gentle))


def _authorities(path: str | None) -> str:
    """The absolute path of a file with certificates, or nothing."""
    if path is None:
        return ""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:
        fail(f"--trust {path}: {error.strerror or error}")
    return str(Path(path).resolve())


def _sending(found: Sending, routes: tuple[str, ...], **times: int | None) -> Sending:
    given: dict[str, Any] = {name: seconds for name, seconds in times.items() if seconds is not None}
    return replace(found, routes=found.routes | dict(map(_route, routes)), **given)


def _check_dns(dns: str | None) -> None:
    try:
        server_address(dns or "127.0.0.1")
    except ValueError:
        fail(f"--dns {dns}: a resolver is given as HOST:PORT, with an IP address")


def _announce(config: Config, host: str, told: dict[str, Any], as_json: bool) -> None:
    ports = {service: port for service in SERVICES if (port := getattr(config.listen, service))}
    if as_json:
        line = {"host": host, **ports, "data": config.data, "ca": told["ca"], "accounts": told["accounts"], "pid": os.getpid()}
        _print(json.dumps(line))
        return
    listed = ", ".join(f"{service} {port}" for service, port in ports.items())
    accounts = ", ".join(f"{account['address']}:{account['password']}" for account in told["accounts"][:10])
    _print(f"Postillon is ready on {host}: {listed}; accounts {accounts}; authority {told['ca']}; pid {os.getpid()}")


def _print(line: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it any more; we serve all the same
        print(line, flush=True)


def _asked(root: Path, domains: tuple[str, ...], accounts: list[str]) -> Asked:
    """Domains in canonical form, the first one first; accounts as (address, password). Ends the program if one is wrong."""
    pairs = tuple(map(_account, accounts))
    try:
        names = [parse_domain(name) for name in domains]
        of_accounts = [Address.parse(address).domain for address, _ in pairs]
    except AddressError as error:
        fail(f"{', '.join([*domains, *(address for address, _ in pairs)])}: {error}")
    found = [*names, *of_accounts] or remembered(root).domains or [DEFAULT_DOMAIN]
    return Asked(tuple(dict.fromkeys(found)), pairs)


def _account(text: str) -> tuple[str, str]:
    """`ADDRESS:PASSWORD`; the password may have colons and at signs."""
    local, at, rest = text.partition("@")
    domain, colon, password = rest.partition(":")
    if not (at and colon and password):
        fail(f"{text.partition(':')[0]!r}: an account is given as ADDRESS:PASSWORD, like alice@{DEFAULT_DOMAIN}:secret")
    return f"{local}@{domain}", password


def _lines(path: str | None) -> list[str]:
    if path is None:
        return []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        fail(f"--accounts-file {path}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"--accounts-file {path}: is not UTF-8 text")
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _route(text: str) -> tuple[str, Route]:
    """`DOMAIN=HOST:PORT`; HOST may be an IPv6 address in brackets, and `lmtp://` may stand before it."""
    domain, equals, target = text.partition("=")
    protocol = "lmtp" if target.startswith("lmtp://") else "smtp"
    target = target.removeprefix("lmtp://")
    host, colon, port = target.rpartition(":")
    if not (equals and colon and host and port.isdigit() and 0 < int(port) < 65536):
        fail(f"{text!r}: a route is given as DOMAIN=HOST:PORT")
    try:
        return parse_domain(domain), Route(host.strip("[]"), int(port), protocol=protocol)
    except AddressError as error:
        fail(f"{text!r}: {error}")
