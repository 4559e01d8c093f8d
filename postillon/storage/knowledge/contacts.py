"""Whom accounts write to and hear from; domains that could be mistaken for theirs. Works over a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...model.ids import AccountId
from ...seams import Tx
from ..db.dialect import few

FORGET_S = 400 * 86400
STEP = 1000
MAX_SHOWN = 100
"""Octets of a display name that are kept."""


@dataclass(frozen=True, slots=True)
class Contact:
    address: str
    shown: str
    """The display name, as last seen."""
    wrote: int
    """Messages to them."""
    heard: int
    """Messages from them that were no junk."""
    first: int
    """Epoch seconds."""


@dataclass(frozen=True, slots=True)
class Met:
    """An account wrote to *address*, or heard from it. *name*: a hash of the display name, 0 if there was none."""

    account: AccountId
    address: str
    name: int = 0
    shown: str = ""
    wrote: int = 0
    heard: int = 0


_COLUMNS = "account_id, address, shown, wrote, heard, first"


def _contact(row: Sequence[object]) -> tuple[AccountId, Contact]:
    account, address, shown, wrote, heard, first = row
    assert isinstance(account, int) and isinstance(wrote, int) and isinstance(heard, int) and isinstance(first, int)
    assert isinstance(address, bytes) and isinstance(shown, bytes)
    return AccountId(account), Contact(address.decode("utf-8", "replace"), shown.decode("utf-8", "replace"), wrote, heard, first)


def by_address(tx: Tx, accounts: Sequence[int], address: str) -> dict[AccountId, Contact]:
    """By account: the contact with *address*."""
    sql, values = few(accounts)
    rows = tx.all(f"SELECT {_COLUMNS} FROM contact WHERE account_id IN {sql} AND address = ?", *values, address.encode())
    return dict(map(_contact, rows))


def by_name(tx: Tx, accounts: Sequence[int], name: int, limit: int = 20) -> list[tuple[AccountId, Contact]]:
    """Contacts whose display name has the hash *name*."""
    sql, values = few(accounts)
    rows = tx.all(f"SELECT {_COLUMNS} FROM contact WHERE account_id IN {sql} AND name = ? LIMIT ?", *values, name, limit)
    return [_contact(row) for row in rows]


def meet(tx: Tx, met: Sequence[Met], now: int) -> None:
    """Count what happened; contacts that are new begin now."""
    tx.many(
        "INSERT INTO contact AS c (account_id, address, name, shown, wrote, heard, first, last) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (account_id, address) DO UPDATE SET wrote = c.wrote + excluded.wrote, heard = c.heard + excluded.heard,"
        " last = excluded.last, name = CASE WHEN excluded.name <> 0 THEN excluded.name ELSE c.name END,"
        " shown = CASE WHEN excluded.name <> 0 THEN excluded.shown ELSE c.shown END",
        [
            (
                one.account,
                one.address.encode("utf-8", "replace"),
                one.name,
                one.shown.encode("utf-8", "replace")[:MAX_SHOWN],
                one.wrote,
                one.heard,
                now,
                now,
            )
            for one in sorted(met, key=lambda one: (one.account, one.address))
        ],
    )
    domains = {(one.account, one.address.rpartition("@")[2].encode()) for one in met if one.wrote and one.account}
    tx.many("INSERT INTO contact_domain (account_id, domain) VALUES (?, ?) ON CONFLICT DO NOTHING", sorted(domains))


def writes_to(tx: Tx, accounts: Sequence[AccountId], domains: Sequence[str]) -> set[tuple[AccountId, str]]:
    sql, values = few(accounts)
    marks, wanted = few([domain.encode() for domain in domains])
    rows = tx.all(
        f"SELECT account_id, domain FROM contact_domain WHERE account_id IN {sql} AND domain IN {marks}",
        *values,
        *wanted,
    )
    return {(AccountId(account), bytes(domain).decode()) for account, domain in rows}


def add_shapes(tx: Tx, shapes: Iterable[tuple[int, str]]) -> None:
    rows = sorted((shape, domain.encode()) for shape, domain in shapes)
    tx.many("INSERT INTO lookalike (shape, domain) VALUES (?, ?) ON CONFLICT DO NOTHING", rows)


def lookalikes(tx: Tx, shapes: Sequence[int], limit: int = 50) -> list[str]:
    sql, values = few(shapes)
    rows = tx.all(f"SELECT domain FROM lookalike WHERE shape IN {sql} LIMIT ?", *values, limit)
    return list(dict.fromkeys(bytes(row[0]).decode() for row in rows))


def sweep(tx: Tx, after: tuple[int, bytes], now: int) -> tuple[int, bytes] | None:
    """A step of forgetting those who only wrote to us, long ago; where to go on, or None at the end."""
    rows = tx.all(
        "SELECT account_id, address, wrote, last FROM contact WHERE account_id = ? AND address > ?"
        " ORDER BY account_id, address LIMIT ?",
        *after,
        STEP,
    )
    old = [(account, address) for account, address, wrote, last in rows if not wrote and last < now - FORGET_S]
    tx.many("DELETE FROM contact WHERE account_id = ? AND address = ?", old)
    if len(rows) == STEP:
        return rows[-1][0], bytes(rows[-1][1])
    following = tx.one("SELECT account_id FROM contact WHERE account_id > ? ORDER BY account_id LIMIT 1", after[0])
    return (following[0], b"") if following else None
