"""A message as a set of tokens, for the classifier: words of the text, of the subject, of the sender, hosts of links, structure.

A token is 32 bits of a checksum: nothing readable is stored. However long a message is, it has a bounded number of them: of the
words of the text those with the smallest checksums, so that the same are chosen when it is learned and when it is judged. Pure.
"""

from __future__ import annotations

from zlib import crc32

from .examined import Examined
from .links import links_of

VERSION = 1
"""Of the way in which tokens are made: what was learned in another way cannot be taken back."""
MAX_WORDS = 80
"""Words of the text that count."""
MAX_OTHERS = 40
MAX_CHARACTERS = 4096
"""Of a text part that are looked at: what a message wants stands at its beginning."""

MAX_PARTS = 4
_SEPARATORS = b' \t\r\n\x00.,;:!?()[]{}<>"/\\|=+*&#~^`_'
_LETTERS = bytes(32 if octet in _SEPARATORS or octet < 32 else octet + 32 if 65 <= octet <= 90 else octet for octet in range(256))
"""Octets in lower case, and blank where a word ends; octets of other scripts are letters."""
MAX_WORD = 40
"""Octets: a text of longer words has no blanks between them, so its pairs of letters are taken for words."""


def words(text: str) -> set[bytes]:
    """The words of *text*, in lower case. Whole texts go through C code: this is most of what the classifier costs."""
    octets = (text if text.isascii() else text.lower()).encode("utf-8", "replace")
    found = octets.translate(_LETTERS).split()
    if len(octets) > MAX_WORD * len(found):
        found += [text[at : at + 2].encode("utf-8", "replace") for at in range(min(len(text) - 1, 4000))]
    return set(found)


def _smallest(checksums: list[int], count: int) -> list[int]:
    """The *count* smallest of them, ascending."""
    if len(checksums) > 2 * count:
        # They are spread evenly: what is certainly too large need not be sorted.
        limit = (1 << 33) * count // len(checksums)
        near = [one for one in checksums if one < limit]
        checksums = near if len(near) >= count else checksums
    return sorted(checksums)[:count]


def tokens(examined: Examined) -> tuple[int, ...]:
    """The tokens of a message, ascending."""
    # Markup is read as it stands: its tags and styles tell senders apart as well as words do.
    text = "\n".join(part[:MAX_CHARACTERS] for part in (*examined.plain, *examined.html)[:MAX_PARTS])
    chosen = _smallest(list(map(crc32, words(text))), MAX_WORDS)
    others = sorted(_others(examined))[:MAX_OTHERS]
    return tuple(sorted({*chosen, *map(crc32, others)}))


def _others(examined: Examined) -> set[bytes]:
    """What is not in the text, each marked by where it is from."""
    found = {b"subject:" + word for word in words(examined.subject)}
    if examined.author:
        author = examined.author.encode("utf-8", "replace")
        found |= {b"from:" + author, b"from:" + author.rpartition(b"@")[2]}
    found |= {b"name:" + word for word in words(examined.author_name)}
    for name in (b"x-mailer", b"reply-to", b"list-id"):
        value = examined.first(name)
        if value:
            found.add(name + b":" + value[:80].lower())
    found |= {b"host:" + host.encode("utf-8", "replace") for host in {one.host for one in links_of(examined)[:30]}}
    found |= {b"part:" + part.content_type for part in examined.leaves[:20]}
    return found
