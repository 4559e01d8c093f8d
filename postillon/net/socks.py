"""Connections through a SOCKS5 proxy (RFC 1928), with a name and password if it wants them (RFC 1929).

Only IP addresses are asked for: names are our own resolver's business, and DANE depends on it.
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass, field

from .stream import Stream, connect

VERSION, AUTH_VERSION = 5, 1
NO_LOGIN, WITH_PASSWORD = 0, 2
CONNECT, IPV4, NAME, IPV6 = 1, 1, 3, 4
_TROUBLES = {
    1: "general failure of the proxy",
    2: "the proxy's rules do not allow it",
    3: "network unreachable from the proxy",
    4: "host unreachable from the proxy",
    5: "connection refused",
    6: "too many hops from the proxy",
    7: "the proxy cannot connect",
    8: "the proxy does not know this kind of address",
}


@dataclass(frozen=True, slots=True)
class Proxy:
    """*host* is an IP address."""

    host: str
    port: int = 1080
    login: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class ProxyError(OSError):
    """The proxy said no, or is none."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.strerror = text


async def connect_through(proxy: Proxy, address: str, port: int, *, timeout_s: float) -> Stream:
    """A stream to the IP *address* through *proxy*; it begins with what the other side says. Raises OSError."""
    async with asyncio.timeout(timeout_s):
        stream = await connect(proxy.host, proxy.port, timeout_s=timeout_s)
        try:
            await _negotiate(_Answers(stream), proxy, ipaddress.ip_address(address), port)
        except BaseException:
            stream.abort()
            raise
    return stream


class _Answers:
    """Exactly so many octets at a time; what comes behind them is not ours to read."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    async def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = await self.stream.receive()
            if not piece:
                raise ProxyError("the proxy closed the connection")
            data += piece
        self.stream.push_back(data[count:])
        return data[:count]


async def _negotiate(answers: _Answers, proxy: Proxy, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    methods = bytes([NO_LOGIN, WITH_PASSWORD] if proxy.login else [NO_LOGIN])
    await answers.stream.send(bytes([VERSION, len(methods)]) + methods)
    version, method = await answers.read(2)
    if version != VERSION:
        raise ProxyError("this is no SOCKS5 proxy")
    if method == WITH_PASSWORD and proxy.login:
        await _log_in(answers, proxy)
    elif method != NO_LOGIN:
        raise ProxyError("the proxy wants another login" if proxy.login else "the proxy wants a login")
    kind = IPV4 if address.version == 4 else IPV6
    await answers.stream.send(bytes([VERSION, CONNECT, 0, kind]) + address.packed + port.to_bytes(2, "big"))
    version, result, _, kind = await answers.read(4)
    if version != VERSION:
        raise ProxyError("this is no SOCKS5 proxy")
    if result:
        raise ProxyError(_TROUBLES.get(result, f"the proxy failed with {result}"))
    # RFC 1928 §6: the address that it has bound; nothing that we need.
    size = {IPV4: 4, IPV6: 16}.get(kind) or ((await answers.read(1))[0] if kind == NAME else -1)
    if size < 0:
        raise ProxyError("the proxy's answer is not to be understood")
    await answers.read(size + 2)


async def _log_in(answers: _Answers, proxy: Proxy) -> None:
    """RFC 1929 §2."""
    login, password = proxy.login.encode()[:255], proxy.password.encode()[:255]
    await answers.stream.send(bytes([AUTH_VERSION, len(login)]) + login + bytes([len(password)]) + password)
    _, result = await answers.read(2)
    if result:
        raise ProxyError("the proxy refused our login")
