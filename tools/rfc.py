"""Which code refers to which RFC: `docs/rfc.md` is made from the comments of the form `RFC n §s`.

Usage: python tools/rfc.py               write docs/rfc.md
       python tools/rfc.py --check       say whether it is up to date (exit status 1 if not)
       python tools/rfc.py 5321 [4.5.3]  the places that refer to it, by line
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "rfc.md"
TITLES = ROOT / "tools" / "rfc-titles.txt"
"""`number title` a line."""

# `RFC 3461 §4.1, §5.2`, `RFC 6409 §6 and §8`, `RFC 2045, 2046`: a number, its sections, and further numbers.
SECTION = r"§[0-9A-Z][0-9.]*"
SECTIONS = rf"(?:(?:,| and| to)? {SECTION})*"
REFERENCE = re.compile(rf"RFC ((?:\d{{3,5}}{SECTIONS}(?:, (?=\d{{4}}\b))?)+)")
PART = re.compile(rf"(\d{{3,5}})({SECTIONS})")
WRONG = re.compile(r"RFC-?\d{4}\b|RFC \d+ (?:[Ss]ection|sec\.)")

HEAD = """\
# RFCs

Made by `python tools/rfc.py` from the comments in the code; do not edit. `python tools/rfc.py 5321 4.5.3` prints the lines.

A reference says where a rule was looked up. It is no claim that all of that RFC is served: what is offered to clients is in
[clients](clients.md), and the grammar of IMAP knows extensions that are not offered yet.
"""


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    number: int
    section: str
    """Without `§`; empty: the whole."""
    file: str
    line: int


def in_text(text: str) -> Iterator[tuple[int, str]]:
    """(number, section) of each reference."""
    for found in REFERENCE.finditer(text):
        for number, sections in PART.findall(found[1]):
            named = re.findall(SECTION, sections)
            yield from ((int(number), name[1:].rstrip(".")) for name in named or [""])


def references() -> list[Reference]:
    return sorted(
        Reference(number, section, str(path.relative_to(ROOT)), line)
        for path in sorted((ROOT / "postillon").rglob("*.py"))
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for number, section in in_text(text)
    )


def page() -> str:
    """The text of docs/rfc.md."""
    lines = [HEAD]
    known = references()
    titles = dict(line.split(" ", 1) for line in TITLES.read_text(encoding="utf-8").splitlines())
    for number in sorted({reference.number for reference in known}):
        lines.append(f"**RFC {number}** {titles.get(str(number), '')}\n")
        sections = sorted({one.section for one in known if one.number == number}, key=_order)
        for section in sections:
            files = dict.fromkeys(one.file for one in known if (one.number, one.section) == (number, section))
            links = ", ".join(f"[{file.removeprefix('postillon/')}](../{file})" for file in files)
            lines.append(f"- {'§' + section + ': ' if section else ''}{links}")
        lines.append("")
    return "\n".join(lines)


def _order(section: str) -> list[tuple[bool, int, str]]:
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in section.split(".")]


def complaints() -> list[str]:
    """What is wrong with the references and the page; empty if nothing."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: write `RFC n §s`"
        for path in sorted((ROOT / "postillon").rglob("*.py"))
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if WRONG.search(text)
    ]
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        wrong.append("docs/rfc.md is not what the code says: run `python tools/rfc.py`")
    return wrong


def main(words: list[str]) -> int:
    if words == ["--check"]:
        wrong = complaints()
        print("\n".join(wrong) if wrong else "rfc: fine")
        return 1 if wrong else 0
    if words and words[0].isdigit():
        for one in references():
            if one.number == int(words[0]) and (len(words) < 2 or f"{one.section}.".startswith(f"{words[1]}.")):
                print(f"{one.file}:{one.line}: RFC {one.number}{' §' + one.section if one.section else ''}")
        return 0
    if words:
        print(__doc__)
        return 2
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
