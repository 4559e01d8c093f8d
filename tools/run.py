"""`make run`: start a server for development, prove with clients that we did not write that mail goes through it, stay up.

The clients are Python's own smtplib, imaplib and poplib; nothing of Postillon is imported here.
"""

from __future__ import annotations

import argparse
import imaplib
import json
import poplib
import secrets
import shutil
import signal
import smtplib
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


class Proof:
    """The steps of the proof, each told with the time it took."""

    def __init__(self, server: dict[str, Any]) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cafile=server["ca"])
        self._sender, self._reader = server["accounts"][:2]
        self._token = secrets.token_hex(8)

    def run(self) -> None:
        print("Proof, with Python's smtplib, imaplib and poplib:")
        began = time.monotonic()
        imap = self._told("IMAP: TLS, login, SELECT, IDLE", self._watch)
        self._told("SMTP: STARTTLS, AUTH, message accepted (durable)", self._submit)
        accepted = time.monotonic()
        self._told("IMAP: told of the message while in IDLE", lambda: self._until_exists(imap))
        seen = time.monotonic()
        self._told("IMAP: fetched", lambda: self._fetch(imap))
        self._told("POP3: TLS, login, fetched", self._retrieve)
        print(f"  {'in all':<52} {1000 * (time.monotonic() - began):8.1f} ms")
        print(f"  {'from the 250 to the news in IDLE':<52} {1000 * max(0.0, seen - accepted):8.1f} ms\n")

    def _told(self, words: str, step: Callable[[], T]) -> T:
        began = time.monotonic()
        done = step()
        print(f"  {words:<52} {1000 * (time.monotonic() - began):8.1f} ms")
        return done

    def _watch(self) -> imaplib.IMAP4_SSL:
        imap = imaplib.IMAP4_SSL(self._server["host"], self._server["imaps"], ssl_context=self._tls, timeout=20)
        imap.login(self._reader["address"], self._reader["password"])
        imap.select("INBOX")
        imap.send(b"idle1 IDLE\r\n")
        if not imap.readline().startswith(b"+"):
            raise RuntimeError("IDLE was refused")
        return imap

    def _submit(self) -> None:
        message = EmailMessage()
        message["From"] = self._sender["address"]
        message["To"] = self._reader["address"]
        message["Subject"] = f"Proof {self._token}"
        message.set_content("This message went through Postillon.\n")
        with smtplib.SMTP(self._server["host"], self._server["submission"], timeout=20) as smtp:
            smtp.starttls(context=self._tls)
            smtp.login(self._sender["address"], self._sender["password"])
            smtp.send_message(message)

    def _until_exists(self, imap: imaplib.IMAP4_SSL) -> None:
        while not imap.readline().rstrip().endswith(b"EXISTS"):
            pass
        imap.send(b"DONE\r\n")
        while not imap.readline().startswith(b"idle1 OK"):
            pass

    def _fetch(self, imap: imaplib.IMAP4_SSL) -> None:
        _, found = imap.uid("SEARCH", "SUBJECT", self._token)
        _, fetched = imap.uid("FETCH", found[0].decode(), "(FLAGS BODY.PEEK[])")
        self._check(fetched[0][1])
        imap.logout()

    def _retrieve(self) -> None:
        pop = poplib.POP3_SSL(self._server["host"], self._server["pop3s"], context=self._tls, timeout=20)
        pop.user(self._reader["address"])
        pop.pass_(self._reader["password"])
        count, _ = pop.stat()
        self._check(b"\r\n".join(pop.retr(count)[1]))
        pop.quit()

    def _check(self, message: bytes) -> None:
        if f"Proof {self._token}".encode() not in message:
            raise RuntimeError("this is not the message that was sent")


def tell(server: dict[str, Any]) -> None:
    """How to use the server, for a person."""
    host = server["host"]
    alice, bob = server["accounts"][:2]
    swaks = (
        f"swaks --server {host}:{server['submission']} -tls --auth-user {alice['address']} "
        f"--auth-password {alice['password']} --from {alice['address']} --to {bob['address']}"
    )
    curl = f"curl --cacert {server['ca']} --user {bob['address']}:{bob['password']} 'imaps://{host}:{server['imaps']}/INBOX;MAILINDEX=*'"
    missing = "\n     (apt-get install swaks libnet-ssleay-perl)" if shutil.which("swaks") is None else ""
    print("Postillon is up, on this machine only:")
    for name in ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s"):
        print(f"  {name:<12} {host}:{server[name]}")
    for account in server["accounts"]:
        print(f"  account      {account['address']}  password {account['password']}")
    print(f"  data         {server['data']}\n  authority    {server['ca']}\n")
    print("Three things to try:")
    print(f"  1. {swaks}{missing}")
    print(f"  2. {curl}")
    print(
        f"  3. in a mail program: {bob['address']} with the password above; IMAP {host} port {server['imaps']} (TLS), "
        f"SMTP {host} port {server['submissions']} (TLS); import {server['ca']} as an authority"
    )
    print("\nCtrl-C ends it.", flush=True)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", default=str(ROOT / "dev-data"))
    options.add_argument("--port-base", type=int, default=10000)
    options.add_argument("--once", action="store_true", help="end after the proof")
    asked = options.parse_args()
    command = [sys.executable, "-m", "postillon", "dev", "--data", asked.data, "--port-base", str(asked.port_base), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    assert process.stdout is not None
    try:
        began = time.monotonic()
        line = process.stdout.readline()
        if not line:
            return process.wait() or 1
        print(f"Started in {time.monotonic() - began:.1f} s.\n")
        server = json.loads(line)
        Proof(server).run()
        if asked.once:
            process.terminate()
        else:
            tell(server)
        return process.wait()
    except KeyboardInterrupt:
        return process.wait()  # it got the Ctrl-C as well
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
