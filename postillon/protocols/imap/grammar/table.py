"""The table of commands: the name in capitals, UID prefix included, and the function that reads the arguments."""

from __future__ import annotations

from collections.abc import Callable

from ..commands import Request
from . import access, auth, fetch, listing, mailbox, metadata, notify, search, store, urlauth, various
from .reader import Reader

Parser = Callable[[Reader], Request]
"""Is given a reader that stands behind the name; reads up to the end of the command (the caller checks that it is the end)."""

_FAMILIES = (auth, mailbox, listing, fetch, search, store, access, metadata, notify, urlauth, various)

PARSERS: dict[bytes, tuple[str, Parser]] = {
    name: (name.decode("ascii"), parser) for family in _FAMILIES for name, parser in family.PARSERS.items()
}
