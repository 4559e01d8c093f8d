"""What a name looks like to a hurried reader, and what may be mistaken for it. Pure.

A *skeleton* (UTS #39) is a name with every letter replaced by the Latin one that it looks like: two names with one skeleton look
the same. *Shapes* are hashes by which the names a typing mistake away are found with an index: of the name and of the name
without any one letter; two names that differ by one letter more, less, other or out of order share a shape.
"""

from __future__ import annotations

import hashlib
import unicodedata
from functools import lru_cache

import idna

from .confusables import LOOKS_LIKE

_TABLE = str.maketrans(
    {other: latin for latin, others in LOOKS_LIKE.items() for other in others} | {"0": "o", "1": "l", "|": "l"}
)
_PAIRS = (("rn", "m"), ("vv", "w"))
MAX_NAME = 64
MIN_TYPED = 5
"""Letters a name must have for a typing mistake to mean anything: short names are near each other by chance."""
_SECOND_LEVEL = frozenset(
    ["ac", "co", "com", "edu", "gob", "gouv", "gov", "govt", "gv", "mil", "ne", "net", "nhs", "nom", "or", "org", "police", "sch"]
)


@lru_cache(maxsize=4096)
def skeleton(text: str) -> str:
    """What *text* looks like, in lower case without marks."""
    text = unicodedata.normalize("NFKC", text[: 4 * MAX_NAME])
    if not text.isascii():
        text = unicodedata.normalize("NFD", text.casefold())
        text = "".join(char for char in text if not unicodedata.combining(char) and unicodedata.category(char) != "Cf")
    text = text.lower().translate(_TABLE)
    for pair, single in _PAIRS:
        text = text.replace(pair, single)
    return text


@lru_cache(maxsize=4096)
def shown(domain: str) -> str:
    """The domain as a reader sees it: A-labels decoded where that works."""
    if "xn--" not in domain:
        return domain
    labels = []
    for label in domain.split("."):
        try:
            labels.append(idna.ulabel(label) if label.startswith("xn--") else label)
        except (idna.IDNAError, UnicodeError):
            labels.append(label)
    return ".".join(labels)


def site(domain: str) -> str:
    """The part of a domain that somebody registers: two labels, three under the likes of co.uk. Near enough for a comparison."""
    labels = domain.rsplit(".", 3)
    count = 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    return ".".join(labels[-count:])


@lru_cache(maxsize=4096)
def label(domain: str) -> str:
    """The name in `site`, as it looks: `paypal` of `www.paypal.com`."""
    return skeleton(shown(site(domain)).partition(".")[0])[:MAX_NAME]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big") >> 1


@lru_cache(maxsize=4096)
def shapes(domain: str) -> tuple[int, ...]:
    """By which names that may be mistaken for *domain* are found: they share one of these."""
    name = label(domain)
    found = {name}
    if len(name) >= MIN_TYPED:
        found |= {name[:at] + name[at + 1 :] for at in range(len(name))}
    return tuple(sorted(map(_hash, found)))


@lru_cache(maxsize=4096)
def name_hash(name: str) -> int:
    """Of a display name, as it looks, the order of its words aside; 0 of one that says too little."""
    words = sorted(word.strip(".,;:'\"()<>") for word in skeleton(name).replace("-", " ").split())
    words = [word for word in words if word]
    return _hash(" ".join(words)) if len(words) >= 2 and sum(map(len, words)) >= 6 else 0


def likeness(domain: str, known: str) -> str:
    """How *domain* may be mistaken for *known*: `looks`, `typing`, `ending`, or empty if it is the same site or is not alike."""
    own, other = site(domain), site(known)
    if own == other:
        return ""
    name, known_name = label(domain), label(known)
    if name == known_name:
        same = shown(own).partition(".")[0] == shown(other).partition(".")[0]
        return ("ending" if len(name) > 3 else "") if same else "looks"
    if min(len(name), len(known_name)) >= MIN_TYPED and _is_near(name, known_name):
        return "typing"
    return ""


def _is_near(a: str, b: str) -> bool:
    """Whether one letter more, less, other or two letters out of order make *a* into *b*."""
    if abs(len(a) - len(b)) > 1:
        return False
    start = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    x, y = a[start:], b[start:]
    return x[1:] == y[1:] or x[1:] == y or x == y[1:] or (len(x) > 1 and x[:2] == y[1::-1] and x[2:] == y[2:])
