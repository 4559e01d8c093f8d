"""All commands by name, each loaded when used, and what they share: where the server is, how results are shown, errors."""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from .. import __version__
from ..config import Config, ConfigError, load
from ..model.errors import Refusal
from ..model.printable import printable

DEFAULT_CONFIG = "/etc/postillon/postillon.toml"

_COMMANDS = {
    "setup": "first configuration, data directory, domain and account",
    "serve": "run the server",
    "dev": "run a throw-away server for development and tests",
    "check": "say what is wrong with the configuration and the data",
    "status": "what the server is doing",
    "domain": "domains we take mail for",
    "account": "accounts, their passwords and quotas",
    "alias": "addresses that lead to others",
    "acl": "mailboxes that others may use",
    "queue": "mail that waits to be delivered",
    "trace": "what became of a message, and why",
    "why": "why a message was delivered, put into Junk or refused",
    "probe": "how mail for an address would be delivered",
    "dkim": "keys that outgoing mail is signed with",
    "reports": "what others report about mail in our names and about TLS",
    "filter": "what is thought of incoming mail, and what it learns",
    "quarantine": "mail that is kept from its recipients",
    "policy": "what is done about mail, tried out",
    "ban": "addresses that are refused",
    "version": "the version of this program",
}
"""Command → what it is for. The module of the same name in this package has a click command of that name."""

_MODULES = {"domain": "directory", "account": "directory", "alias": "directory"}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS, "sendmail"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "version":
            return version
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"{__package__}.{_MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*_COMMANDS.items(), ("sendmail", "take a message from a local program (cron, scripts)")])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def postillon() -> None:
    """Postillon, a complete mail server in one program."""


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(f"postillon {__version__}")


def fail(text: str, status: int = 1) -> NoReturn:
    """Say what went wrong and end."""
    click.echo(f"postillon: {text}", err=True)
    sys.exit(status)


_NOWHERE = (
    f"no server is named: there is no {DEFAULT_CONFIG} and no ./dev-data. Name one with --config FILE or --data DIR; "
    "`postillon setup` makes one"
)


class Server:
    """The server a command is about: a configuration file, or a data directory (of `postillon dev`)."""

    def __init__(self, config: str | None, data: str | None, as_json: bool) -> None:
        self.as_json = as_json
        self._config = config
        self._data = data

    def config(self) -> Config:
        """Its configuration; a data directory alone is enough for most commands. Ends the program if the file is wrong."""
        data = self._data or os.environ.get("POSTILLON_DATA")
        path = self._config or (None if data else os.environ.get("POSTILLON_CONFIG"))
        if path is None and data is None:
            if os.path.exists(DEFAULT_CONFIG) or not os.path.isdir("dev-data"):
                path = DEFAULT_CONFIG
                if not os.path.exists(path):
                    fail(_NOWHERE)
            else:
                data = "dev-data"
        if path is None:
            assert data is not None
            return Config(hostname="localhost", data=str(Path(data).resolve()))
        try:
            return load(path)
        except ConfigError as error:
            fail(str(error))

    def ask(self, operation: str, **arguments: Any) -> Any:
        """Perform an operation of `admin.operations`. Ends the program with the server's words when it refuses."""
        from ..admin.client import NoAccess, NoServer, ask_or_do

        try:
            return ask_or_do(self.config(), operation, arguments)
        except (NoServer, NoAccess) as error:
            fail(str(error))
        except Refusal as error:
            fail(error.text)

    def show(self, value: Any, columns: Sequence[str] = (), nothing: str = "") -> None:
        """Print a result: a table of *columns*, or JSON when asked for. *nothing* is said on standard error of an empty one."""
        if self.as_json:
            click.echo(json.dumps(value))
        elif isinstance(value, list):
            table(value, columns)
            if nothing and not value:
                click.echo(nothing, err=True)
        elif isinstance(value, dict):
            width = max(map(len, value), default=0)
            for key, item in value.items():
                click.echo(f"{key.replace('_', ' '):<{width}}  {_text(item)}".rstrip())
        elif value is not None:
            click.echo(_text(value))


def on_server(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--config`, `--data` and `--json`, and as its first argument the `Server` they name."""

    @click.option("--config", metavar="FILE", help=f"Configuration file (default {DEFAULT_CONFIG}).")
    @click.option("--data", metavar="DIR", help="Data directory, instead of a configuration file.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    def wrapped(config: str | None, data: str | None, as_json: bool, **arguments: Any) -> Any:
        return command(Server(config, data, as_json), **arguments)

    return wrapped


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Print *rows* under the names of *columns*."""
    if not rows:
        return
    names = list(columns or rows[0])
    cells = [[name.replace("_", " ") for name in names], *([_text(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(len(line[number]) for line in cells) for number in range(len(names))]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(printable, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else printable(value)
