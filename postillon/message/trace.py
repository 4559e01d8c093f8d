"""Trace fields: building Received and Return-Path, and counting hops (RFC 5321 §4.4, §6.3)."""

from __future__ import annotations

import re

from ..model.address import Address
from ..model.envelope import Client
from .date import format_date
from .header import fields

_UNPRINTABLE = re.compile(r"[^ -~\x80-\U0010ffff]|[\x80-\x9f]")
_COMMENT_SPECIAL = re.compile(r"([()\\])")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,255}")
MAX_HELLO = 255


def received(
    client: Client,
    *,
    by: str,
    trace_id: str,
    at: int,
    recipient: Address | None = None,
    utf8: bool = False,
    zone: int = 0,
) -> bytes:
    """The Received field for a message from *client*, folded, with CRLF.

    *by* is our host name, *trace_id* the message's id in the log, *at* epoch seconds. *recipient* is named only if it is the only
    one: others are nobody's business (RFC 5321 §7.2). *utf8* allows an international recipient to be named (RFC 6531 §3.7.3).
    """
    lines = [f"Received: from {_hello(client)} ({_peer(client)})"]
    tls = f" ({comment(f'version={client.tls.version} cipher={client.tls.cipher}')})" if client.tls else ""
    lines.append(f"by {_printable(by)} with {_with(client, utf8)} id {_printable(trace_id)}{tls}")
    if recipient is not None and (utf8 or recipient.is_ascii):
        lines.append(f"for <{_printable(str(recipient))}>")
    return ("\r\n\t".join(lines) + f";\r\n\t{format_date(at, zone)}\r\n").encode("utf-8", "replace")


def _hello(client: Client) -> str:
    """What the client said it was, if it could be a name or an address literal; else its address."""
    if _HOST.fullmatch(client.hello):
        return client.hello
    return _literal(client.address)


def _literal(address: str) -> str:
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _peer(client: Client) -> str:
    """The TCP-info comment: what we know for ourselves, and a strange EHLO argument as its sender wrote it."""
    known = f"{comment(client.reverse_name)} {_literal(client.address)}" if client.reverse_name else _literal(client.address)
    if client.hello and not _HOST.fullmatch(client.hello) and client.hello != _literal(client.address):
        return f"{known} helo={comment(client.hello[:MAX_HELLO])}"
    return known


def comment(text: str) -> str:
    """*text* for the inside of a comment (RFC 5322 §3.2.2): one line, parentheses and backslashes quoted."""
    return _COMMENT_SPECIAL.sub(r"\\\1", _printable(text))


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("?", text)


def _with(client: Client, utf8: bool) -> str:
    """The protocol's name by what was in use (RFC 3848, RFC 6531 §4.3)."""
    protocol = client.protocol
    if not client.esmtp and not protocol:
        return "SMTP"
    secured = ("S" if client.tls else "") + ("A" if client.login else "")
    if utf8:
        return f"UTF8{protocol or 'SMTP'}{secured}"
    return f"{protocol or 'ESMTP'}{secured}"


def return_path(sender: Address | None) -> bytes:
    """The Return-Path field, with CRLF; None is the null reverse-path."""
    return f"Return-Path: <{_printable(str(sender)) if sender else ''}>\r\n".encode("utf-8", "replace")


def hops(header: bytes) -> int:
    """How many Received fields there are (RFC 5321 §6.3); loops are recognised by too many."""
    return sum(field.name.lower() == b"received" for field in fields(header))
