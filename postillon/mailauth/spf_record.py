"""SPF records (RFC 7208 §4.6, §5, §6, §12): text → terms. Any mistake makes the whole record wrong."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import NamedTuple

from . import spf_macro as macro
from .result import Result
from .spf_macro import MacroError, Piece

MAX_RECORD = 16 * 1024

QUALIFIERS = {"+": Result.PASS, "-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}
_TERM = re.compile(r"([+\-~?]?)([A-Za-z][A-Za-z0-9_.-]*+)(.*)", re.DOTALL)
_CIDR = re.compile(r"(?:/(0|[1-9]\d?))?(?://(0|[1-9]\d{0,2}))?$")
_IP4_CIDR = re.compile(r"(0|[1-9]\d?)")
_IP6_CIDR = re.compile(r"(0|[1-9]\d{0,2})")


class RecordError(ValueError):
    """The record is wrong: a permanent error (RFC 7208 §2.6.7). The message says why."""


class Network(NamedTuple):
    version: int
    """4 or 6; 0 for the others."""
    number: int
    bits: int


@dataclass(frozen=True, slots=True)
class Mechanism:
    result: Result
    name: str
    """In lower case: all include a mx ptr ip4 ip6 exists."""
    domain: tuple[Piece, ...] = ()
    """Empty: the domain that is being checked."""
    bits4: int = 32
    bits6: int = 128
    network: Network | None = None
    """For ip4 and ip6."""


@dataclass(frozen=True, slots=True)
class Record:
    mechanisms: tuple[Mechanism, ...]
    redirect: tuple[Piece, ...] = ()
    explanation: tuple[Piece, ...] = ()


def is_spf(text: str) -> bool:
    """Whether a TXT record is one of SPF, version 1 (RFC 7208 §4.5)."""
    return text[:6].lower() == "v=spf1" and (len(text) == 6 or text[6] == " ")


def parse(text: str) -> Record:
    """Raises RecordError."""
    if not text.isascii():
        raise RecordError("the record has characters that are not ASCII")
    if len(text) > MAX_RECORD:
        raise RecordError("the record is too long")
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, tuple[Piece, ...]] = {}
    for term in text[6:].split(" "):
        if not term:
            continue
        match = _TERM.match(term)
        if match is None:
            raise RecordError(f"no term: {term[:40]!r}")
        qualifier, name, rest = match.groups()
        try:
            if rest.startswith("=") and not qualifier:
                _modifier(name.lower(), rest[1:], modifiers)
            else:
                mechanisms.append(_mechanism(QUALIFIERS[qualifier or "+"], name.lower(), rest))
        except MacroError as error:
            raise RecordError(f"{error}: {term[:40]!r}") from error
    return Record(tuple(mechanisms), modifiers.get("redirect", ()), modifiers.get("exp", ()))


def _modifier(name: str, value: str, found: dict[str, tuple[Piece, ...]]) -> None:
    if name not in ("redirect", "exp"):
        # RFC 7208 §6: unknown ones are passed over, if they are well formed.
        macro.parse(value, in_explanation=True)
        return
    if name in found:
        raise RecordError(f"{name} occurs twice")
    found[name] = macro.parse_domain_spec(value)


def _mechanism(result: Result, name: str, rest: str) -> Mechanism:
    if name == "all":
        if rest:
            raise RecordError("all takes no value")
        return Mechanism(result, name)
    if name in ("include", "exists", "ptr"):
        if name == "ptr" and not rest:
            return Mechanism(result, name)
        return Mechanism(result, name, macro.parse_domain_spec(_after_colon(name, rest)))
    if name in ("a", "mx"):
        return _host(result, name, rest)
    if name in ("ip4", "ip6"):
        return Mechanism(result, name, network=_network(name, _after_colon(name, rest)))
    raise RecordError(f"unknown mechanism: {name[:40]}")


def _after_colon(name: str, rest: str) -> str:
    if not rest.startswith(":") or len(rest) == 1:
        raise RecordError(f"{name} has no value")
    return rest[1:]


def _host(result: Result, name: str, rest: str) -> Mechanism:
    # A macro may have slashes inside its braces; the prefix lengths come after the last one.
    match = _CIDR.search(rest, rest.rfind("}") + 1)
    assert match is not None
    bits4, bits6 = int(match[1] or 32), int(match[2] or 128)
    if bits4 > 32 or bits6 > 128:
        raise RecordError("prefix length out of bounds")
    spec = rest[: match.start()]
    domain = macro.parse_domain_spec(_after_colon(name, spec)) if spec else ()
    return Mechanism(result, name, domain, bits4, bits6)


def _network(name: str, text: str) -> Network:
    address, slash, bits = text.partition("/")
    pattern = _IP4_CIDR if name == "ip4" else _IP6_CIDR
    width = 32 if name == "ip4" else 128
    if slash and (not pattern.fullmatch(bits) or int(bits) > width):
        raise RecordError("bad prefix length")
    try:
        if name == "ip4":
            return Network(4, int(ipaddress.IPv4Address(address)), int(bits) if slash else 32)
        if "%" in address:
            raise RecordError("bad address")
        return Network(6, int(ipaddress.IPv6Address(address)), int(bits) if slash else 128)
    except ValueError as error:
        raise RecordError(f"bad address: {text[:50]!r}") from error
