"""Mailboxes that a filter means by their names, themselves or with what is below them (RFC 5465 §6.6, §6.7; RFC 7377 §2.2)."""

from __future__ import annotations

from ...protocols.imap.extension_commands import MailboxFilter, Scope

Path = tuple[str, ...]

MAX_FILTERS = 100
"""In one command: each mailbox is held against all of them."""


class Named:
    """What a filter of the scope MAILBOXES, SUBTREE or SUBTREE_ONE means; with any other scope, nothing.

    Its names are taken apart once: whether it means a mailbox takes the same time for one name and for ten thousand.
    """

    __slots__ = ("_names", "_scope")

    def __init__(self, mailboxes: MailboxFilter) -> None:
        self._scope = mailboxes.scope
        self._names = frozenset(_canonical(tuple(name.split("/"))) for name in mailboxes.mailboxes if name)

    def __contains__(self, path: Path) -> bool:
        path = _canonical(path)
        if self._scope is Scope.SUBTREE:
            return any(path[:level] in self._names for level in range(1, len(path) + 1))
        if self._scope is Scope.SUBTREE_ONE and path[:-1] in self._names:
            return True
        return path in self._names


def _canonical(path: Path) -> Path:
    """RFC 9051 §5.1: INBOX in any case."""
    return ("INBOX", *path[1:]) if path[0].upper() == "INBOX" else path
