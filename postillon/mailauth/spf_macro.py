"""SPF's macros (RFC 7208 §7): syntax and expansion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

MAX_NAME = 253
MAX_EXPANDED = 16 * 1024

_MACRO = re.compile(r"%(?:\{([slodiphcrtv])(\d{0,3})(r?)([.\-+,/_=]*+)\}|([%_\-]))", re.IGNORECASE)
# RFC 7208 §7.1: a domain-spec ends with a macro or a top label that is not all digits.
_DOMAIN_END = re.compile(r"\.(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])\.?")
_LITERAL = {"%": "%", "_": " ", "-": "%20"}
_ONLY_IN_EXPLANATION = set("crt")


class MacroError(ValueError):
    """The text is no macro-string."""


class Macro(NamedTuple):
    letter: str
    keep: int
    """How many parts from the right; 0: all."""
    is_reversed: bool
    delimiters: str


Piece = str | Macro


def parse(text: str, in_explanation: bool = False) -> tuple[Piece, ...]:
    """The pieces of a macro-string. Raises MacroError."""
    if "%" not in text:
        return (text,) if text else ()
    pieces: list[Piece] = []
    at = 0
    while (found := text.find("%", at)) >= 0:
        if found > at:
            pieces.append(text[at:found])
        match = _MACRO.match(text, found)
        if match is None:
            raise MacroError("bad macro")
        letter, keep, is_reversed, delimiters, literal = match.groups()
        if literal:
            pieces.append(_LITERAL[literal])
        else:
            if letter.lower() in _ONLY_IN_EXPLANATION and not in_explanation:
                raise MacroError(f"macro {letter} is for explanations only")
            if keep and int(keep) == 0:
                raise MacroError("macro keeps no part")
            pieces.append(Macro(letter, int(keep or 0), bool(is_reversed), delimiters or "."))
        at = match.end()
    if at < len(text):
        pieces.append(text[at:])
    return tuple(pieces)


def parse_domain_spec(text: str) -> tuple[Piece, ...]:
    """The pieces of a domain-spec. Raises MacroError."""
    pieces = parse(text)
    if not pieces or any(isinstance(piece, str) and not _is_visible(piece) for piece in pieces):
        raise MacroError("bad domain")
    last = pieces[-1]
    if isinstance(last, str) and not (text.endswith(("%%", "%_", "%-")) or _ends_well(last)):
        raise MacroError("bad end of a domain")
    return pieces


def _is_visible(text: str) -> bool:
    return (text.isascii() and all("!" <= char <= "~" for char in text)) or text == " "


def _ends_well(text: str) -> bool:
    dot = text.rfind(".", 0, len(text) - 1)
    return dot >= 0 and _DOMAIN_END.fullmatch(text, dot) is not None


def letters(pieces: tuple[Piece, ...]) -> set[str]:
    """Which macro letters there are, in lower case."""
    return {piece.letter.lower() for piece in pieces if isinstance(piece, Macro)}


def expand(pieces: tuple[Piece, ...], values: Mapping[str, str]) -> str:
    """The text, with *values* by lower-case letter. What would be longer than MAX_EXPANDED is cut."""
    found: list[str] = []
    size = 0
    for piece in pieces:
        text = piece if isinstance(piece, str) else _value(piece, values[piece.letter.lower()])
        found.append(text)
        size += len(text)
        if size > MAX_EXPANDED:
            break
    return "".join(found)[:MAX_EXPANDED]


def _value(macro: Macro, value: str) -> str:
    if macro.delimiters != "." or macro.keep or macro.is_reversed:
        for delimiter in macro.delimiters[1:]:
            value = value.replace(delimiter, macro.delimiters[0])
        parts = value.split(macro.delimiters[0])
        if macro.is_reversed:
            parts.reverse()
        value = ".".join(parts[-macro.keep :])
    return quote(value, safe="", errors="replace") if macro.letter.isupper() else value


def as_name(text: str) -> str:
    """An expanded domain-spec as a name to ask for; RFC 7208 §7.3: too long a one loses labels from the left."""
    name = text.removesuffix(".")
    if len(name) > MAX_NAME:
        name = name[-MAX_NAME - 1 :].partition(".")[2]
    return name
