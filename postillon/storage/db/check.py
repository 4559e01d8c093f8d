"""Is the database file in order? For `postillon check`."""

from __future__ import annotations

from ...seams import Database, Tx


async def quick_check(database: Database) -> list[str]:
    """What SQLite finds wrong with its file, at most 20 lines; empty if nothing. PostgreSQL looks after itself."""

    def work(tx: Tx) -> list[str]:
        if tx.dialect != "sqlite":
            return []
        rows = tx.all("PRAGMA quick_check(20)")
        return [text for (text,) in rows if text != "ok"]

    return await database.read(work)
