"""Mail addresses and domains: RFC 5321 §4.1.2 Mailbox, RFC 6531 for international ones.

Our *Address* is RFC 5321's Mailbox (a *Mailbox* is a folder here, as in IMAP and JMAP). Header addresses with display
names, groups and comments are `postillon.message.addresses`; this module knows only local part and domain.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import idna

MAX_LOCAL = 255
"""Octets. RFC 5321 §4.5.3.1.1 asks for 64 and to take more where one can: bounce addresses of lists are often longer."""
MAX_DOMAIN = 255  # RFC 5321 §4.5.3.1.2, octets

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-"
_DOT_STRING = re.compile(rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~\x80-\U0010ffff]|\\[ -~])*)"')
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


class AddressError(ValueError):
    """The text is not an address (or not a domain); the message says why, in words fit for the sender."""


def parse_domain(text: str) -> str:
    """The canonical form of a domain: A-labels in lower case, no final dot; an address literal as `[192.0.2.1]` or `[IPv6:…]`.

    Raises AddressError.
    """
    if text.startswith("["):
        return _literal(text)
    name = text[:-1] if text.endswith(".") else text
    if not name or len(name) > MAX_DOMAIN:
        raise AddressError("domain is empty or too long")
    if not name.isascii():
        # The length comes first: IDNA is quadratic on long labels in some versions.
        if any(len(label) > 63 for label in name.split(".")):
            raise AddressError("domain label is too long")
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise AddressError("domain is not a valid international name") from error
    if len(name) > MAX_DOMAIN or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise AddressError("domain has a bad label")
    return name.lower()


def _literal(text: str) -> str:
    if not text.endswith("]"):
        raise AddressError("address literal is not closed")
    inside = text[1:-1]
    try:
        if inside[:5].lower() == "ipv6:":
            return f"[IPv6:{ipaddress.IPv6Address(inside[5:])}]"
        return f"[{ipaddress.IPv4Address(inside)}]"
    except ValueError as error:
        raise AddressError("bad address literal") from error


@dataclass(frozen=True, slots=True)
class Address:
    """One address. *local* is without quotes and escapes, as the sender wrote it; *domain* is canonical (see `parse_domain`)."""

    local: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """RFC 5321 §4.1.2 Mailbox, with RFC 6531's UTF-8. Raises AddressError. No source routes, no `%` hacks."""
        return _parse(text)

    @property
    def key(self) -> str:
        """The form under which the address is looked up: lower case, NFC (RFC 5321 lets us treat local parts of ours so)."""
        return _key(self.local, self.domain)

    @property
    def is_ascii(self) -> bool:
        return self.local.isascii()

    def __str__(self) -> str:
        if _DOT_STRING.fullmatch(self.local):
            return f"{self.local}@{self.domain}"
        quoted = self.local.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}"@{self.domain}'


# The same few addresses come again and again: senders of lists, our own recipients.
@lru_cache(maxsize=4096)
def _parse(text: str) -> Address:
    local, at, domain = text.rpartition("@")
    if not at:
        raise AddressError("address has no domain")
    return Address(_local(local), parse_domain(domain))


@lru_cache(maxsize=4096)
def _key(local: str, domain: str) -> str:
    return f"{unicodedata.normalize('NFC', local).casefold()}@{domain}"


def _local(text: str) -> str:
    if not text or len(text.encode("utf-8", "surrogatepass")) > MAX_LOCAL:
        raise AddressError("local part is empty or too long")
    if _DOT_STRING.fullmatch(text):
        return text
    quoted = _QUOTED.fullmatch(text)
    if quoted is None or not quoted[1]:
        raise AddressError("local part has a character that needs quotes")
    return re.sub(r"\\(.)", r"\1", quoted[1])


def subaddress(local: str, separator: str = "+") -> tuple[str, str | None]:
    """Split `user+detail` into (`user`, `detail`); detail is None where there is none (RFC 5233)."""
    user, found, detail = local.partition(separator)
    return (user, detail) if found and user else (local, None)
