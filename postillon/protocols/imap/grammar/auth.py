"""Commands that are about the connection: capabilities, login, protection, extensions (RFC 3501 §6.1, §6.2, RFC 9051 §6.3.1)."""

from __future__ import annotations

import binascii
import re

from .. import commands
from .reader import Bad, Reader

_MECHANISM = re.compile(rb"[A-Za-z0-9_-]{1,20}")  # RFC 4422 §3.1
_BASE64 = re.compile(rb"=|[A-Za-z0-9+/]+={0,2}")


def authenticate(reader: Reader) -> commands.Authenticate:
    """RFC 3501 §6.2.2, with the initial response of RFC 4959."""
    reader.space()
    mechanism = reader.take(_MECHANISM, "SASL mechanism")[0].decode("ascii").upper()
    if reader.at_end():
        return commands.Authenticate(mechanism)
    reader.space()
    return commands.Authenticate(mechanism, from_base64(reader.take(_BASE64, "base64")[0]))


def from_base64(text: bytes) -> bytes:
    """A SASL response; `=` alone is an empty one (RFC 4959 §3). Raises Bad."""
    if text == b"=":
        return b""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise Bad("broken base64") from error


def login(reader: Reader) -> commands.Login:
    """RFC 3501 §6.2.3. UTF-8 in quoted strings is always taken here: programs send it, and the octets are only compared."""
    reader.utf8 = True
    reader.space()
    name = reader.astring("name")
    reader.space()
    return commands.Login(name, reader.astring("password"))


def enable(reader: Reader) -> commands.Enable:
    """RFC 5161 §3.1."""
    names: list[str] = []
    while not names or not reader.at_end():
        reader.space()
        names.append(reader.word("capability").decode("ascii"))
    return commands.Enable(tuple(names))


def compress(reader: Reader) -> commands.Compress:
    """RFC 4978 §3."""
    reader.space()
    return commands.Compress(reader.word("compression mechanism").decode("ascii"))


def identify(reader: Reader) -> commands.Id:
    """ID NIL, or ID (name value …) (RFC 2971 §3.1)."""
    reader.space()
    if not reader.skip(b"("):
        if reader.nstring() is not None:
            raise Bad("list or NIL expected")
        return commands.Id()
    fields: list[tuple[str, str | None]] = []
    while not reader.skip(b")"):
        if fields:
            reader.space()
        name = reader.string().decode("utf-8", "replace")
        reader.space()
        value = reader.nstring()
        fields.append((name, None if value is None else value.decode("utf-8", "replace")))
    return commands.Id(tuple(fields))


_CAPABILITY = commands.Capability()
_NOOP = commands.Noop()
_LOGOUT = commands.Logout()
_STARTTLS = commands.StartTls()
_UNAUTHENTICATE = commands.Unauthenticate()

PARSERS = {
    b"CAPABILITY": lambda reader: _CAPABILITY,
    b"NOOP": lambda reader: _NOOP,
    b"LOGOUT": lambda reader: _LOGOUT,
    b"STARTTLS": lambda reader: _STARTTLS,
    b"UNAUTHENTICATE": lambda reader: _UNAUTHENTICATE,
    b"AUTHENTICATE": authenticate,
    b"LOGIN": login,
    b"ENABLE": enable,
    b"COMPRESS": compress,
    b"ID": identify,
}
