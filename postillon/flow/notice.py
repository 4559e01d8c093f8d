"""Notices: messages of the server itself to its postmaster and its accounts (RFC 3834: automatic, never answered)."""

from __future__ import annotations

from collections.abc import Sequence

from ..message import build
from ..message.octets import Octets
from ..message.prepare import prepare
from ..message.trace import return_path
from ..model.address import Address
from ..model.envelope import Envelope, Notify, Recipient
from ..model.ids import AccountId, QueueId
from ..model.plan import Enqueue, File, Plan
from ..seams import Clock, Directory
from ..storage.ids import IdSource
from ..storage.store import Store


class Notices:
    """*hostname* names us; *queue_lifetime_s*: how long a notice to a postmaster elsewhere is tried."""

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

    async def operator(self, subject: str, text: str) -> None:
        """To the postmaster, wherever that leads. Raises Refusal."""
        found = await self._directory.postmaster()
        await self._send(found.accounts, found.remote, Address("postmaster", self._hostname), subject, text)

    async def account(self, account: AccountId, subject: str, text: str) -> None:
        """Into the inbox of *account*. Raises Refusal."""
        name = (await self._directory.account(account)).name
        await self._send((account,), (), Address.parse(name), subject, text)

    async def _send(self, accounts: Sequence[AccountId], away: Sequence[Address], to: Address, subject: str, text: str) -> None:
        if not accounts and not away:
            return
        now, octets = self._clock.now(), self._octets(to, subject, text)
        spool = self._store.spool(len(octets))
        spool.write(octets)
        body = await spool.finish()
        whole = Octets.whole(body.size)
        filed = whole.with_prefix(return_path(None))
        items: list[File | Enqueue] = [File(account, filed.encode(), filed.size) for account in accounts]
        if away:
            recipients = tuple(Recipient(address, frozenset({Notify.NEVER})) for address in away)
            items.append(
                Enqueue(
                    QueueId(self._ids.next()),
                    Envelope(None, recipients, body="7BIT" if octets.isascii() else "8BITMIME"),
                    tuple(address.domain for address in away),
                    whole.encode(),
                    None,
                    now,
                    now + self._queue_lifetime_s,
                )
            )
        prepared = prepare(return_path(None) + octets, len(octets)) if accounts else None
        await self._store.commit(Plan(body, prepared, now, items=tuple(items)))

    def _octets(self, to: Address, subject: str, text: str) -> bytes:
        return b"".join(
            [
                build.addresses("From", [("Postillon", Address("postmaster", self._hostname))]),
                build.addresses("To", [("", to)]),
                build.text("Subject", subject),
                build.date("Date", self._clock.now()),
                build.message_id("Message-ID", [f"{self._ids.next():x}.notice@{self._hostname}"]),
                build.raw("Auto-Submitted", b"auto-generated"),
                build.raw("MIME-Version", b"1.0"),
                build.text_part(text),
            ]
        )
