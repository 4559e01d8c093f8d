"""Octets on their way from the store to a client, in pieces: decoded as they pass, cut to what was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ...message import transfer
from ...model.errors import Refusal
from ...storage.store import Rope, Store
from .dialogue import Hangup

if TYPE_CHECKING:
    from .session import Session

PIECE = 256 << 10
"""Octets read in one go."""

Pieces = AsyncIterator[bytes]


async def read(store: Store, rope: Rope, start: int, stop: int) -> Pieces:
    """Octets *start* to *stop* as they are stored. Raises Unavailable."""
    for at in range(start, stop, PIECE):
        yield await store.read_octets(rope, at, min(at + PIECE, stop))


async def decoded(pieces: Pieces, encoding: bytes) -> Pieces:
    """Without their transfer encoding, which must be one of `transfer.ENCODINGS`."""
    decoder = transfer.decoder(encoding)
    async for piece in pieces:
        yield decoder.feed(piece)
    yield decoder.finish()


async def cut(pieces: Pieces, first: int, count: int) -> Pieces:
    """At most *count* octets from *first* on."""
    at = 0
    async for piece in pieces:
        yield piece[max(first - at, 0) : max(first + count - at, 0)]
        at += len(piece)


async def size_of(pieces: Pieces) -> int:
    return sum([len(piece) async for piece in pieces])


async def send(session: Session, pieces: Pieces) -> None:
    """Pass on a literal whose size was told already.

    Raises Hangup where it cannot be read to its end: whatever else was said would be taken for its octets.
    """
    try:
        async for piece in pieces:
            session.dialogue.write(piece)
            await session.dialogue.flush()
    except Refusal as error:
        session.log.warning("message broke off", status=error.status, detail=error.detail or error.text)
        raise Hangup from error
