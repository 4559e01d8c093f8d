"""RETR and TOP: messages out, small ones in batches, large ones in slices with back-pressure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...model.errors import Refusal
from ...protocols.pop3 import Command, DotStuffer, TopCutter, ok

if TYPE_CHECKING:
    from .session import Session

BATCH = 64
BATCH_OCTETS = 512 * 1024
"""What is read in one go for pipelined RETRs (RFC 2449 §6.6)."""
SLICE, TOP_SLICE = 256 * 1024, 16 * 1024
"""Octets of a large message, and of one whose top is wanted, that are read at a time."""


async def retrieve(session: Session, command: Command) -> None:
    """RETR, and the RETRs that follow it in what has arrived."""
    drop = session.maildrop
    drop.check(command.number)
    if drop.size(command.number) > BATCH_OCTETS:
        await drop.refresh()
        await _stream(session, command.number, None)
        return
    numbers = _batch(session, command.number)
    try:
        await drop.refresh()
        messages = await drop.read(numbers)
    except Refusal:
        await _one_by_one(session, numbers)
        return
    for message in messages:
        _say_whole(session, message)


def _batch(session: Session, first: int) -> list[int]:
    drop, numbers, total = session.maildrop, [first], session.maildrop.size(first)
    while len(numbers) < BATCH:
        event = session.try_event()
        if event is None:
            break
        if not isinstance(event, Command) or event.verb != "RETR" or not drop.has(event.number):
            session.push_back(event)
            break
        total += drop.size(event.number)
        if total > BATCH_OCTETS:
            session.push_back(event)
            break
        numbers.append(event.number)
    return numbers


async def _one_by_one(session: Session, numbers: list[int]) -> None:
    """Somebody expunged one of them, or it cannot be read: each gets its own answer."""
    for number in numbers:
        try:
            (message,) = await session.maildrop.read([number])
        except Refusal as refusal:
            session.refuse("RETR", refusal)
        else:
            _say_whole(session, message)


def _say_whole(session: Session, message: bytes) -> None:
    stuffer = DotStuffer()
    session.say(ok(f"{len(message)} octets"))
    session.say(stuffer.feed(message))
    session.say(stuffer.end())


async def top(session: Session, command: Command) -> None:
    session.maildrop.check(command.number)
    await session.maildrop.refresh()
    await _stream(session, command.number, command.lines)


async def _stream(session: Session, number: int, lines: int | None) -> None:
    """The message in slices, whole or its top; an error in the middle can only end the connection."""
    drop, stuffer = session.maildrop, DotStuffer()
    cutter = TopCutter(lines) if lines is not None else None
    first = True
    try:
        async for piece in drop.pieces(number, SLICE if cutter is None else TOP_SLICE):
            if first:
                session.say(ok(f"{drop.size(number)} octets" if cutter is None else "Top of message follows"))
                first = False
            session.say(stuffer.feed(piece if cutter is None else cutter.feed(piece)))
            await session.flush()
            if cutter is not None and cutter.is_complete:
                break
    except Exception:
        if not first:
            session.stream.abort()
        raise
    if first:
        session.say(ok("0 octets"))
    session.say(stuffer.end())
