"""Machine-made messages of the server to anybody: filed here, queued for elsewhere, signed where they leave the house."""

from __future__ import annotations

from collections.abc import Sequence

from ..message.header import header_end
from ..message.octets import Octets
from ..message.prepare import prepare
from ..message.trace import return_path
from ..model.address import Address
from ..model.envelope import Envelope, Notify, Recipient
from ..model.ids import AccountId, QueueId
from ..model.plan import Enqueue, File, Plan
from ..seams import Clock, Directory, FindKind
from ..storage.ids import IdSource
from ..storage.store import Store
from .deliver import FlowSettings
from .report_inbox import ReportInbox
from .sign import Signer


class Post:
    """What is sent has the null sender (RFC 3834 §3.3): nobody is told when it is lost."""

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
        """*inbox* reads what we report to ourselves."""
        self._inbox = inbox
        self._store = store
        self._directory = directory
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._signer = signer

    async def send(self, octets: bytes, to: Sequence[Address]) -> int:
        """Send the message *octets* to those of *to* that can be reached; returns how many. Raises Refusal."""
        accounts: list[AccountId] = []
        away: list[Address] = []
        here: list[Address] = []
        reached = 0
        for address in to:
            found = await self._directory.find(address)
            if found.kind is FindKind.UNKNOWN or (
                found.kind is FindKind.FOREIGN and not self._settings.may_send_to(address.domain)
            ):
                continue
            reached += 1
            if found.kind is FindKind.FOREIGN:
                away.append(address)
            else:
                here.append(address)
                accounts += found.accounts
                away += [one for one in found.remote if self._settings.may_send_to(one.domain)]
        if accounts or away:
            await self._commit(octets, list(dict.fromkeys(accounts)), list(dict.fromkeys(away)))
        if self._inbox is not None and any(map(self._inbox.wants, here)):
            self._inbox.offer_own(octets, self._settings.hostname)
        return reached

    async def _commit(self, octets: bytes, accounts: list[AccountId], away: list[Address]) -> None:
        now = self._clock.now()
        spool = self._store.spool(len(octets))
        spool.write(octets)
        body = await spool.finish()
        whole = Octets.whole(body.size)
        filed = whole.with_prefix(return_path(None))
        items: list[File | Enqueue] = [File(account, filed.encode(), filed.size) for account in accounts]
        if away:
            end = header_end(octets, 0, len(octets))
            fields = await self._signer.fields(octets[:end], body, end, now) if self._signer is not None else b""
            items.append(
                Enqueue(
                    QueueId(self._ids.next()),
                    Envelope(None, tuple(Recipient(address, frozenset({Notify.NEVER})) for address in away), body="7BIT"),
                    tuple(address.domain for address in away),
                    whole.with_prefix(fields).encode(),
                    None,
                    now,
                    now + self._settings.queue_lifetime_s,
                )
            )
        prepared = prepare(return_path(None) + octets, len(octets)) if accounts else None
        await self._store.commit(Plan(body, prepared, now, items=tuple(items)))
