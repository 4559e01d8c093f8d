"""Making a plan true: bodies, copies, queue rows and the acceptance in one transaction. The only way to say 250."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...model.ids import AccountId, BlobId, EmailId
from ...model.plan import Enqueue, File, Filed, Hold, Plan, Receipt
from ...model.queue import QueueState
from ...model.record import Record, Stage
from ...seams import Tx
from ..db.dialect import locked
from . import records, sending
from .filing import add_blob, file
from .quarantine import hold
from .queue import enqueue

SILENT_S = 60
"""A client that says nothing for so long after our 250 has probably lost its connection."""


def accounts_of(plan: Plan) -> tuple[AccountId, ...]:
    """The accounts whose mail data *plan* changes, or whose sending it counts, for `Database.write`."""
    plans = (plan, *plan.along)
    found = {item.account for each in plans for item in each.items if isinstance(item, File)}
    if plan.charge is not None:
        found.add(plan.charge.account)
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class Acceptor:
    """The worker that accepts, and whether another one still lives."""

    owner: int
    is_alive: Callable[[int], bool]

    def has_lost(self, owner: int, at: int, now: int) -> bool:
        """Whether the peer has probably not heard the answer that *owner* gave it at *at*, since it has not gone on.

        Its connection broke (owner 0), its worker died, or it has been silent for long. Until then the same octets are another
        message: scripts and load generators send them, also over several connections at a time.
        """
        return not owner or now - at > SILENT_S or (owner != self.owner and not self.is_alive(owner))


def repeated(tx: Tx, plan: Plan, acceptor: Acceptor, now: int) -> Receipt | None:
    """The receipt of an earlier acceptance whose answer was lost (RFC 1047), or None: it is marked as accepted now."""
    values = plan.body.blob, now, acceptor.owner
    sql = "INSERT INTO accepted (key, blob_id, at, owner) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
    row = None
    while row is None:  # PostgreSQL: another worker may confirm it between the two statements
        if tx.run(sql, plan.accept_key, *values):
            return None
        row = tx.one(f"SELECT blob_id, at, owner FROM accepted WHERE key = ?{locked(tx)}", plan.accept_key)
    if acceptor.has_lost(row[2], row[1], now):
        return Receipt(BlobId(row[0]), repeated=True)
    tx.run("UPDATE accepted SET blob_id = ?, at = ?, owner = ? WHERE key = ?", *values, plan.accept_key)
    return None


def confirm(tx: Tx, keys: Sequence[bytes]) -> None:
    """The answers to these acceptances have arrived."""
    for key in keys:
        tx.run("DELETE FROM accepted WHERE key = ?", key)


def commit(
    tx: Tx, plan: Plan, email_ids: Sequence[EmailId], now: int, acceptor: Acceptor | None = None, confirmed: Sequence[bytes] = ()
) -> Receipt:
    """Run the whole plan. *email_ids*: one for each item, then for those of the plans that go along; *acceptor*: needed for
    plans with an accept key; *confirmed*: acceptances whose answer has arrived by now.
    """
    confirm(tx, confirmed)
    before = repeated(tx, plan, acceptor, now) if plan.accept_key and acceptor is not None else None
    if before is not None:
        return before
    usage, is_held = sending.charge(tx, plan.charge, now) if plan.charge is not None else (None, False)
    add_blob(tx, plan.body, now)
    filed: list[Filed] = []
    queued = []
    for item, email in zip(plan.items, email_ids, strict=False):
        if isinstance(item, Enqueue):
            state = QueueState.ACCOUNT_HELD if is_held else item.state
            enqueue(tx, item, plan.body.blob, plan.body.size, plan.body.size, now, state)
            queued.append(item.queue_id)
        elif isinstance(item, Hold):
            hold(tx, item, plan.body.blob, plan.body.size, now)
        else:
            assert plan.prepared is not None, "a plan that files needs what was prepared"
            filed.append(file(tx, item, plan.body, plan.prepared, email, plan.received, plan.zone, now))
    at = len(plan.items)
    for along in plan.along:
        commit(tx, along, email_ids[at : at + len(along.items)], now)
        at += len(along.items)
    if plan.records:
        reports = [reported(each, now) for each in plan.along]
        written = records.encode((*plan.records, *(filing(one, now) for one in filed), *queueing(plan, now, is_held), *reports))
        records.record(tx, plan.body.blob, plan.body.blob, written)
    return Receipt(plan.body.blob, tuple(filed), tuple(queued), usage=usage)


def reported(report: Plan, now: int) -> Record:
    """The record of *report*, for the message that it is about."""
    return Record(Stage.REPORTED, now, {"report": f"{report.body.blob:x}"})


def queueing(plan: Plan, now: int, is_held: bool = False) -> list[Record]:
    """The records of what *plan* puts into the queue and into the quarantine. *is_held*: with all that its account sends."""
    found = []
    for item in plan.items:
        if isinstance(item, Enqueue):
            recipients = [str(one.address) for one in item.envelope.recipients]
            found.append(Record(Stage.QUEUED, now, {"queue": f"{item.queue_id:x}", "recipients": recipients}))
            why = item.answer.removeprefix("held ") or ("with all that its account sends" if is_held else "")
            if why:
                found.append(Record(Stage.HELD, now, {"queue": f"{item.queue_id:x}", "detail": why}))
        elif isinstance(item, Hold):
            facts = {"recipients": [str(one.address) for one in item.item.envelope.recipients], **dict(item.facts)}
            found.append(Record(Stage.QUARANTINED, now, {"hold": f"{item.hold_id:x}", "until": item.until, **facts}))
    return found


def filing(filed: Filed, now: int) -> Record:
    return Record(Stage.FILED, now, {"account": filed.account, "mailbox": filed.mailbox, "uid": filed.uid})
