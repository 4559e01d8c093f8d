"""APPEND (RFC 9051 §6.3.12), of several messages too (RFC 3502), with APPENDUID (RFC 4315) and APPENDLIMIT (RFC 7889); the
way in of REPLACE (RFC 8508).

What would be refused is refused before the client sends it: the mailbox, the size and the quota are looked at before `+`.
Octets go to the spool as they come; all messages of one command are filed in one transaction. How pieces become a message
is in `catenate`.
"""

from __future__ import annotations

import asyncio
import mmap
from typing import TYPE_CHECKING

from ....message.line_ends import LineEnds
from ....message.prepare import prepare
from ....model.errors import OverQuota, TooLarge
from ....model.plan import Body, Prepared
from ....protocols.imap.commands import Append, AppendMessage, Replace, UrlPart
from ....protocols.imap.events import AppendStart, Command, LiteralChunk, LiteralEnd, LiteralStart, ProtocolError
from ....protocols.imap.response_codes import append_uid
from ....storage.spool import Spool
from ....storage.store import AppendItem
from ..answers import No
from ..message_limit import check_saved
from . import replace
from .catenate import IN_THREAD, MAX_PARTS, Arriving, Piece, whole
from .mailboxes import target
from .rule import Silent
from .store import flags_and_keywords

if TYPE_CHECKING:
    from ..session import Session


async def append_start(session: Session, start: AppendStart) -> bytes | None:
    """Follow APPEND from its first word to its end."""
    spools: list[Spool] = []
    try:
        arriving, request = await _take_in(session, start, spools)
        return await _file(session, arriving, request)
    except BaseException:
        for spool in spools:
            spool.discard()
        raise


async def _take_in(session: Session, start: AppendStart, spools: list[Spool]) -> tuple[Arriving, Append | Replace]:
    try:
        arriving = await _admit(session, start)
        arriving.spools = spools
        return arriving, await _receive(session, arriving)
    except Silent:
        raise
    except Exception:
        # The tagged answer follows; what still comes of the command is read over.
        session.dialogue.engine.literal_refuse(b"")
        raise


async def _admit(session: Session, start: AppendStart) -> Arriving:
    uid, size = await replace.replaced(session, start.request) if isinstance(start.request, Replace) else (0, 0)
    mailbox = await target(session, start.request.mailbox)
    account = await session.server.directory.account(mailbox.account)
    frees = size if uid and session.mailbox.loaded.account == mailbox.account else 0
    return Arriving(mailbox, account.quota - account.used + frees, replaced=uid)


async def _receive(session: Session, arriving: Arriving) -> Append | Replace:
    """Take all messages in, up to the whole command. Raises Silent if the engine had to answer."""
    dialogue = session.dialogue
    while True:
        event = await dialogue.next(session.patience())
        if isinstance(event, LiteralStart):
            _check(session, arriving, event)
            await session.store.check_space(event.size)
            dialogue.write(dialogue.engine.literal_go())
            piece = await _literal(session, arriving.spool(session), event)
            arriving.pieces[event.message, event.part] = piece
            arriving.room -= piece.body.size
        elif isinstance(event, Command):
            assert isinstance(event.request, Append | Replace)
            return event.request
        else:
            assert isinstance(event, ProtocolError)
            session.broken(event)
            raise Silent


def _check(session: Session, arriving: Arriving, literal: LiteralStart) -> None:
    limit = session.server.settings.append_limit
    check_saved(session, literal.message + 1)
    before = (arriving.pieces.get((literal.message, part)) for part in range(literal.part))
    if literal.size + sum(piece.body.size for piece in before if piece is not None) > limit:
        raise TooLarge(f"Messages may have {limit} octets")
    if literal.size > arriving.room:
        raise OverQuota("Mailbox is full")
    if literal.part >= MAX_PARTS:
        raise No("Too many parts", b"LIMIT")
    if not literal.size and not literal.catenated:
        raise No("A message of no octets cannot be stored", b"CANNOT")


async def _literal(session: Session, spool: Spool, literal: LiteralStart) -> Piece:
    """Spool what comes: with CRLF at line ends if it is a message's text, as it is if it is binary or a piece of a message."""
    ends, is_raw, has_nul = LineEnds(), literal.binary or literal.catenated, False
    while True:
        event = await session.dialogue.next(session.patience())
        if isinstance(event, LiteralChunk):
            if b"\0" in event.data:
                if not literal.binary:
                    # RFC 9051 §9: NUL is for literal8 alone.
                    raise No("Message has NUL octets", b"UNKNOWN-CTE")
                has_nul = True
            text = ends.feed(event.data)
            spool.write(event.data if is_raw else text)
        elif isinstance(event, LiteralEnd):
            text = ends.finish()
            if not is_raw:
                spool.write(text)
            return Piece(spool, await spool.finish(), not is_raw or (ends.is_clean and not has_nul), has_nul)
        else:
            assert isinstance(event, ProtocolError)
            session.broken(event)
            raise Silent


async def _file(session: Session, arriving: Arriving, request: Append | Replace) -> bytes:
    if isinstance(request, Replace):
        assert request.message is not None
        return await replace.file(session, arriving, await _item(session, arriving, 0, request.message))
    if sum(isinstance(part, UrlPart) for message in request.messages for part in message.parts) > MAX_PARTS:
        raise No("Too many parts", b"LIMIT")
    check_saved(session, len(request.messages))
    items = [await _item(session, arriving, number, message) for number, message in enumerate(request.messages)]
    box = arriving.mailbox
    uidvalidity, uids = await session.store.append(session.principal, box.account, box.id, items)
    if session.selected is not None and session.selected.loaded.mailbox == box.id:
        await session.tell(expunges=True, reread=True)
    return b"[%b] Stored" % append_uid(uidvalidity, uids)


async def _item(session: Session, arriving: Arriving, number: int, message: AppendMessage) -> AppendItem:
    bits, keywords = flags_and_keywords(message.flags)
    received, zone = message.date if message.date is not None else (session.server.clock.now(), 0)
    body = await whole(session, arriving, number, message)
    if body.size < IN_THREAD:
        prepared = _prepare(body)
    else:
        prepared = await asyncio.to_thread(_prepare, body)
    return AppendItem(body, prepared, bits, keywords, received, zone)


def _prepare(body: Body) -> Prepared:
    if body.data is not None:
        return prepare(body.data)
    with open(body.path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return prepare(data)
