"""`python -m bench [SCENE]...`, `--help` names them: beside Postfix + Dovecot, in one run; prints tables."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .corpus import message
from .greetings import greetings
from .imap_load import Imap
from .judging import judging
from .large import large
from .queue import queue
from .reading import reading
from .relay import relay
from .servers import PASSWORD, PostfixDovecot, Postillon, Server
from .sessions import idle, logins, mixed, patience
from .smtp_load import Load, run

MAILBOXES = [f"user{n}@bench.test" for n in range(100)]
ROUNDS = 3
OVERVIEW = b"FETCH 1:* (FLAGS UID INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def inbound(servers: list[Server], scale: float) -> None:
    """S1: durable 4 KiB (and 64 KiB) messages into 100 mailboxes, 20 connections."""
    row("inbound", "server", "accepted/s", "delivered/s", "CPU ms/message", "ratio delivered", "ratio CPU")
    row(*["---"] * 7)
    for size, per_connection, count in ((4096, 1, 2000), (4096, 20, 4000), (65536, 20, 1000)):
        figures: dict[str, list[tuple[float, float, float]]] = {server.name: [] for server in servers}
        for _ in range(ROUNDS):
            for server in servers:
                figures[server.name].append(_inbound(server, size, per_connection, int(count * scale)))
        medians = {name: [statistics.median(column) for column in zip(*rounds, strict=True)] for name, rounds in figures.items()}
        peer = medians[servers[0].name]
        for name, (accepted, delivered, cpu) in medians.items():
            what = f"{size // 1024} KiB, {per_connection} per connection"
            row(
                what,
                name,
                f"{accepted:.0f}",
                f"{delivered:.0f}",
                f"{cpu:.2f}",
                f"{delivered / peer[1]:.1f}",
                f"{cpu / peer[2]:.3f}",
            )


def _inbound(server: Server, size: int, per_connection: int, count: int) -> tuple[float, float, float]:
    before, cpu = server.delivered(), server.cpu()
    started = time.perf_counter()
    accepted = asyncio.run(run(Load(server.host, server.smtp, MAILBOXES, count, 20, per_connection, size)))
    deadline = started + 60
    while 0 <= server.delivered() < before + count:
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{server.name}: {server.delivered() - before} of {count} delivered")
        time.sleep(0.02)
    delivered = time.perf_counter() - started
    return count / accepted, count / delivered, (server.cpu() - cpu) / count * 1000


def overview(servers: list[Server], scale: float) -> None:
    """S3: what a mail program asks of a mailbox of 10,000 messages."""
    count = int(10_000 * scale)
    messages = [message(number) for number in range(count)]
    wanted: dict[str, bytes] = {
        "flags": b"UID FETCH 1:* (FLAGS)",
        "overview again": OVERVIEW,
        "bodies of 1,000": b"FETCH 1:%d (BODY.PEEK[])" % min(1000, count),
    }
    times: dict[str, dict[str, float]] = {}
    for server in servers:
        imap = Imap(server.host, server.imap)
        imap.command(f"LOGIN {MAILBOXES[0]} {PASSWORD}".encode())
        imap.command(b"CREATE bench")
        found = times.setdefault(server.name, {})
        found["append, ms a message"] = imap.append(b"bench", messages) / count * 1000
        found["select first"] = imap.command(b"SELECT bench")[0] * 1000
        found["overview first"] = imap.command(OVERVIEW)[0] * 1000
        imap.close()
    for what, command in wanted.items():
        rounds: dict[str, list[float]] = {server.name: [] for server in servers}
        for _ in range(5):
            for server in servers:
                rounds[server.name].append(_timed(server, command))
        for name, figures in rounds.items():
            times[name][what] = statistics.median(figures)
    row("IMAP, 10,000 messages" if scale == 1 else f"IMAP, {count} messages", *times, "ratio")
    row(*["---"] * (len(times) + 2))
    for what in times[servers[0].name]:
        figures = [found[what] for found in times.values()]
        row(what, *(f"{figure:.2f}" for figure in figures), f"{figures[0] / figures[-1]:.1f}")


def _timed(server: Server, command: bytes) -> float:
    imap = Imap(server.host, server.imap)
    imap.command(f"LOGIN {MAILBOXES[0]} {PASSWORD}".encode())
    imap.command(b"SELECT bench")
    seconds, _ = imap.command(command)
    imap.close()
    return seconds * 1000


def queued(scale: float) -> None:
    """S9: a queue full of mail to a dead destination, and a living one beside it."""
    queue(scale, row)


def relayed(scale: float, workers: int) -> None:
    """S2, with servers of its own."""
    row("relay", "accepted, queued, handed on/s", "CPU ms/message", "ratio", "ratio CPU")
    row(*["---"] * 5)
    figures = relay(scale, workers)
    for name, rate, cpu in figures:
        row(name, f"{rate:.0f}", f"{cpu:.2f}", f"{rate / figures[0][1]:.1f}", f"{cpu / figures[0][2]:.3f}")


SCENES: dict[str, Callable[[list[Server], float], None]] = {
    "inbound": inbound,
    "overview": overview,
    "reading": lambda servers, scale: reading(servers, MAILBOXES[1], scale),
    "greetings": lambda servers, scale: greetings(servers, scale, row),
    "logins": lambda servers, scale: logins(servers, MAILBOXES, scale, row),
    "mixed": lambda servers, scale: mixed(servers, MAILBOXES, scale, row),
    "idle": lambda servers, scale: idle(servers, MAILBOXES, scale, row),
    "patience": lambda servers, scale: patience(servers, MAILBOXES[10:], scale, row),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("scenes", nargs="*", choices=[*SCENES, "relay", "queue", "large", "judge", []], help="default: all")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full counts (default 1)")
    parser.add_argument("--only", choices=("postillon", "peer"), help="measure one side alone, without ratios that mean anything")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    scenes = options.scenes or [*SCENES, "relay", "queue", "large", "judge"]
    if "relay" in scenes:
        relayed(options.scale, options.workers)
        print()
    if "queue" in scenes:
        queued(options.scale)
        print()
    if "large" in scenes:
        large(options.scale, row)
        print()
    if "judge" in scenes:
        judging(options.scale, row)
        print()
    if not set(scenes) & set(SCENES):
        return 0
    directory = Path(tempfile.mkdtemp(prefix="postillon-bench-", dir="/tmp"))
    sides: dict[str, Server] = {
        "peer": PostfixDovecot(directory / "peer", MAILBOXES),
        "postillon": Postillon(directory / "postillon", MAILBOXES, workers=options.workers),
    }
    servers = [server for name, server in sides.items() if options.only in (None, name)]
    for server in servers:
        server.start()
    try:
        for name in scenes:
            if name in SCENES:
                SCENES[name](servers, options.scale)
                print()
    finally:
        for server in servers:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
