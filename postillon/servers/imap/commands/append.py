"""APPEND (RFC 9051 §6.3.12), of several messages too (RFC 3502), with APPENDUID (RFC 4315) and APPENDLIMIT (RFC 7889); the
way in of REPLACE (RFC 8508).

What would be refused is refused before the client sends it: the mailbox, the size and the quota are looked at before `+`.
Octets go to the spool as they come; all messages of one command are filed in one transaction.
"""

from __future__ import annotations

import asyncio
import mmap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....message.prepare import prepare
from ....model.errors import OverQuota, TooLarge
from ....model.mail import Mailbox
from ....model.plan import Body, Prepared
from ....protocols.imap.commands import Append, AppendMessage, LiteralPart, Replace
from ....protocols.imap.events import AppendStart, Command, LiteralChunk, LiteralEnd, LiteralStart, ProtocolError
from ....protocols.imap.response_codes import append_uid
from ....storage.spool import Spool
from ....storage.store import AppendItem
from ..answers import No
from . import replace
from .mailboxes import target
from .rule import Silent
from .store import flags_and_keywords

if TYPE_CHECKING:
    from ..session import Session

IN_THREAD = 256 << 10
"""Octets from which a message is taken apart in a thread, so that the loop lives."""


class LineEnds:
    """Makes CRLF of every bare CR or LF, piece by piece (RFC 5322 §2.3): what we store is mail, whatever a client's files are."""

    __slots__ = ("_cr",)

    def __init__(self) -> None:
        self._cr = False

    def feed(self, data: bytes) -> bytes:
        if self._cr:
            data = b"\r" + data
        self._cr = data.endswith(b"\r")
        if self._cr:
            data = data[:-1]
        crlf = data.count(b"\r\n")
        if crlf == data.count(b"\n") and crlf == data.count(b"\r"):
            return data
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")

    def finish(self) -> bytes:
        return b"\r\n" if self._cr else b""


@dataclass(slots=True)
class Arriving:
    """The messages of one APPEND so far."""

    mailbox: Mailbox
    room: int
    """Octets left of the quota."""
    replaced: int = 0
    """The uid of the message that REPLACE is for."""
    bodies: list[Body] = field(default_factory=list)
    spools: list[Spool] = field(default_factory=list)


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
    account = await session.server.directory.account(session.owner.id)
    return Arriving(mailbox, account.quota - account.used + size, replaced=uid)


async def _receive(session: Session, arriving: Arriving) -> Append | Replace:
    """Take all messages in, up to the whole command. Raises Silent if the engine had to answer."""
    dialogue = session.dialogue
    while True:
        event = await dialogue.next(session.patience())
        if isinstance(event, LiteralStart):
            _check(session, arriving, event)
            await session.store.check_space(event.size)
            dialogue.write(dialogue.engine.literal_go())
            # Line ends may make it longer than announced.
            spool = session.store.spool(2 * session.server.settings.append_limit)
            arriving.spools.append(spool)
            body = await _literal(session, spool)
            arriving.bodies.append(body)
            arriving.room -= body.size
        elif isinstance(event, Command):
            assert isinstance(event.request, Append | Replace)
            return event.request
        else:
            assert isinstance(event, ProtocolError)
            session.broken(event)
            raise Silent


def _check(session: Session, arriving: Arriving, literal: LiteralStart) -> None:
    limit = session.server.settings.append_limit
    if literal.part:
        raise No("CATENATE is not supported", b"CANNOT")
    if literal.size > limit:
        raise TooLarge(f"Messages may have {limit} octets")
    if literal.size > arriving.room:
        raise OverQuota("Mailbox is full")
    if not literal.size:
        raise No("A message of no octets cannot be stored", b"CANNOT")


async def _literal(session: Session, spool: Spool) -> Body:
    ends = LineEnds()
    while True:
        event = await session.dialogue.next(session.patience())
        if isinstance(event, LiteralChunk):
            if b"\0" in event.data:
                # RFC 9051 §9: NUL is for literal8 alone, and RFC 3516 §4.4 lets us refuse it there.
                raise No("Message has NUL octets", b"UNKNOWN-CTE")
            spool.write(ends.feed(event.data))
        elif isinstance(event, LiteralEnd):
            spool.write(ends.finish())
            return await spool.finish()
        else:
            assert isinstance(event, ProtocolError)
            session.broken(event)
            raise Silent


async def _file(session: Session, arriving: Arriving, request: Append | Replace) -> bytes:
    if isinstance(request, Replace):
        assert request.message is not None
        item = await _item(session, request.message, arriving.bodies[0])
        return await replace.file(session, arriving.replaced, arriving.mailbox, item)
    items = [await _item(session, *pair) for pair in zip(request.messages, arriving.bodies, strict=True)]
    box = arriving.mailbox
    uidvalidity, uids = await session.store.append(session.principal, box.account, box.id, items)
    if session.selected is not None and session.selected.loaded.mailbox == box.id:
        await session.tell(expunges=True, reread=True)
    return b"[%b] Stored" % append_uid(uidvalidity, uids)


async def _item(session: Session, message: AppendMessage, body: Body) -> AppendItem:
    assert all(isinstance(part, LiteralPart) for part in message.parts)
    bits, keywords = flags_and_keywords(message.flags)
    received, zone = message.date if message.date is not None else (session.server.clock.now(), 0)
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
