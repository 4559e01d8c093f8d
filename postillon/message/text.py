"""Text for search and previews: the decoded text parts, HTML reduced to its text, decoded header fields.

HTML is only stripped, never shown: this is no sanitiser. Everything is linear, and nothing is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html.entities import html5

from . import charset, transfer
from .encoded_words import decode, decode_parameters
from .header import fields, unfold
from .part import Part

_TAG = re.compile(
    r"<(?:(!--)|([!/?]?[A-Za-z][A-Za-z0-9:-]*+)((?:[^<>\"']++|\"[^\"]*+\"|'[^']*+'|[\"'])*+)>?)",
)
_BLOCK_NAMES = (
    """address article aside blockquote br caption center dd details div dl dt fieldset figcaption figure footer form h1 h2 h3
    h4 h5 h6 header hr li main nav ol option p pre section table tbody td tfoot th thead tr ul"""
)  # fmt: skip
_BLOCK = frozenset(_BLOCK_NAMES.split())
_ENDS = {name: re.compile(rf"</{name}(?![A-Za-z0-9])", re.IGNORECASE) for name in ("script", "style", "title", "template")}
"""Elements whose content is not shown, and where they end."""
_ENDS["!--"] = re.compile("-->")
_ENTITY = re.compile(r"&(?:#([0-9]++)|#[xX]([0-9A-Fa-f]++)|([A-Za-z][A-Za-z0-9]{1,31}+));?+")
_SHOWN_TEXT = re.compile(r"""\balt\s*+=\s*+(?:"([^"]*+)"|'([^']*+)')""", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\f\v\xa0]+")
_LINES = re.compile(r" ?\n[ \n]*")


def text_parts(part: Part) -> Iterator[Part]:
    """The text/* parts of a tree in order, those of embedded messages too; attachments of text are included."""
    work = [part]
    while work:
        one = work.pop()
        if one.message:
            work.append(one.message)
        elif one.children:
            work += reversed(one.children)
        elif one.type == b"text":
            yield one


def messages(part: Part) -> Iterator[Part]:
    """The message itself and all embedded ones, outer before inner: those whose headers search looks at."""
    yield part
    work = [part]
    while work:
        one = work.pop()
        if one.message:
            yield one.message
            work.append(one.message)
        work += reversed(one.children)


def part_text(part: Part, octets: bytes) -> str:
    """The text of a text part from its body *octets*, still encoded; HTML is reduced to what it shows. Line ends are LF."""
    decoded = transfer.decode(octets, part.encoding)
    label = decode_parameters(part.params).get("charset", "us-ascii") if part.params else "us-ascii"
    text = charset.decode(decoded, label)
    if part.subtype == b"html":
        return html_text(text)
    return text.replace("\r\n", "\n")


def html_text(markup: str) -> str:
    """What *markup* shows, roughly: no tags, comments, scripts or styles; blocks begin a line; entities are decoded."""
    pieces: list[str] = []
    endless: set[str] = set()
    at = 0
    while match := _TAG.search(markup, at):
        pieces.append(_one_line(markup[at : match.start()]))
        at = match.end()
        name = match[1] or match[2].lower()
        if name in _ENDS and name not in endless:
            end = _ENDS[name].search(markup, at)
            if end is None:
                endless.add(name)  # hides nothing, better too much text than none; and is not looked for again
            else:
                at = end.end() if name == "!--" else end.start()
        elif name.lstrip("/") in _BLOCK:
            pieces.append("\n")
        elif name == "img" and (shown := _SHOWN_TEXT.search(match[3])):
            pieces.append(f" {_one_line(shown[1] or shown[2] or '')} ")
    pieces.append(_one_line(markup[at:]))
    text = _ENTITY.sub(_character, "".join(pieces))
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip(" \n")


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")


def _character(match: re.Match[str]) -> str:
    """What an entity stands for. `html.unescape` raises on numbers of thousands of digits, so the table only."""
    decimal, hexadecimal, name = match.groups()
    if name:
        return html5.get(name + ";") or html5.get(name) or match[0]
    if len(decimal or hexadecimal) > 7:
        return " "
    code = int(decimal) if decimal else int(hexadecimal, 16)
    if code in (0, 10, 13) or 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
        return " "
    return chr(code)


def header_text(header: bytes, names: Iterable[bytes] | None = None) -> str:
    """The decoded fields of a header block, one `Name: value` a line; only those with one of *names* (any case) if given."""
    wanted = None if names is None else {name.lower() for name in names}
    return "\n".join(
        f"{field.name.decode('ascii')}: {decode(unfold(field.value))}"
        for field in fields(header)
        if field.name and (wanted is None or field.name.lower() in wanted)
    )
