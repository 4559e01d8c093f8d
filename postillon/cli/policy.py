"""`postillon policy dry-run`: what other thresholds would have done to the mail of the last days."""

from __future__ import annotations

from typing import Any

import click

from .commands import Server, fail, on_server


def thresholds_of(server: Server, **changed: float | None) -> dict[str, float]:
    """Those of the configuration, with what is given in their place."""
    filters = server.config().filters
    found = {"tag": filters.tag, "junk": filters.junk, "refuse": filters.refuse}
    return found | {name: value for name, value in changed.items() if value is not None}


@click.group()
def policy() -> None:
    """What is done about mail."""


@policy.command("dry-run")
@click.option("--tag", type=float, metavar="SCORE", help="The header says why from this score on.")
@click.option("--junk", type=float, metavar="SCORE", help="Junk from this score on.")
@click.option("--refuse", type=float, metavar="SCORE", help="Refused from this score on.")
@click.option("--score", "scores", multiple=True, metavar="CODE=SCORE", help="Another score for a finding.")
@click.option("--off", multiple=True, metavar="CHECK", help="Without the findings that begin so: fraud, classifier, …")
@click.option("--days", type=click.FloatRange(0.01, 400), default=7, show_default=True, help="So many back.")
@on_server
def dry_run(
    server: Server,
    tag: float | None,
    junk: float | None,
    refuse: float | None,
    scores: tuple[str, ...],
    off: tuple[str, ...],
    days: float,
) -> None:
    """List the messages of the last days whose verdict would differ. Changes nothing."""
    weighed = {}
    for one in scores:
        code, _, value = one.partition("=")
        try:
            weighed[code] = float(value)
        except ValueError:
            fail(f"--score {one!r} is not like fraud.reply_to=2.5")
    limits = thresholds_of(server, tag=tag, junk=junk, refuse=refuse)
    result = server.ask("policy.dry_run", thresholds=limits, scores=weighed, off=list(off), days=days)
    show(server, result, ("at", "sender", "recipients", "account", "before", "after", "score_before", "score_after"))


def show(server: Server, result: dict[str, Any], columns: tuple[str, ...]) -> None:
    """A table of what would change, and how much was looked at."""
    if server.as_json:
        server.show(result)
        return
    server.show(result["changed"], columns)
    left = "" if result["is_complete"] else "; there was more than one command can tell"
    click.echo(f"{len(result['changed'])} would change, of {result['looked_at']} looked at{left}")
