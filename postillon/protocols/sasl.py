"""SASL (RFC 4422) as octets: mechanism names, string preparation, PLAIN (RFC 4616) and LOGIN, both sides. SCRAM is `scram.py`.

Challenges and responses here are raw; a protocol's own clothes (base64 lines, `+ `, `334 `, `=` and `*`) are taken off by
`decode_response`. Nothing here looks at a password store: the server side ends in a `Claim`, which somebody else judges.
"""

from __future__ import annotations

import binascii
import re
import stringprep
import unicodedata
from dataclasses import dataclass
from typing import Protocol

SCRAM_MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-1")
PLUS_MECHANISMS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS")
PASSWORD_MECHANISMS = ("PLAIN", "LOGIN")
TOKEN_MECHANISMS = ("OAUTHBEARER", "XOAUTH2")
EXTERNAL = "EXTERNAL"

BINDING_KINDS = ("tls-exporter", "tls-unique", "tls-server-end-point")
"""Channel binding types that a client may name (RFC 9266, RFC 5929)."""

MAX_MESSAGE = 8192
"""Octets of one challenge or response; every mechanism here needs far fewer."""
MAX_NAME = 512
MAX_PASSWORD = 1024
MAX_TOKEN = 6144

USERNAME_PROMPT, PASSWORD_PROMPT = b"Username:", b"Password:"
"""What LOGIN asks (draft-murchison-sasl-login §2)."""


class SaslError(Exception):
    """The other side broke the mechanism's rules. The text is fit for it to see."""


class OtherIdentity(SaslError):
    """Who logs in wants to act for somebody else (RFC 4422 §3.4.1)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A name and the password that shall prove it, as PLAIN and LOGIN carry them, prepared."""

    name: str
    password: str

    def __repr__(self) -> str:  # the password must not reach a log
        return f"Claim({self.name!r})"


def decode_response(line: bytes) -> bytes | None:
    """A response line (without CRLF) as octets; None is the client's `*`: it gives up (RFC 4954 §4, RFC 5034 §4).

    `=` is an empty initial response. Raises SaslError where the line is not strict base64.
    """
    if line == b"*":
        return None
    if line == b"=":
        return b""
    if len(line) > MAX_MESSAGE * 4 // 3 + 4:
        raise SaslError("response is too long")
    try:
        return binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error as error:
        raise SaslError("response is not base64") from error


def encode_base64(message: bytes) -> bytes:
    """A challenge as one base64 line, without CRLF."""
    return binascii.b2a_base64(message, newline=False)


def prepare(text: str) -> str:
    """SASLprep (RFC 4013) of a name or password; unassigned code points pass, and mixed directions too. Raises SaslError."""
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char)
    )  # RFC 4013 §2.1
    normal = unicodedata.normalize("NFKC", mapped)
    if any(_is_prohibited(char) for char in normal):
        raise SaslError("text has a character that is not allowed")
    return normal


def _is_prohibited(char: str) -> bool:
    """RFC 4013 §2.3."""
    return (
        stringprep.in_table_c12(char)
        or stringprep.in_table_c21_c22(char)
        or stringprep.in_table_c3(char)
        or stringprep.in_table_c4(char)
        or stringprep.in_table_c5(char)
        or stringprep.in_table_c6(char)
        or stringprep.in_table_c7(char)
        or stringprep.in_table_c8(char)
        or stringprep.in_table_c9(char)
    )


def _text(octets: bytes, what: str, limit: int) -> str:
    if not octets:
        raise SaslError(f"{what} is empty")
    if len(octets) > limit:
        raise SaslError(f"{what} is too long")
    try:
        text = prepare(octets.decode())
    except UnicodeDecodeError as error:
        raise SaslError(f"{what} is not UTF-8") from error
    if not text:
        raise SaslError(f"{what} is empty")
    return text


def same_identity(authorise_as: str, name: str) -> None:
    """We know no proxies: the identity to act as is absent or the one that logs in. Raises SaslError."""
    if authorise_as and authorise_as.casefold() != name.casefold():
        raise OtherIdentity("acting for somebody else is not possible")


def parse_plain(message: bytes) -> Claim:
    """RFC 4616 §2: `[authzid] NUL authcid NUL passwd`. Raises SaslError."""
    if len(message) > MAX_MESSAGE:
        raise SaslError("response is too long")
    parts = message.split(b"\0")
    if len(parts) != 3:
        raise SaslError("PLAIN wants two NULs")
    authorise_as, name, password = parts
    claim = Claim(_text(name, "name", MAX_NAME), _text(password, "password", MAX_PASSWORD))
    if authorise_as:
        same_identity(_text(authorise_as, "identity", MAX_NAME), claim.name)
    return claim


def parse_login(name: bytes, password: bytes) -> Claim:
    """The two answers of LOGIN (or of POP3's USER and PASS, IMAP's LOGIN). Raises SaslError."""
    if b"\0" in name or b"\0" in password:
        raise SaslError("text has a character that is not allowed")
    return Claim(_text(name, "name", MAX_NAME), _text(password, "password", MAX_PASSWORD))


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token, and whose it is said to be; the name is empty if that was not said."""

    name: str
    token: str

    def __repr__(self) -> str:  # the token must not reach a log
        return f"Bearer({self.name!r})"


_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1


def parse_oauthbearer(message: bytes) -> Bearer:
    """RFC 7628 §3.1: `n,a=user,` and key=value pairs, each behind a `^A`, with two at the end. Raises SaslError."""
    header, *pairs = _pairs(message)
    flag, _, rest = header.partition(b",")
    authorise_as, comma, nothing = rest.partition(b",")
    if flag not in (b"n", b"y") or not comma or nothing or (authorise_as and not authorise_as.startswith(b"a=")):
        raise SaslError("the GS2 header is broken")
    # RFC 5801 §4: in the name `,` and `=` are written `=2C` and `=3D`.
    name = authorise_as.removeprefix(b"a=").replace(b"=2C", b",").replace(b"=3D", b"=")
    return _bearer(name, pairs)


def parse_xoauth2(message: bytes) -> Bearer:
    """Google's older form: `user=name`, `auth=Bearer token`. Raises SaslError."""
    first, *pairs = _pairs(message)
    if not first.startswith(b"user="):
        raise SaslError("user= is missing")
    return _bearer(first.removeprefix(b"user="), pairs)


def _pairs(message: bytes) -> list[bytes]:
    if len(message) > MAX_MESSAGE:
        raise SaslError("response is too long")
    if not message.endswith(b"\1\1"):
        raise SaslError("the end of the response is missing")
    return message[:-2].split(b"\1")


def _bearer(name: bytes, pairs: list[bytes]) -> Bearer:
    found = [pair.removeprefix(b"auth=") for pair in pairs if pair.startswith(b"auth=")]
    scheme, _, token = found[0].partition(b" ") if len(found) == 1 else (b"", b"", b"")
    token = token.strip(b" ")
    if scheme.lower() != b"bearer" or len(token) > MAX_TOKEN or not _TOKEN.fullmatch(token):
        raise SaslError("there is no bearer token")
    return Bearer(_text(name, "name", MAX_NAME) if name else "", token.decode("ascii"))


def parse_external(message: bytes) -> str:
    """RFC 4422 Appendix A: the identity to act as, mostly empty. Raises SaslError."""
    return _text(message, "identity", MAX_NAME) if message else ""


class ClientExchange(Protocol):
    """The client's side of one exchange."""

    mechanism: str

    def initial(self) -> bytes | None:
        """The initial response, or None where the server speaks first."""
        ...

    def respond(self, challenge: bytes) -> bytes:
        """Raises SaslError if the server breaks the rules or is not who it should be."""
        ...

    @property
    def is_complete(self) -> bool:
        """The server may say yes now. A yes before that is a lie (SCRAM: it has not proved itself)."""
        ...


class PlainClient:
    mechanism = "PLAIN"

    def __init__(self, name: str, password: str) -> None:
        self._message = b"\0".join((b"", prepare(name).encode(), prepare(password).encode()))
        self._sent = False

    def initial(self) -> bytes:
        self._sent = True
        return self._message

    def respond(self, challenge: bytes) -> bytes:
        if self._sent:
            raise SaslError("PLAIN has one message only")
        return self.initial()

    @property
    def is_complete(self) -> bool:
        return self._sent


class LoginClient:
    mechanism = "LOGIN"

    def __init__(self, name: str, password: str) -> None:
        self._answers = [prepare(password).encode(), prepare(name).encode()]

    def initial(self) -> None:
        return None

    def respond(self, challenge: bytes) -> bytes:
        """Name first, then password, whatever the prompts say: servers word them differently."""
        if not self._answers:
            raise SaslError("LOGIN asks twice only")
        return self._answers.pop()

    @property
    def is_complete(self) -> bool:
        return not self._answers
