"""Connections to services that the administrator runs beside us: milters, virus scanners. Over TCP, or a Unix socket."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from .stream import Stream

_INET = re.compile(r"(?:inet6?:|tcp:)?(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]/@]+)):(\d{1,5})")
_SENDMAIL = re.compile(r"inet6?:(\d{1,5})@\[?([^\[\]/@]+)\]?")


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    path: str = ""
    """Of a Unix socket; empty: *host* and *port* count."""
    host: str = ""
    """IP address, or a name that this machine knows."""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> ServiceAddress:
        """`unix:/run/x.sock`, `/run/x.sock`, `127.0.0.1:8891`, `[::1]:8891`; also `inet:127.0.0.1:8891` and `inet:8891@host`.

        Raises ValueError.
        """
        for prefix in ("unix:", "local:", ""):
            if text.startswith(prefix + "/"):
                return cls(path=text[len(prefix) :])
        if match := _SENDMAIL.fullmatch(text):
            port, host = int(match[1]), match[2]
        elif match := _INET.fullmatch(text):
            port, host = int(match[3]), match[1] or match[2]
        else:
            raise ValueError("expected `unix:/PATH` or `HOST:PORT`")
        if not 0 < port < 65536:
            raise ValueError(f"{port} is not a port")
        return cls(host=host, port=port)

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def open_service(address: ServiceAddress, timeout_s: float) -> Stream:
    """Connect. Raises OSError, of which TimeoutError is one."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_s):
        if address.path:
            _, stream = await loop.create_unix_connection(Stream, address.path)
        else:
            _, stream = await loop.create_connection(Stream, address.host, address.port)
    return stream
