"""Passwords that were right a moment ago, so that clients which reconnect all the time cost no argon2.

Keyed by a process secret over account, credential version and password: a changed password has another version, which every
login reads from the store first, so the old entry is void at once on every worker. Wrong passwords are never remembered.
"""

from __future__ import annotations

import hashlib
import secrets

from postillon.model.ids import AccountId
from postillon.seams import Clock


class VerifiedCache:
    """*ttl_s* from the verification on, not from the last use; at most *bound* entries, the oldest go first."""

    def __init__(self, clock: Clock, *, ttl_s: int = 600, bound: int = 20_000) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._bound = bound
        self._secret = secrets.token_bytes(32)
        self._until: dict[bytes, int] = {}

    def key(self, account: AccountId, version: int, password: str) -> bytes:
        return hashlib.blake2b(b"%d %d %b" % (account, version, password.encode()), key=self._secret, digest_size=32).digest()

    def holds(self, key: bytes) -> bool:
        until = self._until.get(key)
        if until is None:
            return False
        if self._clock.now() < until:
            return True
        del self._until[key]
        return False

    def add(self, key: bytes) -> None:
        self._until.pop(key, None)  # to the end of the order
        self._until[key] = self._clock.now() + self._ttl_s
        while len(self._until) > self._bound:
            del self._until[next(iter(self._until))]
