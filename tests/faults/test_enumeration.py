"""Nobody learns from answers, times or costs which accounts there are (RCPT at the MX has to tell, and counts)."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from .conftest import ALICE
from .server import Server
from .wire import Imap, Pop3, Smtp

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("unhurt")]

UNKNOWN = "nobody-of-that-name@example.test"
TRIES = 10
TICK_S = 0.01


def cpu(server: Server) -> float:
    """Seconds that all workers have computed, to a hundredth."""
    used = 0.0
    for pid in server.workers:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        used += (int(words[11]) + int(words[12])) * TICK_S
    return used


def by_smtp(server: Server, name: str, password: str) -> str:
    with Smtp(server, "submission") as smtp:
        return str(smtp.ask(b"AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode())))


def by_imap(server: Server, name: str, password: str) -> str:
    with Imap(server) as imap:
        return str(imap.ask(f'LOGIN {name} "{password}"'))


def by_pop3(server: Server, name: str, password: str) -> str:
    with Pop3(server) as pop3:
        return f"{pop3.ask(f'USER {name}')!r} {pop3.ask(f'PASS {password}')!r}"


@pytest.mark.parametrize("login", [by_smtp, by_imap, by_pop3])
def test_an_unknown_name_costs_and_says_the_same_as_a_wrong_password(server: Server, login: Callable[[Server, str, str], str]):
    costs: dict[str, float] = {}
    waits: dict[str, float] = {}
    answers: dict[str, set[str]] = {}
    for name in (UNKNOWN, ALICE):
        login(server, name, "warming up")
        before, began = cpu(server), time.monotonic()
        with ThreadPoolExecutor(TRIES) as together:  # a failure is answered late; so all at once
            answers[name] = set(together.map(partial(login, server, name), (f"wrong {number}" for number in range(TRIES))))
        costs[name], waits[name] = cpu(server) - before, time.monotonic() - began
    assert answers[UNKNOWN] == answers[ALICE]
    assert len(answers[ALICE]) == 1
    # A hash is many times what all the rest costs: had one of them no hash to compute, it would be seen.
    assert 0.5 < costs[UNKNOWN] / costs[ALICE] < 2, costs
    assert costs[ALICE] > TRIES * TICK_S, "no hash was computed"
    assert abs(waits[UNKNOWN] - waits[ALICE]) < 2, waits


def scram_challenge(server: Server, name: str) -> tuple[bytes, bytes, bytes]:
    """(salt, iterations, shape) of the server's first message."""
    with Imap(server) as imap:
        first = base64.b64encode(f"n,,n={name},r=fixed".encode())
        imap.send(b"a AUTHENTICATE SCRAM-SHA-256 " + first + b"\r\n")
        challenge = base64.b64decode(imap.line()[2:])
    found = re.fullmatch(rb"r=fixed([^,]+),s=([^,]+),i=(\d+)", challenge)
    assert found, challenge
    return base64.b64decode(found[2]), found[3], re.sub(rb"[A-Za-z0-9+/=]", b"x", challenge)


def test_scram_has_a_salt_for_every_name_and_always_the_same(server: Server):
    known, unknown = scram_challenge(server, ALICE), scram_challenge(server, UNKNOWN)
    assert scram_challenge(server, UNKNOWN)[0] == unknown[0]
    assert unknown[0] != scram_challenge(server, "another-" + UNKNOWN)[0] != known[0]
    assert (len(known[0]), known[1]) == (len(unknown[0]), unknown[1])


@pytest.mark.parametrize("service", ["smtp", "submission"])
def test_vrfy_and_expn_never_tell(server: Server, service: str):
    for verb in ("VRFY", "EXPN"):
        answers = set()
        for name in (ALICE, UNKNOWN, "alice", "root", "<alice>", "x@elsewhere.test"):
            with Smtp(server, service) as smtp:
                answers.add(smtp.ask(f"{verb} {name}"))
        assert len(answers) == 1, answers
