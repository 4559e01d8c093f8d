"""What is set for one account: a name and a value of msgpack. Works over a transaction."""

from __future__ import annotations

from typing import Any

import msgspec

from ...model.ids import AccountId
from ...seams import Tx

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def all_of(tx: Tx, account: AccountId) -> dict[str, Any]:
    """All settings of *account* by name."""
    rows = tx.all("SELECT name, value FROM account_setting WHERE account_id = ?", account)
    return {bytes(name).decode(): _decode(bytes(value)) for name, value in rows}


def get(tx: Tx, account: AccountId, name: str) -> Any:
    """The value, or None."""
    row = tx.one("SELECT value FROM account_setting WHERE account_id = ? AND name = ?", account, name.encode())
    return None if row is None else _decode(bytes(row[0]))


def put(tx: Tx, account: AccountId, name: str, value: Any) -> None:
    """Set it; None removes it."""
    if value is None:
        tx.run("DELETE FROM account_setting WHERE account_id = ? AND name = ?", account, name.encode())
        return
    tx.run(
        "INSERT INTO account_setting (account_id, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT (account_id, name) DO UPDATE SET value = excluded.value",
        account,
        name.encode(),
        _encode(value),
    )
