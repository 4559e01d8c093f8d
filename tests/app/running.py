"""Start `postillon dev` for a test, and talk to it with Python's own clients."""

from __future__ import annotations

import contextlib
import imaplib
import json
import os
import smtplib
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..peers.postillon import OFFSETS as OFFSETS
from ..peers.postillon import port_base


def free_base() -> int:
    """A port base all of whose ports are free, and ours as long as this process runs."""
    return port_base().base


class Dev:
    """A running `postillon dev`. *told* is its line of JSON."""

    def __init__(self, data: Path, *options: str, base: int | None = None, env: dict[str, str] | None = None) -> None:
        self.data = data
        self.base = base or free_base()
        command = [
            sys.executable,
            "-m",
            "postillon",
            "dev",
            "--data",
            str(data),
            "--port-base",
            str(self.base),
            "--json",
            *options,
        ]
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._log, text=True, env={**os.environ, **(env or {})}
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.log())
        self.told: dict[str, Any] = json.loads(line)

    def log(self) -> str:
        """What it has written to its standard error until now."""
        self._log.seek(0)
        return self._log.read()

    @property
    def accounts(self) -> dict[str, str]:
        return {account["address"]: account["password"] for account in self.told["accounts"]}

    def stop(self) -> tuple[int, float]:
        """SIGTERM; exit status and how long it took."""
        began = time.monotonic()
        os.kill(self.told["pid"], 15)
        self.process.wait(20)
        return self.process.returncode, time.monotonic() - began

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def workers(self) -> list[int]:
        """The process ids of its children."""
        found = subprocess.run(["pgrep", "-P", str(self.told["pid"])], capture_output=True, text=True, check=False)
        return list(map(int, found.stdout.split()))

    def command(self, *words: str, stdin: str | bytes = "") -> subprocess.CompletedProcess[str]:
        """Run `postillon WORDS --data DIR`."""
        return command(*words, "--data", str(self.data), stdin=stdin)

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.told["ca"])

    def send(self, sender: str, recipient: str, text: str, *, mx: bool = False) -> None:
        """By submission with TLS and login, or by the MX."""
        message = f"From: {sender}\r\nTo: {recipient}\r\nSubject: {text}\r\n\r\n{text}\r\n"
        with smtplib.SMTP(self.told["host"], self.told["smtp" if mx else "submission"], timeout=20) as smtp:
            smtp.starttls(context=self.tls())
            if not mx:
                smtp.login(sender, self.accounts[sender])
            smtp.sendmail(sender, [recipient], message)

    @contextlib.contextmanager
    def imap(self, address: str, password: str = "") -> Iterator[imaplib.IMAP4]:
        """A session that is logged in."""
        with imaplib.IMAP4_SSL(self.told["host"], self.told["imaps"], ssl_context=self.tls(), timeout=20) as imap:
            imap.login(address, password or self.accounts[address])
            yield imap

    def subjects(self, address: str, password: str = "", folder: str = "INBOX") -> list[str]:
        """The subjects of all messages of an account."""
        with self.imap(address, password) as imap:
            imap.select(folder, readonly=True)
            _, found = imap.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            return [part[1].decode().partition(":")[2].strip() for part in found if isinstance(part, tuple)]


def command(*words: str, stdin: str | bytes = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    text = stdin.decode("latin-1") if isinstance(stdin, bytes) else stdin
    return subprocess.run(
        [sys.executable, "-m", "postillon", *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(env or {})},
    )


@contextlib.contextmanager
def dev(data: Path, *options: str, base: int | None = None, env: dict[str, str] | None = None) -> Iterator[Dev]:
    running = Dev(data, *options, base=base, env=env)
    try:
        yield running
    finally:
        running.kill()
