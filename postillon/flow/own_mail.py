"""Messages that the server itself sends, here or elsewhere: filed or queued, signed, in one plan.

Their sender is null (RFC 3834 §3.3): nobody is told when one is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..message.header import header_end
from ..message.octets import Octets
from ..message.prepare import prepare
from ..message.trace import return_path
from ..model.address import Address
from ..model.envelope import Envelope, Notify, Recipient
from ..model.ids import AccountId, QueueId
from ..model.plan import Enqueue, File, Plan
from ..model.record import Record, Stage
from ..seams import Clock, Directory, FindKind
from ..storage.ids import IdSource
from ..storage.store import Store
from .deliver import FlowSettings
from .report_inbox import ReportInbox
from .sign import Signer


class OwnMail:
    """*inbox* reads what we report to ourselves."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        clock: Clock,
        ids: IdSource,
        settings: FlowSettings,
        signer: Signer | None = None,
        inbox: ReportInbox | None = None,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._signer = signer
        self._inbox = inbox

    async def send(self, octets: bytes, to: Sequence[Address], what: str) -> bool:
        """Send the message *octets* to those of *to* that can be reached; False if there is nobody. Raises Refusal."""
        plan = await self.plan(octets, to, what)
        if plan is not None:
            await self._store.commit(plan)
        if self._inbox is not None and any([await self._is_here(address) for address in filter(self._inbox.wants, to)]):
            self._inbox.offer_own(octets, self._settings.hostname)
        return plan is not None

    async def _is_here(self, address: Address) -> bool:
        return (await self._directory.find(address)).kind not in (FindKind.FOREIGN, FindKind.UNKNOWN)

    async def plan(self, octets: bytes, to: Sequence[Address], what: str, *, tls_optional: bool = False) -> Plan | None:
        """The message *octets* to *to*; None if nobody of them can be reached.

        *what* it is in a few words, for the records; *tls_optional*: its header says `TLS-Required: No`. Raises Refusal.
        """
        accounts: list[AccountId] = []
        away: list[Address] = []
        for address in to:
            found = await self._directory.find(address)
            accounts += found.accounts
            away += [address] if found.kind is FindKind.FOREIGN else found.remote
        return await self.plan_to(octets, accounts, away, to, what, tls_optional=tls_optional)

    async def plan_to(
        self,
        octets: bytes,
        accounts: Iterable[AccountId],
        away: Iterable[Address],
        to: Sequence[Address],
        what: str,
        *,
        tls_optional: bool = False,
    ) -> Plan | None:
        """`plan` where it is known whither *to* leads: to *accounts* here, and *away*."""
        accounts = tuple(dict.fromkeys(accounts))
        away = tuple(dict.fromkeys(one for one in away if self._settings.may_send_to(one.domain)))
        if not away and not accounts:
            return None
        spool = self._store.spool(len(octets))
        spool.write(octets)
        body = await spool.finish()
        now, end, whole = self._clock.now(), header_end(octets, 0, len(octets)), Octets.whole(body.size)
        filed = whole.with_prefix(return_path(None))
        items: list[File | Enqueue] = [File(account, filed.encode(), filed.size) for account in accounts]
        if away:
            signed = whole
            if self._signer is not None:
                signed = whole.with_prefix(await self._signer.fields(octets[:end], body, end, now))
            items.append(self._duty(octets, signed, away, tls_optional, now))
        facts = {"made_here": what, "sender": "", "recipients": [str(address) for address in to]}
        return Plan(
            body=body,
            prepared=prepare(return_path(None) + octets, len(octets)) if accounts else None,
            received=now,
            items=tuple(items),
            records=(Record(Stage.ACCEPTED, now, facts),),
        )

    def _duty(self, octets: bytes, rope: Octets, away: tuple[Address, ...], tls_optional: bool, now: int) -> Enqueue:
        return Enqueue(
            QueueId(self._ids.next()),
            Envelope(
                None,
                tuple(Recipient(address, frozenset({Notify.NEVER})) for address in away),
                body="7BIT" if octets.isascii() else "8BITMIME",
                tls_optional=tls_optional,
            ),
            tuple(address.domain for address in away),
            rope.encode(),
            None,
            now,
            now + self._settings.queue_lifetime_s,
        )
