"""No statement about what accounts send reads a whole table: SQLite tells how it would run each."""

from __future__ import annotations

from collections.abc import Callable

from postillon.model.queue import QueueState
from postillon.model.sending import NO_LIMITS, Charge
from postillon.seams import Database, Row, Tx
from postillon.storage.store import Chosen, queue_orders, sending, settings, suppression
from postillon.storage.store import queue as rows
from postillon.storage.store.suppression import Cause

from ..directory.test_plans import Noting, NotingTx, explain
from .conftest import Office
from .test_queue_operator import enqueued


async def test_every_statement_goes_by_an_index(office: Office):
    alice, now = office.alice, office.clock.now()
    queue_id = await enqueued(office, "a@one.test", "b@two.test")
    (entry, *_) = await office.store.lease(now, 10, 300)
    works: list[Callable[[Tx], object]] = [
        lambda tx: sending.charge(tx, Charge(alice, (1, 2), NO_LIMITS, b"home"), now),
        lambda tx: sending.charge(tx, Charge(alice, (1, 2), NO_LIMITS, b"home"), now + 40 * 86400),
        lambda tx: sending.check_next(tx, alice, NO_LIMITS, now),
        lambda tx: sending.usage(tx, alice, now),
        lambda tx: sending.profile(tx, alice, now),
        lambda tx: sending.set_limits(tx, alice, {"messages_per_day": 3}),
        lambda tx: sending.hold(tx, alice, "why", now),
        lambda tx: sending.hold_of(tx, alice),
        lambda tx: sending.release(tx, alice),
        lambda tx: sending.change_step(tx, alice, QueueState.WAITING, QueueState.ACCOUNT_HELD),
        lambda tx: sending.tell_once(tx, alice, 1),
        lambda tx: sending.prune(tx, now + 10**9),
        lambda tx: settings.all_of(tx, alice),
        lambda tx: suppression.add(tx, alice, "a@b.test", now, Cause.BOUNCE, ""),
        lambda tx: suppression.find(tx, alice, "a@b.test", now),
        lambda tx: suppression.page(tx, alice),
        lambda tx: suppression.prune(tx, now + 10**9),
        lambda tx: suppression.remove(tx, alice, "a@b.test"),
        lambda tx: rows.reschedule(tx, entry, now, "later", False, "via:hop=gate:0"),
        lambda tx: rows.put_off(tx, "one.test", now, "x", [60], 0, 10, 3),
        lambda tx: rows.lease(tx, range(rows.LANES), now, now + 300, 1, 10, 10, ()),
        lambda tx: queue_orders.set_due(tx, Chosen(destination="one.test"), now, earlier=True),
        lambda tx: queue_orders.retry(tx, "one.test", now),
        lambda tx: queue_orders.set_state(tx, Chosen(queue_id), QueueState.HELD),
        lambda tx: queue_orders.recall(tx, queue_id, now),
    ]
    noting = Noting(office.database)
    for work in works:
        await office.database.write(lambda tx, work=work: work(NotingTx(tx, noting.statements)))  # type: ignore[misc]
    assert len(noting.statements) > 25
    for sql in noting.statements:
        await explain(office.database, sql)
        await explain_changes(office.database, sql)


async def explain_changes(database: Database, sql: str) -> None:
    """What changes rows of the queue that a subquery chooses walks over these, not over all that is due or in a state."""
    if not sql.startswith("UPDATE queue_recipient") or "IN (SELECT" not in sql:
        return

    def work(tx: Tx) -> list[Row]:
        return tx.all("EXPLAIN QUERY PLAN " + sql, *[1] * sql.count("?")) if tx.dialect == "sqlite" else []

    assert "queue_recipient_due" not in str(await database.read(work)), sql
