"""A running `postillon dev`: what the journeys, and whoever else needs the whole server, start and talk to."""

from __future__ import annotations

import contextlib
import fcntl
import imaplib
import json
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from postillon.admin.client import ask

from .processes import wait_until

OFFSETS = {"smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995}
PASSWORD = "correct horse battery"
_LOCKS = Path(tempfile.gettempdir()) / f"postillon-test-ports.{os.getuid()}"


@dataclass(frozen=True)
class PortBase:
    """A port base that is ours as long as *lock* is open, among all test runs of this machine."""

    base: int
    lock: int

    def release(self) -> None:
        os.close(self.lock)


def port_base(*hosts: str) -> PortBase:
    """One whose ports are free on all *hosts*, below the range that outgoing connections take theirs from."""
    _LOCKS.mkdir(exist_ok=True)
    # Bases 3 to 27 apart share no port.
    for base in (thousand + step for step in range(0, 30, 3) for thousand in range(10_000, 31_000, 1000)):
        lock = os.open(_LOCKS / str(base), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _bind_all(base, hosts or ("127.0.0.1",))
        except OSError:
            os.close(lock)
            continue
        return PortBase(base, lock)
    raise RuntimeError("no free ports")


def _bind_all(base: int, hosts: tuple[str, ...]) -> None:
    with contextlib.ExitStack() as held:
        for host in hosts:
            for offset in OFFSETS.values():
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                held.enter_context(socket.socket(family)).bind((host, base + offset))


class Postillon:
    """Start with `start`, end with `stop` or `kill`; may be started again, on the same data and ports.

    *options* are those of `postillon dev`. *base* is for servers that share the port on different addresses.
    """

    def __init__(self, data: Path, *options: str, host: str = "127.0.0.1", base: PortBase | None = None) -> None:
        self.data = data
        self.host = host
        self.options = options
        self.environment: dict[str, str] = {}
        self.prefix: tuple[str, ...] = ()
        """A program that starts it, like `prlimit`."""
        self._own_base = port_base(host) if base is None else None
        self.base = (base or self._own_base).base  # type: ignore[union-attr]
        self.told: dict[str, Any] = {}
        data.mkdir(parents=True, exist_ok=True)
        self.log = data.parent / f"{data.name}.log"

    def start(self, *more: str) -> Postillon:
        """Returns when it is ready. Raises AssertionError with its log if it never is."""
        command = [*self.prefix, sys.executable, "-m", "postillon", "dev", "--data", str(self.data), "--host", self.host, "-v"]
        command += ["--port-base", str(self.base), "--json", *self.options, *more]
        with self.log.open("a") as errors:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **self.environment}
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log_text
        self.told = json.loads(line)
        return self

    def __enter__(self) -> Postillon:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Whatever its state: it does not run any more, and its ports are anybody's."""
        if self.process.poll() is None:
            self.stop()
        if self._own_base is not None:
            self._own_base.release()
            self._own_base = None

    def stop(self) -> float:
        """SIGTERM; seconds until it was gone. Raises AssertionError if it does not end with 0."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert status == 0, (status, self.log_text)
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL to the supervisor and all workers at once."""
        pids = [self.process.pid, *self.workers]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(20)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 20, "the killed to be gone")

    @property
    def workers(self) -> list[int]:
        """Process ids of the supervisor's children."""
        with contextlib.suppress(FileNotFoundError):
            return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]
        return []

    @property
    def log_text(self) -> str:
        return self.log.read_text()

    @property
    def ca(self) -> str:
        return str(self.told["ca"])

    @property
    def accounts(self) -> dict[str, str]:
        return {account["address"]: account["password"] for account in self.told["accounts"]}

    def port(self, service: str) -> int:
        return self.base + OFFSETS[service]

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        context.check_hostname = self.host in ("127.0.0.1", "::1")  # the certificate names no other loopback address
        return context

    # --- administration

    def ask(self, operation: str, **arguments: Any) -> Any:
        """An operation of the admin socket, quicker than a program for it. Raises Refusal."""
        return ask(str(self.data), operation, arguments)

    def add_account(self, address: str, password: str = PASSWORD, quota: int | None = None) -> Account:
        self.ask("account.add", address=address, password=password, quota=quota)
        return Account(self, address, password)

    def account(self, address: str, password: str = "") -> Account:
        """One that exists; without *password* one that the start told of."""
        return Account(self, address, password or self.accounts[address])

    def command(self, *words: str, stdin: str = "", user: int | None = None) -> subprocess.CompletedProcess[str]:
        """Run `postillon WORDS --data DIR`."""
        command = [sys.executable, "-m", "postillon", *words, "--data", str(self.data)]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False, user=user)

    # --- as a client

    @contextlib.contextmanager
    def smtp(self, service: str = "smtp", source: str = "") -> Iterator[smtplib.SMTP]:
        where = (source, 0) if source else None
        if service == "submissions":
            client: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port(service), timeout=20, context=self.tls())
        else:
            client = smtplib.SMTP(self.host, self.port(service), timeout=20, source_address=where)
        try:
            yield client
            with contextlib.suppress(smtplib.SMTPException, OSError):
                client.quit()
        finally:
            client.close()

    def deliver(self, recipient: str, *messages: bytes, sender: str = "stranger@elsewhere.test") -> None:
        """To the MX, as a stranger, over one connection."""
        with self.smtp() as smtp:
            for message in messages:
                smtp.sendmail(sender, [recipient], message, mail_options=["BODY=8BITMIME"])


@dataclass(frozen=True)
class Account:
    """An account of a running server, as its owner uses it."""

    server: Postillon
    address: str
    password: str

    @property
    def local(self) -> str:
        return self.address.partition("@")[0]

    @contextlib.contextmanager
    def imap(self, folder: str = "") -> Iterator[imaplib.IMAP4_SSL]:
        """Logged in, and *folder* selected."""
        client = imaplib.IMAP4_SSL(self.server.host, self.server.port("imaps"), ssl_context=self.server.tls(), timeout=20)
        try:
            client.authenticate("PLAIN", lambda _: f"\0{self.address}\0{self.password}".encode())
            if folder:
                status, said = client.select(folder)
                assert status == "OK", said
            yield client
        finally:
            with contextlib.suppress(OSError):
                client.shutdown()

    def messages(self, folder: str = "INBOX") -> list[bytes]:
        """All messages as they came, without marking them as read."""
        with self.imap() as client:
            client.select(folder, readonly=True)
            _, found = client.fetch("1:*", "(BODY.PEEK[])")
        return [part[1] for part in found if isinstance(part, tuple)]

    def wait_for(self, words: bytes, folder: str = "INBOX", seconds: float = 30) -> bytes:
        """The first message in which *words* stand; raises TimeoutError with the server's log if none comes."""
        deadline = time.monotonic() + seconds
        with self.imap(folder) as client:
            while True:
                _, found = client.fetch("1:*", "(BODY.PEEK[])")
                hit = next((part[1] for part in found if isinstance(part, tuple) and words in part[1]), None)
                if hit is not None:
                    return bytes(hit)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.address} never got {words!r}:\n{self.server.log_text[-20_000:]}")
                time.sleep(0.05)
                client.noop()

    def append(self, *messages: bytes, folder: str = "INBOX") -> None:
        with self.imap() as client:
            for message in messages:
                status, said = client.append(folder, "", "", message)
                assert status == "OK", said

    def submit(self, recipients: list[str], subject: str = "hello", text: str = "Hello\n") -> None:
        """Over TLS and with AUTH; raises smtplib's errors."""
        with self.server.smtp("submissions") as smtp:
            smtp.login(self.address, self.password)
            smtp.sendmail(self.address, recipients, mail(self.address, recipients, subject, text))


def mail(sender: str, recipients: list[str], subject: str, text: str = "Hello\n") -> bytes:
    """A small message with CRLF."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, ", ".join(recipients), subject
    message.set_content(text)
    return message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
