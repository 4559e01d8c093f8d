"""IDLE (RFC 2177, RFC 9051 §6.3.13): the client waits, and hears of changes as they happen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....protocols.imap.commands import Idle
from ....protocols.imap.events import Command, IdleDone, ProtocolError
from ..answers import Goodbye
from .notify import tell_others
from .rule import Silent

if TYPE_CHECKING:
    from ..session import Session


async def idle(session: Session, command: Command, request: Idle) -> bytes | None:
    dialogue, alarm, settings = session.dialogue, session.dialogue.alarm, session.server.settings
    dialogue.write(dialogue.engine.idle_go())
    until = session.now() + settings.idle_timeout_s
    reread = True
    alarm.idle = True
    try:
        while True:
            if session.interest is not None and session.interest.wants_others and (alarm.others or reread):
                await tell_others(session)  # RFC 5465 §4
            await session.tell(expunges=True, reread=reread, asked=False)
            event = await dialogue.next(settings.idle_timeout_s, alarm, wake_after_s=settings.poll_s)
            if isinstance(event, IdleDone):
                return None
            if isinstance(event, ProtocolError):
                session.broken(event)
                raise Silent
            reread = not alarm.news and not alarm.accounts
            if alarm.accounts:
                await session.check_account()
            if session.stream.stopping:
                raise Goodbye("Server is shutting down")
            if session.now() >= until:
                raise Goodbye("Idle for too long")
    finally:
        alarm.idle = False
