"""What accounts send: counted by the hour, refused beyond their limits, held when it is not like them. Works over a transaction.

The counts are written in the transaction that accepts a submission, so all workers share them and none is ever one too many.
Whoever writes here declares the account to `Database.write`: what a charge reads must hold until it is written.
The windows slide: of the hour (or the day) before, so much counts as still lies within the last 60 minutes (24 hours).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ...model.errors import SendingLimitReached
from ...model.ids import AccountId
from ...model.queue import QueueState
from ...model.sending import NO_LIMITS, Charge, Profile, SendingLimits, Sent, Usage
from ...seams import QUEUE_TOPIC, Tx
from ..db.dialect import ids
from . import settings

HOUR = 3600
PROFILE_DAYS = 28
KEEP_HOURS = 35 * 24
KEEP_CORRESPONDENTS_S = 400 * 86400
KEEP_ORIGINS_S = 90 * 86400
FRESH_S = 30 * 86400
"""What was noted longer ago than this is noted anew when it is seen."""
LIMITS, HOLD, TOLD = "limits", "hold", "told"
STEP = 1000

_WHAT = {
    "messages": "{limit} messages {span}; with this one it would be {count}",
    "recipients": "to {limit} recipients {span}; with this message it would be {count}",
    "first_time": "to {limit} recipients {span} that it has not written to before; with this message it would be {count}",
}
_SPAN = {"hour": "an hour", "day": "a day"}


def recipient_hash(key: str) -> int:
    """63 bits of the address' key, under which it is remembered."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") >> 1


# --- counting -----------------------------------------------------------------------------------------------------------


def charge(tx: Tx, item: Charge, now: int) -> tuple[Usage, bool]:
    """Count a submission: the usage with it, and whether the account's queue is held. Raises SendingLimitReached."""
    known = settings.all_of(tx, item.account)
    new = _first_time(tx, item, now)
    added = Sent(1, len(item.recipients), len(new))
    before = usage(tx, item.account, now)
    after = Usage(before.hour + added, before.day + added)
    _check(limits_of(known, item.limits), after, added)
    tx.run(
        "INSERT INTO sent_hour (account_id, hour, messages, recipients, first_time) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (account_id, hour) DO UPDATE SET messages = sent_hour.messages + 1,"
        " recipients = sent_hour.recipients + excluded.recipients, first_time = sent_hour.first_time + excluded.first_time",
        item.account,
        now // HOUR,
        added.messages,
        added.recipients,
        added.first_time,
    )
    tx.many(
        "INSERT INTO correspondent (account_id, hash, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(item.account, one, now) for one in new],
    )
    if item.network:
        _note_origin(tx, item.account, item.network, now)
    return after, HOLD in known


def _first_time(tx: Tx, item: Charge, now: int) -> list[int]:
    """Those recipients that the account has not written to; the others' memory is refreshed."""
    sql, value = ids(tx, item.recipients)
    rows = tx.all(f"SELECT hash, at FROM correspondent WHERE account_id = ? AND hash IN {sql}", item.account, value)
    stale = [row[0] for row in rows if row[1] < now - FRESH_S]
    if stale:
        tx.many("UPDATE correspondent SET at = ? WHERE account_id = ? AND hash = ?", [(now, item.account, one) for one in stale])
    known = {row[0] for row in rows}
    return [one for one in dict.fromkeys(item.recipients) if one not in known]


def usage(tx: Tx, account: AccountId, now: int) -> Usage:
    """What *account* has sent within the last hour and the last 24 hours."""
    this = now // HOUR
    rows = tx.all(
        "SELECT hour, messages, recipients, first_time FROM sent_hour WHERE account_id = ? AND hour >= ?", account, this - 24
    )
    left = 1 - (now % HOUR) / HOUR
    hour, day = Sent(), Sent()
    for at, *counts in rows:
        if at >= this - 1:
            hour += _share(counts, left if at == this - 1 else 1)
        day += _share(counts, left if at == this - 24 else 1)
    return Usage(hour, day)


def check_next(tx: Tx, account: AccountId, default: SendingLimits, now: int) -> None:
    """Raises SendingLimitReached if *account* may not send one more message now."""
    limits = limits_of(settings.all_of(tx, account), default)
    if limits == NO_LIMITS:
        return
    found, one = usage(tx, account, now), Sent(1, 1, 0)
    _check(limits, Usage(found.hour + one, found.day + one), one)


def _share(counts: Sequence[int], part: float) -> Sent:
    return Sent(*(int(count * part) for count in counts))


def _check(limits: SendingLimits, after: Usage, added: Sent) -> None:
    """Raises SendingLimitReached if *after*, which *added* is part of, goes beyond *limits*."""
    for one in fields(SendingLimits):
        limit, count = getattr(limits, one.name), after.of(one.name)
        if not limit or count <= limit:
            continue
        what, _, span = one.name.partition("_per_")
        words = _WHAT[what].format(limit=limit, span=_SPAN[span], count=count)
        if getattr(added, what) > limit:
            # No waiting helps: this message alone is too much.
            raise SendingLimitReached(
                f"This account may send {words}. Please send it in parts", status="5.5.3", code=554, detail=one.name
            )
        raise SendingLimitReached(
            f"This account may send {words}. Please try again later, or ask your administrator", detail=one.name
        )


# --- limits of an account -----------------------------------------------------------------------------------------------


def limits_of(known: dict[str, Any], default: SendingLimits) -> SendingLimits:
    """*default* with what the account's settings say otherwise."""
    own = known.get(LIMITS)
    return replace(default, **own) if own else default


def set_limits(tx: Tx, account: AccountId, changes: dict[str, int | None]) -> None:
    """Other limits for *account*, by the names of SendingLimits' fields; None: as all others."""
    own = {**(settings.get(tx, account, LIMITS) or {}), **changes}
    settings.put(tx, account, LIMITS, {name: value for name, value in own.items() if value is not None} or None)


# --- what is usual ------------------------------------------------------------------------------------------------------


def _note_origin(tx: Tx, account: AccountId, network: bytes, now: int) -> None:
    tx.run(
        "INSERT INTO origin (account_id, network, first_at, at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (account_id, network) DO UPDATE SET at = excluded.at WHERE origin.at < ?",
        account,
        network,
        now,
        now,
        now - FRESH_S,
    )


def profile(tx: Tx, account: AccountId, now: int) -> Profile:
    """What *account* has done within the last weeks, without the last two hours."""
    this = now // HOUR
    rows = tx.all(
        "SELECT hour, messages, recipients, first_time FROM sent_hour WHERE account_id = ? AND hour >= ? AND hour < ?",
        account,
        this - PROFILE_DAYS * 24,
        this - 1,
    )
    sent = Sent()
    for _, *counts in rows:
        sent += Sent(*counts)
    networks = tx.all("SELECT network FROM origin WHERE account_id = ? AND first_at < ?", account, now - 2 * HOUR)
    return Profile(
        active_days=len({hour // 24 for hour, *_ in rows}),
        busiest_hour=max((row[2] for row in rows), default=0),
        sent=sent,
        hours=frozenset(hour % 24 for hour, *_ in rows),
        networks=frozenset(bytes(row[0]) for row in networks),
    )


# --- holding an account's queue -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hold:
    at: int
    why: str


def hold_of(tx: Tx, account: AccountId) -> Hold | None:
    found = settings.get(tx, account, HOLD)
    return Hold(*found) if found else None


def hold(tx: Tx, account: AccountId, why: str, now: int) -> bool:
    """Hold what *account* sends from now on, and all of its that waits (`change_step`). False: it was held already."""
    if settings.get(tx, account, HOLD) is not None:
        return False
    settings.put(tx, account, HOLD, (now, why))
    return True


def release(tx: Tx, account: AccountId) -> bool:
    """What *account* sends goes out again. False: it was not held."""
    if settings.get(tx, account, HOLD) is None:
        return False
    settings.put(tx, account, HOLD, None)
    return True


def change_step(tx: Tx, account: AccountId, before: QueueState, after: QueueState, limit: int = STEP) -> int:
    """One step of turning what *account* has in the queue from one state into another; how many rows."""
    changed = tx.run(
        "UPDATE queue_recipient SET state = ? WHERE (queue_id, number) IN (SELECT r.queue_id, r.number FROM queue_message m"
        " JOIN queue_recipient r ON r.queue_id = m.queue_id WHERE m.account_id = ? AND m.account_id > 0 AND +r.state = ? LIMIT ?)"
        " AND +state = ?",  # as in `queue.lease`
        int(after),
        account,
        int(before),
        limit,
        int(before),
    )
    tx.wake(QUEUE_TOPIC)
    return changed


def tell_once(tx: Tx, account: AccountId, day: int) -> bool:
    """Whether nobody was told about *account* on *day* yet; from now on somebody was."""
    if settings.get(tx, account, TOLD) == day:
        return False
    settings.put(tx, account, TOLD, day)
    return True


def prune(tx: Tx, now: int, limit: int = STEP) -> int:
    """One step of forgetting what is too old to be of use; how many rows."""
    rows = tx.all("SELECT account_id, hour FROM sent_hour WHERE hour < ? ORDER BY hour LIMIT ?", now // HOUR - KEEP_HOURS, limit)
    tx.many("DELETE FROM sent_hour WHERE account_id = ? AND hour = ?", rows)
    old = tx.all(
        "SELECT account_id, hash FROM correspondent WHERE at < ? ORDER BY at LIMIT ?", now - KEEP_CORRESPONDENTS_S, limit
    )
    tx.many("DELETE FROM correspondent WHERE account_id = ? AND hash = ?", old)
    places = tx.all("SELECT account_id, network FROM origin WHERE at < ? ORDER BY at LIMIT ?", now - KEEP_ORIGINS_S, limit)
    tx.many("DELETE FROM origin WHERE account_id = ? AND network = ?", places)
    return len(rows) + len(old) + len(places)
