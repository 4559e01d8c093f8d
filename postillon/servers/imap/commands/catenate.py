"""From the pieces of an APPEND to whole messages: CATENATE (RFC 4469), and literal8 with NUL (RFC 3516 §4.4).

A literal that is a message by itself is stored as it was spooled. What is put together, or binary, is written once more.
"""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....message.binary import as_text
from ....message.header import Buffer
from ....message.line_ends import LineEnds
from ....model.errors import NotFound, OverQuota, TooLarge
from ....model.mail import Mailbox
from ....model.plan import Body
from ....protocols.imap.commands import AppendMessage, LiteralPart, UrlPart
from ....protocols.imap.response_codes import UNKNOWN_CTE, bad_url
from ....protocols.imap.urls import BadUrl, MessageUrl, parse
from ....storage.spool import Spool
from ..answers import No
from ..pieces import PIECE
from ..url_octets import Located, locate, octets
from .mailboxes import find

if TYPE_CHECKING:
    from ..session import Session

MAX_PARTS = 1000
"""Literals of one message, and URLs of one APPEND: each is a message looked up."""
IN_THREAD = 256 << 10
"""Octets from which a message is worked on in a thread, so that the loop lives."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What came as one literal. *is_ready*: it has no NUL, and its line ends are CRLF."""

    spool: Spool
    body: Body
    is_ready: bool
    has_nul: bool


@dataclass(slots=True)
class Arriving:
    """The messages of one APPEND so far."""

    mailbox: Mailbox
    room: int
    """Octets left of the quota."""
    replaced: int = 0
    """The uid of the message that REPLACE is for."""
    pieces: dict[tuple[int, int], Piece] = field(default_factory=dict)
    """By message and part."""
    spools: list[Spool] = field(default_factory=list)

    def take(self, size: int) -> None:
        """Count *size* octets more. Raises OverQuota."""
        if size > self.room:
            raise OverQuota("Mailbox is full")
        self.room -= size

    def spool(self, session: Session) -> Spool:
        # Line ends and base64 may make it longer than announced.
        spool = session.store.spool(2 * session.server.settings.append_limit)
        self.spools.append(spool)
        return spool


async def whole(session: Session, arriving: Arriving, number: int, message: AppendMessage) -> Body:
    """The body of the message with *number*. Raises No (BADURL, UNKNOWN-CTE), TooLarge, OverQuota."""
    first = arriving.pieces.get((number, 0))
    if first is not None and len(message.parts) == 1:
        if first.is_ready:
            return first.body
        body = await _as_text(arriving.spool(session), first.body)
        first.spool.discard()
        return body
    body, is_ready = await _joined(session, arriving, number, message)
    if not body.size:
        raise No("A message of no octets cannot be stored", b"CANNOT")
    if is_ready:
        return body
    joined = arriving.spools[-1]
    body = await _as_text(arriving.spool(session), body)
    joined.discard()
    return body


async def _joined(session: Session, arriving: Arriving, number: int, message: AppendMessage) -> tuple[Body, bool]:
    """All parts one behind the other, and whether that can be stored as it is."""
    spool, ends, has_nul, limit = arriving.spool(session), LineEnds(), False, session.server.settings.append_limit
    for at, part in enumerate(message.parts):
        if isinstance(part, LiteralPart):
            piece = arriving.pieces[number, at]
            has_nul |= piece.has_nul
            chunks = _octets_of(piece.body)
        else:
            located = await _located(session, part)
            arriving.take(located.size)
            chunks = octets(session.store, located)
        async for chunk in chunks:
            ends.feed(chunk)
            if spool.size + len(chunk) > limit:
                raise TooLarge(f"Messages may have {limit} octets")  # RFC 4469 §4: TOOBIG
            spool.write(chunk)
        if isinstance(part, LiteralPart):
            piece.spool.discard()
    ends.finish()
    return await spool.finish(), ends.is_clean and not has_nul


async def _octets_of(body: Body) -> AsyncIterator[bytes]:
    if body.data is not None:
        yield body.data
        return
    for at in range(0, body.size, PIECE):
        yield await asyncio.to_thread(_read, body.path, at)


def _read(path: str, at: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(at)
        return file.read(PIECE)


async def _located(session: Session, part: UrlPart) -> Located:
    """RFC 4469 §4: relative URLs are relative to the selected mailbox, and to this server."""
    try:
        url = parse(part.url)
        if url.access is not None:
            return await session.server.urls.open(part.url, session.owner)
        return await locate(session.store, session.principal, await _mailbox(session, url), url)
    except (BadUrl, NotFound) as error:
        raise No(f"A URL cannot be read: {error}", bad_url(part.url)) from error


async def _mailbox(session: Session, url: MessageUrl) -> Mailbox:
    if url.host and (url.host != session.server.settings.name.lower() or url.user not in ("", session.owner.name)):
        raise BadUrl("another server's, or another user's")
    if url.mailbox is not None:
        return await find(session, url.mailbox)
    if session.selected is None:
        raise BadUrl("no mailbox is selected")
    return session.selected.mailbox


async def _as_text(spool: Spool, body: Body) -> Body:
    """NUL and binary bodies become base64: what is stored can be sent on everywhere."""

    def convert(data: Buffer) -> None:
        for chunk in as_text(data):
            spool.write(chunk)

    def convert_file() -> None:
        with open(body.path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            convert(data)

    try:
        if body.data is None:
            await asyncio.to_thread(convert_file)
        else:
            convert(body.data)
    except ValueError as error:
        raise No("Message has NUL octets where they cannot be encoded", UNKNOWN_CTE) from error
    return await spool.finish()
