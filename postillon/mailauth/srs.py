"""SRS, the sender rewriting scheme: a forwarded message's sender at a domain of ours, so that SPF holds for it. Pure.

`x@sender.test` becomes `SRS0=HASH=TT=sender.test=x@ours.test`: the hash says that we made it, TT on which day. What was rewritten
elsewhere before (`SRS0=…@first.test`) becomes `SRS1=HASH=first.test==…@ours.test`, which leads back to the first forwarder, so
that addresses do not grow with each hop. On the way back it is undone. There is no RFC; this is the form in common use
(libsrs2), with a longer hash.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

from ..model.address import Address, AddressError

VALID_DAYS = 21
"""How long reports may come: a message is tried for five days, some servers take longer."""
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_DAYS = 1 << 10
_HASH_LENGTH = 10
_SEPARATORS = "=+-"


class SrsError(ValueError):
    """The address was not made by us, or too long ago; the message says which, in words for the sender."""


@dataclass(frozen=True, slots=True)
class Srs:
    """*key* is the installation's."""

    key: bytes

    def rewrite(self, sender: Address, domain: str, now: int) -> Address:
        """*sender* as an address at *domain* (one of ours). Raises SrsError if that would be too long an address."""
        first = _rewritten(sender)
        if first is None:
            stamp = _stamp(now)
            rest = f"{sender.domain}={sender.local}"
            return _address(f"SRS0={self._hash(stamp, rest)}={stamp}={rest}", domain)
        host, rest = first
        return _address(f"SRS1={self._hash(host, rest)}={host}={rest}", domain)

    def original(self, address: Address, now: int) -> Address:
        """Whom a report to *address*, which `is_srs`, is for. Raises SrsError."""
        kind, _, rest = address.local[:4].upper(), *_split(address.local[4:])
        given, rest = _cut(rest)
        head, rest = _cut(rest)
        if not hmac.compare_digest(given.upper().encode("utf-8", "replace"), self._hash(head, rest).encode()):
            raise SrsError("this return address was not made here")
        if kind == "SRS1":
            return _address(f"SRS0{rest}", head)
        _check_age(head, now)
        domain, local = _cut(rest)
        return _address(local, domain)

    def _hash(self, head: str, rest: str) -> str:
        """Servers on the way may change the case of a local part."""
        text = f"{head.upper()}\0{rest.lower()}".encode("utf-8", "surrogatepass")
        return base64.b32encode(hmac.digest(self.key, b"srs\0" + text, hashlib.sha256)).decode()[:_HASH_LENGTH]


def is_srs(address: Address) -> bool:
    """Whether *address* looks like one that a forwarder made."""
    return len(address.local) > 5 and address.local[:4].upper() in ("SRS0", "SRS1") and address.local[4] in _SEPARATORS


def _rewritten(sender: Address) -> tuple[str, str] | None:
    """(the first forwarder's domain, what stands behind its `SRS0`) of an address that is rewritten already."""
    if not is_srs(sender):
        return None
    if sender.local[:4].upper() == "SRS0":
        return sender.domain, sender.local[4:]
    try:
        _, rest = _cut(sender.local[5:])
        host, rest = _cut(rest)
    except SrsError:
        return None
    return (host, rest) if rest[:1] in _SEPARATORS and "." in host else None


def _split(rest: str) -> tuple[str, str]:
    return rest[:1], rest[1:]


def _cut(text: str) -> tuple[str, str]:
    head, equals, rest = text.partition("=")
    if not (head and equals and rest):
        raise SrsError("this return address is not complete")
    return head, rest


def _stamp(now: int) -> str:
    day = now // 86400 % _DAYS
    return _ALPHABET[day >> 5] + _ALPHABET[day & 31]


def _check_age(stamp: str, now: int) -> None:
    first, second = (_ALPHABET.find(letter) for letter in stamp.upper()[:2]) if len(stamp) == 2 else (-1, -1)
    if first < 0 or second < 0:
        raise SrsError("this return address is not complete")
    # A clock that was a day ahead is no forgery.
    if (now // 86400 + 1 - ((first << 5) | second)) % _DAYS > VALID_DAYS + 1:
        raise SrsError("this return address is too old")


def _address(local: str, domain: str) -> Address:
    try:
        return Address.parse(str(Address(local, domain)))
    except AddressError as error:
        raise SrsError(f"no address can be made of it: {error}") from error
