"""SHA-crypt, `$5$` and `$6$` (Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512"), to verify imported hashes.

Own, because Python dropped its `crypt` module in 3.13. The loop runs about a million rounds a second.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable

DEFAULT_ROUNDS = 5000
MIN_ROUNDS, MAX_ROUNDS = 1000, 1_000_000
"""The specification allows up to 999,999,999; we refuse what takes longer than about a second."""

_FORM = re.compile(r"\$(?P<kind>[56])\$(?:rounds=(?P<rounds>[0-9]{1,9})\$)?(?P<salt>[^$:\n]{0,16})\$(?P<digest>[./0-9A-Za-z]+)")
_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _orders() -> dict[str, list[tuple[int, ...]]]:
    """Which octets of the digest make each group of four characters, most significant first (step 22 of the algorithm).

    Each group is the one before it, turned by one place and counted on; what is left over at the end is a shorter group.
    """
    short, long = [(0, 10, 20)], [(0, 21, 42)]
    for _ in range(9):
        a, b, c = short[-1]
        short.append((c + 1, a + 1, b + 1))
    for _ in range(20):
        a, b, c = long[-1]
        long.append((b + 1, c + 1, a + 1))
    return {"5": [*short, (31, 30)], "6": [*long, (63,)]}


_ORDER = _orders()


def is_acceptable(text: str) -> bool:
    """Is *text* a SHA-crypt hash that we would verify (form and cost)?"""
    found = _FORM.fullmatch(text)
    if found is None or len(found["digest"]) != (43 if found["kind"] == "5" else 86):
        return False
    return found["rounds"] is None or MIN_ROUNDS <= int(found["rounds"]) <= MAX_ROUNDS


def verify(text: str, password: bytes) -> bool:
    """Is *password* the one of the hash *text*, which `is_acceptable`?"""
    found = _FORM.fullmatch(text)
    if found is None:
        return False
    rounds = int(found["rounds"] or DEFAULT_ROUNDS)
    digest = _crypt(found["kind"], password, found["salt"].encode(), rounds)
    return hmac.compare_digest(digest, found["digest"])


def _crypt(kind: str, password: bytes, salt: bytes, rounds: int) -> str:
    sha: Callable[..., hashlib._Hash] = hashlib.sha256 if kind == "5" else hashlib.sha512
    first = _first_digest(sha, password, salt)
    p = _repeat(sha(password * len(password)).digest(), len(password))
    s = _repeat(sha(salt * (16 + first[0])).digest(), len(salt))
    # What stands before and after the last digest in round n depends on n's remainders by 2, 3 and 7 only, so on n % 42.
    cycle = []
    for n in range(42):
        middle = (s if n % 3 else b"") + (p if n % 7 else b"")
        cycle.append((p + middle, b"") if n % 2 else (b"", middle + p))
    digest = first
    whole, rest = divmod(rounds, 42)
    for _ in range(whole):
        for before, after in cycle:
            digest = sha(before + digest + after).digest()
    for before, after in cycle[:rest]:
        digest = sha(before + digest + after).digest()
    return "".join(_group(digest, order) for order in _ORDER[kind])


def _first_digest(sha: Callable[..., hashlib._Hash], password: bytes, salt: bytes) -> bytes:
    """Steps 1 to 12: digest A."""
    b = sha(password + salt + password).digest()
    a = sha(password + salt + _repeat(b, len(password)))
    length = len(password)
    while length:
        a.update(b if length & 1 else password)
        length >>= 1
    return a.digest()


def _repeat(octets: bytes, length: int) -> bytes:
    return (octets * (length // len(octets) + 1))[:length]


def _group(digest: bytes, order: tuple[int, ...]) -> str:
    value = 0
    for index in order:
        value = value << 8 | digest[index]
    return "".join(_ALPHABET[value >> 6 * n & 0x3F] for n in range(len(order) + 1))
