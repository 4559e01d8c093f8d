"""Making a plan true: bodies, copies, queue rows and the acceptance in one transaction. The only way to say 250."""

from __future__ import annotations

from collections.abc import Sequence

from ...model.ids import AccountId, BlobId, EmailId
from ...model.plan import Enqueue, File, Filed, Plan, Receipt
from ...seams import Tx
from .filing import add_blob, file
from .queue import enqueue


def accounts_of(plan: Plan) -> tuple[AccountId, ...]:
    """The accounts whose mail data *plan* changes, for `Database.write`."""
    plans = (plan, *plan.along)
    return tuple(sorted({item.account for each in plans for item in each.items if isinstance(item, File)}))


def repeated(tx: Tx, plan: Plan, now: int) -> Receipt | None:
    """The receipt of an earlier acceptance whose answer may have been lost (RFC 1047), or None: it is marked as accepted."""
    sql = "INSERT INTO accepted (key, blob_id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    if not plan.accept_key or tx.run(sql, plan.accept_key, plan.body.blob, now):
        return None
    row = tx.one("SELECT blob_id FROM accepted WHERE key = ?", plan.accept_key)
    assert row is not None, "it was there a statement ago"
    return Receipt(BlobId(row[0]), repeated=True)


def commit(tx: Tx, plan: Plan, email_ids: Sequence[EmailId], now: int, confirmed: Sequence[bytes] = ()) -> Receipt:
    """Run the whole plan. *email_ids*: one for each item, then for those of the plans that go along; *confirmed*: acceptances
    whose answer has arrived by now.
    """
    for key in confirmed:
        tx.run("DELETE FROM accepted WHERE key = ?", key)
    before = repeated(tx, plan, now)
    if before is not None:
        return before
    add_blob(tx, plan.body, now)
    filed: list[Filed] = []
    queued = []
    for item, email in zip(plan.items, email_ids, strict=False):
        if isinstance(item, Enqueue):
            enqueue(tx, item, plan.body.blob, plan.body.size, plan.body.size, now)
            queued.append(item.queue_id)
        else:
            assert plan.prepared is not None, "a plan that files needs what was prepared"
            filed.append(file(tx, item, plan.body, plan.prepared, email, plan.received, plan.zone, now))
    at = len(plan.items)
    for along in plan.along:
        commit(tx, along, email_ids[at : at + len(along.items)], now)
        at += len(along.items)
    return Receipt(plan.body.blob, tuple(filed), tuple(queued))
