"""For the search index and the janitor; settings; reports about TLS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from ....message.tlsrpt import PolicySessions, TlsReport
from ....model.errors import Refusal
from ....model.ids import AccountId, BlobId, EmailId
from ....model.plan import Plan
from ....seams import Row, Tx
from ...space import shrink
from .. import (
    emails,
    janitor,
    settings,
    tls_reports,
)
from ..commit import accounts_of, commit
from .accepting import Accepting

REAP_AFTER_S = 90
"""So long other sessions may still fetch what one expunged; when the disk is nearly full it goes at once."""
SHRINK_PAGES = 512
"""Pages that a step of the janitor gives back."""
FORGET_ACCEPTED_S = 3600
KEEP_GONE_S = 90 * 86400
"""So long a client may stay away and still be told exactly what is gone (RFC 7162 §3.2.5)."""


class Upkeep(Accepting):
    """For the search index and the janitor; settings; reports about TLS."""

    async def last_email(self) -> int:
        """The highest email id; 0 without any."""

        def work(tx: Tx) -> int:
            row = tx.one("SELECT max(email_id) FROM email")
            return int(row[0] or 0) if row else 0

        return await self.database.read(work)

    async def newer_emails(self, after: int) -> list[Row]:
        """Rows of (account, how many, the last email id) for email ids above *after*."""
        return await self.database.read(lambda tx: emails.newer(tx, after))

    async def existing_emails(self, wanted: Sequence[int]) -> set[int]:
        """Those email ids that still have a row."""
        return await self.database.read(lambda tx: emails.existing(tx, wanted))

    async def accounts(self, after: int, limit: int) -> list[AccountId]:
        """Accounts that have mail data, by id, above *after*."""
        sql = "SELECT account_id FROM account_state WHERE account_id > ? ORDER BY account_id LIMIT ?"
        return [AccountId(row[0]) for row in await self.database.read(lambda tx: tx.all(sql, after, limit))]

    async def clean(self) -> int:
        """One step of removing what nobody refers to any more; how many entries it found. Call again until 0."""
        now = self._clock.now()
        self.space.look()
        is_low = self.space.is_low

        def work(tx: Tx) -> tuple[int, list[BlobId], list[int]]:
            janitor.forget(tx, now - FORGET_ACCEPTED_S)
            count, files, gone = janitor.reap(tx, now + 1 if is_low else now - REAP_AFTER_S, now)
            return count + janitor.prune(tx, now - KEEP_GONE_S), files, gone

        count, files, gone = await self._write(work, heavy=True)
        if gone and self.index is not None:
            with contextlib.suppress(Refusal):  # whoever fills the index also looks for what should not be there
                await self.index.remove(gone)
        if files:
            await self._blobs.delete(files)
        if not count and is_low:
            return await self.database.write(lambda tx: shrink(tx, SHRINK_PAGES), heavy=True)
        if not count:
            await asyncio.to_thread(self.space.keep)
        return count

    async def setting(self, name: str) -> bytes | None:
        def work(tx: Tx) -> bytes | None:
            row = tx.one("SELECT value FROM setting WHERE name = ?", name.encode())
            return bytes(row[0]) if row else None

        return await self.database.peek(work)

    async def account_setting(self, account: AccountId, name: str) -> Any:
        """What is set for one account under *name*; None: nothing."""
        return await self.database.peek(lambda tx: settings.get(tx, account, name))

    async def set_account_setting(self, account: AccountId, name: str, value: Any) -> None:
        """*value*: anything of msgpack; None removes it."""
        await self.database.write(lambda tx: settings.put(tx, account, name, value))

    async def settings_after(self, name: str, limit: int) -> list[tuple[str, bytes]]:
        """The next *limit* settings by name past *name*."""
        sql = "SELECT name, value FROM setting WHERE name > ? ORDER BY name LIMIT ?"
        rows = await self.database.read(lambda tx: tx.all(sql, name.encode(), limit))
        return [(bytes(row[0]).decode("utf-8", "replace"), bytes(row[1])) for row in rows]

    async def remove_setting(self, name: str, value: bytes) -> None:
        """Remove it unless it has another value by now."""
        sql = "DELETE FROM setting WHERE name = ? AND value = ?"
        await self.database.write(lambda tx: tx.run(sql, name.encode(), value))

    async def set_setting(self, name: str, value: bytes) -> None:
        sql = "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        await self.database.write(lambda tx: tx.run(sql, name.encode(), value))

    async def add_tls_sessions(self, counts: tls_reports.Counts) -> None:
        await self.database.write(lambda tx: tls_reports.add(tx, counts))

    async def tls_due(self, before: int) -> list[tuple[int, str]]:
        """(day, domain) of sessions that were counted before the day *before* and not reported yet; a step of them."""
        return await self.database.read(lambda tx: tls_reports.due(tx, before))

    async def tls_sessions(self, day: int, domain: str) -> list[PolicySessions]:
        return await self.database.read(lambda tx: tls_reports.sessions(tx, day, domain))

    async def tls_reported(self, day: int, domain: str, plans: Sequence[Plan]) -> None:
        """The report about *day* goes out by *plans*, or otherwise, or to nobody: it is made once."""
        new, now = self.new_ids(sum(len(plan.items) for plan in plans)), self._clock.now()
        for plan in plans:
            await self._place(plan.body.blob, plan.body.path)

        def work(tx: Tx) -> None:
            at = 0
            for plan in plans:
                commit(tx, plan, [EmailId(i) for i in new[at : at + len(plan.items)]], now)
                at += len(plan.items)
            tls_reports.forget(tx, day, domain)

        await self.database.write(work, tuple({account for plan in plans for account in accounts_of(plan)}))
        self._name(*plans)

    async def keep_tls_report(self, report: TlsReport, domains: Sequence[str], stop: int) -> int:
        """Keep what others say about our *domains*; how many rows are new."""
        return await self.database.write(lambda tx: tls_reports.received(tx, report, domains, stop))

    async def tls_reports(self, since: int, limit: int) -> list[tuple[str, TlsReport]]:
        return await self.database.read(lambda tx: tls_reports.reports(tx, since, limit))

    async def prune_tls_reports(self, before: int) -> int:
        return await self._write(lambda tx: tls_reports.prune(tx, before), heavy=True)
