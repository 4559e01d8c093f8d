"""Records of messages' ways. Works over a transaction, and what waits in memory to be written (`Notes`).

The record of an acceptance, a filing or an attempt is a row in the commit that makes it true. The names under which it is found
follow within a second, many at once: their places in the index are random, and to touch those at each commit would cost more
than all the rest. After a crash the names of the last seconds are made again from the records.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ...model.ids import BlobId
from ...model.record import Record, Stage, Traced, name_of
from ...seams import Tx
from ..ids import first_id_at, second_of

MAX_TEXT = 1000
"""Characters of a fact."""
MAX_ITEMS = 1000
"""Of a fact that is a list."""
MAX_NAMES = 1200
MAX_OCTETS = 128 * 1024
"""Of a row."""
MAX_WAITING = 2000
"""Notes that wait to be written; what comes beyond is counted only."""
NOTES_AN_HOUR = 20_000
"""Of one worker: an attack must not fill the disk with what is said about it."""
DAY_S = 86400
UNNAMED_S = 15
"""How long before the last record names may be missing after a crash."""
STEP = 2000

_NAMES = ("message_id", "sender", "queue", "peer", "session")
_REFUSALS = (Stage.REFUSED, Stage.GREYLISTED, Stage.BANNED)
_STAGES = {stage.value: stage for stage in Stage}
_encode = msgspec.msgpack.Encoder(enc_hook=str).encode
_decode = msgspec.msgpack.Decoder().decode


def hash_of(name: str) -> int:
    """32 bits of *name*, which must be in the form of `name_of`. Others may have the same: who finds looks at the names."""
    return zlib.crc32(name.encode("utf-8", "surrogatepass"))


def day_of(trail: int) -> int:
    return second_of(trail) // DAY_S


def names_of(records: Iterable[Record]) -> list[str]:
    """The names under which a message with *records* is found, in the form of `name_of`."""
    names = []
    for record in records:
        facts = record.facts
        for key in _NAMES if record.stage in _REFUSALS else _NAMES[:3]:
            if text := facts.get(key):
                names.append(name_of(text))  # noqa: PERF401  (a list of lists would be no clearer)
        names += [name_of(text) for text in facts.get("recipients", ())]
    return names[:MAX_NAMES]


def encode(records: Iterable[Record]) -> bytes:
    """A row's records. Facts that are too long are cut."""
    stages = [(record.stage, record.at, record.facts) for record in records]
    octets: bytes = _encode(stages)
    if len(octets) <= MAX_TEXT:
        return octets
    cut = [(stage, at, _cut(facts, 4)) for stage, at, facts in stages]
    octets = _encode(cut)
    if len(octets) <= MAX_OCTETS:
        return octets
    return bytes(_encode([(stage, at, {"cut": True}) for stage, at, _ in stages[:100]]))


def _cut(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
    if isinstance(value, list | tuple):
        return [_cut(item, depth - 1) for item in value[:MAX_ITEMS]] if depth else []
    if isinstance(value, dict):
        return {key: _cut(item, depth - 1) for key, item in value.items()} if depth else {}
    return value


def decode(octets: bytes) -> list[Record]:
    """The records of a row; stages that this program does not know are left out."""
    return [Record(_STAGES[word], at, facts) for word, at, facts in _decode(octets) if word in _STAGES]


def record(tx: Tx, trail: int, record_id: int, octets: bytes) -> None:
    """Write down what *octets* (`encode`) say about *trail*. *record_id* is *trail* for the first row of it, a new id later."""
    tx.run("INSERT INTO record (record_id, trail, stages) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", record_id, trail, octets)


# --- what waits ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Notes:
    """What waits to be written. Never more than MAX_WAITING records; what is dropped is counted."""

    rows: list[tuple[int, int, bytes]] = field(default_factory=list)
    """(record id, trail, octets)."""
    names: list[tuple[int, int, int]] = field(default_factory=list)
    """(day, hash, trail)."""
    dropped: int = 0
    _hour: int = 0
    _written: int = 0

    def __bool__(self) -> bool:
        return bool(self.rows or self.names)

    def add_names(self, trail: int, records: Iterable[Record]) -> None:
        """The names of *records*, which a commit has written."""
        day = day_of(trail)
        self.names += [(day, hash_of(name), trail) for name in names_of(records)]

    def add(self, record_id: int, trail: int, record: Record) -> bool:
        """A record that no commit carries. False: there was no room for it."""
        hour = record.at // 3600
        if hour != self._hour:
            self._hour, self._written = hour, 0
        if len(self.rows) >= MAX_WAITING or self._written >= NOTES_AN_HOUR:
            self.dropped += 1
            return False
        self._written += 1
        self.rows.append((record_id, trail, encode((record,))))
        self.add_names(trail, (record,))
        return True

    def take(self) -> tuple[list[tuple[int, int, bytes]], list[tuple[int, int, int]]]:
        rows, names = self.rows, sorted(set(self.names))
        self.rows, self.names = [], []
        return rows, names

    def give_back(self, rows: list[tuple[int, int, bytes]], names: list[tuple[int, int, int]]) -> None:
        """A write failed: they wait for the next one, as far as there is room."""
        room = MAX_WAITING - len(self.rows)
        self.dropped += max(len(rows) - room, 0)
        self.rows[:0] = rows[:room]
        if len(self.names) < MAX_WAITING * 10:
            self.names += names


def write(tx: Tx, rows: Sequence[tuple[int, int, bytes]], names: Sequence[tuple[int, int, int]]) -> None:
    if rows:
        tx.many("INSERT INTO record (record_id, trail, stages) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows)
    if names:
        tx.many("INSERT INTO record_name (day, hash, trail) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", names)


# --- finding -----------------------------------------------------------------------------------------------------------


def named(tx: Tx, text: str, since: int, until: int, limit: int) -> list[BlobId]:
    """The trails that *text* names, the latest first: an id as hexadecimal digits, a Message-ID, an address, a session."""
    name = name_of(text)
    found = set(_by_id(tx, name))
    value = hash_of(name)
    first, last = first_id_at(since), first_id_at(until + 1)
    for day in range(until // DAY_S, since // DAY_S - 1, -1):
        rows = tx.all(
            "SELECT trail FROM record_name WHERE day = ? AND hash = ? AND trail >= ? AND trail < ? ORDER BY trail DESC LIMIT ?",
            day,
            value,
            first,
            last,
            limit,
        )
        found.update(row[0] for row in rows)
        if len(found) >= limit:
            break
    return [BlobId(trail) for trail in sorted(found, reverse=True)[:limit]]


def is_named(found: Traced, text: str) -> bool:
    """Whether *found* has the name, and not only its hash."""
    name = name_of(text)
    return name == f"{found.trail:x}" or name in names_of(found.records)


def _by_id(tx: Tx, name: str) -> list[int]:
    """The trail whose id, or whose id in the queue, *name* is."""
    try:
        number = int(name, 16)
    except ValueError:
        return []
    if not 0 < number < 1 << 63:
        return []
    if tx.one("SELECT 1 FROM record WHERE record_id = ? AND trail = record_id", number) is not None:
        return [number]
    if tx.one("SELECT 1 FROM record WHERE trail = ? AND trail <> record_id LIMIT 1", number) is not None:
        return [number]
    row = tx.one("SELECT blob_id FROM queue_message WHERE queue_id = ?", number)
    return [row[0]] if row is not None else []


def traced(tx: Tx, trail: int, limit: int = STEP) -> Traced:
    """All that is known about *trail*, in order of time; *limit* rows at most."""
    first = tx.all("SELECT record_id, stages FROM record WHERE record_id = ? AND trail = record_id", trail)
    later = tx.all(
        "SELECT record_id, stages FROM record WHERE trail = ? AND trail <> record_id ORDER BY record_id LIMIT ?", trail, limit
    )
    records = [record for _, stages in (*first, *later) for record in decode(bytes(stages))]
    return Traced(BlobId(trail), tuple(sorted(records, key=lambda record: record.at)))


# --- the janitor, and after a crash ------------------------------------------------------------------------------------


def since(tx: Tx, after: int, limit: int) -> list[tuple[int, Traced]]:
    """(id, records) of the rows above *after*, in order of time; each row's records, not all of their trail."""
    rows = tx.all("SELECT record_id, trail, stages FROM record WHERE record_id > ? ORDER BY record_id LIMIT ?", after, limit)
    return [(row, Traced(BlobId(trail), tuple(decode(bytes(stages))))) for row, trail, stages in rows]


def prune(tx: Tx, before: int, limit: int = STEP) -> int:
    """One step of removing what was written before *before* (epoch seconds); how many rows."""
    rows = tx.run(
        "DELETE FROM record WHERE record_id IN (SELECT record_id FROM record WHERE record_id < ? ORDER BY record_id LIMIT ?)",
        first_id_at(before),
        limit,
    )
    names = tx.run(
        "DELETE FROM record_name WHERE (day, hash, trail) IN"
        " (SELECT day, hash, trail FROM record_name WHERE day < ? ORDER BY day, hash, trail LIMIT ?)",
        before // DAY_S,
        limit,
    )
    return rows + names


def unnamed(tx: Tx, now: int, after: int = 0) -> tuple[list[tuple[int, int, int]], int]:
    """Names of the records that were the last ones before a crash, a step of them past *after*: (names, where to go on or 0)."""
    row = tx.one("SELECT max(record_id) FROM record")
    if row is None or row[0] is None:
        return [], 0
    since = first_id_at(min(second_of(row[0]), now) - UNNAMED_S)
    rows = tx.all(
        "SELECT record_id, trail, stages FROM record WHERE record_id > ? ORDER BY record_id LIMIT ?", max(after, since), STEP
    )
    names = {(day_of(trail), hash_of(name), trail) for _, trail, stages in rows for name in names_of(decode(bytes(stages)))}
    return sorted(names), rows[-1][0] if len(rows) == STEP else 0
