"""What the table of commands says about each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from ....protocols.imap.commands import Fetch, Request, Search, Sort, Store, Thread
from ....protocols.imap.events import Command

if TYPE_CHECKING:
    from ..session import Session

Answer = Awaitable[bytes | None]
"""The words after OK, response code included; None for the usual ones. Or raises: see `answers.translate`."""


class Silent(Exception):
    """The tagged answer went out already."""


class Where(Enum):
    """The states of RFC 9051 §3."""

    ANY = "any"
    OUTSIDE = "not authenticated"
    INSIDE = "authenticated or selected"
    SELECTED = "selected"


@dataclass(frozen=True, slots=True)
class Rule:
    """*run* answers the command. It gets requests of the type it stands beside in the table."""

    run: Callable[[Session, Command, Any], Answer]
    where: Where

    def allowed(self, session: Session) -> bool:
        if self.where is Where.SELECTED:
            return session.selected is not None
        if self.where is Where.ANY:
            return True
        return (session.account is not None) is (self.where is Where.INSIDE)

    @staticmethod
    def expunges(request: Request) -> bool:
        """RFC 3501 §7.4.1, RFC 9051 §7.5.1: no EXPUNGE while FETCH, STORE or SEARCH is answered; their UID forms are others."""
        return not isinstance(request, Fetch | Store | Search | Sort | Thread) or request.uid
