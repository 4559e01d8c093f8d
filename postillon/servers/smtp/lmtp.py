"""LMTP (RFC 2033): a mail server in front of us hands over mail for accounts of ours, and hears of each recipient by itself.

Only from trusted addresses, and only for addresses here; the rest is `session`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from ...flow.mail_path import MailPath
from ...message.incoming import Incoming
from ...model.address import Address
from ...model.envelope import Recipient
from ...model.errors import Refusal
from ...model.plan import Receipt
from ...net.networks import LOOPBACK, Networks
from ...net.stream import Stream
from ...net.tls import ServerTls
from ...protocols.smtp.events import DataEnd
from ...protocols.smtp.reply import Reply
from ...protocols.smtp.server import ServerEngine
from ...seams import Clock
from .conversation import Hangup
from .service import INTERNAL_ERROR, Note, SmtpServer, SmtpSettings, Spool, Transaction, reply_to, taken
from .session import Session

NOT_TRUSTED = Reply(554, "Only mail servers that are trusted here may deliver by LMTP", "5.7.1")


class EachPath(MailPath, Protocol):
    """A mail path that has an answer for each recipient (`flow.local_receive`)."""

    async def each(self, incoming: Incoming) -> list[Receipt | Refusal]:
        """As `message`, one answer for each of *incoming*'s recipients in order. Durable when it returns."""
        ...


class LmtpServer(SmtpServer):
    """Serves mail servers in front of us, those in *peers*."""

    path: EachPath

    def __init__(
        self,
        *,
        path: EachPath,
        spool: Callable[[int], Spool],
        clock: Clock,
        session_id: Callable[[], str],
        tls: ServerTls | None = None,
        settings: SmtpSettings | None = None,
        note: Note = lambda record, trail: None,
        peers: Networks | None = None,
    ) -> None:
        super().__init__(path=path, spool=spool, clock=clock, session_id=session_id, tls=tls, settings=settings, note=note)
        self.peers = Networks(LOOPBACK) if peers is None else peers

    async def session(self, stream: Stream) -> None:
        """Serve one connection to its end. Raises OSError when it breaks."""
        await LmtpSession(self, stream).run()


class LmtpSession(Session):
    """A connection of a mail server in front of us."""

    server: LmtpServer
    may_raise_priority = True

    def new_engine(self) -> ServerEngine:
        return ServerEngine(
            self.settings.limits,
            lmtp=True,
            starttls=self.may_start_tls,
            requiretls=self.client.tls is not None,
            offers=self.offers(),
        )

    @property
    def greeting(self) -> Reply:
        if self.stream.peer not in self.server.peers:
            self.log.info("refused", peer=self.stream.peer, reason="not trusted with LMTP")
            raise Hangup(NOT_TRUSTED)
        return Reply(220, f"{self.settings.hostname} LMTP {self.settings.product}")

    async def _data_end(self, event: DataEnd) -> None:
        """RFC 2033 §4.2, §4.3: after DATA and after BDAT LAST an answer for every RCPT that was accepted, in their order."""
        transaction = self.current
        fault = self.fault(event)
        if fault is not None or transaction.spool is None:
            replies = dict.fromkeys(transaction.accepted, fault or INTERNAL_ERROR)
        else:
            replies = await self._answers(transaction, transaction.spool)
        self.forget()
        for recipient in transaction.named:
            self.say(replies[recipient])

    async def _answers(self, transaction: Transaction, spool: Spool) -> dict[Recipient | None, Reply]:
        """The answer for each recipient as it was given."""
        done = await self.grant(
            self._each(transaction, spool), "DATA", transaction.addresses, sender=transaction.envelope.sender or "<>"
        )
        if isinstance(done, Reply):
            return dict.fromkeys(transaction.accepted, done)
        incoming, answers = done
        takers = [one for one, answer in zip(incoming.accepted, answers, strict=True) if isinstance(answer, Receipt)]
        if takers:
            self.taken(incoming.to(takers))
        return {
            named: taken(answer) if isinstance(answer, Receipt) else self._no(answer, accepted.recipient.address)
            for (named, accepted), answer in zip(transaction.accepted.items(), answers, strict=True)
        }

    def _no(self, refusal: Refusal, recipient: Address) -> Reply:
        self.note_refused(refusal, "DATA", [recipient])
        self.log.info("refused", peer=self.client.address, status=refusal.status, reason=refusal.text, detail=refusal.detail)
        return reply_to(refusal)

    async def _each(self, transaction: Transaction, spool: Spool) -> tuple[Incoming, list[Receipt | Refusal]]:
        incoming = await self.incoming(transaction, spool)
        incoming = replace(incoming, client=replace(incoming.client, protocol="LMTP"))
        return incoming, await self.server.path.each(incoming)

    answers = Session.answers | {DataEnd: _data_end}
