"""What differs between SQLite and PostgreSQL, so that every other text of SQL is one.

Values are integers and octets only. Write `?` for a value, and in the schema INT, BYTES, and `-- narrow` at the end of a
table whose rows are small and read in key order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ...seams import Tx


def ids(tx: Tx, values: Sequence[int]) -> tuple[str, Any]:
    """(sql, value) for `x IN {sql}`: the integers of *values* as one bound value, however many there are."""
    if tx.dialect == "sqlite":
        return "(SELECT value FROM json_each(?))", "[" + ",".join(map(str, values)) + "]"
    return "(SELECT unnest(?::bigint[]))", list(values)


def few(values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """(sql, values) for `x IN {sql}`, for a handful of values of any type: quicker than `ids`.

    They are filled up to a power of two, so that there are few different statements. Without any nothing matches.
    """
    if not values:
        return "(NULL)", ()
    count = 1 << (len(values) - 1).bit_length()
    return _MARKS.get(count) or f"({','.join('?' * count)})", (*values, *[values[-1]] * (count - len(values)))


_MARKS = {1 << power: f"({','.join('?' * (1 << power))})" for power in range(9)}


def locked(tx: Tx) -> str:
    """The end of a SELECT whose rows nobody else may change before this transaction ends: what was read of them holds until
    then. (SQLite has one writer at a time.)
    """
    return " FOR UPDATE" if tx.dialect == "postgres" else ""


@lru_cache(maxsize=1000)
def postgres_text(sql: str) -> str:
    """The same statement with psycopg's placeholder."""
    return sql.replace("?", "%s")


def ddl(dialect: str, statement: str) -> str:
    """A schema statement in the words of *dialect*."""
    narrow = statement.rstrip().endswith("-- narrow")
    text = re.sub(r"--.*", "", statement).rstrip()
    if dialect == "sqlite":
        text = re.sub(r"\bINT\b", "INTEGER", text)
        text = re.sub(r"\bBYTES\b", "BLOB", text)
        if text.lstrip().upper().startswith("CREATE TABLE"):
            text += " STRICT, WITHOUT ROWID" if narrow else " STRICT"
        return text
    text = re.sub(r"\bINT\b", "bigint", text)
    return re.sub(r"\bBYTES\b", "bytea", text)
