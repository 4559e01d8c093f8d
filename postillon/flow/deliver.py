"""From accepted recipients to the items of a plan: copies to file here, and duties for the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..log import Log
from ..mailauth.srs import Srs, SrsError
from ..message import dsn
from ..message.octets import Octets
from ..message.prepare import prepare
from ..model.address import Address
from ..model.envelope import Accepted, Envelope, Notify, Recipient
from ..model.errors import NotPermitted
from ..model.ids import AccountId, QueueId
from ..model.plan import Enqueue, File, Hold, Item, Plan
from ..model.queue import Outcome, QueueEntry, QueueState
from ..model.queue import OutcomeKind as Kind
from ..seams import Clock, Directory, FindKind
from ..storage.store import Rope, Store
from . import wishes
from .bounce import FILED, About, Reporter, wants_success
from .plan import Fate, Fates
from .rules import NO_ORDERS, Orders, verp

log = Log("receive")

LOCAL = "local"
"""The queue destination of copies that are filed here later."""
_ROLES = {Fate.FILE: "inbox", Fate.JUNK: "junk"}


@dataclass(frozen=True, slots=True)
class FlowSettings:
    hostname: str
    """Our name in Received fields and reports."""
    max_size: int = 50 << 20
    """Octets of a message."""
    quarantine_s: int = 30 * 86400
    """How long mail is kept in the quarantine."""
    quarantine_room: int = 2 << 30
    """Octets for all of it."""
    queue_lifetime_s: int = 5 * 86400
    """When a queued message is given up (RFC 5321 §4.5.4.1)."""
    copies_at_once: int = 50
    """Copies filed in the accepting transaction; the others go by the queue."""
    remote_allowed: bool = True
    """False: foreign recipients are refused in the dialogue (a developer's server without DNS and routes)."""
    routed_domains: frozenset[str] = frozenset()
    """Foreign domains that have a fixed next hop: always allowed."""
    longest_hold_s: int = 30 * 86400
    """How long a submission may be held back at its sender's wish."""
    no_soliciting: frozenset[str] = frozenset()
    """Keywords of solicitations that are refused, in lower case."""

    def may_send_to(self, domain: str) -> bool:
        return self.remote_allowed or domain in self.routed_domains

    def check_remote(self, addresses: Iterable[Address]) -> None:
        """Raises NotPermitted if we may not send to one of these foreign *addresses*, also when an alias leads there."""
        if not all(self.may_send_to(address.domain) for address in addresses):
            raise NotPermitted(
                "This server sends no mail to other domains: it has no route there and no DNS to find one", status="5.7.1"
            )


@dataclass(frozen=True, slots=True)
class Copies:
    """The ropes of a message: as filed (with Return-Path), and as handed on."""

    filed: Octets
    handed_on: Octets
    personal: Mapping[AccountId, Octets] = field(default_factory=dict)
    """As filed for those accounts whose copy differs."""

    def of(self, account: AccountId) -> Octets:
        return self.personal.get(account, self.filed)


class Deliverer:
    """Makes plan items, and files what the queue kept for local accounts."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        clock: Clock,
        settings: FlowSettings,
        reporter: Reporter | None = None,
        srs: Srs | None = None,
    ) -> None:
        """*srs*: rewrites the senders of what aliases hand on; None: they stay what they are."""
        self._srs = srs
        self._store = store
        self._directory = directory
        self._clock = clock
        self._settings = settings
        self._reporter = reporter

    async def items(
        self,
        envelope: Envelope,
        accepted: Sequence[Accepted],
        fates: Fates,
        copies: Copies,
        sender_account: AccountId | None,
        orders: Orders = NO_ORDERS,
    ) -> tuple[File | Enqueue, ...]:
        """One copy for each account however many recipients lead to it, one duty for each foreign recipient."""
        held: dict[AccountId, str] = {}
        if orders.rules:
            accepted, fates = await self._with_copies(orders, accepted, fates)
            held = _held(orders, accepted, fates)
            fates = replace(fates, accounts={**fates.accounts, **dict.fromkeys(held, Fate.QUEUE)})
        if (envelope.hold_for or envelope.hold_until) and wishes.is_held(envelope, self._clock.now()):
            later_then = {account: Fate.QUEUE for account, fate in fates.accounts.items() if fate is Fate.FILE}
            fates = replace(fates, accounts={**fates.accounts, **later_then})
        filing = [(account, fate) for account, fate in fates.accounts.items() if fate in _ROLES]
        later = [account for account, fate in fates.accounts.items() if fate is Fate.QUEUE]
        # The queue files in the inbox, so what is junk is filed now, however many copies there are.
        filing.sort(key=lambda each: each[1] is Fate.FILE)
        at_once = max(self._settings.copies_at_once, sum(fate is not Fate.FILE for _, fate in filing))
        later += [account for account, _ in filing[at_once:]]
        files = [
            File(account, copies.of(account).encode(), copies.of(account).size, role=_ROLES[fate])
            for account, fate in filing[:at_once]
        ]
        queued = await self._remote(envelope, accepted, fates, copies, sender_account, orders)
        wanted = {account: _wishes(one) for one in reversed(accepted) for account in one.accounts} if later else {}
        for why in dict.fromkeys(held.get(account, "") for account in later):
            group = {account: wanted[account] for account in later if held.get(account, "") == why}
            queued.append(await self._local_later(envelope, group, copies, sender_account, why))
        return (*files, *queued)

    async def holds(
        self, envelope: Envelope, accepted: Sequence[Accepted], fates: Fates, copies: Copies, facts: Mapping[str, str]
    ) -> tuple[Hold, ...]:
        """What goes into the quarantine: an entry for each account, and one for the addresses elsewhere."""
        accounts = [account for account, fate in fates.accounts.items() if fate is Fate.QUARANTINE]
        found: list[tuple[AccountId | None, Enqueue]] = []
        if accounts:
            wishes = {account: _wishes(one) for one in reversed(accepted) for account in one.accounts}
            found = [
                (account, await self._local_later(envelope, {account: wishes[account]}, copies, None, "")) for account in accounts
            ]
        if fates.remote is Fate.QUARANTINE:
            elsewhere = replace(fates, remote=Fate.FILE)
            found += [(None, item) for item in await self._remote(envelope, accepted, elsewhere, copies, None, NO_ORDERS)]
        until = self._clock.now() + self._settings.quarantine_s
        size = copies.filed.size
        return tuple(
            Hold(int(self._store.new_ids(1)[0]), account, item, size, until, self._settings.quarantine_room, tuple(facts.items()))
            for account, item in found
        )

    async def _with_copies(self, orders: Orders, accepted: Sequence[Accepted], fates: Fates) -> tuple[Sequence[Accepted], Fates]:
        """With those who get a copy by a rule, besides the recipients; one that leads nowhere is no reason to refuse mail."""
        more = []
        for address in orders.bcc:
            found = await self._directory.find(address)
            remote = (address,) if found.kind is FindKind.FOREIGN else found.remote
            if not remote and not found.accounts:
                log.warning("a rule copies to an address that does not exist", address=address)
            recipient = replace(accepted[0].recipient, notify=frozenset({Notify.NEVER}))
            more.append(Accepted(recipient, found.accounts, remote))
        filed = {account: Fate.FILE for one in more for account in one.accounts}
        return (*accepted, *more), replace(fates, accounts={**filed, **fates.accounts})

    async def reports(self, about: About, accepted: Sequence[Accepted], fates: Fates, items: Sequence[Item]) -> tuple[Plan, ...]:
        """What the sender is told at once, in the same commit: delivered, or expanded (RFC 3461 §5.2.7). Raises Refusal."""
        filed = {item.account for item in items if isinstance(item, File)}
        reported = []
        for one in accepted:
            # What we take for junk is not worth confirming: its sender is likely to be forged.
            if fates.of(one) not in (Fate.FILE, Fate.QUEUE) or not wants_success(about.envelope, one.recipient):
                continue
            if _is_expanded(one) or (one.accounts and one.accounts[0] in filed):
                reported.append(dsn.Reported(one.recipient, FILED, is_expanded=_is_expanded(one)))
        if not reported or self._reporter is None:
            return ()
        plan = await self._reporter.success(about, reported)
        return () if plan is None else (plan,)

    async def _remote(
        self,
        envelope: Envelope,
        accepted: Sequence[Accepted],
        fates: Fates,
        copies: Copies,
        sender_account: AccountId | None,
        orders: Orders,
    ) -> list[Enqueue]:
        """A duty for each address elsewhere; those that are sent under one sender, or held for one reason, share a message."""
        groups: dict[tuple[Address | None, str], list[tuple[Recipient, str]]] = {}
        seen: set[str] = set()
        if fates.remote in (Fate.DISCARD, Fate.QUARANTINE):
            return []
        rewrites = await self._rewrites(envelope, accepted)
        for one in accepted:
            for target in one.remote:
                if target.key in seen:
                    continue
                seen.add(target.key)
                known = (one.recipient.address, target)
                sender = self._forwarder(envelope, one) if rewrites and target != known[0] else envelope.sender
                if sender is not None and orders.rules and orders.has_verp(*known):
                    sender = verp(sender, target)
                destination = orders.destination(*known) or target.domain
                groups.setdefault((sender, orders.held(*known)), []).append((_handed_on(_wishes(one), target), destination))
        return [
            self._enqueue(
                replace(envelope, sender=sender),
                tuple(recipient for recipient, _ in found),
                tuple(destination for _, destination in found),
                copies.handed_on,
                sender_account,
                why,
            )
            for (sender, why), found in groups.items()
        ]

    async def _rewrites(self, envelope: Envelope, accepted: Sequence[Accepted]) -> bool:
        """Whether handing on would break SPF: under the name of somebody who does not know our address."""
        if self._srs is None or envelope.sender is None:
            return False
        if all(target == one.recipient.address for one in accepted for target in one.remote):
            return False
        return not await self._directory.is_local_domain(envelope.sender.domain)

    def _forwarder(self, envelope: Envelope, one: Accepted) -> Address:
        """The sender under which what came for *one* is handed on: at the domain of the alias, where reports find us."""
        assert self._srs is not None and envelope.sender is not None, "_rewrites"
        try:
            return self._srs.rewrite(envelope.sender, one.recipient.address.domain, self._clock.now())
        except SrsError:
            return envelope.sender  # too long to be rewritten: some will take it all the same

    async def _local_later(
        self, envelope: Envelope, wanted: Mapping[AccountId, Recipient], copies: Copies, sender: AccountId | None, why: str
    ) -> Enqueue:
        names = [(await self._directory.account(account)).name for account in wanted]
        recipients = tuple(
            _handed_on(recipient, Address.parse(name)) for name, recipient in zip(names, wanted.values(), strict=True)
        )
        octets = copies.of(next(iter(wanted))) if len(wanted) == 1 else copies.filed
        return self._enqueue(envelope, recipients, (LOCAL,) * len(recipients), octets, sender, why)

    def _enqueue(
        self,
        envelope: Envelope,
        recipients: tuple[Recipient, ...],
        destinations: tuple[str, ...],
        octets: Octets,
        account: AccountId | None,
        why: str = "",
    ) -> Enqueue:
        """*why* it is held, if it is."""
        now = self._clock.now()
        return Enqueue(
            queue_id=QueueId(self._store.new_ids(1)[0]),
            envelope=replace(envelope, recipients=recipients),
            destinations=destinations,
            recipe=octets.encode(),
            account=account,
            due=wishes.due(envelope, now),
            expires=wishes.expires(envelope, now, self._settings.queue_lifetime_s),
            state=QueueState.HELD if why else QueueState.WAITING,
            answer=why,
        )

    # --- for the queue's worker ------------------------------------------------------------------------------------

    async def file_entry(self, entry: QueueEntry) -> Outcome:
        """File the copy that *entry* keeps for a local account; the entry is settled with it. Raises Refusal."""
        found = await self._directory.find(entry.recipient.address)
        if not found.accounts:
            return Outcome(Kind.FAILED, "5.1.1", "There is no such account any more")
        rope = Rope(Octets.decode(entry.recipe, entry.blob_size), entry.blob)
        data = await self._store.read_octets(rope, 0, rope.size)
        report = await self._reporter.filed(entry) if self._reporter is not None else None
        await self._store.file_queued(entry, found.accounts[0], await asyncio.to_thread(prepare, data, entry.blob_size), report)
        return FILED


def _held(orders: Orders, accepted: Sequence[Accepted], fates: Fates) -> dict[AccountId, str]:
    """The accounts whose copies are held, with the reason. What is junk is not worth it."""
    found = {}
    for one in accepted:
        why = orders.held(one.recipient.address)
        if why:
            found.update({account: why for account in one.accounts if fates.accounts.get(account) is Fate.FILE})
    return found


def _is_expanded(one: Accepted) -> bool:
    """It leads to several places, so nobody can say for all of them that the message arrived."""
    return len(one.accounts) + len(one.remote) > 1


def _wishes(one: Accepted) -> Recipient:
    """The recipient, with the wishes that go on to where it leads: of success the expansion is the last report."""
    recipient = one.recipient
    if not _is_expanded(one) or Notify.SUCCESS not in recipient.notify:
        return recipient
    # No wish at all would mean FAILURE.
    return replace(recipient, notify=recipient.notify - {Notify.SUCCESS} or frozenset({Notify.NEVER}))


def _handed_on(recipient: Recipient, target: Address) -> Recipient:
    """The same wishes for another address; the address the sender wrote is kept as ORCPT (RFC 3461 §5.2.3)."""
    if target == recipient.address:
        return recipient
    return replace(recipient, address=target, original=recipient.original or f"rfc822;{recipient.address}")
