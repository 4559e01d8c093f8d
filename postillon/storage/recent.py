"""Bodies that were accepted a moment ago and are about to be sent: the queue need not read them again."""

from __future__ import annotations

from collections import OrderedDict

from ..model.ids import BlobId

ROOM = 4 << 20
"""Octets in all; who has waited longest goes first. What is not here is read from the database."""


class Recent:
    """Bodies by blob, which is a new one for each acceptance; so nothing in here is ever out of date."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._bodies: OrderedDict[BlobId, bytes] = OrderedDict()
        self.size = 0

    def keep(self, blob: BlobId, body: bytes) -> None:
        """*body* was there anyway: this costs no copy."""
        if blob in self._bodies or len(body) > self._room:
            return
        self._bodies[blob] = body
        self.size += len(body)
        while self.size > self._room:
            _, oldest = self._bodies.popitem(last=False)
            self.size -= len(oldest)

    def get(self, blob: BlobId) -> bytes | None:
        return self._bodies.get(blob)
