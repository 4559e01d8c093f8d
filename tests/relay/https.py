"""An HTTPS server for tests: answers each path with octets as they are told, remembers what was asked."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable

Page = bytes | Callable[[], bytes]


def page(body: bytes, status: str = "200 OK", kind: str = "text/plain") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Https:
    """*answer*: the whole response, head and body."""

    def __init__(self, context: ssl.SSLContext, answer: bytes = b"") -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.port = 0
        self._context = context
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Https:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            self.asked.append(head + (await reader.readexactly(int(length[1])) if length else b""))
            writer.write(self.answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class Stripper:
    """Stands between a client and an SMTP server, and takes STARTTLS out of what the server offers."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.port = 0
        self.seen = b""
        """What the client sent."""

    async def __aenter__(self) -> Stripper:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)

        async def outwards() -> None:
            while data := await reader.read(65536):
                self.seen += data
                far_writer.write(data)
            far_writer.close()

        async def inwards() -> None:
            while data := await far_reader.read(65536):
                writer.write(data.replace(b"250-STARTTLS\r\n", b"").replace(b"250 STARTTLS\r\n", b"250 HELP\r\n"))
            writer.close()

        await asyncio.gather(outwards(), inwards(), return_exceptions=True)
