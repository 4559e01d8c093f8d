"""A message as a set of tokens, for the classifier: words of the text, of the subject, of the sender, hosts of links, structure.

A token is 32 bits of a checksum: nothing readable is stored. However long a message is, it has a bounded number of them: of the
words of the text those with the smallest checksums, so that the same are chosen when it is learned and when it is judged. Pure.
"""

from __future__ import annotations

import re
from zlib import crc32

from .examined import Examined

VERSION = 1
"""Of the way in which tokens are made: what was learned in another way cannot be taken back."""
MAX_WORDS = 100
"""Words of the text that count."""
MAX_OTHERS = 60
MAX_CHARACTERS = 48 * 1024
"""Of text that is looked at."""

_WORD = re.compile(r"[^\W_][\w'’$€£%-]{2,23}")
_TAG = re.compile(r"<[^<>]*+>")
_HOST = re.compile(r"https?://(?:[^\s/<>\"'@]{0,100}@)?([\w.-]{3,100})", re.IGNORECASE)


def words(text: str) -> set[str]:
    return set(_WORD.findall(text[:MAX_CHARACTERS].lower()))


def _checksums(found: set[str]) -> set[int]:
    return {crc32(word.encode("utf-8", "replace")) for word in found}


def visible(markup: str) -> str:
    """HTML without its tags, roughly and quickly: for counting words, not for reading."""
    markup = markup[:MAX_CHARACTERS]
    if "<style" in markup.lower() or "<script" in markup.lower():
        markup = _without_styles(markup)
    return _TAG.sub(" ", markup)


def _without_styles(markup: str) -> str:
    """Each style ends at the next end tag of its kind; one without an end hides nothing."""
    low = markup.lower()
    for name in ("style", "script"):
        kept: list[str] = []
        at = 0
        while (start := low.find("<" + name, at)) >= 0:
            end = low.find("</" + name, start)
            if end < 0:
                break
            kept.append(markup[at:start])
            at = end
        markup = "".join([*kept, markup[at:]])
        low = markup.lower()
    return markup


def tokens(examined: Examined) -> tuple[int, ...]:
    """The tokens of a message, ascending."""
    texts = [*examined.plain, *map(visible, examined.html)]
    found: set[str] = set()
    left = MAX_CHARACTERS
    for text in texts:
        found |= words(text[:left])
        left -= len(text)
        if left <= 0:
            break
    chosen = sorted(_checksums(found))[:MAX_WORDS]
    others = sorted(_others(examined))[:MAX_OTHERS]
    return tuple(sorted({*chosen, *_checksums(set(others))}))


def _others(examined: Examined) -> set[str]:
    """What is not in the text, each marked by where it is from."""
    found = {f"subject:{word}" for word in words(examined.subject)}
    if examined.author:
        found |= {f"from:{examined.author}", f"from:{examined.author_domain}"}
    found |= {f"name:{word}" for word in words(examined.author_name)}
    for name in (b"x-mailer", b"reply-to", b"list-id"):
        value = examined.first(name)
        if value:
            found.add(f"{name.decode()}:{value[:80].decode('utf-8', 'replace').lower()}")
    for text in (*examined.plain, *examined.html):
        found |= {f"host:{host.lower()}" for host in _HOST.findall(text[:MAX_CHARACTERS])[:30]}
    found |= {f"part:{part.content_type.decode('ascii', 'replace')}" for part in examined.leaves[:20]}
    return found
