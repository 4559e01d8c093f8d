"""A server that all attacks of a module share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from .canary import CANARY, TEXT, on_worker
from .server import Server
from .wire import Imap

ALICE = "alice@example.test"
BOB = "bob@example.test"
ACCOUNTS = {ALICE: "alice-password", BOB: "bob-password", CANARY: "canary-password"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server") / "data", accounts=ACCOUNTS) as running:
        with Imap(running, login=CANARY) as imap:
            assert imap.append("Archive", TEXT).startswith(b"OK")
        for worker in running.workers:  # passwords are checked, with the memory that this takes, before anything is measured
            for address in ACCOUNTS:
                on_worker(worker, running, partial(Imap, running, login=address)).close()
        yield running
        assert running.process.poll() is None, running.log_text


@pytest.fixture
def unhurt(server: Server) -> Iterator[None]:
    """The test must not lead to an exception that nobody expected, nor to a worker that dies."""
    bugs, workers = len(server.bugs()), server.workers
    yield
    found = server.bugs()[bugs:]
    assert not found, found[0]
    assert server.workers == workers, "a worker died"
