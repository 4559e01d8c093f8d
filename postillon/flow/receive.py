"""Mail from other servers (the MX): who may send to whom, and what is made of a message. See ARCHITECTURE.md, first journey."""

from __future__ import annotations

import time
from copy import copy
from dataclasses import replace

from ..directory.bans import Bans, Offence
from ..filters.words import sentence
from ..log import Log
from ..mailauth.result import Result
from ..mailauth.srs import Srs, SrsError, is_srs
from ..message.edited import edited, together
from ..message.encoded_words import decode
from ..message.header import first, unfold, values
from ..message.incoming import Incoming
from ..message.octets import Octets
from ..message.prepare import prepare_scanned, thread_links
from ..message.trace import received, return_path
from ..model.address import Address
from ..model.envelope import Accepted, Client, Envelope, Recipient
from ..model.errors import NotFound, NotPermitted, OverQuota, Refusal
from ..model.plan import Item, Plan, Receipt
from ..model.record import Record, Stage
from ..model.verdict import Edits
from ..seams import Clock, Directory, FindKind, Found, Resolver
from ..storage.store import Store
from . import accept, records, wishes
from .bounce import About
from .complaints import Complaints
from .deliver import Copies, Deliverer, FlowSettings
from .dmarc_count import DmarcCounter
from .edits import Editor
from .gate import Gate
from .judgement import UNJUDGED, Judge, Judgement
from .plan import Fates, Wish, decide_all
from .relay_domains import RelayDomains
from .report_inbox import ReportInbox
from .rules import IN, NO_ORDERS, Orders, Rules

log = Log("receive")

RELAYING = "Relaying denied: that domain is not served here"


class Receiver:
    """The MX' mail path: `sender`, then `recipient` for each, then `message` (`mail_path`)."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        resolver: Resolver,
        deliverer: Deliverer,
        clock: Clock,
        settings: FlowSettings,
        judge: Judge | None = None,
        bans: Bans | None = None,
        gate: Gate | None = None,
        counter: DmarcCounter | None = None,
        reports: ReportInbox | None = None,
        srs: Srs | None = None,
        rules: Rules | None = None,
        relay_domains: RelayDomains | None = None,
        complaints: Complaints | None = None,
    ) -> None:
        self._complaints = complaints
        self._relay_domains = relay_domains
        self._srs = srs
        self._rules = rules or Rules()
        self._store = store
        self._directory = directory
        self._resolver = resolver
        self._deliverer = deliverer
        self._clock = clock
        self._settings = settings
        self._judge = judge
        self._bans = bans
        self._editor = Editor(store=store, directory=directory, settings=settings)
        self._gate = gate
        self._counter = counter
        self._reports = reports
        self._is_first = True

    def behind_another(self) -> Receiver:
        """The mail path behind a mail server that has judged already, and whose own address says nothing about the sender."""
        path = copy(self)
        path._judge, path._gate, path._bans, path._is_first = None, None, None, False
        return path

    async def sender(self, client: Client, envelope: Envelope) -> None:
        """At MAIL. Raises Refusal."""
        await self._store.check_space(envelope.size or 0)
        if envelope.sender is not None and self._is_first:
            await accept.check_sender_domain(self._resolver, envelope.sender.domain)

    async def recipient(self, client: Client, envelope: Envelope, recipient: Recipient | None) -> Accepted:
        """At RCPT; None is the bare `<Postmaster>`. Raises Refusal: unknown, no relay, over quota."""
        is_bare = recipient is None
        if recipient is None:
            found = await self._directory.postmaster()
            if found.kind is not FindKind.LOCAL:
                raise NotFound("There is no postmaster here yet", status="5.1.1")
            recipient = await self._named(found)
        elif self._srs is not None and is_srs(recipient.address):
            return await self._way_back(self._srs, envelope, recipient)
        else:
            recipient = self._rules.recipient(IN, envelope.sender, recipient)
            found = await self._directory.find(recipient.address)
            domains = self._relay_domains
            is_foreign = found.kind is FindKind.FOREIGN
            if is_foreign and domains is not None and await domains.takes(recipient.address, envelope.sender):
                if self._gate is not None:
                    await self._gate.admit(client, envelope, recipient)
                return Accepted(recipient, remote=(recipient.address,))
        if self._bans is not None and found.kind is not FindKind.LOCAL:
            self._bans.note(client.address, Offence.RELAY if found.kind is FindKind.FOREIGN else Offence.UNKNOWN)
        if found.kind is FindKind.FOREIGN:
            raise NotPermitted(RELAYING, status="5.7.1")
        check_local(found, recipient, envelope.size or 0)
        if self._gate is not None and not is_bare:
            await self._gate.admit(client, envelope, recipient, found.accounts)
        self._settings.check_remote(found.remote)
        return Accepted(recipient, found.accounts, found.remote, found.detail)

    async def _way_back(self, srs: Srs, envelope: Envelope, recipient: Recipient) -> Accepted:
        """A report about something that we had handed on goes to whom it came from. Nothing else takes this way."""
        if not await self._directory.is_local_domain(recipient.address.domain):
            raise NotPermitted(RELAYING, status="5.7.1")
        if envelope.sender is not None:
            raise NotPermitted("This address takes only reports, which have the null sender", status="5.7.1")
        try:
            original = srs.original(recipient.address, self._clock.now())
        except SrsError as error:
            raise NotPermitted(f"No such mailbox here: {error}", status="5.1.1") from error
        self._settings.check_remote([original])
        return Accepted(recipient, remote=(original,))

    async def _named(self, found: Found) -> Recipient:
        return Recipient(Address.parse((await self._directory.account(found.accounts[0])).name))

    async def message(self, incoming: Incoming) -> Receipt:
        """After DATA: judge, plan, commit. Durable when it returns. Raises Refusal."""
        started = time.monotonic()
        header, judged = await self._judged(incoming)
        if self._counter is not None:
            self._counter.note(incoming, judged, header)
        key = accept.accept_key(incoming.client.address, incoming.envelope, incoming.body)
        came = incoming
        incoming, judged = await self._changed(incoming, header, judged)
        if not incoming.accepted:
            return discarded(self._store, came, header, *records.judgement(came, judged))
        return await self._take(incoming, header, judged, key, started)

    async def each(self, incoming: Incoming) -> list[Receipt | Refusal]:
        """As `message`, with an answer for each recipient by itself (LMTP): those who refuse it keep it from nobody else.

        `confirm` and `unheard` want the message for those alone who took it.
        """
        started = time.monotonic()
        header, judged = await self._judged(incoming)
        refusals = [_refusal(one, judged) for one in incoming.accepted]
        takers = [one for one, refusal in zip(incoming.accepted, refusals, strict=True) if refusal is None]
        if takers:
            incoming = came = incoming.to(takers)
        # Who refuses it today may take it when it is sent again, and then must not pass for one who has it.
        key = accept.accept_key(incoming.client.address, incoming.envelope, incoming.body)
        if takers:
            incoming, judged = await self._changed(incoming, header, judged)
            if not incoming.accepted:
                receipt = discarded(self._store, came, header, *records.judgement(came, judged))
                return [refusal or receipt for refusal in refusals]
        receipt = await self._take(incoming, header, judged, key, started)  # which refuses it if nobody takes it
        return [refusal or receipt for refusal in refusals]

    async def _judged(self, incoming: Incoming) -> tuple[bytes, Judgement]:
        """The header section and what is thought of the message. Raises Refusal where no judgement is needed for that."""
        header = accept.header_octets(incoming.body)
        accept.check_hops(header)
        wishes.check_solicitation(header, self._settings.no_soliciting)
        return header, await self._judge.judge(incoming, header) if self._judge else UNJUDGED

    async def _changed(self, incoming: Incoming, header: bytes, judged: Judgement) -> tuple[Incoming, Judgement]:
        """Both as filters want them; perhaps without a recipient. Raises Refusal, before a new body is written."""
        if not judged.edits:
            return incoming, judged
        edits = together(judged.edits)
        incoming, judged = await self._editor.envelope(incoming, edits), with_edits(judged, header, edits)
        self._decide(incoming, judged)
        return await self._editor.body(incoming, header, edits) if incoming.accepted else incoming, judged

    async def _take(self, incoming: Incoming, header: bytes, judged: Judgement, key: bytes, started: float) -> Receipt:
        """Plan and commit what is judged. Raises Refusal."""
        fates = self._decide(incoming, judged)
        withheld = _withheld(judged)
        if withheld:
            incoming = replace(incoming, envelope=replace(incoming.envelope, withheld=withheld))
        orders = self._orders(incoming, header)
        judged = _edited(judged, header, orders)
        envelope = orders.envelope(accept.with_tls_wish(incoming.envelope, header))
        copies = await self._copies(incoming, envelope, header, judged)
        items: tuple[Item, ...] = await self._deliverer.items(envelope, incoming.accepted, fates, copies, None, orders)
        if fates.holds_back:
            facts = why_held(header, judged)
            items += await self._deliverer.holds(envelope, incoming.accepted, fates, copies, facts)
        if judged.filed_header is None and judged.scanned is not None and judged.scanned[0] is incoming.body:
            prepared = prepare_scanned(header, judged.scanned[1])
        else:
            prepared = await accept.prepared(incoming.body, judged.filed_header, len(header))
        plan = Plan(
            body=incoming.body,
            prepared=prepared,
            received=incoming.at,
            items=items,
            records=records.accepted(incoming, prepared.message_id, *records.judgement(incoming, judged)),
            accept_key=key,
            along=await self._deliverer.reports(about(incoming, header), incoming.accepted, fates, items),
        )
        receipt = await self._store.commit(plan)
        if self._reports is not None and not receipt.repeated:
            self._reports.offer(incoming, receipt.blob, judged.verdict)
        note_accepted(incoming, receipt, started)
        if self._complaints is not None:
            await self._complaints.hear(incoming, header, judged)
        return receipt

    def _orders(self, incoming: Incoming, header: bytes) -> Orders:
        if not self._rules.rules:
            return NO_ORDERS
        addresses = [recipient.address for recipient in incoming.envelope.recipients]
        return self._rules.orders(IN, incoming.envelope.sender, addresses, header, incoming.body.size)

    async def _copies(self, incoming: Incoming, envelope: Envelope, header: bytes, judged: Judgement) -> Copies:
        """The ropes: our fields in front, then the octets received without the fields that must not go in."""
        trace = judged.results_field + received_field(incoming, self._settings.hostname)

        def rope(kept: bytes | None) -> Octets:
            size = incoming.body.size
            return Octets.whole(size) if kept is None else Octets.of(kept, (len(header), size))

        handed_on, filed = rope(judged.header).with_prefix(trace), rope(judged.filed_header)
        if self._judge is not None and any(one.remote for one in incoming.accepted):
            handed_on = handed_on.with_prefix(await self._judge.seal(incoming, header, judged))
        path = return_path(envelope.sender)
        personal = {account: filed.with_prefix(path + trace + fields) for account, fields in judged.personal_fields.items()}
        return Copies(filed.with_prefix(path + trace + judged.spam_fields), handed_on, personal)

    def _decide(self, incoming: Incoming, judged: Judgement) -> Fates:
        """Raises Refusal; what was found stands in the records all the same."""
        try:
            return decide_all(incoming.accepted, judged.vote)
        except Refusal:
            message_id, _ = thread_links(accept.header_octets(incoming.body))
            for record in records.judgement(incoming, judged, message_id):
                self._store.note(record, incoming.body.blob)
            raise

    async def retry(self, client: Client, option: str, node: str) -> int:
        """ETRN of a trusted client: what waits for the domain *node* is tried at once; how many recipients."""
        count = await self._store.queue_retry(node, below=option == "@")
        log.info("queue run asked for", session=client.session, peer=client.address, domain=node, recipients=count)
        return count

    def confirm(self, incoming: Incoming) -> None:
        """The peer has heard our 250."""
        self._store.confirm(accept.accept_key(incoming.client.address, incoming.envelope, incoming.body))

    async def unheard(self, incoming: Incoming) -> None:
        """The peer may never have heard our 250: the same message again is no other one."""
        await self._store.unheard(accept.accept_key(incoming.client.address, incoming.envelope, incoming.body))


def _refusal(one: Accepted, judged: Judgement) -> Refusal | None:
    """What one recipient alone answers."""
    try:
        decide_all([one], judged.vote)
    except Refusal as refusal:
        return refusal
    return None


def _withheld(judged: Judgement) -> str:
    """Why the sender is told nothing about the message: it is likely to be somebody else."""
    if judged.verdict is not None and judged.verdict.spf.result is Result.FAIL:
        return "spf"
    return "junk" if judged.vote(None).wish in (Wish.JUNK, Wish.QUARANTINE, Wish.REFUSE_SPAM) else ""


def _edited(judged: Judgement, header: bytes, orders: Orders) -> Judgement:
    """*judged* with the headers as the rules want them."""
    handed_on, filed = judged.header or header, judged.filed_header or header
    after, filed_after = orders.header(handed_on), orders.header(filed)
    if after is handed_on and filed_after is filed:
        return judged
    return replace(judged, header=after, filed_header=filed_after)


def check_local(found: Found, recipient: Recipient, size: int) -> None:
    """Raises NotFound for an address that leads nowhere, OverQuota when nobody it leads to has room for *size* octets."""
    if found.kind is FindKind.UNKNOWN:
        raise NotFound(f"No such mailbox here: <{recipient.address}>", status="5.1.1")
    if found.accounts and not found.remote and found.free < max(size, 1):
        raise OverQuota("The mailbox is full; try again later")


def why_held(header: bytes, judged: Judgement) -> dict[str, str]:
    """What an administrator is shown of a message in the quarantine."""
    fields = values(header)
    known = {name: decode(unfold(fields[key][0]))[:200] for name, key in _SHOWN if key in fields}
    reasons = sorted(judged.against or judged.findings, key=lambda one: -one.score)[:3]
    return {"reason": "; ".join(sentence(one) for one in reasons)[:500], **known}


_SHOWN = (("author", b"from"), ("subject", b"subject"))


def with_edits(judged: Judgement, header: bytes, edits: Edits) -> Judgement:
    """*judged* with the header fields that filters want changed, in what is handed on and in what is filed."""
    if not edits.fields:
        return judged
    return replace(
        judged,
        header=edited(header, edits.fields, judged.header),
        filed_header=edited(header, edits.fields, judged.filed_header),
    )


def discarded(store: Store, incoming: Incoming, header: bytes, *judged: Record) -> Receipt:
    """A filter has taken every recipient away: the message is accepted, and goes nowhere. *incoming*: as it came."""
    log.info("message discarded", session=incoming.client.session, message=accept.message_name(incoming))
    message_id = (first(header, b"message-id") or b"").strip(b"<>")
    dropped = Record(Stage.DROPPED, incoming.at, {"detail": "by a filter: it goes nowhere"})
    for record in (*records.accepted(incoming, message_id, *judged), dropped):
        store.note(record, incoming.body.blob)
    return Receipt(incoming.body.blob)


def about(incoming: Incoming, header: bytes) -> About:
    """The message, for a report that goes along with its acceptance."""
    return About(incoming.envelope, header, incoming.at, accept.message_name(incoming))


def received_field(incoming: Incoming, hostname: str) -> bytes:
    """Our Received field (RFC 5321 §4.4); the recipient is told only where there is one."""
    accepted = incoming.accepted
    return received(
        incoming.client,
        by=hostname,
        trace_id=accept.message_name(incoming),
        recipient=accepted[0].recipient.address if len(accepted) == 1 else None,
        utf8=incoming.envelope.smtputf8,
        at=incoming.at,
    )


def note_accepted(incoming: Incoming, receipt: Receipt, started: float) -> None:
    """The stage's line in the log, with the copy's place; a line for each copy if there are several."""
    name = accept.message_name(incoming)
    places = [{"account": filed.account, "mailbox": filed.mailbox, "uid": filed.uid} for filed in receipt.filed]
    log.info(
        "message accepted again" if receipt.repeated else "message accepted",
        session=incoming.client.session,
        message=name,
        peer=incoming.client.address,
        login=incoming.client.login or "-",
        sender=incoming.envelope.sender or "<>",
        recipients=len(incoming.accepted),
        size=incoming.body.size,
        queued=",".join(f"{queue_id:x}" for queue_id in receipt.queued) or "-",
        ms=round((time.monotonic() - started) * 1000, 1),
        **(places[0] if len(places) == 1 else {"filed": len(places)}),
    )
    for place in places if len(places) > 1 else ():
        log.info("message filed", message=name, **place)
