"""The judgement of one message, in this process: CPU for each, with DNS that answers at once, over a real database."""

from __future__ import annotations

import asyncio
import base64
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from postillon import log as logs
from postillon.filters.classifier import Classifier
from postillon.filters.examined import Examined
from postillon.filters.fraud import Fraud, OwnDomains
from postillon.filters.known import Acquaintance
from postillon.filters.lists import Lists
from postillon.filters.notebook import Notebook
from postillon.filters.oddities import Oddities
from postillon.filters.repeats import Repeats
from postillon.filters.reputation import SenderReputation
from postillon.filters.stored import examined_again
from postillon.filters.tokens import tokens
from postillon.flow.authenticate import Authenticator
from postillon.flow.judgement import Judge
from postillon.mailauth.dkim_sign import SigningKey, sign
from postillon.message.incoming import Incoming
from postillon.model.address import Address
from postillon.model.envelope import Accepted, Client, Envelope, Recipient
from postillon.model.ids import AccountId, BlobId
from postillon.model.plan import Body
from postillon.seams import Answer, DnsStatus, Filter, Resolver
from postillon.storage.db.migrate import migrate
from postillon.storage.db.sqlite import SqliteDatabase
from postillon.storage.knowledge import EVERYBODY, Knowledge, Learn

ROUNDS = 7
HTML = (False, True)
SIZE = 10 * 1024
ALICE = AccountId(1)


Records = dict[str, dict[str, tuple[object, ...]]]


class Table:
    """A resolver that knows all answers."""

    def __init__(self, table: Records) -> None:
        self._table = table

    def _answer(self, name: str, kind: str) -> Answer:
        records = self._table.get(name, {}).get(kind, ())
        return Answer(DnsStatus.OK if records else DnsStatus.NXDOMAIN, records, name, ttl=60)

    async def txt(self, name: str) -> Answer:
        return self._answer(name, "txt")

    async def mx(self, name: str) -> Answer:
        return self._answer(name, "mx")

    async def addresses(self, name: str, ipv6: bool = True, ipv4: bool = True) -> Answer:
        return self._answer(name, "a")

    async def ptr(self, address: str) -> Answer:
        return self._answer(address, "ptr")

    async def tlsa(self, name: str) -> Answer:
        return self._answer(name, "tlsa")


class SystemClock:
    def now(self) -> int:
        return int(time.time())


def _words(rng: random.Random) -> list[str]:
    return ["".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 11))) for _ in range(4000)]


def _message(rng: random.Random, words: Sequence[str], html: bool) -> bytes:
    lines, size = [], 0
    while size < (SIZE - 900) / (2 if html else 1):
        line = " ".join(rng.choice(words) for _ in range(11))
        lines.append(line)
        size += len(line) + 2
    head = (
        "From: Ada Lovelace <ada@engine.test>\r\nTo: Alice <alice@example.test>\r\nSubject: the machine and the notes\r\n"
        f"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{rng.random()}@engine.test>\r\nMIME-Version: 1.0\r\n"
    )
    text = "\r\n".join(lines)
    if not html:
        return f"{head}Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\nhttp://engine.test/more\r\n".encode()
    markup = "".join(f'<p class="x">{line} <a href="http://engine.test/{n}">more</a></p>\r\n' for n, line in enumerate(lines))
    parts = "".join(
        f"--b\r\nContent-Type: text/{kind}; charset=utf-8\r\n\r\n{t}\r\n" for kind, t in (("plain", text), ("html", markup))
    )
    return f"{head}Content-Type: multipart/alternative; boundary=b\r\n\r\n{parts}--b--\r\n".encode()


def _record(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> str:
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()}"
    return f"v=DKIM1; p={base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()}"


async def _scene(directory: str, count: int, show: Callable[..., None]) -> None:
    rng = random.Random(7)
    words = _words(rng)
    keys = [
        SigningKey("engine.test", "r", rsa.generate_private_key(65537, 2048)),
        SigningKey("engine.test", "e", ed25519.Ed25519PrivateKey.generate()),
    ]
    table: dict[str, dict[str, tuple[object, ...]]] = {
        "engine.test": {"txt": ("v=spf1 ip4:192.0.2.0/24 -all",), "mx": ((10, "mx.engine.test"),)},
        "_dmarc.engine.test": {"txt": ("v=DMARC1; p=reject",)},
        "192.0.2.7": {"ptr": ("mx.engine.test",)},
        "mx.engine.test": {"a": ("192.0.2.7",)},
    } | {f"{key.selector}._domainkey.engine.test": {"txt": (_record(key.private),)} for key in keys}
    resolver: Resolver = Table(table)
    clock = SystemClock()
    database = SqliteDatabase(f"{directory}/mail.db", lambda topics: None).open()
    await migrate(database, clock.now())
    knowledge = Knowledge(database, clock)
    for _ in range(4):
        batch = [examined_again(_message(rng, words, False)) for _ in range(50)]
        await knowledge.learn([Learn(EVERYBODY, tokens(one), at % 2 == 0) for at, one in enumerate(batch)])
    acquaintance = Acquaintance(knowledge)
    filters: list[Filter[Examined]] = [
        Lists(acquaintance),
        SenderReputation(acquaintance),
        Classifier(acquaintance),
        Fraud(acquaintance, OwnDomains(time.monotonic)),
        Oddities(),
        Repeats(time.monotonic),
    ]
    authenticator = Authenticator(resolver=resolver, hostname="mx.example.test")
    notebook = Notebook(knowledge)
    judges = {
        "mail authentication alone": Judge(authenticator=authenticator, hostname="mx.example.test"),
        "all of it": Judge(authenticator=authenticator, hostname="mx.example.test", filters=filters, notebook=notebook),
    }
    judges |= {
        f"{one.name} alone": Judge(authenticator=None, hostname="mx.example.test", filters=[one], notebook=None)
        for one in filters
    }
    show("judgement of a message of 10 KiB", "plain text, ms CPU", "plain and HTML, ms CPU")
    show(*["---"] * 3)
    for what, judge in judges.items():
        figures = []
        for html in HTML:
            messages = [_incoming(_signed(_message(rng, words, html), keys, clock.now())) for _ in range(count)]
            rounds = []
            for _ in range(ROUNDS):
                started = time.process_time()
                for incoming, header in messages:
                    await judge.judge(incoming, header)
                rounds.append((time.process_time() - started) / count * 1000)
            figures.append(f"{statistics.median(rounds):.2f}")
        show(what, *figures)
    await database.close()


def _signed(octets: bytes, keys: Sequence[SigningKey], now: int) -> bytes:
    header, _, body = octets.partition(b"\r\n\r\n")
    header += b"\r\n\r\n"
    return sign(header, lambda: [body], keys, now) + octets


def _incoming(octets: bytes) -> tuple[Incoming, bytes]:
    recipient = Recipient(Address.parse("alice@example.test"))
    envelope = Envelope(Address.parse("ada@engine.test"), (recipient,))
    client = Client("192.0.2.7", hello="mx.engine.test")
    body = Body(BlobId(1), len(octets), b"0" * 32, data=octets)
    header = octets[: octets.index(b"\r\n\r\n") + 4]
    return Incoming(client, envelope, (Accepted(recipient, (ALICE,)),), body, int(time.time())), header


def judging(scale: float, show: Callable[..., None]) -> None:
    """What a message costs: at most 1.5 ms."""
    with tempfile.TemporaryDirectory(prefix="postillon-bench-") as directory:
        Path(directory).chmod(0o700)
        logs.configure(level=logs.WARNING)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the server runs
            runner.run(_scene(directory, max(int(200 * scale), 20), show))
