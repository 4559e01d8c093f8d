"""Which commands speak of messages by sequence number: those that ENABLE UIDONLY forbids (RFC 9586 §3)."""

from __future__ import annotations

from collections.abc import Iterator

from ...protocols.imap.commands import Copy, Fetch, Move, Replace, Request, Search, Select, Sort, Store, Thread
from ...protocols.imap.extension_commands import SearchMailboxes
from ...protocols.imap.search_keys import And, Fuzzy, Not, Numbers, Or, SearchKey
from ...protocols.imap.sequence import SavedResult


def uses_numbers(request: Request) -> bool:
    """Whether *request* has sequence numbers, or would be answered with them."""
    if isinstance(request, Select):
        return request.qresync is not None and request.qresync.match is not None
    if isinstance(request, Fetch | Store | Copy | Move | Replace | Search | Sort | Thread) and not request.uid:
        return True
    if isinstance(request, Search | Sort | Thread | SearchMailboxes):
        return any(isinstance(key, Numbers) and not isinstance(key.numbers, SavedResult) for key in _keys(request.key))
    return False


def _keys(root: SearchKey) -> Iterator[SearchKey]:
    waiting = [root]
    while waiting:
        key = waiting.pop()
        yield key
        if isinstance(key, And):
            waiting += key.keys
        elif isinstance(key, Or):
            waiting += (key.left, key.right)
        elif isinstance(key, Not | Fuzzy):
            waiting.append(key.key)
