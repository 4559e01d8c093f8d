"""Extensions that not every connection gets: what EHLO tells of them, their parameters of MAIL, their commands' arguments.

FUTURERELEASE (RFC 4865), DELIVERBY (RFC 2852), MT-PRIORITY (RFC 6710), NO-SOLICITING (RFC 3865), LIMITS (RFC 9422), ETRN
(RFC 1985), and Postfix' XCLIENT and XFORWARD.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ...model.address import AddressError, parse_domain
from ...model.envelope import DeliverBy
from ...model.ip import ip_of
from .grammar import GrammarError, Reader, decode_xtext

XCLIENT = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT")
XFORWARD = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")
UNKNOWN = frozenset({"[UNAVAILABLE]", "[TEMPUNAVAIL]"})
MAX_ATTRIBUTE = 255

_SECONDS = re.compile(r"[1-9][0-9]{0,8}")
_BY = re.compile(r"([+-]?[0-9]{1,9});([NR])(T?)", re.IGNORECASE)
_PRIORITY = re.compile(r"-?[0-9]")
# RFC 3865 §2.2: a domain, reversed or not, and what its owner makes of it
_KEYWORD = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?:[A-Za-z0-9_-]+"
_KEYWORDS = re.compile(rf"{_KEYWORD}(?:,{_KEYWORD})*")
MAX_KEYWORDS = 1000  # RFC 3865 §2.4, octets


@dataclass(frozen=True, slots=True)
class Offers:
    """What a kind of connection gets besides. The default is what every server on port 25 may offer."""

    xclient: bool = False
    """XCLIENT and XFORWARD: the client is trusted."""
    etrn: bool = False
    hold_s: int = 0
    """FUTURERELEASE: the longest time a message may be held, seconds."""
    binary: bool = False
    """BINARYMIME (RFC 3030)."""
    deliver_by: bool = False
    priority: bool = False
    no_soliciting: tuple[str, ...] = ()
    """Keywords of solicitations that are refused; NO-SOLICITING is offered if there are any."""

    @property
    def absent(self) -> frozenset[bytes]:
        """Verbs that are not offered."""
        return frozenset({b"ETRN"} if not self.etrn else ()) | frozenset((b"XCLIENT", b"XFORWARD") if not self.xclient else ())

    def lines(self, recipients: int, now: int) -> list[str]:
        """What EHLO tells. *recipients*: of one message; *now*: epoch seconds."""
        found = ["BINARYMIME"] * self.binary + [f"LIMITS RCPTMAX={recipients}"]
        if self.deliver_by:
            found.append("DELIVERBY")
        if self.priority:
            found.append("MT-PRIORITY MIXER")
        if self.hold_s:
            latest = datetime.datetime.fromtimestamp(now + self.hold_s, datetime.UTC)
            found.append(f"FUTURERELEASE {self.hold_s} {latest:%Y-%m-%dT%H:%M:%SZ}")
        if self.no_soliciting:
            found.append(f"NO-SOLICITING {','.join(self.no_soliciting)}")
        if self.etrn:
            found.append("ETRN")
        if self.xclient:
            found += [f"XCLIENT {' '.join(XCLIENT)}", f"XFORWARD {' '.join(XFORWARD)}"]
        return found

    def welcomes(self, solicit: tuple[str, ...]) -> bool:
        """Whether a message with these keywords, in lower case, may come in."""
        return not {keyword.lower() for keyword in self.no_soliciting} & set(solicit)

    @property
    def parameters(self) -> Mapping[str, Reader]:
        """Readers of the parameters of MAIL that may be given."""
        return _parameters(self)


@lru_cache(maxsize=64)
def _parameters(offers: Offers) -> Mapping[str, Reader]:
    names = ["BY"] * offers.deliver_by + ["MT-PRIORITY"] * offers.priority + ["HOLDFOR", "HOLDUNTIL"] * bool(offers.hold_s)
    return {name: _PARAMETERS[name] for name in (*names, *(["SOLICIT"] * bool(offers.no_soliciting)))}


def _hold_for(value: str | None) -> dict[str, object]:
    if value is None or _SECONDS.fullmatch(value) is None:  # RFC 4865 §5
        raise _wrong("HOLDFOR")
    return {"hold_for": int(value)}


def _hold_until(value: str | None) -> dict[str, object]:
    try:  # RFC 3339 §5.6
        moment = datetime.datetime.fromisoformat((value or "").upper())
    except ValueError as error:
        raise _wrong("HOLDUNTIL") from error
    if moment.tzinfo is None or "T" not in (value or "").upper():
        raise _wrong("HOLDUNTIL")
    return {"hold_until": int(moment.timestamp())}


def _by(value: str | None) -> dict[str, object]:
    match = _BY.fullmatch(value or "")
    if match is None:
        raise _wrong("BY")
    seconds, returns = int(match[1]), match[2].upper() == "R"
    if returns and seconds <= 0:
        raise _wrong("BY")  # RFC 2852 §4: only "notify" may be late already
    return {"deliver_by": DeliverBy(seconds, returns, bool(match[3]))}


def _priority(value: str | None) -> dict[str, object]:
    if value is None or _PRIORITY.fullmatch(value) is None:  # RFC 6710 §3
        raise _wrong("MT-PRIORITY")
    return {"priority": int(value)}


def _solicit(value: str | None) -> dict[str, object]:
    if value is None or len(value) > MAX_KEYWORDS or _KEYWORDS.fullmatch(value) is None:
        raise _wrong("SOLICIT")
    return {"solicit": tuple(value.lower().split(","))}


_PARAMETERS: dict[str, Reader] = {
    "HOLDFOR": _hold_for,
    "HOLDUNTIL": _hold_until,
    "BY": _by,
    "MT-PRIORITY": _priority,
    "SOLICIT": _solicit,
}


def _wrong(name: str) -> GrammarError:
    return GrammarError(501, "5.5.4", f"Bad {name} parameter")


def parse_attributes(argument: bytes, known: tuple[str, ...]) -> dict[str, str]:
    """`NAME=value …` of XCLIENT and XFORWARD; values decoded, empty where the client does not know them. Raises GrammarError."""
    found: dict[str, str] = {}
    for word in argument.decode("latin-1").split():
        name, equals, text = word.partition("=")
        name = name.upper()
        if not equals or name not in known or name in found:
            raise GrammarError(501, "5.5.4", "Bad or repeated attribute")
        try:
            value = decode_xtext(text).encode("latin-1").decode("utf-8")
        except ValueError as error:
            raise GrammarError(501, "5.5.4", f"Bad {name} value: not xtext") from error
        if len(value) > MAX_ATTRIBUTE or not value.isprintable():
            raise GrammarError(501, "5.5.4", f"Bad {name} value")
        found[name] = "" if value.upper() in UNKNOWN else _checked(name, value)
    if not found:
        raise GrammarError(501, "5.5.4", "Give an attribute")
    return found


def _checked(name: str, value: str) -> str:
    """An address as Postfix writes it (`IPV6:` in front of IPv6) in our form; a port as digits."""
    try:
        if name in ("ADDR", "DESTADDR"):
            return str(ip_of(value[5:] if value[:5].upper() == "IPV6:" else value))
        if name in ("PORT", "DESTPORT") and not (value.isascii() and value.isdigit() and 0 <= int(value[:6]) < 65536):
            raise ValueError
    except ValueError as error:
        raise GrammarError(501, "5.5.4", f"Bad {name} value") from error
    if name == "PROTO" and value.upper() not in ("SMTP", "ESMTP"):
        raise GrammarError(501, "5.5.4", "Bad PROTO value")
    return value


def parse_etrn(argument: bytes) -> tuple[str, str]:
    """`domain`, `@domain` or `#queue` (RFC 1985 §5.3): the option character or nothing, and the rest. Raises GrammarError."""
    text = argument.strip(b" ").decode("utf-8", "replace")
    option = text[:1] if text[:1] in "@#" else ""
    try:
        return option, text[1:] if option == "#" else parse_domain(text[len(option) :])
    except AddressError as error:
        raise GrammarError(501, "5.5.4", f"Syntax is ETRN domain: {error}") from error
