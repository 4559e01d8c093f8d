"""Check that imports go only upwards in the list of layers, and that the pure packages stay pure.

Usage: python tools/layers.py    (prints each violation and exits 1 if there is any)
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "postillon"

LAYERS = (
    ("model",),
    ("message", "protocols", "sieve"),
    ("seams", "log"),
    ("mailauth", "net"),
    ("storage", "bus"),
    ("directory", "filters", "relay"),
    ("flow",),
    ("servers", "workers"),
    ("app", "config", "cli", "__main__", "supervisor", "admin"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
PURE = {"model", "message", "protocols", "sieve"}
IMPURE_MODULES = {"asyncio", "socket", "time", "random", "secrets", "logging", "os", "pathlib", "subprocess", "threading"}
OUTSIDE = {"__init__"}  # postillon/__init__.py has the version, which anybody may read


def imported(tree: ast.AST, package: list[str]) -> list[tuple[int, list[str]]]:
    """(line, dotted name in parts) of each import, relative ones resolved against *package*."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = base + (node.module.split(".") if node.module else [])
            found += [(node.lineno, [*name, alias.name]) for alias in node.names]
    return found


def check(path: Path) -> list[str]:
    parts = ["postillon", *path.relative_to(ROOT).with_suffix("").parts]
    own = parts[1]
    if own in OUTSIDE:
        return []
    if own not in RANK:
        return [f"{path}: package {own} is in no layer; add it to tools/layers.py"]
    wrong = []
    for line, name in imported(ast.parse(path.read_text()), parts[:-1]):
        if own in PURE and name[0] in IMPURE_MODULES:
            wrong.append(f"{path}:{line}: {own} is pure and may not import {name[0]}")
        if name[0] != "postillon" or len(name) < 2 or name[1] == own or name[1] not in RANK:
            continue
        if RANK[name[1]] >= RANK[own] and not (RANK[name[1]] == RANK[own] == len(LAYERS) - 1):
            wrong.append(f"{path}:{line}: {own} (layer {RANK[own] + 1}) may not import {name[1]} (layer {RANK[name[1]] + 1})")
    return wrong


def main() -> int:
    wrong = [line for path in sorted(ROOT.rglob("*.py")) for line in check(path)]
    print("\n".join(wrong) if wrong else "layers: fine")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
