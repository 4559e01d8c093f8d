"""Messages over a conversation: MAIL, RCPT, DATA or BDAT, and what the answers mean for each recipient.

RFC 5321 §3.3, RFC 2033 (LMTP), RFC 2920 (PIPELINING), RFC 3030 (CHUNKING), RFC 9422 (LIMITS).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from ..model.envelope import Envelope, Recipient
from ..model.queue import Outcome, OutcomeKind
from ..protocols.smtp import client as smtp
from ..protocols.smtp.reply import Reply
from .conversation import Conversation, Trouble
from .hop import Hop
from .outcome import deferred, failed, of_reply

BLOCK = 256 * 1024
"""Octets of a message in memory at a time."""


class Source(Protocol):
    """A message's octets, which may be read as often as it takes."""

    @property
    def size(self) -> int: ...

    async def read(self, start: int, stop: int) -> bytes:
        """Octets *start* to *stop* (exclusive). Raises `Refusal` when they cannot be had."""
        ...


class Session:
    """A conversation that has greeted and is ready for mail. One user at a time; the pool sees to that."""

    __slots__ = ("_dirty", "_remote", "_talk", "hop", "sent")

    def __init__(self, hop: Hop, talk: Conversation) -> None:
        self.hop = hop
        self.sent = 0
        """Messages so far, refused ones included."""
        self._talk = talk
        self._remote = hop.remote
        self._dirty = False
        """A transaction was begun and neither ended nor reset."""

    @property
    def is_usable(self) -> bool:
        return self._talk.is_usable

    @property
    def security(self) -> str:
        return self._talk.security

    async def quit(self) -> None:
        """Say goodbye and close. Never raises for the peer's faults."""
        await self._talk.quit()

    def abort(self) -> None:
        self._talk.abort()

    async def send(self, envelope: Envelope, source: Source) -> dict[int, Outcome]:
        """Hand *source* over to all recipients of *envelope*: one outcome each, keyed by position.

        Raises Trouble when the conversation ended before the message was taken or refused, and what reading the source raises.
        """
        first = await source.read(0, min(source.size, BLOCK))
        outcomes = await self._unfit(envelope, source, first)
        wanted = [position for position in range(len(envelope.recipients)) if position not in outcomes]
        for part in self._parts(envelope, wanted):
            if self.is_spent:
                outcomes.update(dict.fromkeys(part, deferred("4.5.3", "the connection carries no more", code=452)))
                continue
            self.sent += 1
            try:
                await self._transaction(envelope, source, first, part, outcomes)
            except Trouble as trouble:
                trouble.decided = outcomes | trouble.decided
                trouble.is_stale &= part[0] == wanted[0]  # those before must not be sent again
                raise
        if self._talk.offered.dsn and any(recipient.notify for recipient in envelope.recipients):
            return {position: replace(outcome, confirms=True) for position, outcome in outcomes.items()}
        return outcomes

    async def ask(self, recipient: Recipient) -> Outcome:
        """What it says to *recipient* for a report (null sender); no message follows. Raises Trouble."""
        offered, wait = self._talk.offered, self._talk.timeouts.command_s
        self.sent += 1
        if self._dirty:
            await self._talk.ask(smtp.RSET, wait)
        self._dirty = True
        smtputf8 = offered.smtputf8 and not recipient.address.is_ascii
        sender = smtp.mail(Envelope(None), offered, size=0, eightbit=False, smtputf8=smtputf8)
        reply = await self._talk.ask(sender, wait)
        if reply.kind != 2:
            return _no(reply, self._remote)
        return of_reply(await self._talk.ask(smtp.rcpt(recipient, offered), wait), self._remote)

    @property
    def is_spent(self) -> bool:
        """It has carried as many messages as the server wants of one connection (RFC 9422 §4.1)."""
        return 0 < self._talk.offered.mailmax <= self.sent

    def _parts(self, envelope: Envelope, wanted: list[int]) -> Iterator[list[int]]:
        """The positions *wanted* in as many transactions as the server's limits ask for (RFC 9422 §4.2, §4.3)."""
        offered = self._talk.offered
        if not (offered.rcptmax or offered.rcptdomainmax):
            if wanted:
                yield wanted
            return
        part: list[int] = []
        domains: set[str] = set()
        for position in wanted:
            domain = envelope.recipients[position].address.domain
            is_full = bool(offered.rcptmax) and len(part) >= offered.rcptmax
            if is_full or (offered.rcptdomainmax and len(domains | {domain}) > offered.rcptdomainmax):
                yield part
                part, domains = [], set()
            part.append(position)
            domains.add(domain)
        if part:
            yield part

    async def _unfit(self, envelope: Envelope, source: Source, first: bytes) -> dict[int, Outcome]:
        """Recipients that this hop cannot serve, known before a word is said."""
        offered, everybody = self._talk.offered, range(len(envelope.recipients))
        refusal = None
        if offered.size and source.size > offered.size:
            text = f"the message has {source.size} octets, it takes {offered.size}"
            refusal = failed("5.3.4", text, remote=self._remote, code=552)  # RFC 1870 §6.1
        elif envelope.require_tls and not (self._talk.is_encrypted and self.hop.tls.is_verified and offered.requiretls):
            refusal = failed("5.7.30", "it does not support REQUIRETLS", remote=self._remote)  # RFC 8689 §5
        elif _is_too_short(envelope, offered):
            text = "it does not promise to deliver within the time that the sender gave"
            refusal = failed("5.3.3", text, remote=self._remote)  # RFC 2852 §4.1.4
        elif envelope.body == "BINARYMIME" and not offered.binary:
            refusal = failed("5.6.3", "the message is binary, it takes none", remote=self._remote)  # RFC 3030 §3
        elif not offered.eightbit and not await _is_seven_bit(source, first):
            refusal = failed("5.6.3", "the message has 8-bit octets, it takes none", remote=self._remote)  # RFC 6152 §3
        elif not offered.smtputf8 and _needs_smtputf8(envelope, first):
            refusal = failed("5.6.7", "the message needs SMTPUTF8, it does not know it", remote=self._remote)  # RFC 6531 §3.5
        if refusal is not None:
            return dict.fromkeys(everybody, refusal)
        if offered.smtputf8 or all(recipient.address.is_ascii for recipient in envelope.recipients):
            return {}
        refusal = failed("5.6.7", "the address needs SMTPUTF8, it does not know it", remote=self._remote)
        return {i: refusal for i in everybody if not envelope.recipients[i].address.is_ascii}

    async def _transaction(
        self, envelope: Envelope, source: Source, first: bytes, wanted: list[int], outcomes: dict[int, Outcome]
    ) -> None:
        """MAIL, RCPT, DATA for the recipients at the positions *wanted*; fills *outcomes*."""
        offered = self._talk.offered
        smtputf8 = offered.smtputf8 and (envelope.smtputf8 or any(not r.address.is_ascii for r in envelope.recipients))
        # A large message is not read twice only to find out: 8BITMIME is also true of 7-bit text.
        eightbit = envelope.body != "7BIT" or len(first) < source.size or not first.isascii()
        commands = [smtp.mail(envelope, offered, size=source.size, eightbit=eightbit, smtputf8=smtputf8)]
        commands += [smtp.rcpt(envelope.recipients[position], offered) for position in wanted]
        # RFC 3030: binary mail needs chunks, and large mail is better off: nobody has to look for a dot in it.
        in_chunks = offered.chunking and (envelope.body == "BINARYMIME" or source.size > BLOCK)
        replies: list[Reply] = []
        try:
            self._talk.until = asyncio.get_running_loop().time() + self._talk.timeouts.envelope_s
            await self._converse(commands, replies, with_data=not in_chunks)
            self._talk.until = math.inf
            accepted = self._judge(replies, wanted, outcomes)
            if in_chunks:
                if accepted:
                    await self._chunks(source, first, accepted, outcomes, is_binary=envelope.body == "BINARYMIME")
                    self._dirty = False
            elif replies[-1].code == 354 and len(replies) == len(commands) + 1:
                if accepted:
                    await self._body(source, first, accepted, outcomes)
                elif any(reply.kind == 2 for reply in replies[1:-1]):
                    self.abort()  # no to the sender, yes to a recipient: a dot might be taken for a message
                else:
                    # RFC 2920 §3.1: DATA may be accepted although no recipient was; then nothing but the dot is sent.
                    await self._talk.ask(b".\r\n", self._talk.timeouts.end_s)
                self._dirty = False
        except Trouble as trouble:
            trouble.is_stale = self.sent > 1 and not replies
            self._judge(replies, wanted, trouble.decided)
            raise

    async def _converse(self, commands: list[bytes], replies: list[Reply], *, with_data: bool) -> None:
        """Send MAIL, RCPT… and DATA, in one go where the server lets us; *replies* grows by one for each that was answered."""
        wait = self._talk.timeouts.command_s
        reset, self._dirty = self._dirty, True
        if self._talk.offered.pipelining:
            await self._talk.write(b"".join([smtp.RSET if reset else b"", *commands, smtp.DATA if with_data else b""]))
            if reset:
                await self._talk.reply(wait)
            for _ in commands:
                replies.append(await self._talk.reply(wait))  # noqa: PERF401  (those before count when one fails)
            if with_data:
                replies.append(await self._talk.reply(self._talk.timeouts.data_s))
            return
        if reset:
            await self._talk.ask(smtp.RSET, wait)
        for command in commands:
            replies.append(await self._talk.ask(command, wait))
            if replies[0].kind != 2:
                return
        if with_data and any(reply.kind == 2 for reply in replies[1:]):
            replies.append(await self._talk.ask(smtp.DATA, self._talk.timeouts.data_s))

    def _judge(self, replies: list[Reply], wanted: list[int], outcomes: dict[int, Outcome]) -> list[int]:
        """Put what *replies* to MAIL, RCPT…, DATA decide into *outcomes*; return the positions that may have the message."""
        if not replies:
            return []
        remote = self._remote
        mail, *rest = replies
        if mail.kind != 2:
            outcomes.update(dict.fromkeys(wanted, _no(mail, remote)))
            return []
        accepted = []
        for position, reply in zip(wanted, rest, strict=False):
            if reply.kind == 2:
                accepted.append(position)
            else:
                outcomes[position] = _no(reply, remote)
        if len(rest) > len(wanted) and rest[-1].code != 354:
            outcomes.update(dict.fromkeys(accepted, _no(rest[-1], remote)))
            return []
        return accepted

    async def _body(self, source: Source, first: bytes, accepted: list[int], outcomes: dict[int, Outcome]) -> None:
        """The message after 354, and what the answer to the final dot means for the positions *accepted*."""
        stuffer = smtp.Stuffer()
        at, piece = len(first), stuffer.stuff(first)
        while at < source.size:
            if not await self._talk.write(piece) or not self._talk.is_usable:
                return outcomes.update(dict.fromkeys(accepted, await self._last_words()))
            octets = await self._next(source, at)
            at, piece = at + len(octets), stuffer.stuff(octets)
        if not self._talk.is_usable:
            return outcomes.update(dict.fromkeys(accepted, await self._last_words()))
        await self._talk.write(piece + stuffer.finish())
        await self._end(accepted, outcomes)

    async def _chunks(
        self, source: Source, first: bytes, accepted: list[int], outcomes: dict[int, Outcome], *, is_binary: bool
    ) -> None:
        """The message by BDAT (RFC 3030 §2), one chunk ahead of its answers where the server knows PIPELINING."""
        lines, at, octets = smtp.Lines(), len(first), first
        ahead, unanswered = int(self._talk.offered.pipelining), 0
        while True:
            is_last = at >= source.size
            if not is_binary:
                octets = lines.take(octets, last=is_last)
            if not await self._talk.write([smtp.bdat(len(octets), last=is_last), octets]):
                return outcomes.update(dict.fromkeys(accepted, await self._last_words()))
            unanswered += not is_last
            while unanswered > (0 if is_last else ahead):
                reply = await self._talk.reply(self._talk.timeouts.end_s)
                unanswered -= 1
                if reply.kind != 2:
                    self.abort()  # what follows would be for nothing
                    return outcomes.update(dict.fromkeys(accepted, _no(reply, self._remote)))
            if is_last:
                return await self._end(accepted, outcomes)
            octets = await self._next(source, at)
            at += len(octets)

    async def _next(self, source: Source, at: int) -> bytes:
        try:
            return await source.read(at, min(at + BLOCK, source.size))
        except BaseException:
            self.abort()  # half a message: only the end of the connection can say so
            raise

    async def _end(self, accepted: list[int], outcomes: dict[int, Outcome]) -> None:
        """The answer for all *accepted*; by LMTP one for each (RFC 2033 §4.2), of which those that come before the end count."""
        answers: dict[int, Outcome] = {}
        try:
            if not self.hop.lmtp:
                reply = await self._talk.reply(self._talk.timeouts.end_s)
                answers = dict.fromkeys(accepted, of_reply(reply, self._remote))
            else:
                for position in accepted:
                    answers[position] = of_reply(await self._talk.reply(self._talk.timeouts.end_s), self._remote)
        except Trouble as trouble:
            trouble.decided = answers
            # It may have taken the message and lost only its answer: asking another host now could double it.
            trouble.elsewhere = trouble.outcome.code == 421
            raise
        outcomes.update(answers)

    async def _last_words(self) -> Outcome:
        """What it said before the message was whole; that is never a yes, and the connection is of no more use."""
        outcome = _no(await self._talk.reply(self._talk.timeouts.block_s), self._remote)
        self.abort()
        return outcome


def _no(reply: Reply, remote: str) -> Outcome:
    """A reply that is not a yes: 2yz and 3yz where they mean nothing are confusion, so not final."""
    outcome = of_reply(reply, remote)
    return outcome if outcome.kind is not OutcomeKind.DELIVERED else replace(outcome, kind=OutcomeKind.DEFERRED, status="4.5.0")


def _is_too_short(envelope: Envelope, offered: smtp.Extensions) -> bool:
    """Must it be returned, because the server does not know DELIVERBY or wants more time than there is?"""
    by = envelope.deliver_by
    return by is not None and by.returns and (not offered.deliver_by or by.seconds < offered.deliver_by_least)


async def _is_seven_bit(source: Source, first: bytes) -> bool:
    if not first.isascii():
        return False
    for at in range(len(first), source.size, BLOCK):
        if not (await source.read(at, min(at + BLOCK, source.size))).isascii():
            return False
    return True


def _needs_smtputf8(envelope: Envelope, first: bytes) -> bool:
    """Does the message itself, or its sender, need SMTPUTF8? RFC 6531 §3.1: an ASCII one may leave without it."""
    if envelope.sender is not None and not envelope.sender.is_ascii:
        return True
    return envelope.smtputf8 and not first.partition(b"\r\n\r\n")[0].isascii()
