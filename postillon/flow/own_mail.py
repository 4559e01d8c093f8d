"""Messages that the server itself sends to one address, here or elsewhere: filed or queued, signed, in one plan."""

from __future__ import annotations

from ..message.header import header_end
from ..message.octets import Octets
from ..message.prepare import prepare
from ..message.trace import return_path
from ..model.address import Address
from ..model.envelope import Envelope, Notify, Recipient
from ..model.ids import QueueId
from ..model.plan import Enqueue, File, Plan
from ..model.record import Record, Stage
from ..seams import Clock, Directory, FindKind
from ..storage.ids import IdSource
from ..storage.store import Store
from .sign import Signer


class OwnMail:
    """*queue_lifetime_s*: how long a message to somebody elsewhere is tried."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        clock: Clock,
        ids: IdSource,
        signer: Signer | None = None,
        queue_lifetime_s: int = 5 * 86400,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._ids = ids
        self._signer = signer
        self._queue_lifetime_s = queue_lifetime_s

    async def plan(self, octets: bytes, to: Address, what: str, *, tls_optional: bool = False) -> Plan | None:
        """The message *octets* to *to*, with the null sender; None if *to* is one of our addresses and leads nowhere.

        *what* it is in a few words, for the records; *tls_optional*: its header says `TLS-Required: No`. Raises Refusal.
        """
        found = await self._directory.find(to)
        away = (to,) if found.kind is FindKind.FOREIGN else found.remote
        accounts = () if found.kind is FindKind.FOREIGN else found.accounts
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
        facts = {"made_here": what, "sender": "", "recipients": [str(to)]}
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
            now + self._queue_lifetime_s,
        )
