"""What programs for people do not do to a message, and senders in bulk or in disguise do. Each alone says little."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from ..message.date import parse_date
from ..message.text import html_text
from ..model.verdict import NO_OPINION, Finding, Opinion, finding
from .examined import Examined
from .shapes import skeleton

FUTURE_S, PAST_S = 2 * 86400, 60 * 86400
MAX_CHARACTERS = 8192
"""Of a text that is looked at."""
LITTLE = 40
"""Characters: a text that says nothing."""

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff\u034f]")
_HIDDEN = re.compile(
    r"display\s{0,3}:\s{0,3}none|font-size\s{0,3}:\s{0,3}0(?:px|pt|em)?\s{0,3}[;\"']|visibility\s{0,3}:\s{0,3}hidden"
)
_WORD = re.compile(r"\w{3,40}")
_ID = re.compile(rb"<[^<>@\s]{1,250}@([^<>@\s]{1,250})>")


class Oddities:
    name = "oddities"
    is_local = True

    async def examine(self, examined: Examined) -> Opinion:
        found = (*_header(examined), *_names(examined), *_body(examined))
        return Opinion(found) if found else NO_OPINION


def _header(examined: Examined) -> Iterable[Finding]:
    named = examined.content.named
    if not named(b"from"):
        yield finding("oddities.no_from", 1.5)
    date = examined.first(b"date")
    if date is None:
        yield finding("oddities.no_date", 0.8)
    else:
        moment = parse_date(date)
        away = moment[0] - examined.incoming.at if moment else 0
        if moment is None or away > FUTURE_S:
            yield finding("oddities.date", 1.0, date=date[:60].decode("utf-8", "replace"))
        elif away < -PAST_S:
            yield finding("oddities.old", 0.5, date=date[:60].decode("utf-8", "replace"))
    identifier = examined.first(b"message-id")
    if identifier is None or not _ID.fullmatch(identifier):
        yield finding("oddities.no_id", 0.5)
    if not named(b"to") and not named(b"cc") and examined.incoming.envelope.sender is not None:
        yield finding("oddities.no_to", 0.3)


def _names(examined: Examined) -> Iterable[Finding]:
    """Words of letters that look alike and are of two alphabets: nobody types that."""
    for text in (examined.author_name[:300], examined.subject[:300]):
        if not text.isascii():
            mixed = next((word for word in _WORD.findall(text) if _is_disguised(word)), "")
            if mixed:
                yield finding("oddities.mixed_letters", 2.5, word=mixed, looks=skeleton(mixed))
                return


def _is_disguised(word: str) -> bool:
    if word.isascii() or not any(char.isascii() and char.isalpha() for char in word):
        return False
    return any(_is_foreign(char) for char in word) and skeleton(word).isascii()


def _is_foreign(char: str) -> bool:
    """A letter of another script than Latin."""
    return not char.isascii() and char.isalpha() and not unicodedata.name(char, "").startswith(("LATIN", "FULLWIDTH LATIN"))


def _body(examined: Examined) -> Iterable[Finding]:
    text = "\n".join(part[:MAX_CHARACTERS] for part in examined.plain[:2])
    markup = "\n".join(part[:MAX_CHARACTERS] for part in examined.html[:2])
    if not markup.isascii() or not text.isascii():
        count = len(_INVISIBLE.findall(text)) + len(_INVISIBLE.findall(markup))
        if count > 20:
            yield finding("oddities.invisible", 1.0, count=count)
    hidden = len(_HIDDEN.findall(markup.lower())) if markup else 0
    if hidden > 5:
        yield finding("oddities.hidden", 0.7, count=hidden)
    leaves = examined.leaves
    if markup and not text and len(leaves) == 1:
        yield finding("oddities.html_only", 0.3)
    images = [part for part in leaves if part.type == b"image" and part.size > 20_000]
    if images and len(text.strip()) + len(html_text(markup)) < LITTLE:
        yield finding("oddities.picture", 1.2)
    if any(part.type == b"text" and part.encoding == b"base64" for part in leaves) and text and text.isascii():
        yield finding("oddities.encoded", 0.6)
