"""Reports to senders about what became of a message (RFC 3461 §5.2, RFC 3464): to whom, and whether. Words: `report_words`.

The report is a plan, committed together with the settlement, or the filing, of the recipients it is about. It has the null
sender, so nothing is ever reported about a report, and the envelope sender gets it, whatever the header says.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ..log import Log
from ..mailauth.srs import Srs, SrsError, is_srs
from ..message import dsn
from ..message.header import header_end
from ..message.octets import Octets
from ..message.prepare import prepare
from ..message.trace import return_path
from ..model.address import Address
from ..model.envelope import Envelope, Notify, Recipient
from ..model.errors import Refusal
from ..model.ids import AccountId, QueueId
from ..model.plan import Enqueue, File, Plan
from ..model.queue import Outcome, OutcomeKind, QueueEntry
from ..model.record import Record, Stage
from ..seams import Clock, Directory, FindKind
from ..storage.ids import IdSource
from ..storage.store import Rope, Store
from . import records
from .report_words import Lost, delay_words, explanation, subject_words, success_words
from .sign import Signer

log = Log("queue")

WHY_WITHHELD = {
    "spf": "the sender is likely to be forged, its domain does not send from there (SPF)",
    "junk": "the message was judged junk, its sender is likely to be forged",
}
"""By `Envelope.withheld`."""

MAX_RETURNED = 256 * 1024
"""Octets of a message up to which it is returned whole when its sender wants that (RET=FULL); of larger ones the header is."""
MAX_HEADER = 64 * 1024

FILED = Outcome(OutcomeKind.DELIVERED, "2.1.5", "Filed")


@dataclass(frozen=True, slots=True)
class About:
    """The message that a report is about."""

    envelope: Envelope
    header: bytes
    made_at: int
    name: str
    """In the log."""
    content: bytes | None = None
    """The whole message, where it is returned."""
    message: str = ""
    """Its id, for the records."""


LanguageOf = Callable[[AccountId], Awaitable[str]]
Words = Callable[[str], str]
"""The part for people, in a language."""


class Reporter:
    """Makes reports. *hostname* names us in them; *queue_lifetime_s*: how long a report to another server is tried."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        clock: Clock,
        ids: IdSource,
        hostname: str,
        queue_lifetime_s: int = 5 * 86400,
        signer: Signer | None = None,
        srs: Srs | None = None,
        language_of: LanguageOf | None = None,
    ) -> None:
        """*language_of*: which language an account reads; without it all read English."""
        self._srs = srs
        self._language_of = language_of
        self._store = store
        self._directory = directory
        self._clock = clock
        self._ids = ids
        self._hostname = hostname
        self._queue_lifetime_s = queue_lifetime_s
        self._signer = signer

    async def failure(self, lost: Sequence[Lost]) -> Plan | None:
        """The report about recipients of one message that were given up; None if nobody wants one. Raises Refusal."""
        wanted = self._told([(entry, outcome) for entry, outcome in lost if wants_failure(entry)], "that it failed")
        if not wanted:
            return None
        about = await self._about(wanted[0][0], whole=True)
        reported = _reported(wanted, self._clock.now())
        return await self._plan(about, reported, lambda language: explanation(wanted, self._hostname, language))

    async def delay(self, late: Sequence[Lost]) -> Plan | None:
        """The report about recipients of one message that will be tried again (see `wants_delay`). Raises Refusal."""
        wanted = self._told([(entry, outcome) for entry, outcome in late if wants_delay(entry)], "that it is late")
        if not wanted:
            return None
        until = min(entry.expires for entry, _ in wanted)
        about = await self._about(wanted[0][0])
        reported = _reported(wanted, self._clock.now())
        return await self._plan(about, reported, lambda language: delay_words(wanted, self._hostname, until, language), until)

    async def relayed(self, taken: Sequence[Lost]) -> Plan | None:
        """The report about recipients that a server took which does not know DSN (RFC 3461 §5.2.2). Raises Refusal."""
        asked = [
            (entry, outcome) for entry, outcome in taken if wants_success(entry.envelope, entry.recipient) or wants_trace(entry)
        ]
        wanted = self._told(asked, "that it was delivered")
        if not wanted:
            return None
        reported = _reported(wanted, self._clock.now())
        about = await self._about(wanted[0][0])
        return await self._plan(about, reported, self._success(reported, about))

    async def filed(self, entry: QueueEntry) -> Plan | None:
        """The report about a copy that the queue kept for an account and that is filed now. Raises Refusal."""
        return await self.relayed([(entry, FILED)])

    async def success(self, about: About, reported: Sequence[dsn.Reported]) -> Plan | None:
        """The report about recipients that are delivered here, or expanded, in the commit that it goes with. Raises Refusal."""
        wanted = [one for one in reported if wants_success(about.envelope, one.recipient)]
        if not wanted:
            return None
        if about.envelope.withheld:
            self._withhold(about.envelope, "that it was delivered", about.message or about.name)
            return None
        return await self._plan(about, wanted, self._success(wanted, about))

    def _success(self, reported: Sequence[dsn.Reported], about: About) -> Words:
        return lambda language: success_words(reported, self._hostname, about.made_at, language)

    def _told(self, wanted: list[Lost], news: str) -> list[Lost]:
        """*wanted*, but of a message whose sender is likely to be forged: that stays between us and the records."""
        if not wanted or not wanted[0][0].envelope.withheld:
            return wanted
        entry = wanted[0][0]
        self._withhold(entry.envelope, news, f"{entry.blob:x}")
        return []

    def _withhold(self, envelope: Envelope, news: str, message: str) -> None:
        why = f"{news}: {WHY_WITHHELD.get(envelope.withheld, envelope.withheld)}"
        log.info("report withheld", message=message, sender=envelope.sender or "<>", why=why)
        self._store.note(Record(Stage.WITHHELD, self._clock.now(), {"why": why}), int(message, 16))

    def _original(self, sender: Address) -> Address:
        """Of what an alias handed on: whose message it was."""
        if self._srs is None or not is_srs(sender):
            return sender
        try:
            return self._srs.original(sender, self._clock.now())
        except SrsError:
            return sender

    async def _targets(self, sender: Address) -> list[AccountId | Address]:
        """Accounts and foreign addresses that *sender* leads to."""
        try:
            found = await self._directory.find(sender)
        except Refusal as refusal:
            if refusal.is_temporary:
                raise
            return []
        if found.kind is FindKind.FOREIGN:
            return [sender]
        return [*found.accounts, *found.remote]

    async def _about(self, entry: QueueEntry, *, whole: bool = False) -> About:
        """The message's header and, where it is to be returned, all of it. What cannot be read is reported without."""
        rope = Rope(Octets.decode(entry.recipe, entry.blob_size), entry.blob)
        # RFC 3461 §4.3: RET counts only where there is a failure to report; else the header is enough.
        # RFC 8689 §5: a message that must not travel in clear is not returned whole, whatever RET says.
        envelope = entry.envelope
        is_whole = whole and envelope.ret == "FULL" and not envelope.require_tls and rope.size <= MAX_RETURNED
        header, content, name = b"", None, f"{entry.queue_id:x}"
        try:
            data = await self._store.read_octets(rope, 0, rope.size if is_whole else min(rope.size, MAX_HEADER))
            header, content = data[: header_end(data, 0, len(data))], data if is_whole else None
        except Refusal as refusal:
            log.warning("original not readable", queue=name, reason=refusal.detail or refusal.text)
        return About(entry.envelope, header, entry.made_at, name, content, f"{entry.blob:x}")

    def _octets(
        self, about: About, sender: Address, reported: Sequence[dsn.Reported], words: Words, until: int | None, language: str
    ) -> bytes:
        envelope = about.envelope
        name = f"{self._ids.next():x}"
        return dsn.report(
            dsn.Original(sender, about.header, about.made_at, envelope.envid, about.content, envelope.smtputf8),
            reported,
            host=self._hostname,
            at=self._clock.now(),
            message_id=f"{name}.report@{self._hostname}",
            boundary=f"={name}.{secrets.token_hex(12)}",
            retry_until=until,
            words=words(language),
            subject=lambda action, subject: subject_words(action, subject, language),
        )

    async def _language(self, targets: Sequence[AccountId | Address]) -> str:
        """That of the account who gets it."""
        account = next((target for target in targets if not isinstance(target, Address)), None)
        if account is None or self._language_of is None:
            return "en"
        return await self._language_of(account) or "en"

    async def _plan(self, about: About, reported: Sequence[dsn.Reported], words: Words, until: int | None = None) -> Plan | None:
        assert about.envelope.sender is not None, "wants_…"
        sender = self._original(about.envelope.sender)
        targets = await self._targets(sender)
        if not targets:
            log.warning("no report: its sender is not to be found", queue=about.name, sender=sender)
            return None
        now = self._clock.now()
        octets = self._octets(about, sender, reported, words, until, await self._language(targets))
        spool = self._store.spool(len(octets))
        spool.write(octets)
        body = await spool.finish()
        whole = Octets.whole(body.size)
        filed = whole.with_prefix(return_path(None))
        files = [File(account, filed.encode(), filed.size) for account in targets if not isinstance(account, Address)]
        away = [address for address in targets if isinstance(address, Address)]
        signed = whole
        if away and self._signer is not None:
            end = header_end(octets, 0, len(octets))
            signed = whole.with_prefix(await self._signer.fields(octets[:end], body, end, now))
        return Plan(
            body=body,
            prepared=prepare(return_path(None) + octets, len(octets)) if files else None,
            received=now,
            items=(*files, *([self._enqueue(about.envelope, octets, signed, away, now)] if away else [])),
            records=records.report_made(about.message or about.name, sender, now),
        )

    def _enqueue(self, about: Envelope, octets: bytes, rope: Octets, away: Sequence[Address], now: int) -> Enqueue:
        # RFC 3461 §5.2: nobody is told that a report was lost. RFC 8689 §5: it is as confidential as its subject.
        recipients = tuple(Recipient(address, frozenset({Notify.NEVER})) for address in away)
        return Enqueue(
            queue_id=QueueId(self._ids.next()),
            envelope=Envelope(
                None,
                recipients,
                body="7BIT" if octets.isascii() else "8BITMIME",
                smtputf8=about.smtputf8,
                require_tls=about.require_tls,
            ),
            destinations=tuple(address.domain for address in away),
            recipe=rope.encode(),
            account=None,
            due=now,
            expires=now + self._queue_lifetime_s,
        )


def _reported(concerned: Sequence[Lost], now: int) -> list[dsn.Reported]:
    return [dsn.Reported(entry.recipient, outcome, now) for entry, outcome in concerned]


def wants_failure(entry: QueueEntry) -> bool:
    """RFC 3461 §4.1, §5.2: FAILURE is what a sender wants who did not say; nothing is said to the null sender."""
    notify = entry.recipient.notify
    return entry.envelope.sender is not None and (not notify or Notify.FAILURE in notify)


def wants_delay(entry: QueueEntry) -> bool:
    """RFC 3461 §4.1: who did not say leaves it to us. Then only our own accounts hear of it: they are sure to be the senders."""
    notify = entry.recipient.notify
    wanted = Notify.DELAY in notify or (not notify and entry.account is not None)
    return entry.envelope.sender is not None and wanted


def wants_trace(entry: QueueEntry) -> bool:
    """RFC 2852 §4: `BY=…T`, the sender wants to hear of each server that hands it on."""
    by = entry.envelope.deliver_by
    is_silent = entry.envelope.sender is None or Notify.NEVER in entry.recipient.notify
    return by is not None and by.traces and not is_silent


def wants_success(envelope: Envelope, recipient: Recipient) -> bool:
    return envelope.sender is not None and Notify.SUCCESS in recipient.notify
