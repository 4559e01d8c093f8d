"""What stands behind SMTP's verbs: paths, ESMTP parameters, xtext, base64.

RFC 5321 §4.1.2, RFC 3461, RFC 1870, RFC 6152, RFC 6531. Both roles use it. Arguments are the octets of a command line after
its verb; results are values of `model`. All that is wrong is a `GrammarError` that carries the reply to give.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from ...model.address import Address, AddressError, parse_domain
from ...model.envelope import BodyType, Envelope, Notify, Recipient
from .reply import Reply

MAX_ENVID = 100  # RFC 3461 §4.4, octets of xtext
MAX_ORCPT = 500  # RFC 3461 §4.2

# RFC 5321 §4.1.2 Path. Quoted pieces may hold anything, so `<"a> b"@c>` is one path; the address itself is judged by
# `Address.parse`. One space after the colon is not allowed, but many send it.
_ROUTE = r"@(?:\[[^\]\s]*+\]|[^\s@<>\"\\,:\[\]]++)"
_PATH = re.compile(rf' *+<(?:({_ROUTE}(?:,{_ROUTE})*+):)?+((?:"(?:[^"\\]|\\.)*+"|[^\s"<>])*+)>(?: ++(.*+))?+')
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\x80-\U0010ffff]+))?")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-Fa-f]{2})*")
_PRINTABLE = re.compile(r"[ -~]*")
# RFC 6533 §3: a character of a utf-8 address that an xtext cannot hold
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_UTF8_ADDRESS = re.compile(r"(?:[!-*,-<>-\[\]-~\x80-\U0010ffff]|\\x\{[0-9A-Fa-f]{2,6}\})+")
_ORCPT = re.compile(r"([A-Za-z0-9-]+);(.+)")
_MECHANISM = re.compile(rb"([A-Za-z0-9_-]{1,20})(?: +([^ ]+))?")  # RFC 4422 §3.1
_BURL = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]{0,20}:[!-~]{1,4096}?)(?: +(LAST))?", re.IGNORECASE)  # RFC 4468 §4
_BDAT = re.compile(rb"([0-9]{1,19})(?: +(LAST))?", re.IGNORECASE)  # RFC 3030 §2


class GrammarError(ValueError):
    """An argument is wrong; *reply* says so in SMTP's words."""

    def __init__(self, code: int, status: str, text: str) -> None:
        super().__init__(text)
        self.reply = Reply(code, text, status)


@dataclass(frozen=True, slots=True)
class Path:
    """A reverse-path or forward-path. *text* is the address as written; *address* is None for all that has no domain."""

    text: str
    address: Address | None
    rest: str
    """The parameters."""

    @property
    def is_postmaster(self) -> bool:
        """RFC 5321 §4.1.1.3: `<Postmaster>` without a domain, in any case."""
        return self.address is None and self.text.lower() == "postmaster"


Reader = Callable[[str | None], dict[str, object]]
"""A parameter's value → fields of the envelope. Raises GrammarError."""


def parse_mail(argument: bytes, max_size: int, more: Mapping[str, Reader] | None = None) -> Envelope:
    """`FROM:<path> parameters` as an envelope without recipients (RFC 5321 §4.1.1.2). *max_size*: octets. Raises GrammarError.

    *more*: readers of parameters that not every connection may give (`offers`).
    """
    path = _path(argument, "FROM:", "5.1.7")
    if path.address is None and path.text:
        raise GrammarError(501, "5.1.7", "Bad sender address syntax")
    values: dict[str, object] = {}
    for name, value in _parameters(path.rest):
        reader = _MAIL_PARAMETERS.get(name) or (more or {}).get(name)
        if reader is None:
            raise GrammarError(555, "5.5.4", "Unsupported MAIL parameter")
        values.update(reader(value))
    envelope = Envelope(path.address, **values)  # type: ignore[arg-type]
    if envelope.size is not None and envelope.size > max_size:
        raise GrammarError(552, "5.3.4", f"Message is larger than the limit of {max_size} octets")  # RFC 1870 §6.1
    if not envelope.smtputf8 and not path.text.isascii():
        raise GrammarError(553, "5.6.7", "Internationalized address needs SMTPUTF8")  # RFC 6531 §3.5
    return envelope


def parse_rcpt(argument: bytes, smtputf8: bool) -> Recipient | None:
    """`TO:<path> parameters` (RFC 5321 §4.1.1.3); None is the bare `<Postmaster>`. Raises GrammarError.

    *smtputf8*: MAIL had the parameter, so addresses may be international (RFC 6531 §3.4).
    """
    path = _path(argument, "TO:", "5.1.3")
    if path.address is None and not path.is_postmaster:
        raise GrammarError(501, "5.1.3", "Bad recipient address syntax")
    values: dict[str, object] = {}
    for name, value in _parameters(path.rest):
        reader = _RCPT_PARAMETERS.get(name)
        if reader is None:
            raise GrammarError(555, "5.5.4", "Unsupported RCPT parameter")
        values.update(reader(value))
    if not smtputf8 and not path.text.isascii():
        raise GrammarError(553, "5.6.7", "Internationalized address needs SMTPUTF8")  # RFC 6531 §3.5
    return None if path.address is None else Recipient(path.address, **values)  # type: ignore[arg-type]


def _path(argument: bytes, keyword: str, status: str) -> Path:
    try:
        text = argument.decode("utf-8").rstrip(" ")
    except UnicodeDecodeError as error:
        raise GrammarError(501, "5.5.2", "Command is neither ASCII nor UTF-8") from error
    match = _PATH.fullmatch(text, len(keyword))
    if match is None or text[: len(keyword)].upper() != keyword:
        raise GrammarError(501, "5.5.4", f"Syntax is {keyword}<address>")
    route, mailbox, rest = match[1], match[2], match[3] or ""
    if not mailbox or "@" not in mailbox:
        return Path(mailbox, None, rest)
    try:
        if route is not None:
            # RFC 5321 §4.1.1.3 and appendix C: source routes are read and forgotten
            for domain in route.split(","):
                parse_domain(domain[1:])
        return Path(mailbox, Address.parse(mailbox), rest)
    except AddressError as error:
        raise GrammarError(501, status, f"Bad address: {error}") from error


def _parameters(rest: str) -> list[tuple[str, str | None]]:
    """`KEY=value KEY …` in order, keys in upper case. Raises GrammarError, also for a key given twice."""
    found: dict[str, str | None] = {}
    for word in rest.split():
        match = _PARAMETER.fullmatch(word)
        if match is None or match[1].upper() in found:
            raise GrammarError(501, "5.5.4", "Bad or repeated parameter")
        found[match[1].upper()] = match[2]
    return list(found.items())


def _wrong(name: str) -> GrammarError:
    return GrammarError(501, "5.5.4", f"Bad {name} parameter")


def _size(value: str | None) -> dict[str, object]:
    if value is None or len(value) > 20 or not (value.isascii() and value.isdigit()):  # RFC 1870 §4
        raise _wrong("SIZE")
    return {"size": int(value)}


def _body(value: str | None) -> dict[str, object]:
    body = (value or "").upper()
    if body not in ("7BIT", "8BITMIME", "BINARYMIME"):  # RFC 6152 §3, RFC 3030 §3
        raise _wrong("BODY")
    return {"body": cast(BodyType, body)}


def _smtputf8(value: str | None) -> dict[str, object]:
    if value is not None:  # RFC 6531 §3.4
        raise _wrong("SMTPUTF8")
    return {"smtputf8": True}


def _requiretls(value: str | None) -> dict[str, object]:
    if value is not None:  # RFC 8689 §2
        raise _wrong("REQUIRETLS")
    return {"require_tls": True}


def _ret(value: str | None) -> dict[str, object]:
    ret = (value or "").upper()
    if ret not in ("FULL", "HDRS"):  # RFC 3461 §4.3
        raise _wrong("RET")
    return {"ret": cast(Literal["FULL", "HDRS"], ret)}


def _envid(value: str | None) -> dict[str, object]:
    # RFC 3461 §4.4: decoded it is printable; anything else could forge lines of a report
    if not value or len(value) > MAX_ENVID:
        raise _wrong("ENVID")
    return {"envid": _printable_xtext(value, "ENVID")}


def _auth(value: str | None) -> dict[str, object]:
    # RFC 4954 §5: taken from everybody and believed from nobody
    if not value or _XTEXT.fullmatch(value) is None:
        raise _wrong("AUTH")
    return {}


def _notify(value: str | None) -> dict[str, object]:
    words = (value or "").upper().split(",")
    if not all(word in Notify.__members__ for word in words) or ("NEVER" in words and len(words) > 1):  # RFC 3461 §4.1
        raise _wrong("NOTIFY")
    return {"notify": frozenset(Notify(word) for word in words)}


def _orcpt(value: str | None) -> dict[str, object]:
    match = _ORCPT.fullmatch(value or "")
    if match is None or value is None or len(value) > MAX_ORCPT:
        raise _wrong("ORCPT")
    if match[1].lower() != "utf-8":
        return {"original": f"{match[1]};{_printable_xtext(match[2], 'ORCPT')}"}
    return {"original": f"{match[1]};{_utf8_address(match[2])}"}


_MAIL_PARAMETERS: dict[str, Reader] = {
    "SIZE": _size, "BODY": _body, "SMTPUTF8": _smtputf8, "RET": _ret, "ENVID": _envid, "AUTH": _auth,
    "REQUIRETLS": _requiretls,
}  # fmt: skip
_RCPT_PARAMETERS: dict[str, Reader] = {"NOTIFY": _notify, "ORCPT": _orcpt}


def decode_xtext(text: str) -> str:
    """RFC 3461 §4: `+2B` is `+`. Raises ValueError."""
    if _XTEXT.fullmatch(text) is None:
        raise ValueError("not xtext")
    head, *pieces = text.split("+")
    return head + "".join(chr(int(piece[:2], 16)) + piece[2:] for piece in pieces)


def encode_xtext(text: str) -> str:
    """RFC 3461 §4, for ASCII text. Raises UnicodeEncodeError for any other."""
    return "".join(chr(c) if 33 <= c <= 126 and c not in b"+=" else f"+{c:02X}" for c in text.encode("ascii"))


def _printable_xtext(text: str, name: str) -> str:
    try:
        decoded = decode_xtext(text)
    except ValueError as error:
        raise _wrong(name) from error
    if _PRINTABLE.fullmatch(decoded) is None:
        raise _wrong(name)
    return decoded


def _utf8_address(text: str) -> str:
    """RFC 6533 §3: both utf-8-addr-xtext and utf-8-addr-unitext."""
    if _UTF8_ADDRESS.fullmatch(text) is None:
        raise _wrong("ORCPT")
    points = [int(point, 16) for point in _EMBEDDED.findall(text)]
    if any(point > 0x10FFFF or 0xD800 <= point <= 0xDFFF for point in points):
        raise _wrong("ORCPT")
    decoded = _EMBEDDED.sub(lambda match: chr(int(match[1], 16)), text)
    if not decoded.replace(" ", "").isprintable():
        raise _wrong("ORCPT")
    return decoded


def encode_orcpt(original: str) -> str:
    """The value of ORCPT for `Recipient.original` (`rfc822;a@b`), ASCII whatever the address (RFC 3461 §4.2, RFC 6533 §3)."""
    kind, _, address = original.partition(";")
    if kind.lower() != "utf-8":
        return f"{kind};{encode_xtext(address)}"
    plain = frozenset(range(0x21, 0x7F)) - frozenset(b"+=\\")
    return f"{kind};" + "".join(c if ord(c) in plain else f"\\x{{{ord(c):02X}}}" for c in address)


def parse_hello(argument: bytes) -> str:
    """The EHLO, HELO or LHLO argument, taken leniently: RFC 5321 §4.1.4 forbids refusals for wrong names. Raises GrammarError."""
    name = argument.strip().decode("utf-8", "replace")
    if not name or len(name) > 255:
        raise GrammarError(501, "5.5.4", "Give a host name")
    return name


def parse_auth(argument: bytes) -> tuple[str, bytes | None]:
    """`mechanism [initial]` (RFC 4954 §4): the mechanism in upper case, the initial response decoded; `=` is an empty one."""
    match = _MECHANISM.fullmatch(argument.rstrip(b" "))
    if match is None:
        raise GrammarError(501, "5.5.4", "Syntax is AUTH mechanism [initial-response]")
    mechanism = match[1].decode("ascii").upper()
    if match[2] is None:
        return mechanism, None
    return mechanism, b"" if match[2] == b"=" else decode_base64(match[2])


def decode_base64(text: bytes) -> bytes:
    """Strict base64. Raises GrammarError (RFC 4954 §4: 501 5.5.2)."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise GrammarError(501, "5.5.2", "Cannot decode base64") from error


def encode_base64(octets: bytes) -> str:
    """One line of base64, for a challenge or a response."""
    return binascii.b2a_base64(octets, newline=False).decode("ascii")


def parse_bdat(argument: bytes) -> tuple[int, bool]:
    """`size [LAST]` (RFC 3030 §2): octets that follow, and whether they are the last. Raises GrammarError."""
    match = _BDAT.fullmatch(argument.strip(b" "))
    if match is None:
        raise GrammarError(501, "5.5.4", "Syntax is BDAT size [LAST]")
    return int(match[1]), match[2] is not None


def parse_burl(argument: bytes) -> tuple[bytes, bool]:
    """`url [LAST]` (RFC 4468 §3.3). Raises GrammarError."""
    match = _BURL.fullmatch(argument.strip(b" "))
    if match is None:
        raise GrammarError(501, "5.5.4", "Syntax is BURL imap://... [LAST]")
    return match[1], match[2] is not None
