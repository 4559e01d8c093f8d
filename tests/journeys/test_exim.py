"""Debian's Exim beside us: it gets our mail, also in chunks, and we get its."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.exim import PROGRAM, Exim
from tests.peers.postillon import Postillon, mail
from tests.peers.processes import free_port, wait_until

pytestmark = [pytest.mark.real, pytest.mark.skipif(not PROGRAM.exists(), reason="no Exim: run tools/setup-tests")]
LARGE = "0123456789abcdef" * 4 + "\n"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Postillon, Exim]]:
    """Each sends to the other what is not its own."""
    port = free_port()
    with Postillon(tmp_path / "data", "--workers", "1", "--route", f"exim.test=127.0.0.1:{port}") as server:
        exim = Exim(tmp_path / "exim", port, server.port("smtp")).start()
        try:
            yield server, exim
        finally:
            exim.stop()


def test_exim_gets_our_mail_large_mail_in_chunks(pair: tuple[Postillon, Exim]):
    server, exim = pair
    alice = server.account("alice@example.test")
    alice.submit(["joe@exim.test"], "small", "Grüße\n.\n..\n")
    wait_until(lambda: b"Subject: small" in exim.box, 20, "the small message")
    assert " K" not in exim.log
    alice.submit(["jane@exim.test"], "large", LARGE * 10_000)
    wait_until(lambda: exim.box.count(LARGE.encode()) == 10_000, 20, "the large message")
    assert " K" in exim.log


@pytest.mark.parametrize("lines", [1, 10_000])
def test_we_get_exims_mail_in_chunks(pair: tuple[Postillon, Exim], lines: int):
    server, exim = pair
    with smtplib.SMTP("127.0.0.1", exim.port, timeout=20) as smtp:
        smtp.sendmail(
            "joe@exim.test", ["alice@example.test", "bob@example.test"], mail("joe@exim.test", [], "from exim", LARGE * lines)
        )
    for name in ("alice", "bob"):
        message = server.account(f"{name}@example.test").wait_for(b"Subject: from exim")
        assert message.count(LARGE.strip().encode()) == lines
    assert " K" in exim.log


def test_who_does_not_exist_is_told_by_exim(pair: tuple[Postillon, Exim]):
    _, exim = pair
    with smtplib.SMTP("127.0.0.1", exim.port, timeout=20) as smtp:
        smtp.sendmail("joe@exim.test", ["nobody@example.test"], mail("joe@exim.test", [], "to nobody", "x\n"))
    wait_until(lambda: b"5.1.1" in exim.box, 20, "Exim's report")
