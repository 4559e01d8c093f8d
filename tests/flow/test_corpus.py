"""Spoofed, ambiguous and dangerous messages of our own making (`tests/corpus`), through authentication and the checks.

A file says why the message is there, what becomes of it and which findings it has; then, after `---`, the message. `\\xHH` in it
stands for an octet that a text file had better not have.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from postillon.filters.attachments import Attachments
from postillon.filters.fraud import Fraud, OwnDomains
from postillon.filters.known import Acquaintance
from postillon.flow.authenticate import Authenticator
from postillon.flow.judgement import Judge
from postillon.flow.receive import Receiver
from postillon.model.errors import Refusal
from postillon.storage.knowledge import Knowledge
from postillon.storage.store.quarantine import Quarantine
from tests.kinds import TableResolver

from .conftest import SETTINGS, Office

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
NAME = "mail.example.test"
TABLE: dict[str, Any] = {
    "evil.test": {"txt": ["v=spf1 ip4:192.0.2.7 -all"], "mx": [(10, "mx.evil.test")]},
    "_dmarc.evil.test": {"txt": ["v=DMARC1; p=reject"]},
    "strict.test": {"txt": ["v=spf1 -all"], "mx": [(10, "mx.strict.test")]},
    "_dmarc.strict.test": {"txt": ["v=DMARC1; p=reject"]},
    "_dmarc.careful.test": {"txt": ["v=DMARC1; p=quarantine"]},
}


def read(path: Path) -> tuple[dict[str, str], bytes]:
    """What is expected, and the message."""
    head, _, text = path.read_text().partition("---\n")
    octets = text.encode().replace(b"\n", b"\r\n")
    octets = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), octets)
    return dict(line.split(": ", 1) if ": " in line else (line.rstrip(":"), "") for line in head.splitlines()), octets


@pytest.fixture
def guarded(office: Office) -> Office:
    acquaintance = Acquaintance(Knowledge(office.store.database, office.clock))
    office.receiver = Receiver(
        store=office.store,
        directory=office.directory,
        resolver=TableResolver(TABLE),  # type: ignore[arg-type]
        deliverer=office.deliverer,
        clock=office.clock,
        settings=SETTINGS,
        judge=Judge(
            authenticator=Authenticator(resolver=TableResolver(TABLE), hostname=NAME),
            hostname=NAME,
            filters=[Attachments(), Fraud(acquaintance, OwnDomains(lambda: 0.0))],
        ),
    )
    return office


@pytest.mark.parametrize("name", sorted(path.stem for path in CORPUS.glob("*.txt")))
async def test_what_becomes_of_it(guarded: Office, name: str):
    expected, text = read(CORPUS / f"{name}.txt")
    try:
        await guarded.receive(expected["from"] or None, ["alice@example.test"], text)
    except Refusal as refusal:
        assert not refusal.is_temporary
        done, filed = "refuse", []
    else:
        inbox, junk = await guarded.mail(guarded.alice), await guarded.mail(guarded.alice, ("Junk",))
        filed = inbox + junk
        done = "file" if inbox else "junk" if junk else "quarantine"
        if done == "quarantine":
            assert len(await Quarantine(guarded.store).list()) == 1
    assert done == expected["does"], filed
    for message in filed:
        head = message.partition(b"\r\n\r\n")[0]
        told = re.sub(rb"\s+", b" ", head.partition(b"X-Postillon-Findings:")[2].partition(b"\r\nFrom")[0])
        for code in filter(None, expected["says"].split(", ")):
            assert code.encode() in told
        # What claims to be ours is not there, what we say is there once.
        assert head.count(b"Authentication-Results: mail.example.test") == 1
        assert head.count(b"X-Spam-Status:") <= 1 and b"score=-99" not in head and b"all.fine" not in head
        assert b"\r\nBcc:" not in head
