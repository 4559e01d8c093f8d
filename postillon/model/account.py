"""Accounts, credentials, and who may do what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from .ids import AccountId


class AccountState(IntEnum):
    ACTIVE = 0
    SUSPENDED = 1
    """May not log in; mail is still taken for it."""
    REMOVED = 2


@dataclass(frozen=True, slots=True)
class Account:
    id: AccountId
    name: str
    """The login name: the account's first address, canonical key (`alice@example.org`)."""
    state: AccountState
    quota: int
    """Octets; 0 is only for accounts made so by the administrator and means none may be stored."""
    used: int
    credential_version: int
    """Changes with each change of password; whoever cached a verified password must compare it."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a SCRAM server stores (RFC 5802 §3). Never the password."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


@dataclass(frozen=True, slots=True)
class Credential:
    """All that we keep of a password. *hash* is a PHC string, or an imported `{SCHEME}` string (then the keys are None)."""

    hash: str
    scram_sha1: ScramKeys | None = None
    scram_sha256: ScramKeys | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf the store is asked. The store checks it; protocol code only passes it on."""

    account: AccountId | None
    """None is the server itself (delivery, administration)."""

    def may(self, owner: AccountId) -> bool:
        return self.account is None or self.account == owner


SERVER = Principal(None)
