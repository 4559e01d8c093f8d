"""Sockets with just enough protocol for tests: what is sent is exactly what the test wrote."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import time
from types import TracebackType
from typing import Self

from .server import Server

_LITERAL = re.compile(rb"~?\{(\d+)\}\r\n\Z")


class Closed(Exception):
    """The server closed the connection, or it broke."""


class Wire:
    """A connection that reads lines. *source*: our address, so that we are a stranger (127.0.1.x) or not."""

    def __init__(self, server: Server, service: str, *, source: str | None = None, timeout_s: float = 20) -> None:
        self.server = server
        self.service = service
        self.sock: socket.socket = server.connect(service, source=source, timeout_s=timeout_s)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except ssl.SSLError as error:
            raise Closed(str(error)) from error
        except OSError as error:
            raise Closed(str(error)) from error

    def _more(self) -> None:
        try:
            piece = self.sock.recv(1 << 16)
        except TimeoutError as error:
            raise TimeoutError(f"{self.service}: no answer; so far {self._received[-200:]!r}") from error
        except OSError as error:
            raise Closed(str(error)) from error
        if not piece:
            raise Closed(f"{self.service}: closed; last words {self._received[-200:]!r}")
        self._received += piece

    def octets(self, count: int) -> bytes:
        """Exactly so many."""
        while len(self._received) < count:
            self._more()
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def line(self) -> bytes:
        """A line with its CR LF."""
        while (end := self._received.find(b"\n")) < 0:
            self._more()
        return self.octets(end + 1)

    def rest(self, limit: int = 1 << 20) -> bytes:
        """All until the server closes; a reset is an end, too. Raises TimeoutError if it does not close."""
        try:
            while len(self._received) < limit:
                self._more()
        except Closed:
            pass
        taken, self._received = self._received, b""
        return taken

    def start_tls(self) -> None:
        """The handshake, after whatever the protocol says before it."""
        self.sock = self.server.tls().wrap_socket(self.sock, server_hostname="localhost")


class Smtp(Wire):
    """Greeting read; EHLO said unless *hello* is empty."""

    def __init__(
        self,
        server: Server,
        service: str = "smtp",
        *,
        source: str | None = None,
        hello: str = "client.test",
        timeout_s: float = 20,
    ) -> None:
        super().__init__(server, service, source=source, timeout_s=timeout_s)
        self.greeting = self.reply()
        if hello:
            self.ask(f"EHLO {hello}")

    def reply(self) -> tuple[int, str]:
        """A whole reply: code and text."""
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        return int(lines[-1][:3]), b"".join(line[4:] for line in lines).decode("utf-8", "replace").strip()

    def ask(self, command: str | bytes) -> tuple[int, str]:
        self.send((command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return self.reply()

    def login(self, address: str) -> tuple[int, str]:
        words = f"\0{address}\0{self.server.accounts[address]}".encode()
        return self.ask(b"AUTH PLAIN " + base64.b64encode(words))

    def deliver(self, sender: str, recipient: str, octets: bytes) -> tuple[int, str]:
        """One message, dot-stuffed by us; the last answer, or the first refusal."""
        for command, wanted in ((f"MAIL FROM:<{sender}>", 250), (f"RCPT TO:<{recipient}>", 250), ("DATA", 354)):
            answer = self.ask(command)
            if answer[0] != wanted:
                return answer
        self.send(re.sub(rb"(?m)^\.", b"..", octets) + b".\r\n")
        return self.reply()


class Imap(Wire):
    """Greeting read."""

    def __init__(
        self, server: Server, service: str = "imap", *, source: str | None = None, login: str = "", timeout_s: float = 20
    ) -> None:
        super().__init__(server, service, source=source, timeout_s=timeout_s)
        self._tags = 0
        self.greeting = self.line()
        if login:
            done, _ = self.ask(f"LOGIN {login} {server.accounts[login]}")
            assert done.startswith(b"OK"), done

    def response(self) -> bytes:
        """A whole response with its literals."""
        whole = self.line()
        while found := _LITERAL.search(whole):
            whole += self.octets(int(found[1])) + self.line()
        return whole

    def tag(self) -> bytes:
        self._tags += 1
        return b"t%d" % self._tags

    def answer(self, tag: bytes) -> tuple[bytes, list[bytes]]:
        """The tagged words (`OK …`) and the untagged responses before them."""
        told = []
        while True:
            response = self.response()
            if response.startswith(tag + b" "):
                return response[len(tag) + 1 :].rstrip(), told
            if response.startswith(b"* BYE"):
                raise Closed(response.decode("ascii", "replace"))
            told.append(response)

    def ask(self, command: str | bytes) -> tuple[bytes, list[bytes]]:
        tag = self.tag()
        self.send(tag + b" " + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return self.answer(tag)

    def append(self, mailbox: str, octets: bytes, flags: str = "") -> bytes:
        """The tagged words; the literal waits for leave."""
        tag = self.tag()
        self.send(tag + f" APPEND {mailbox} {flags}{{{len(octets)}}}\r\n".encode())
        while True:
            response = self.response()
            if response.startswith(b"+"):
                break
            if response.startswith(tag + b" "):
                return response[len(tag) + 1 :].rstrip()
        self.send(octets + b"\r\n")
        return self.answer(tag)[0]


class Pop3(Wire):
    """Greeting read; the first words of an answer are `+OK` or `-ERR`."""

    def __init__(
        self, server: Server, service: str = "pop3", *, source: str | None = None, login: str = "", timeout_s: float = 20
    ) -> None:
        super().__init__(server, service, source=source, timeout_s=timeout_s)
        self.greeting = self.line()
        answer = b"+OK"
        for _ in range(50 if login else 0):
            self.ask(f"USER {login}")
            answer = self.ask(f"PASS {server.accounts[login]}")
            if b"[IN-USE]" not in answer:  # the end of a session that broke off is noticed a moment later
                break
            time.sleep(0.05)
        assert answer.startswith(b"+OK"), answer

    def ask(self, command: str | bytes) -> bytes:
        self.send((command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return self.line().rstrip()

    def listing(self, command: str) -> list[bytes]:
        """A multi-line answer, dots taken away."""
        first = self.ask(command)
        assert first.startswith(b"+OK"), first
        lines = []
        while (line := self.line()) != b".\r\n":
            lines.append((line[1:] if line.startswith(b".") else line).rstrip())
        return lines
