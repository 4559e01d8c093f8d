"""Check the documents against the program: what is there is told, what is told is there, and links lead somewhere.

Commands and options (docs/commands.md), settings with their defaults (docs/configuration.md), statuses (docs/errors.md), limits
(docs/security.md), areas of the log (docs/operations.md), seams and files (ARCHITECTURE.md, decisions/), RFCs (docs/rfc.md, by
tools/rfc.py).

Usage: python tools/docs.py    (prints each difference and exits 1 if there is any)
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import click
import rfc

from postillon import seams
from postillon.cli.commands import postillon
from postillon.config import Config, Size

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *ROOT.glob("decisions/*.md"), *ROOT.glob("bench/*.md")])
COMMON = {"--config", "--data", "--json", "--help"}
"""Options that many commands have; told once."""
PLACES = ("etc", "var", "run", "opt", "usr", "bin", "dev", "proc", "mnt", "srv", "path")
"""Where a path in a document may begin: a path of the machine it was written on is of no use to a reader."""
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "min": 60, "h": 3600, "days": 86400}


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def column(page: Path, pattern: str) -> set[str]:
    """What stands in backticks in the first column of the page's tables."""
    return set(re.findall(rf"^\| `({pattern})`", text(page), re.MULTILINE))


# --- commands -----------------------------------------------------------------------------------------------------------


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


def check_commands() -> Iterator[str]:
    known = commands(postillon)
    options = {option for each in known.values() for option in each} | COMMON
    rows = dict(
        re.findall(
            r"^\| `(postillon [a-z]+(?: [a-z]+(?:-[a-z]+)*)*)[^\n|]*\|([^\n]*)\|$", text(DOCS / "commands.md"), re.MULTILINE
        )
    )
    rows["postillon dev"] = rows.get("postillon dev", "") + text(DOCS / "dev-mode.md")
    for name, its in known.items():
        if name not in rows:
            yield f"docs/commands.md: `{name}` is not told"
        yield from (f"docs: {option} of `{name}` is not told" for option in sorted(its) if option not in rows.get(name, ""))
    for name in sorted(set(rows) - set(known)):
        yield f"docs/commands.md: there is no command `{name}`"
    for page in (DOCS / "commands.md", DOCS / "dev-mode.md"):
        for option in sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text(page))) - options):
            yield f"{page.name}: there is no option {option}"
    for page in PAGES:
        for told in re.findall(r"(?:^|`|\$ |/)postillon ((?:[a-z]+ ?)+)", text(page), re.MULTILINE):
            first = told.split()[0]
            if not any(name.split()[1] == first for name in known):
                yield f"{page.name}: there is no command `postillon {first}`"


# --- settings and limits ------------------------------------------------------------------------------------------------


def settings(kind: typing.Any = Config, above: str = "") -> dict[str, typing.Any]:
    """`listen.smtp` and the like, with their defaults. What is in a table by name counts as that table."""
    found: dict[str, typing.Any] = {}
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.name == "development":
            continue
        hint = hints[field.name]
        options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
        inner = [option for option in options if dataclasses.is_dataclass(option)]
        name = f"{above}{field.name}"
        found |= settings(inner[0], f"{name}.") if inner else {name: field.default}
    return found


def check_settings() -> Iterator[str]:
    rows = dict(re.findall(r"^\| `([a-z0-9_.]+)` \| ([^|]*) \|", text(DOCS / "configuration.md"), re.MULTILINE))
    known = settings()
    yield from (f"docs/configuration.md: `{name}` is not told" for name in sorted(set(known) - set(rows)))
    yield from (f"docs/configuration.md: there is no setting `{name}`" for name in sorted(set(rows) - set(known)))
    for name in set(known) & set(rows):
        default, told = known[name], rows[name].strip("`")
        if isinstance(default, Size):
            is_right = Size.parse(told.strip('"')) == default
        elif isinstance(default, float):
            is_right = told == f"{default:g}"
        elif isinstance(default, int):
            is_right = told == str(default).lower()
        else:  # an empty text and what has no default are told in words
            is_right = (
                not default
                or default is dataclasses.MISSING
                or told == str(list(default)).replace("'", '"')
                or told == f'"{default}"'
            )
        if not is_right:
            yield f"docs/configuration.md: the default of `{name}` is {default!r}, not {told}"


def check_limits() -> Iterator[str]:
    """Rows that end in `servers/pop3/session.py` `Pop3Settings.idle_timeout_s` or `… CONSTANT`: the number must be that."""
    for told, path, name in re.findall(
        r"\| ([^|\n]*) \| `([a-z0-9_/]+)\.py` `([\w.]+)` \|$", text(DOCS / "security.md"), re.MULTILINE
    ):
        found: typing.Any = importlib.import_module("postillon." + path.replace("/", "."))
        for part in name.split("."):
            fields = {field.name: field.default for field in dataclasses.fields(found)} if dataclasses.is_dataclass(found) else {}
            found = fields[part] if part in fields else getattr(found, part)
        number = re.match(r"([\d,.]+)(?: (KiB|MiB|GiB|min|h|days)\b)?", told)
        if number is None or float(number[1].replace(",", "")) * UNITS.get(number[2], 1) != found:
            yield f"docs/security.md: {name} is {found}, not {told}"


# --- statuses, seams, links, paths --------------------------------------------------------------------------------------


def statuses() -> set[str]:
    """Every enhanced status of a refusal that stands in the code as a text of its own."""
    trees = (ast.parse(text(path)) for path in (ROOT / "postillon").rglob("*.py"))
    texts = {
        node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {each for each in texts if re.fullmatch(r"[45]\.\d+\.\d+", each)}


def check_statuses() -> Iterator[str]:
    told, known = column(DOCS / "errors.md", r"[45]\.\d+\.\d+"), statuses()
    yield from (f"docs/errors.md: {status} is not told" for status in sorted(known - told))
    yield from (f"docs/errors.md: nobody says {status}" for status in sorted(told - known))


def check_log_areas() -> Iterator[str]:
    """The first word of an event: `Log("queue")`."""
    known = {area for path in (ROOT / "postillon").rglob("*.py") for area in re.findall(r'\bLog\("([a-z0-9]+)"', text(path))}
    told = set(re.findall(r"[a-z0-9]+", text(DOCS / "operations.md").partition("Areas:")[2].partition(".")[0]))
    yield from (f"docs/operations.md: the log area {area} is not told" for area in sorted(known - told))
    yield from (f"docs/operations.md: nothing logs as {area}" for area in sorted(told - known))


def check_seams() -> Iterator[str]:
    """Seams and tables."""
    known = {
        name for name, kind in vars(seams).items() if getattr(kind, "_is_protocol", False) and kind.__module__ == seams.__name__
    }
    told = text(ROOT / "ARCHITECTURE.md")
    for path in (ROOT / "postillon" / "storage" / "db").glob("*schema/step_*.py"):
        known |= set(re.findall(r"CREATE TABLE (\w+)", text(path)))
    yield from (f"ARCHITECTURE.md: {name} is not told" for name in sorted(known) if f"`{name}`" not in told)


def check_places() -> Iterator[str]:
    for page in PAGES:
        where, content = page.relative_to(ROOT), text(page)
        rows = re.findall(r"^\| (`[^`]+`)", content, re.MULTILINE)
        yield from (f"{where}: {row} is told twice" for row in sorted(set(rows)) if rows.count(row) > 1 and page.name != "dns.md")
        targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", content)
        yield from (f"{where}: the link to {target} leads nowhere" for target in targets if not (page.parent / target).exists())
        for path in re.findall(r"(?<![\w.:/<~$])/([a-z]+)/\w", content):
            if path not in PLACES:
                yield f"{where}: /{path}/… is a path of some machine"
        for path in re.findall(r"`((?:postillon/|tools/|tests/|bench/|[a-z_]+/)[\w/]*\.(?:py|md|txt))`", content):
            if not (ROOT / path).exists() and not (ROOT / "postillon" / path).exists():
                yield f"{where}: there is no file {path}"
        for path, name in re.findall(r"`([a-z_/]+\.py)` `([A-Za-z_.]+)`", content):
            file = next((base / path for base in (ROOT, ROOT / "postillon") if (base / path).exists()), None)
            if file and any(not re.search(rf"\b{part}\b", text(file)) for part in name.split(".")):
                yield f"{where}: there is no {name} in {path}"


CHECKS = (
    check_commands,
    check_settings,
    check_limits,
    check_statuses,
    check_log_areas,
    check_seams,
    check_places,
    rfc.complaints,
)


def main() -> int:
    wrong = [line for check in CHECKS for line in check()]
    print("\n".join(wrong) if wrong else "docs: fine")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
