"""One GET or POST over HTTPS (RFC 9112): verified TLS, small, no redirects.

`get` and `post` are for documents that strangers publish: names are the caller's resolver's business. `request` is for places
that the administrator named: names are the system's, and on loopback addresses plain HTTP will do. Not a general client: no
cookies, no keep-alive, no proxies.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from .stream import Stream, connect

_SAFE = re.compile(r"[!-~]{1,4000}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MAX_HEAD = 16 * 1024
MAX_BODY = 64 * 1024
TIMEOUT_S = 30.0
"""For all of it, from the first packet to the last octet."""
CONNECT_S = 10.0


class HttpError(Exception):
    """No document. The words are for a log."""


@dataclass(frozen=True, slots=True)
class Document:
    media_type: str
    """In lower case, without parameters."""
    body: bytes


async def get(
    host: str,
    path: str,
    *,
    port: int,
    addresses: Sequence[str],
    context: ssl.SSLContext,
    limit: int = MAX_BODY,
    timeout_s: float = TIMEOUT_S,
) -> Document:
    """The document at `https://host:port/path`, asked at one of *addresses*. Anything but a complete 200 is a HttpError."""
    return await _ask(host, port, addresses, context, _request("GET", host, port, path), limit, timeout_s)


async def post(
    host: str,
    path: str,
    octets: bytes,
    media_type: str,
    *,
    port: int,
    addresses: Sequence[str],
    context: ssl.SSLContext,
    limit: int = MAX_BODY,
    timeout_s: float = TIMEOUT_S,
) -> Document:
    """Hand *octets* to `https://host:port/path`. Anything but a complete answer of 200 to 202, or 204, is a HttpError."""
    fields = f"Content-Type: {media_type}\r\nContent-Length: {len(octets)}\r\n"
    request = _request("POST", host, port, path, fields) + octets
    return await _ask(host, port, addresses, context, request, limit, timeout_s)


async def request(
    url: str,
    *,
    context: ssl.SSLContext,
    body: bytes | None = None,
    fields: Mapping[str, str] | None = None,
    limit: int = MAX_BODY,
    timeout_s: float = TIMEOUT_S,
) -> Document:
    """GET *url*, or POST *body* to it, with *fields* in the header. Raises HttpError as `get` and `post` do."""
    try:
        place = urlsplit(url)
        host, port = place.hostname or "", place.port or (443 if place.scheme == "https" else 80)
    except ValueError as error:
        raise HttpError("that is no URL") from error
    path = (place.path or "/") + (f"?{place.query}" if place.query else "")
    if not host or place.scheme not in ("http", "https") or not _SAFE.fullmatch(host + path):
        raise HttpError("that is no URL that can be asked")
    try:
        async with asyncio.timeout(timeout_s):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        raise HttpError(f"{host}: no address") from error
    addresses = [str(one[4][0]) for one in found]
    if place.scheme == "http":
        addresses = [address for address in addresses if ipaddress.ip_address(address).is_loopback]
    lines = dict(fields or {}) | ({} if body is None else {"Content-Length": str(len(body))})
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    asked = _request("GET" if body is None else "POST", f"[{host}]" if ":" in host else host, port, path, text) + (body or b"")
    return await _ask(host, port, addresses, context if place.scheme == "https" else None, asked, limit, timeout_s)


async def post_stream(
    stream: Stream, host: str, path: str, fields: Iterable[tuple[str, str]], chunks: Iterable[bytes], size: int, limit: int
) -> Document:
    """POST *size* octets on an open connection, to a service of the administrator's own. The caller has the time limit.

    *fields* are cleaned of what would begin another one. Raises HttpError, OSError.
    """
    lines = "".join(f"{name}: {_CONTROL.sub(' ', value)}\r\n" for name, value in fields)
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {size}\r\n{lines}\r\n"
    stream.write(head.encode("utf-8", "surrogateescape"))
    for chunk in chunks:
        stream.write(chunk)
        await stream.drain()
    return await _answer(stream, host, limit, is_post=True)


async def _ask(
    host: str, port: int, addresses: Sequence[str], context: ssl.SSLContext | None, request: bytes, limit: int, timeout_s: float
) -> Document:
    try:
        async with asyncio.timeout(timeout_s):
            stream = await _connected(host, port, addresses, context)
            try:
                return await _exchange(stream, host, request, limit)
            finally:
                stream.abort()
    except TimeoutError:
        raise HttpError(f"{host}: no answer in time") from None
    except OSError as error:
        raise HttpError(f"{host}: {getattr(error, 'reason', None) or error.strerror or type(error).__name__}") from error


async def _connected(host: str, port: int, addresses: Sequence[str], context: ssl.SSLContext | None) -> Stream:
    trouble: OSError = OSError("no address")
    for address in addresses[:4]:
        try:
            stream = await connect(address, port, timeout_s=CONNECT_S)
            if context is not None:
                await stream.start_tls(context, server_side=False, server_hostname=host, timeout_s=CONNECT_S)
        except OSError as error:
            trouble = error
        else:
            return stream
    raise trouble


def _request(method: str, host: str, port: int, path: str, fields: str = "") -> bytes:
    authority = host if port == 443 else f"{host}:{port}"
    head = f"{method} {path} HTTP/1.1\r\nHost: {authority}\r\nAccept: */*\r\nUser-Agent: Postillon\r\nConnection: close\r\n"
    return f"{head}{fields}\r\n".encode("ascii")


async def _exchange(stream: Stream, host: str, request: bytes, limit: int) -> Document:
    await stream.send(request)
    return await _answer(stream, host, limit, is_post=request.startswith(b"POST"))


async def _answer(stream: Stream, host: str, limit: int, *, is_post: bool) -> Document:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await _more(stream, host)
        if len(data) > MAX_HEAD + limit:
            raise HttpError(f"{host}: the header is too long")
    head, _, rest = data.partition(b"\r\n\r\n")
    status, fields = _head(host, head)
    if status == 204 and is_post:
        return Document("", b"")
    if status not in ((200, 201, 202) if is_post else (200,)):
        # RFC 8461 §3.3: no redirect is followed; they would lead out of what the certificate vouches for.
        raise HttpError(f"{host}: status {status}")
    body = await _body(stream, host, fields, rest, limit)
    return Document(fields.get("content-type", "").partition(";")[0].strip().lower(), body)


async def _more(stream: Stream, host: str) -> bytes:
    piece = await stream.receive()
    if not piece:
        raise HttpError(f"{host}: closed in the middle")
    return piece


def _head(host: str, head: bytes) -> tuple[int, dict[str, str]]:
    """Status and header fields, names in lower case."""
    if len(head) > MAX_HEAD:
        raise HttpError(f"{host}: the header is too long")
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise HttpError(f"{host}: this is not HTTP")
    fields = {name.strip().lower(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}
    return int(rest[:3]), fields


async def _body(stream: Stream, host: str, fields: dict[str, str], data: bytes, limit: int) -> bytes:
    coding = fields.get("transfer-encoding", "").lower()
    if fields.get("content-encoding", "identity").lower() != "identity" or coding not in ("", "chunked"):
        raise HttpError(f"{host}: a coding that was not asked for")
    if coding:
        return await _chunks(stream, host, data, limit)
    length = fields.get("content-length")
    if length is not None and not (length.isascii() and length.isdigit() and len(length) < 10):
        raise HttpError(f"{host}: bad Content-Length")
    wanted = None if length is None else int(length)
    if wanted is not None and wanted > limit:
        raise HttpError(f"{host}: {wanted} octets are too many")
    while wanted is None or len(data) < wanted:
        piece = await stream.receive()
        if not piece:
            break
        data += piece
        if len(data) > limit:
            raise HttpError(f"{host}: more than {limit} octets")
    if wanted is not None and len(data) < wanted:
        raise HttpError(f"{host}: closed in the middle")
    return data if wanted is None else data[:wanted]


async def _chunks(stream: Stream, host: str, data: bytes, limit: int) -> bytes:
    """RFC 9112 §7.1; what comes after the last chunk is not read."""
    body = b""
    while True:
        while b"\r\n" not in data:
            data += await _more(stream, host)
            if len(data) > limit + MAX_HEAD:
                raise HttpError(f"{host}: more than {limit} octets")
        line, _, data = data.partition(b"\r\n")
        try:
            size = int(line.partition(b";")[0].strip()[:9], 16)
        except ValueError:
            raise HttpError(f"{host}: bad chunk") from None
        if size < 0 or len(body) + size > limit:
            raise HttpError(f"{host}: more than {limit} octets")
        if size == 0:
            return body
        while len(data) < size + 2:
            data += await _more(stream, host)
        body, data = body + data[:size], data[size + 2 :]
