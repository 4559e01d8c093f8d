"""`postillon serve`: the real thing."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from ..config import ConfigError, Logging, load
from .commands import DEFAULT_CONFIG, fail
from .running import run, tell_systemd


@click.command()
@click.option("--config", metavar="FILE", default=DEFAULT_CONFIG, show_default=True)
@click.option("-v", "--verbose", is_flag=True, help="Log everything.")
def serve(config: str, verbose: bool) -> None:
    """Run the server. SIGTERM ends it within five seconds, SIGHUP reads the certificate again."""
    try:
        loaded = load(config)
    except ConfigError as error:
        fail(str(error))
    if verbose:
        loaded = replace(loaded, logging=Logging("debug"))

    def announce(told: dict[str, Any]) -> None:
        tell_systemd("READY=1")

    sys.exit(run(loaded, announce))
