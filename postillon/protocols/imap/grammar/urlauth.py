"""URLAUTH (RFC 4467) with URLAUTH=BINARY (RFC 5524). URLs are octets here; what they mean is not grammar's concern."""

from __future__ import annotations

from typing import Literal

from ..extension_commands import GenUrlAuth, ResetKey, UrlFetch, UrlWanted
from .reader import Bad, Reader

UrlParameter = Literal["BODYPARTSTRUCTURE", "BODY", "BINARY"]
_PARAMETERS: dict[bytes, UrlParameter] = {
    b"BODYPARTSTRUCTURE": "BODYPARTSTRUCTURE",
    b"BODY": "BODY",
    b"BINARY": "BINARY",
}


def resetkey(reader: Reader) -> ResetKey:
    if reader.at_end():
        return ResetKey()
    reader.space()
    mailbox = reader.mailbox()
    mechanisms: list[str] = []
    while not reader.at_end():
        reader.space()
        mechanisms.append(reader.word("mechanism").decode("ascii"))
    return ResetKey(mailbox, tuple(mechanisms))


def genurlauth(reader: Reader) -> GenUrlAuth:
    urls: list[tuple[bytes, str]] = []
    while not urls or not reader.at_end():
        reader.space()
        url = reader.astring("URL")
        reader.space()
        urls.append((url, reader.word("mechanism").decode("ascii")))
    return GenUrlAuth(tuple(urls))


def urlfetch(reader: Reader) -> UrlFetch:
    urls: list[UrlWanted] = []
    while not urls or not reader.at_end():
        reader.space()
        urls.append(_wanted(reader) if reader.skip(b"(") else UrlWanted(reader.astring("URL")))
    return UrlFetch(tuple(urls))


def _wanted(reader: Reader) -> UrlWanted:
    """`(url BODYPARTSTRUCTURE BINARY)`, after the parenthesis."""
    url = reader.astring("URL")
    parameters: list[UrlParameter] = []
    while not reader.skip(b")"):
        reader.space()
        parameter = _PARAMETERS.get(reader.word("URLFETCH parameter"))
        if parameter is None:
            raise Bad("there is no such URLFETCH parameter")
        parameters.append(parameter)
    if "BODY" in parameters and "BINARY" in parameters:
        raise Bad("BODY and BINARY cannot be asked for together")  # RFC 5524 §3
    return UrlWanted(url, tuple(dict.fromkeys(parameters)))


PARSERS = {b"RESETKEY": resetkey, b"GENURLAUTH": genurlauth, b"URLFETCH": urlfetch}
