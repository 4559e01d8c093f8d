"""Tallies: equal facts are counted together, by kind, day and domain, on each kind of database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postillon.seams import Database
from postillon.storage.db import side_schema
from postillon.storage.db.migrate import migrate
from postillon.storage.db.sqlite import SqliteDatabase
from postillon.storage.store import tallies
from postillon.storage.store.tallies import Kind, Tally

from .conftest import Wakes, postgres

SEEN, HEARD = Kind.DMARC_SEEN, Kind.DMARC_HEARD


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real)])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    database: Database
    if request.param == "sqlite":
        database = SqliteDatabase(str(tmp_path / "side.db"), Wakes(), synchronous="NORMAL").open()
    else:
        database = postgres(request, Wakes())
    await migrate(database, 1, side_schema)
    yield database
    await database.close()


async def test_equal_facts_are_counted_together(side: Database) -> None:
    for _ in range(2):
        await side.write(lambda tx: tallies.add(tx, SEEN, [Tally(5, "a.example", b"x", 2), Tally(5, "a.example", b"y", 1)]))
    found = await side.read(lambda tx: tallies.of_domain(tx, SEEN, 5, "a.example", 10))
    assert {one.facts: one.count for one in found} == {b"x": 4, b"y": 2}
    assert await side.read(lambda tx: tallies.of_domain(tx, HEARD, 5, "a.example", 10)) == []
    assert len(await side.read(lambda tx: tallies.of_domain(tx, SEEN, 5, "a.example", 1))) == 1


async def test_days_and_domains_are_found_removed_and_pruned_apart(side: Database) -> None:
    rows = [Tally(day, domain, b"x", day) for day in (3, 4, 5) for domain in ("a.example", "b.example")]
    await side.write(lambda tx: tallies.add(tx, SEEN, rows))
    await side.write(lambda tx: tallies.add(tx, HEARD, rows))
    assert await side.read(lambda tx: tallies.domains(tx, SEEN, 4)) == [(3, "a.example"), (3, "b.example")]
    await side.write(lambda tx: tallies.remove(tx, SEEN, 3, "a.example"))
    assert await side.read(lambda tx: tallies.domains(tx, SEEN, 4)) == [(3, "b.example")]
    assert [one.day for one in await side.read(lambda tx: tallies.since(tx, HEARD, 5, 10))] == [5, 5]
    assert await side.write(lambda tx: tallies.prune(tx, HEARD, 5, 3)) == 3
    assert await side.write(lambda tx: tallies.prune(tx, HEARD, 5, 3)) == 1
    assert len(await side.read(lambda tx: tallies.since(tx, HEARD, 0, 10))) == 2
    assert len(await side.read(lambda tx: tallies.since(tx, SEEN, 0, 10))) == 5
