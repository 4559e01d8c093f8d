"""Check the documents: every command, option and setting is told, nothing is told that is not there, links lead somewhere.

Usage: python tools/docs.py    (prints each difference and exits 1 if there is any)
"""

from __future__ import annotations

import dataclasses
import re
import sys
import types
import typing
from pathlib import Path

import click

from postillon.cli.commands import postillon
from postillon.config import Config

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ROOT / "docs" / "commands.md"
SETTINGS = ROOT / "docs" / "configuration.md"
COMMON = {"--config", "--data", "--json", "--help"}
"""Options that many commands have; told once."""


def commands(group: click.Group, above: str = "postillon") -> dict[str, set[str]]:
    """`postillon queue list` → its long options."""
    found: dict[str, set[str]] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:  # sendmail reads its words itself
            found[f"{above} {name}"] = set()
        elif isinstance(command, click.Group):
            found |= commands(command, f"{above} {name}")
        else:
            options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
            found[f"{above} {name}"] = options - COMMON
    return found


def settings(kind: typing.Any = Config, above: str = "") -> set[str]:
    """`listen.smtp` and the like, as they stand in the file. What is in a table by name counts as that table."""
    found: set[str] = set()
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.name == "development":
            continue
        hint = hints[field.name]
        options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
        inner = [option for option in options if dataclasses.is_dataclass(option)]
        name = f"{above}{field.name}"
        found |= settings(inner[0], f"{name}.") if inner else {name}
    return found


def check_commands() -> list[str]:
    text = COMMANDS.read_text() + (ROOT / "docs" / "development.md").read_text()
    known = commands(postillon)
    wrong = []
    for name, options in known.items():
        if f"`{name}" not in text:
            wrong.append(f"{COMMANDS}: `{name}` is not told")
        wrong += [f"docs: {option} of `{name}` is not told" for option in sorted(options) if option not in text]
    for told in re.findall(r"`(postillon [a-z ]*[a-z])", COMMANDS.read_text()):
        if not any(name == told or name.startswith(f"{told} ") for name in known):
            wrong.append(f"{COMMANDS}: there is no command `{told}`")
    return wrong


def check_settings() -> list[str]:
    told = set(re.findall(r"^\| `([a-z0-9_.]+)` \|", SETTINGS.read_text(), re.MULTILINE))
    known = settings()
    return [f"{SETTINGS}: `{name}` is not told" for name in sorted(known - told)] + [
        f"{SETTINGS}: there is no setting `{name}`" for name in sorted(told - known)
    ]


def check_links() -> list[str]:
    wrong = []
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("decisions/*.md"), *ROOT.glob("bench/*.md")]
    for page in pages:
        targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        wrong += [f"{page}: the link to {target} leads nowhere" for target in targets if not (page.parent / target).exists()]
    return wrong


def main() -> int:
    wrong = [*check_commands(), *check_settings(), *check_links()]
    print("\n".join(wrong) if wrong else "docs: fine")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
