"""INPROGRESS (RFC 9585): while a command takes long, the client hears now and then that it is still under way."""

from __future__ import annotations

import asyncio

from ...protocols.imap.commands import Copy, Delete, Expunge, Move, Rename, Request, Search, Sort, Store, Thread
from ...protocols.imap.extension_commands import SearchMailboxes
from ...protocols.imap.response_codes import in_progress
from .dialogue import Dialogue

LONG = (Copy, Delete, Expunge, Move, Rename, Search, Sort, Store, Thread, SearchMailboxes)
"""Commands that can take long and write nothing but whole lines. FETCH streams what it has, which is progress enough."""


class Progress:
    """Begun with a command, ended with it."""

    __slots__ = ("_dialogue", "_every_s", "_tag", "_timer")

    def __init__(self, dialogue: Dialogue, tag: bytes, every_s: float) -> None:
        self._dialogue = dialogue
        self._tag = tag
        self._every_s = every_s
        self._timer = self._later()

    def _later(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._every_s, self._tell)

    def _tell(self) -> None:
        # RFC 9585 §3: NIL where we cannot count.
        self._dialogue.send_now(b"* OK [%b] Still working\r\n" % in_progress(self._tag))
        self._timer = self._later()

    def end(self) -> None:
        self._timer.cancel()


def is_long(request: Request) -> bool:
    return isinstance(request, LONG)
