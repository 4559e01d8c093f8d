"""Where a message's links lead, and what they say that they lead to. Pure; linear in the text, at most MAX_LINKS links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import unescape

from ..mailauth.names import canonical
from .examined import Examined

MAX_LINKS = 100
MAX_URL = 2000
MAX_SHOWN = 300

_ANCHOR = re.compile(r"<(/?)a(?![A-Za-z0-9])([^<>]*+)>", re.IGNORECASE)
_HREF = re.compile(r"""(?<![A-Za-z])href\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"']++))""", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*+>")
_REST = re.compile(r"""[^\s<>"'\x00-\x1f]{1,2000}+""")
_HOST = re.compile(r"(?:https?:)?[/\\]{2}([^/\\?#]*+)", re.IGNORECASE)
_PLACE = re.compile(r"(?:https?://)?((?:[^\s./:@<>]{1,63}+\.){1,8}+[^\W\d_]{2,24}+)(?:[/:?#]\S*+)?\.?", re.IGNORECASE)
_NUMBERS = re.compile(r"\[?[0-9a-fA-F:.]++\]?(?!.)")


@dataclass(frozen=True, slots=True)
class Link:
    url: str
    host: str
    """As A-labels, without port; an IP address as it was written; empty if it cannot be read."""
    shown: str = ""
    """The text of the link; empty for one that stands in the text itself."""
    has_login: bool = False
    """Something stands before an `@` in front of the host, as if that were the place."""

    @property
    def shown_host(self) -> str:
        """The place that the link's text names, if it is nothing but a place; else empty."""
        found = _PLACE.fullmatch(self.shown)
        return (canonical(found[1]) or "") if found else ""

    @property
    def is_numeric(self) -> bool:
        return bool(self.host) and _NUMBERS.match(self.host) is not None and not self.host[-1].isalpha()


def link(url: str, shown: str = "") -> Link | None:
    """A link to another host, or None: other schemes and places in the message."""
    url = url.strip()[:MAX_URL]
    found = _HOST.match(url)
    if found is None:
        return None
    login, _, place = found[1].rpartition("@")
    host = place if place.startswith("[") else place.partition(":")[0]
    return Link(url, _host(host), " ".join(shown.split())[:MAX_SHOWN], bool(login))


@lru_cache(maxsize=4096)
def _host(text: str) -> str:
    return canonical(text.rstrip(".")) or text.lower()


def html_links(markup: str) -> Iterator[Link]:
    """The links of HTML with the text that they show."""
    url, start = "", -1
    for match in _ANCHOR.finditer(markup):
        if start >= 0:
            found = link(url, unescape(_TAG.sub("", markup[start : match.start()][: 4 * MAX_SHOWN])))
            if found is not None:
                yield found
        start = -1
        href = None if match[1] else _HREF.search(match[2])
        if href is not None:
            url, start = unescape((href[1] or href[2] or href[3] or "")[:MAX_URL]), match.end()


def text_links(text: str) -> Iterator[Link]:
    """The links in plain text."""
    at = text.find("://")
    while at >= 0:
        rest = _REST.match(text, at + 3)
        scheme = text[max(at - 5, 0) : at].lower()
        if rest is not None and scheme.endswith(("http", "https")):
            begin = at - (5 if scheme == "https" else 4)
            found = link(text[begin : rest.end()].rstrip(".,;:!?)]}'"))
            if found is not None:
                yield found
        at = text.find("://", rest.end() if rest else at + 3)


def links(plain: list[str], html: list[str]) -> list[Link]:
    """Those of a message's text parts, each URL once for each text that it shows."""
    found: dict[Link, None] = {}
    for pieces in (map(html_links, html), map(text_links, plain)):
        for piece in pieces:
            for one in piece:
                found[one] = None
                if len(found) >= MAX_LINKS:
                    return list(found)
    return list(found)


def links_of(examined: Examined) -> list[Link]:
    """Those of a message, found once."""
    found = examined.notes.get(Link)
    if not isinstance(found, list):
        found = examined.notes[Link] = links(examined.plain, examined.html)
    return found
