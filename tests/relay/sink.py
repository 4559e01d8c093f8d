"""An SMTP server for tests: takes mail on a real socket, answers as it is told, remembers what it heard."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Answer = str | bytes | None
"""A reply line without CRLF, raw octets as they are, or None: close the connection without a word."""
Script = Callable[["Conversation", bytes], Answer]


@dataclass
class Received:
    """One message. *octets* as they came over the wire, still dot-stuffed, without the final dot."""

    mail: bytes
    rcpts: list[bytes]
    octets: bytes
    tls: bool
    login: bytes
    connection: int

    @property
    def message(self) -> bytes:
        return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in self.octets.split(b"\r\n"))


@dataclass
class Conversation:
    number: int
    """Which connection it is, from 1."""
    commands: list[bytes] = field(default_factory=list)
    segments: list[bytes] = field(default_factory=list)
    """What arrived, piece by piece."""
    tls: bool = False
    peer: str = ""
    login: bytes = b""
    mail: bytes = b""
    rcpts: list[bytes] = field(default_factory=list)
    messages: int = 0
    chunks: bytes = b""
    """Of the message that comes by BDAT."""


class Sink:
    """*script(conversation, command)* answers a command; returning "" leaves it to the default. The pseudo commands are
    `CONNECT`, `END` (after the final dot or the last chunk; with *lmtp* once for each RCPT, `END RCPT TO:…`) and `TLS` (before
    the handshake: anything but "" breaks it).
    """

    def __init__(
        self,
        *,
        script: Script | None = None,
        extensions: Iterable[str] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 10000000", "DSN"),
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        keep: bool = True,
        lmtp: bool = False,
    ) -> None:
        self.lmtp = lmtp
        self.script = script or (lambda _conversation, _command: "")
        self.extensions = list(extensions)
        self.tls = tls
        self.implicit = implicit
        self.keep = keep
        self.received: list[Received] = []
        self.conversations: list[Conversation] = []
        self.most_open = 0
        self.open = 0
        self.port = 0
        self.address = ""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def all_closed(self) -> None:
        """Returns once no connection is open. Raises TimeoutError after 5 s."""
        async with asyncio.timeout(5):
            while self.open:
                self._changed.clear()
                await self._changed.wait()

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> Sink:
        context = self.tls if self.implicit else None
        self._server = await asyncio.start_server(self._serve, address, port, ssl=context)
        self.address, self.port = self._server.sockets[0].getsockname()[:2]
        return self

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Sink:
        return self if self._server else await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        conversation = Conversation(len(self.conversations) + 1, tls=self.implicit, peer=writer.get_extra_info("peername")[0])
        self.conversations.append(conversation)
        try:
            await self._talk(conversation, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self.open -= 1
            self._changed.set()
            self._tasks.discard(task)
            writer.close()

    async def _talk(self, conversation: Conversation, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await self._say(conversation, b"CONNECT", "220 sink.test ESMTP", writer):
            return
        buffer = b""
        while True:
            line, found, rest = buffer.partition(b"\r\n")
            if not found:
                piece = await reader.read(65536)
                if not piece:
                    return
                conversation.segments.append(piece)
                buffer += piece
                continue
            buffer = rest
            conversation.commands.append(line)
            verb = line.split(b" ")[0].upper()
            if verb == b"STARTTLS" and self.tls is not None:
                answer = self.script(conversation, line) or "220 go ahead"
                if not await self._write(answer, writer):
                    return
                if isinstance(answer, str) and not answer.startswith("220"):
                    continue
                if self.script(conversation, b"TLS") != "":
                    await reader.read(1)
                    writer.write(b"this is no handshake\r\n")
                    return
                await writer.start_tls(self.tls)
                buffer, conversation.tls = b"", True
                continue
            if verb == b"BDAT":
                size = int(line.split()[1])
                while len(buffer) < size:
                    piece = await reader.read(65536)
                    if not piece:
                        return
                    buffer += piece
                conversation.chunks += buffer[:size]
                buffer = buffer[size:]
                if not line.upper().endswith(b"LAST"):
                    if not await self._write(self.script(conversation, line) or f"250 2.0.0 {size} octets", writer):
                        return
                    continue
                octets, conversation.chunks = conversation.chunks, b""
                if not await self._end(conversation, octets, writer):
                    return
                continue
            if verb == b"DATA":
                answer = self.script(conversation, line) or ("354 go ahead" if conversation.rcpts else "554 no recipients")
                if not await self._write(answer, writer):
                    return
                if not str(answer).startswith("354"):
                    continue
                while b"\r\n.\r\n" not in b"\r\n" + buffer:
                    piece = await reader.read(65536)
                    if not piece:
                        return
                    buffer += piece
                at = (b"\r\n" + buffer).index(b"\r\n.\r\n")
                octets, buffer = buffer[:at], buffer[at + 3 :]
                if not await self._end(conversation, octets, writer):
                    return
                continue
            if not await self._say(conversation, line, self._default(conversation, verb, line), writer):
                return
            if verb == b"AUTH" and line.upper().startswith(b"AUTH LOGIN"):
                for prompt in (b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n"):
                    if prompt.startswith(b"334 UG"):
                        writer.write(prompt)
                    conversation.login += await reader.readline()
                await self._write("235 2.7.0 welcome", writer)
            if verb == b"QUIT":
                return

    def _default(self, conversation: Conversation, verb: bytes, line: bytes) -> Answer:
        if verb == (b"LHLO" if self.lmtp else b"EHLO"):
            extensions = [*self.extensions, *(["STARTTLS"] if self.tls and not conversation.tls else [])]
            lines = ["sink.test", *extensions]
            return "\r\n".join(f"250{' ' if i == len(lines) - 1 else '-'}{word}" for i, word in enumerate(lines))
        if verb == b"HELO" and not self.lmtp:
            return "250 sink.test"
        if verb == b"MAIL":
            return "503 5.5.1 nested" if conversation.mail else "250 2.1.0 sender ok"
        if verb == b"RCPT":
            return "250 2.1.5 recipient ok" if conversation.mail else "503 5.5.1 MAIL first"
        if verb == b"RSET":
            conversation.mail, conversation.rcpts = b"", []
            return "250 2.0.0 reset"
        if verb == b"QUIT":
            return "221 2.0.0 bye"
        if verb == b"AUTH":
            if line.upper().startswith(b"AUTH LOGIN"):
                return "334 VXNlcm5hbWU6"
            conversation.login = line
            return "235 2.7.0 welcome"
        return "500 5.5.2 what?"

    async def _end(self, conversation: Conversation, octets: bytes, writer: asyncio.StreamWriter) -> bool:
        asked = [b"END " + rcpt for rcpt in conversation.rcpts] if self.lmtp else [b"END"]
        answers = [self.script(conversation, question) for question in asked]
        taken = any(answer == "" or _code(answer).startswith("2") for answer in answers)
        conversation.messages += 1
        if taken and self.keep:
            self.received.append(
                Received(
                    conversation.mail,
                    conversation.rcpts,
                    octets,
                    conversation.tls,
                    conversation.login,
                    conversation.number,
                )
            )
        conversation.mail, conversation.rcpts = b"", []
        for answer in answers:
            if not await self._write("250 2.0.0 taken" if answer == "" else answer, writer):
                return False
        return True

    async def _say(self, conversation: Conversation, command: bytes, default: Answer, writer: asyncio.StreamWriter) -> bool:
        answer = self.script(conversation, command)
        if answer == "":
            answer = default
        verb = command.split(b" ")[0].upper()
        if _code(answer) == "250":
            if verb == b"MAIL":
                conversation.mail = command
            elif verb == b"RCPT":
                conversation.rcpts.append(command)
        return await self._write(answer, writer)

    async def _write(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        if answer is None:
            writer.transport.abort()
            return False
        writer.write(answer if isinstance(answer, bytes) else answer.encode() + b"\r\n")
        await writer.drain()
        return not (isinstance(answer, str) and answer.startswith("421"))


def _code(answer: Answer) -> str:
    return (answer.decode("latin-1") if isinstance(answer, bytes) else answer or "")[:3]
