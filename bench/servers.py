"""The servers under measurement, each started by us on loopback: Postfix + Dovecot, and Postillon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.peers.dovecot import Dovecot
from tests.peers.postfix import Postfix
from tests.peers.processes import free_port

from .cpu import cpu_seconds, memory_octets

PASSWORD = "bench-secret"


class Server(Protocol):
    name: str
    host: str
    smtp: int
    imap: int
    pop3: int

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def delivered(self) -> int:
        """Messages that lie in mailboxes now."""
        ...

    def cpu(self) -> float: ...
    def memory(self) -> int: ...


@dataclass
class PostfixDovecot:
    directory: Path
    users: list[str]
    location: str = "maildir:~/Maildir"
    name: str = "Postfix + Dovecot"
    host: str = "127.0.0.1"
    smtp: int = field(default_factory=free_port)
    imap: int = field(default_factory=free_port)
    pop3: int = field(default_factory=free_port)

    def start(self) -> None:
        passwords = dict.fromkeys(self.users, PASSWORD)
        self.dovecot = Dovecot(self.directory / "dovecot", self.imap, self.pop3, passwords, location=self.location)
        self.dovecot.start()
        domain = self.users[0].split("@")[1]
        settings = {"virtual_mailbox_domains": domain, "virtual_transport": f"lmtp:unix:{self.dovecot.lmtp}"}
        settings["virtual_mailbox_maps"] = "static:all"
        self.postfix = Postfix(self.directory / "postfix", self.smtp, settings=settings, processes=200).start()

    def stop(self) -> None:
        self.postfix.stop()
        self.dovecot.stop()

    def delivered(self) -> int:
        found = 0
        for user in self.users:
            new = self.dovecot.boxes / user / "Maildir" / "new"
            found += len(os.listdir(new)) if new.exists() else 0
        return found

    def cpu(self) -> float:
        return cpu_seconds(self.postfix.master_pid, self.dovecot.master_pid)

    def memory(self) -> int:
        return memory_octets(self.postfix.master_pid, self.dovecot.master_pid)


@dataclass
class Postillon:
    directory: Path
    users: list[str]
    workers: int = 2
    name: str = "Postillon"
    host: str = "127.0.0.1"
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        accounts = self.directory / "accounts"
        accounts.write_text("".join(f"{user}:{PASSWORD}\n" for user in self.users))
        base = 20_000 + os.getpid() % 10_000
        command = [sys.executable, "-m", "postillon", "dev", "--data", str(self.directory / "data"), "--json"]
        command += ["--port-base", str(base), "--workers", str(self.workers), "--accounts-file", str(accounts)]
        command += ["--domain", self.users[0].split("@")[1], *self.arguments]
        self._errors = (self.directory / "log").open("w")
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._errors, text=True, env={**os.environ, **self.environment}
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError((self.directory / "log").read_text())
        self.ready = json.loads(line)
        self.smtp, self.imap, self.pop3 = (self.ready[name] for name in ("smtp", "imap", "pop3"))

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)
        self._errors.close()

    def delivered(self) -> int:
        return -1  # what was answered 250 lies in its mailbox

    def cpu(self) -> float:
        return cpu_seconds(self.ready["pid"])

    def memory(self) -> int:
        return memory_octets(self.ready["pid"])
