"""What a client may say after login, but RETR and TOP: lists, marks, and QUIT, which removes (RFC 1939 §5 and §6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...protocols.pop3 import Command, ok

if TYPE_CHECKING:
    from .session import Session

LINES = 4000
"""Of a list, made at a time."""


async def stat(session: Session, command: Command) -> None:
    drop = session.maildrop
    session.say(ok(f"{len(drop) - len(drop.deleted)} {drop.octets}"))


async def list_sizes(session: Session, command: Command) -> None:
    drop = session.maildrop
    if command.number:
        drop.check(command.number)
        session.say(ok(f"{command.number} {drop.size(command.number)}"))
    else:
        await _listing(session, lambda number: f"{number} {drop.size(number)}\r\n")


async def list_ids(session: Session, command: Command) -> None:
    drop = session.maildrop
    if command.number:
        drop.check(command.number)
        session.say(ok(f"{command.number} {drop.unique_id(command.number)}"))
    else:
        await _listing(session, lambda number: f"{number} {drop.unique_id(number)}\r\n")


async def _listing(session: Session, line: Callable[[int], str]) -> None:
    left = session.maildrop.left
    session.say(ok(f"{len(left)} messages"))
    for at in range(0, len(left), LINES):
        session.say("".join([line(number) for number in left[at : at + LINES]]).encode())
        await session.flush_if_much()
    session.say(b".\r\n")


async def delete(session: Session, command: Command) -> None:
    session.maildrop.check(command.number)
    session.maildrop.deleted.add(command.number)
    session.say(ok(f"Message {command.number} will be deleted"))


async def reset(session: Session, command: Command) -> None:
    session.maildrop.deleted.clear()
    session.say(ok())


async def noop(session: Session, command: Command) -> None:
    session.say(ok())


async def leave(session: Session, command: Command) -> None:
    """QUIT: the only moment at which messages are removed."""
    session.engine.accepted(command)
    if session.drop is not None and session.drop.deleted:
        await session.check_welcome()
        removed = await session.drop.remove()
        session.log.info("messages removed", account=session.account.name if session.account else "", count=removed)
    # Before the answer: a client that hears it may log in again at once.
    await session.unlock()
    session.say(ok("Bye"))
