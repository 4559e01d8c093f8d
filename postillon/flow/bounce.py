"""Reports to senders whose message did not arrive (RFC 3461 §5.2, RFC 3464): to whom, whether, and in which words.

The report is a plan, committed together with the settlement of the recipients that it is about. It has the null sender, so
nothing is ever reported about a report, and the envelope sender gets it, whatever the header says.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from ..log import Log
from ..message import dsn
from ..message.date import format_date
from ..message.header import header_end
from ..message.octets import Octets
from ..message.prepare import prepare
from ..message.trace import return_path
from ..model.address import Address
from ..model.envelope import Envelope, Notify, Recipient
from ..model.errors import Refusal
from ..model.ids import AccountId, QueueId
from ..model.plan import Enqueue, File, Plan
from ..model.queue import Outcome, QueueEntry
from ..protocols.smtp.client import one_line
from ..seams import Clock, Directory, FindKind
from ..storage.ids import IdSource
from ..storage.store import Rope, Store

log = Log("queue")

MAX_RETURNED = 256 * 1024
"""Octets of a message up to which it is returned whole when its sender wants that (RET=FULL); of larger ones the header is."""
MAX_HEADER = 64 * 1024

Lost = tuple[QueueEntry, Outcome]


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
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._ids = ids
        self._hostname = hostname
        self._queue_lifetime_s = queue_lifetime_s

    async def failure(self, lost: Sequence[Lost]) -> Plan | None:
        """The report about recipients of one message that were given up; None if nobody wants one. Raises Refusal."""
        wanted = [(entry, outcome) for entry, outcome in lost if wants_failure(entry)]
        if not wanted:
            return None
        first = wanted[0][0]
        sender = first.envelope.sender
        assert sender is not None, "wants_failure"
        targets = await self._targets(sender)
        if not targets:
            log.warning("no report: its sender is not to be found", queue=first.queue_id, sender=sender)
            return None
        now = self._clock.now()
        octets = await self._octets(first, sender, wanted, now)
        return await self._plan(first, octets, targets, now)

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

    async def _octets(self, first: QueueEntry, sender: Address, lost: Sequence[Lost], now: int) -> bytes:
        header, content = await self._original(first)
        name = f"{self._ids.next():x}"
        return dsn.report(
            dsn.Original(sender, header, first.made_at, first.envelope.envid, content),
            [dsn.Reported(entry.recipient, outcome, now) for entry, outcome in lost],
            host=self._hostname,
            at=now,
            message_id=f"{name}.report@{self._hostname}",
            boundary=f"={name}.{secrets.token_hex(12)}",
            words=explanation(lost, self._hostname),
        )

    async def _original(self, entry: QueueEntry) -> tuple[bytes, bytes | None]:
        """The message's header and, where it is to be returned, all of it. What cannot be read is reported without."""
        rope = Rope(Octets.decode(entry.recipe, entry.blob_size), entry.blob)
        is_whole = entry.envelope.ret == "FULL" and rope.size <= MAX_RETURNED
        try:
            data = await self._store.read_octets(rope, 0, rope.size if is_whole else min(rope.size, MAX_HEADER))
        except Refusal as refusal:
            log.warning("original not readable", queue=entry.queue_id, reason=refusal.detail or refusal.text)
            return b"", None
        return data[: header_end(data, 0, len(data))], data if is_whole else None

    async def _plan(self, first: QueueEntry, octets: bytes, targets: Sequence[AccountId | Address], now: int) -> Plan:
        spool = self._store.spool(len(octets))
        spool.write(octets)
        body = await spool.finish()
        whole = Octets.whole(body.size)
        filed = whole.with_prefix(return_path(None))
        files = [File(account, filed.encode(), filed.size) for account in targets if not isinstance(account, Address)]
        away = [address for address in targets if isinstance(address, Address)]
        return Plan(
            body=body,
            prepared=prepare(return_path(None) + octets, len(octets)) if files else None,
            received=now,
            items=(*files, *([self._enqueue(first.envelope, octets, whole, away, now)] if away else [])),
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


def wants_failure(entry: QueueEntry) -> bool:
    """RFC 3461 §4.1, §5.2: FAILURE is what a sender wants who did not say; nothing is said to the null sender."""
    notify = entry.recipient.notify
    return entry.envelope.sender is not None and (not notify or Notify.FAILURE in notify)


# --- the words --------------------------------------------------------------------------------------------------------

# Status (its longest beginning that stands here) -> what happened, and whose turn it is to do what. `{domain}` is the
# recipient's, `{days}` how long we tried.
_WORDS = {
    "4.4.7": (
        "could not be delivered for {days}, and we have stopped trying",
        "Your address and message are probably fine, their server is not. Please ask the recipient by another way, or send it"
        " again later.",
    ),
    "5.1.1": ("was not delivered: there is no such address", "Please check the part before the @ and send it again."),
    "5.1.10": ("was not delivered: {domain} takes no mail", "Please ask the recipient for another address."),
    "5.1.2": ("was not delivered: the domain {domain} does not exist", "Please check the part after the @ and send it again."),
    "5.2.1": ("was not delivered: the mailbox is closed", "Please ask the recipient for another address."),
    "5.2.2": ("was not delivered: the mailbox is full", "The recipient has to make room; then please send it again."),
    "5.3.4": ("was not delivered: it is too large for their server", "Please send it again in smaller pieces, or as a link."),
    "5.4.4": ("was not delivered: {domain} has no mail server", "Please check the part after the @ and send it again."),
    "5.4.6": ("was not delivered: it would go round in a circle", "The administrator of {domain} has to put that right."),
    "5.6": ("was not delivered: their server cannot take this kind of message", "Please send it again as plain text."),
    "5.7": (
        "was refused by their server's rules",
        "Their words below say why; if they do not help, please forward this report to your administrator.",
    ),
    "5": (
        "was refused by their server",
        "Their words below say why. If it is a mistake in the address, please correct it and send the message again.",
    ),
}


def _case(status: str) -> str:
    """The longest beginning of *status*, by whole numbers, that has words."""
    while status and status not in _WORDS:
        status = status.rpartition(".")[0]
    return status or "5"


def explanation(lost: Sequence[Lost], hostname: str) -> str:
    """The part for people: first what happened and whose turn it is, then what was said about each recipient."""
    cases: dict[tuple[str, str], list[Lost]] = {}
    for entry, outcome in lost:
        # One sentence for all recipients of whom the same is true.
        case = _case(outcome.status)
        domain = entry.recipient.address.domain if "{domain}" in "".join(_WORDS[case]) else ""
        cases.setdefault((case, domain), []).append((entry, outcome))
    lines = [line for (case, domain), concerned in cases.items() for line in _paragraph(case, domain, concerned)]
    sent = format_date(lost[0][0].made_at, 0)
    lines += [f"This is the mail system at {hostname}. It took your message on {sent}."]
    lines += ["Attached: details for the technician, and the message or its header."]
    return "\n".join(lines) + "\n"


def _paragraph(case: str, domain: str, lost: Sequence[Lost]) -> list[str]:
    what, turn = _WORDS[case]
    values = {"domain": domain, "days": _days(lost[0][0])}
    names = [str(entry.recipient.address) for entry, _ in lost]
    whom = names[0] if len(names) == 1 else f"{len(names)} recipients"
    said = [line for entry, outcome in lost for line in (f"  {entry.recipient.address}", f"    {_said(outcome)}")]
    return [f"Your message to {whom} {what.format(**values)}. {turn.format(**values)}", "", *said, ""]


def _said(outcome: Outcome) -> str:
    code = f"{outcome.code} " if outcome.code else ""
    who = f"{outcome.remote} said: " if outcome.remote and outcome.code else f"{outcome.remote}: " if outcome.remote else ""
    return one_line(f"{who}{code}{outcome.text} ({outcome.status})", 800)


def _days(entry: QueueEntry) -> str:
    hours = max(round((entry.expires - entry.made_at) / 3600), 1)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours" if hours > 1 else "an hour"
