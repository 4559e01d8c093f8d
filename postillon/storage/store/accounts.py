"""Domains, accounts, aliases and credentials as rows. Works: plain functions over a transaction.

Addresses are their canonical keys (`Address.key`), domains their canonical names. What an address *leads to* is worked out in
`directory.find`; who may change what is `directory.administration`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from ...model.account import Account, AccountState, Credential, ScramKeys
from ...model.ids import AccountId
from ...seams import Tx
from .mailboxes import REAP_KNOWLEDGE, REAP_MAILBOX, REAP_VIEWER

_encode = msgspec.msgpack.Encoder().encode
_decode_keys = msgspec.msgpack.Decoder(tuple[bytes, int, bytes, bytes]).decode


@dataclass(frozen=True, slots=True)
class DomainRow:
    id: int
    name: str
    alias_of: int
    """The id of the domain whose addresses it repeats, or 0."""
    catch_all: str | None


@dataclass(frozen=True, slots=True)
class AliasRow:
    key: str
    targets: tuple[str, ...]


# --- domains ------------------------------------------------------------------------------------------------------------

_DOMAIN = "SELECT domain_id, name, alias_of, catch_all FROM domain"


def _domain(row: tuple[Any, ...]) -> DomainRow:
    return DomainRow(row[0], bytes(row[1]).decode(), row[2], bytes(row[3]).decode() if row[3] is not None else None)


def domain(tx: Tx, name: str) -> DomainRow | None:
    row = tx.one(f"{_DOMAIN} WHERE name = ?", name.encode())
    return _domain(row) if row else None


def domain_by_id(tx: Tx, domain_id: int) -> DomainRow | None:
    row = tx.one(f"{_DOMAIN} WHERE domain_id = ?", domain_id)
    return _domain(row) if row else None


def domains(tx: Tx, after: str = "", limit: int = 1000) -> list[DomainRow]:
    """In order of their names, those past *after*."""
    rows = tx.all(f"{_DOMAIN} WHERE name > ? ORDER BY name LIMIT ?", after.encode(), limit)
    return [_domain(row) for row in rows]


def add_domain(tx: Tx, domain_id: int, name: str, alias_of: int, now: int) -> None:
    tx.run("INSERT INTO domain (domain_id, name, alias_of, created) VALUES (?, ?, ?, ?)", domain_id, name.encode(), alias_of, now)


def remove_domain(tx: Tx, domain_id: int) -> None:
    tx.run("DELETE FROM domain WHERE domain_id = ?", domain_id)


def set_catch_all(tx: Tx, domain_id: int, target: str | None) -> None:
    tx.run("UPDATE domain SET catch_all = ? WHERE domain_id = ?", target.encode() if target is not None else None, domain_id)


def has_addresses(tx: Tx, domain_id: int) -> bool:
    return tx.one("SELECT 1 FROM address WHERE domain_id = ? LIMIT 1", domain_id) is not None


def domain_aliases(tx: Tx, domain_id: int) -> list[str]:
    """Names of the domains that repeat this one. There are few domains: all are read."""
    return [row.name for row in domains(tx, limit=100_000) if row.alias_of == domain_id]


# --- addresses and aliases ----------------------------------------------------------------------------------------------


def address(tx: Tx, key: str) -> tuple[AccountId, int] | None:
    """(account, alias) that the address leads to, one of them 0; None if there is no such address."""
    row = tx.one("SELECT account_id, alias_id FROM address WHERE key = ?", key.encode())
    return (AccountId(row[0]), row[1]) if row else None


def targets(tx: Tx, alias_id: int) -> list[str]:
    return [bytes(row[0]).decode() for row in tx.all("SELECT target FROM alias WHERE alias_id = ? ORDER BY target", alias_id)]


def add_alias(tx: Tx, alias_id: int, key: str, domain_id: int, targets: list[str]) -> None:
    tx.run("INSERT INTO address (key, account_id, alias_id, domain_id) VALUES (?, 0, ?, ?)", key.encode(), alias_id, domain_id)
    set_targets(tx, alias_id, targets)


def set_targets(tx: Tx, alias_id: int, targets: list[str]) -> None:
    tx.run("DELETE FROM alias WHERE alias_id = ?", alias_id)
    tx.many("INSERT INTO alias (alias_id, target) VALUES (?, ?)", [(alias_id, target.encode()) for target in targets])


def remove_alias(tx: Tx, alias_id: int, key: str) -> None:
    tx.run("DELETE FROM alias WHERE alias_id = ?", alias_id)
    tx.run("DELETE FROM address WHERE key = ?", key.encode())


def aliases(tx: Tx, domain_id: int, after: str = "", limit: int = 500) -> list[AliasRow]:
    """The domain's aliases in order of their keys, those past *after*."""
    rows = tx.all(
        "SELECT key, alias_id FROM address WHERE domain_id = ? AND key > ? AND alias_id <> 0 ORDER BY key LIMIT ?",
        domain_id,
        after.encode(),
        limit,
    )
    return [AliasRow(bytes(key).decode(), tuple(targets(tx, alias_id))) for key, alias_id in rows]


# --- accounts -----------------------------------------------------------------------------------------------------------

_ACCOUNT = (
    "SELECT account.account_id, account.name, account.state, account_state.quota, account_state.used, credential.version"
    " FROM account JOIN account_state ON account_state.account_id = account.account_id"
    " JOIN credential ON credential.account_id = account.account_id"
)
_LOGIN = _ACCOUNT.replace(" FROM", ", credential.hash, credential.sha1, credential.sha256 FROM", 1)


def _account(row: tuple[Any, ...]) -> Account:
    account_id, name, state, quota, used, version = row[:6]
    return Account(AccountId(account_id), bytes(name).decode(), AccountState(state), quota, used, version)


def account(tx: Tx, account_id: AccountId) -> Account | None:
    row = tx.one(f"{_ACCOUNT} WHERE account.account_id = ?", account_id)
    return _account(row) if row else None


def account_by_name(tx: Tx, name: str) -> Account | None:
    row = tx.one(f"{_ACCOUNT} WHERE account.name = ?", name.encode())
    return _account(row) if row else None


def login(tx: Tx, name: str) -> tuple[Account, Credential] | None:
    """The account and what it logs in with, in one statement: every login reads it."""
    row = tx.one(f"{_LOGIN} WHERE account.name = ?", name.encode())
    if row is None:
        return None
    return _account(row), Credential(bytes(row[6]).decode(), _keys(row[7]), _keys(row[8]))


def accounts(tx: Tx, domain_id: int, after: int = 0, limit: int = 500) -> list[Account]:
    """The domain's accounts in the order they were made, those past the id *after*."""
    rows = tx.all(
        f"{_ACCOUNT} WHERE account.domain_id = ? AND account.account_id > ? ORDER BY account.account_id LIMIT ?",
        domain_id,
        after,
        limit,
    )
    return [_account(row) for row in rows]


def first_account(tx: Tx, domain_id: int) -> AccountId | None:
    """The oldest account of the domain."""
    row = tx.one("SELECT account_id FROM account WHERE domain_id = ? ORDER BY account_id LIMIT 1", domain_id)
    return AccountId(row[0]) if row else None


def first_account_of_all(tx: Tx) -> AccountId | None:
    # Removed accounts keep their row, with domain 0.
    row = tx.one("SELECT account_id FROM account WHERE account_id > 0 AND domain_id > 0 ORDER BY account_id LIMIT 1")
    return AccountId(row[0]) if row else None


def add_account(tx: Tx, account_id: AccountId, name: str, domain_id: int, quota: int, credential: Credential, now: int) -> None:
    """The account with its address, its state row and its credential; without mailboxes (`mailboxes.make_defaults`)."""
    tx.run(
        "INSERT INTO account (account_id, name, created, domain_id) VALUES (?, ?, ?, ?)",
        account_id,
        name.encode(),
        now,
        domain_id,
    )
    tx.run(
        "INSERT INTO account_state (account_id, modseq, quota, uidvalidity_next) VALUES (?, 1, ?, ?)",
        account_id,
        quota,
        now,
    )
    tx.run(
        "INSERT INTO credential (account_id, version, hash, sha1, sha256) VALUES (?, 1, ?, ?, ?)",
        account_id,
        credential.hash.encode(),
        _packed(credential.scram_sha1),
        _packed(credential.scram_sha256),
    )
    tx.run("INSERT INTO address (key, account_id, alias_id, domain_id) VALUES (?, ?, 0, ?)", name.encode(), account_id, domain_id)


def remove_account(tx: Tx, account_id: AccountId, now: int) -> None:
    """Its addresses and credential go now; its mail goes with the janitor. The row stays, nameless, so that late work finds it.

    The name may be given to a new account at once.
    """
    modseq = tx.modseq(account_id)
    tx.run("DELETE FROM contact WHERE account_id = 0 AND address = (SELECT name FROM account WHERE account_id = ?)", account_id)
    tx.run("DELETE FROM address WHERE account_id = ?", account_id)
    tx.run("DELETE FROM credential WHERE account_id = ?", account_id)
    tx.run("DELETE FROM account_setting WHERE account_id = ?", account_id)
    tx.run("DELETE FROM suppression WHERE account_id = ?", account_id)
    tx.run(
        "UPDATE account SET state = ?, name = ?, domain_id = 0 WHERE account_id = ?",
        int(AccountState.REMOVED),
        b"removed %d at %d" % (account_id, modseq),
        account_id,
    )
    boxes = tx.all("SELECT mailbox_id FROM mailbox WHERE account_id = ?", account_id)
    tx.many(
        "INSERT INTO reap (at, kind, account_id, object) VALUES (?, ?, ?, ?)",
        [(now, REAP_MAILBOX, account_id, row[0]) for row in boxes],
    )
    tx.run("DELETE FROM mailbox WHERE account_id = ?", account_id)
    tx.run("DELETE FROM acl WHERE account_id = ?", account_id)
    tx.run("DELETE FROM acl WHERE grantee_id = ?", account_id)
    for kind in (REAP_VIEWER, REAP_KNOWLEDGE):
        tx.run("INSERT INTO reap (at, kind, account_id, object) VALUES (?, ?, ?, 0)", now, kind, account_id)
    tx.run("DELETE FROM subscription WHERE account_id = ?", account_id)


def set_state(tx: Tx, account_id: AccountId, state: AccountState) -> None:
    tx.run("UPDATE account SET state = ? WHERE account_id = ?", int(state), account_id)
    tx.modseq(account_id)  # wakes its sessions, which look at the state


def exact(tx: Tx, domain_name: str, key: str) -> tuple[AccountId, int] | None:
    """(account, octets free) of the account whose own address *key* is, account 0 if it is nobody's; None: not our domain.

    What nearly every recipient is, in one statement.
    """
    row = tx.one(
        "SELECT a.account_id, s.quota - s.used FROM domain d LEFT JOIN address a ON a.key = ?"
        " LEFT JOIN account_state s ON s.account_id = a.account_id WHERE d.name = ?",
        key.encode(),
        domain_name.encode(),
    )
    return None if row is None else (AccountId(row[0] or 0), int(row[1] or 0))


def free(tx: Tx, account_id: AccountId) -> int:
    """Octets until the quota is reached; negative beyond it."""
    row = tx.one("SELECT quota - used FROM account_state WHERE account_id = ?", account_id)
    return int(row[0]) if row else 0


def set_quota(tx: Tx, account_id: AccountId, quota: int) -> None:
    tx.run("UPDATE account_state SET quota = ? WHERE account_id = ?", quota, account_id)


def set_credential(tx: Tx, account_id: AccountId, credential: Credential, *, if_version: int | None = None) -> bool:
    """Replace the credential and count its version on; False if it was not *if_version* any more."""
    changed = tx.run(
        "UPDATE credential SET version = version + 1, hash = ?, sha1 = ?, sha256 = ? WHERE account_id = ?"
        " AND (version = ? OR ? = 1)",
        credential.hash.encode(),
        _packed(credential.scram_sha1),
        _packed(credential.scram_sha256),
        account_id,
        if_version or 0,
        int(if_version is None),
    )
    return changed > 0


def _packed(keys: ScramKeys | None) -> bytes | None:
    return _encode((keys.salt, keys.iterations, keys.stored_key, keys.server_key)) if keys else None


def _keys(packed: bytes | None) -> ScramKeys | None:
    return ScramKeys(*_decode_keys(packed)) if packed is not None else None
