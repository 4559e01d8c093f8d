"""Scene `large`: does a mailbox' size show? The same commands on 10, on 200,000 and on a million messages.

The large mailboxes are made without the servers: Dovecot's as files of a Maildir, ours as rows that all point to one email.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import apsw

from .imap_load import Imap
from .servers import PASSWORD, PostfixDovecot, Postillon, Server

MESSAGE = b"From: sender@bench.test\r\nSubject: one of many\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\nhi\r\n"
USER = "user@bench.test"
ROUNDS = 5
OVERVIEW = b"(FLAGS UID INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"


def large(scale: float, row: Callable[..., None]) -> None:
    count = int(200_000 * scale)
    directory = Path(tempfile.mkdtemp(prefix="postillon-bench-large-", dir="/tmp"))
    figures = {
        f"Dovecot, {count}": _dovecot(directory / "dovecot", count),
        "Postillon, 10": _postillon(directory / "ten", 10),
        f"Postillon, {count}": _postillon(directory / "large", count),
        f"Postillon, {count * 5}": _postillon(directory / "million", count * 5),
    }
    row("one mailbox, ms", *figures)
    row(*["---"] * (len(figures) + 1))
    for what in figures["Postillon, 10"]:
        row(what, *(f"{found[what]:.1f}" for found in figures.values()))
    shutil.rmtree(directory)


def _dovecot(directory: Path, count: int) -> dict[str, float]:
    server = PostfixDovecot(directory, [USER])
    server.start()
    imap = _connected(server)
    imap.append(b"INBOX", [MESSAGE])
    imap.close()
    cur = server.dovecot.boxes / USER / "Maildir" / "cur"
    owner = cur.stat()
    for number in range(2, count + 1):
        path = cur / f"1800000000.{number}.bench,S={len(MESSAGE)}:2,{'S' if number % 3 else ''}"
        path.write_bytes(MESSAGE)
        os.chown(path, owner.st_uid, owner.st_gid)
    imap = _connected(server)
    imap.command(b"SELECT INBOX")  # the first of all makes the index, which no client of ours should wait for
    imap.close()
    try:
        return _figures(server, count)
    finally:
        server.stop()


def _postillon(directory: Path, count: int) -> dict[str, float]:
    server = Postillon(directory, [USER], workers=1)
    server.start()
    imap = _connected(server)
    imap.append(b"INBOX", [MESSAGE])
    imap.close()
    server.stop()
    _multiply(directory / "data" / "mail.db", count)
    server.start()
    imap = _connected(server)
    imap.command(b"SELECT INBOX")
    imap.close()
    server.stop()
    server.start()
    try:
        return _figures(server, count)
    finally:
        server.stop()


def _multiply(path: Path, count: int) -> None:
    """Make the one message of the database *count* messages of the same mailbox."""
    connection = apsw.Connection(str(path))
    row = connection.execute("SELECT account_id, mailbox_id, email_id, size, saved FROM placement").fetchone()
    assert row is not None
    account, mailbox, email, size, saved = row
    with connection:
        connection.executemany(
            "INSERT INTO placement VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            ((account, mailbox, uid, email, int(uid % 3 == 0), uid + 1, size, saved) for uid in range(2, count + 1)),
        )
        connection.execute(
            "UPDATE mailbox SET uidnext = ?, modseq = ?, total = ?, unseen = ? WHERE mailbox_id = ?",
            (count + 1, count + 2, count, count - count // 3, mailbox),
        )
        connection.execute("UPDATE account_state SET modseq = ? WHERE account_id = ?", (count + 2, account))
        connection.execute("UPDATE email SET copies = ?", (count,))
    connection.close()


def _figures(server: Server, count: int) -> dict[str, float]:
    memory = server.memory()
    found = {"SELECT, first of a worker": _select(server) * 1000}
    grown = (server.memory() - memory) / (1 << 20)
    found["SELECT again"] = _median(lambda: _select(server))
    imap = _connected(server)
    imap.command(b"SELECT INBOX")
    for what, command in (
        ("last 50 overview", b"FETCH %d:* %b" % (max(count - 49, 1), OVERVIEW)),
        ("NOOP", b"NOOP"),
        ("STATUS of it", b"STATUS INBOX (MESSAGES UNSEEN UIDNEXT HIGHESTMODSEQ)"),
        ("STORE one flag", b"STORE 5 FLAGS (\\Flagged)"),
    ):
        found[what] = _median(lambda command=command: imap.command(command)[0])  # type: ignore[misc]
    found["APPEND one"] = _median(lambda: imap.append(b"INBOX", [MESSAGE]))

    def expunge() -> float:
        imap.command(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        return imap.command(b"EXPUNGE")[0]

    found["EXPUNGE one"] = _median(expunge)
    imap.close()
    found["memory of the first SELECT, MiB"] = grown
    return found


def _median(measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(ROUNDS)) * 1000


def _select(server: Server) -> float:
    imap = _connected(server)
    seconds = imap.command(b"SELECT INBOX")[0]
    imap.close()
    return seconds


def _connected(server: Server) -> Imap:
    imap = Imap(server.host, server.imap)
    imap.command(f"LOGIN {USER} {PASSWORD}".encode())
    return imap
