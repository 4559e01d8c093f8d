"""Where in a TOML file each key stands, so that a wrong value can be shown with its line.

`tomllib` gives values without positions. This scanner reads only as much TOML as it takes to find keys: headers, (dotted, quoted)
keys and where a value that spans lines ends. It is used after `tomllib` has accepted the text, so it need not judge it.
"""

from __future__ import annotations

import re

Path = tuple[str, ...]

_PART = r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|[A-Za-z0-9_-]+"
_NAME = rf"(?:{_PART})(?:\s*\.\s*(?:{_PART}))*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_NAME})\s*\]")
_KEY = re.compile(rf"\s*({_NAME})\s*=")
_TOKEN = re.compile(r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}\n]', re.DOTALL)


def key_lines(text: str) -> dict[Path, int]:
    """Line number (from 1) of each table header and each key, by full path.

    Elements of an array of tables count from 0: `("route", "1", "host")`.
    """
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    at = 0
    while at < len(text):
        if header := _HEADER.match(text, at):
            table = _split(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, str(counts[table]))
            found.setdefault(table, _line(text, header.start(1)))
            at = _end_of_line(text, header.end())
        elif key := _KEY.match(text, at):
            found.setdefault(table + _split(key[1]), _line(text, key.start(1)))
            at = _end_of_value(text, key.end())
        else:
            at = _end_of_line(text, at)
    return found


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of *path*, or of the nearest key around it."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _split(name: str) -> Path:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in re.findall(_PART, name))


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _end_of_value(text: str, at: int) -> int:
    """Just past the line on which the value that begins at *at* ends."""
    depth = 0
    for token in _TOKEN.finditer(text, at):
        mark = token[0]
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        elif mark == "\n" and depth <= 0:
            return token.end()
    return len(text)
