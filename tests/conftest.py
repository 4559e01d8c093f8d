"""What the whole run shares: servers that are started once, when the first test asks for them."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from postillon import log
from tests.peers import postgresql
from tests.peers.processes import free_port


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A connection string without a database: of our own server, or of one that POSTILLON_TEST_POSTGRES names."""
    given = os.environ.get("POSTILLON_TEST_POSTGRES")
    if given:
        yield given
        return
    if postgresql.programs() is None:
        pytest.skip("PostgreSQL is not installed: `make test` installs it")
    # Not below pytest's own folder: that is closed to the server's user whenever another run starts.
    with tempfile.TemporaryDirectory(prefix="postillon-postgresql-", ignore_cleanup_errors=True) as folder:
        server = postgresql.Postgresql(Path(folder) / "server", free_port()).start()
        yield server.conninfo
        server.stop()


def new_database(server: str) -> str:
    """A connection string for a new database on *server*."""
    import psycopg

    name = f"postillon_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{server} dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return f"{server} dbname={name}"


@pytest.fixture(scope="session", autouse=True)
def quiet_log() -> None:
    """What a test provokes is not worth a line between the dots."""
    log.configure(level=log.ERROR)
