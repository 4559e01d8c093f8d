"""The mail path over a real store and directory: SQLite in a folder, a resolver that is a table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from postillon.directory.limiter import Limiter
from postillon.directory.local import DirectorySettings, LocalDirectory
from postillon.directory.pool import PasswordPool
from postillon.flow.deliver import Deliverer, FlowSettings
from postillon.flow.receive import Receiver
from postillon.flow.submit import Submitter
from postillon.message.incoming import Incoming
from postillon.model.account import SERVER
from postillon.model.address import Address
from postillon.model.envelope import Client, Envelope, Recipient
from postillon.model.ids import AccountId
from postillon.model.plan import Receipt
from postillon.model.queue import QueueEntry
from postillon.storage.blobs.files import FileBlobs
from postillon.storage.db import side_schema
from postillon.storage.db.migrate import migrate
from postillon.storage.db.sqlite import SqliteDatabase
from postillon.storage.ids import IdSource
from postillon.storage.store import Rope, Store, owner_of
from tests.kinds import FixedClock, TableResolver

SETTINGS = FlowSettings("mail.example.test")
STRANGER = Client("192.0.2.7", hello="peer.test", session="s1")


@dataclass
class Office:
    store: Store
    directory: LocalDirectory
    receiver: Receiver
    submitter: Submitter
    deliverer: Deliverer
    clock: FixedClock
    alice: AccountId
    bob: AccountId

    @property
    def client(self) -> Client:
        """Alice, logged in."""
        return replace(STRANGER, account=self.alice, login="alice@example.test")

    async def receive(self, sender: str | None, recipients: list[str], data: bytes) -> Receipt:
        return await self._pass(self.receiver, STRANGER, sender, recipients, data)

    async def submit(self, sender: str | None, recipients: list[str], data: bytes) -> Receipt:
        return await self._pass(self.submitter, self.client, sender, recipients, data)

    async def _pass(
        self, path: Receiver | Submitter, client: Client, sender: str | None, recipients: list[str], data: bytes
    ) -> Receipt:
        return await path.message(await self.incoming(path, client, sender, recipients, data))

    async def incoming(
        self, path: Receiver | Submitter, client: Client, sender: str | None, recipients: list[str], data: bytes
    ) -> Incoming:
        """What a session makes of it, before the mail path hears of the message."""
        envelope = Envelope(Address.parse(sender) if sender else None)
        await path.sender(client, envelope)
        accepted = []
        for text in recipients:
            one = await path.recipient(client, envelope, Recipient(Address.parse(text)))
            accepted.append(one)
            envelope = replace(envelope, recipients=(*envelope.recipients, one.recipient))
        spool = self.store.spool(10**8)
        for at in range(0, len(data), 60_000):
            spool.write(data[at : at + 60_000])
        body = await spool.finish()
        return Incoming(client, envelope, tuple(accepted), body, self.clock.now())

    async def mail(self, account: AccountId, path: tuple[str, ...] = ("INBOX",)) -> list[bytes]:
        """The messages in a mailbox, whole."""
        box = await self.store.find_mailbox(SERVER, account, path)
        uids = [row[0] for row in await self.store.snapshot(SERVER, account, box.id, 0)]
        ropes = [self.store.octets(email) for email in await self.store.emails(SERVER, account, box.id, uids)]
        return [await self.store.read_octets(rope, 0, rope.size) for rope in ropes]

    async def queued(self) -> list[tuple[QueueEntry, bytes]]:
        from postillon.message.octets import Octets

        found = []
        for entry in await self.store.lease(self.clock.now(), 1000, 300, per_destination=1000):
            rope = Rope(Octets.decode(entry.recipe, entry.blob_size), entry.blob)
            found.append((entry, await self.store.read_octets(rope, 0, rope.size)))
        return found


@pytest.fixture
def table() -> dict[str, object]:
    return {"null.test": {"mx": [(0, "")]}, "sender.test": {"mx": [(10, "mx.sender.test")]}}


@pytest.fixture
async def office(tmp_path: Path, table: dict[str, object]) -> AsyncIterator[Office]:
    clock, ids = FixedClock(1_800_000_000), IdSource()
    database = SqliteDatabase(str(tmp_path / "mail.db"), lambda topics: None).open()
    side = SqliteDatabase(str(tmp_path / "side.db"), lambda topics: None, synchronous="NORMAL").open()
    await migrate(database, clock.now())
    await migrate(side, clock.now(), side_schema)
    for name in ("spool", "blobs"):
        (tmp_path / name).mkdir()
    store = Store(database, FileBlobs(str(tmp_path / "blobs")), clock, ids, str(tmp_path / "spool"), owner=owner_of(0, 1))
    directory = LocalDirectory(
        database=database,
        limiter=Limiter(side, clock),
        pool=PasswordPool(threads=2),
        clock=clock,
        ids=ids,
        secret=b"s",
        settings=DirectorySettings(failure_delay_s=0),
    )
    await directory.create_domain("example.test")
    alice = await directory.create_account("alice@example.test", "secret")
    bob = await directory.create_account("bob@example.test", "secret")
    deliverer = Deliverer(store=store, directory=directory, clock=clock, settings=SETTINGS)
    yield Office(
        store,
        directory,
        Receiver(
            store=store,
            directory=directory,
            resolver=TableResolver(table),  # type: ignore[arg-type]
            deliverer=deliverer,
            clock=clock,
            settings=SETTINGS,
        ),
        Submitter(store=store, directory=directory, deliverer=deliverer, clock=clock, ids=ids, settings=SETTINGS),
        deliverer,
        clock,
        alice.id,
        bob.id,
    )
    await database.close()
    await side.close()
