"""S3 and S4: searches, sorts and header lists over a mailbox of 10,000 messages, each first and again, beside the peer."""

from __future__ import annotations

import statistics
import time

from .corpus import message
from .imap_load import Imap
from .servers import PASSWORD, Server

ROUNDS = 3
LIST = b"FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority X-Priority"
THUNDERBIRD = LIST + b" References Newsgroups In-Reply-To Content-Type Reply-To)])"

COMMANDS: dict[str, bytes] = {
    "SEARCH FROM": b'SEARCH FROM "sender42@"',
    "SEARCH FROM, all match": b"SEARCH FROM example.org",
    "SEARCH SUBJECT": b"SEARCH SUBJECT fox",
    "SEARCH SINCE": b"SEARCH SINCE 1-Jan-2026",
    "SEARCH BODY": b'SEARCH BODY "brown goose"',
    "SEARCH BODY, most match": b'SEARCH BODY "fox jumps"',
    "SEARCH TEXT": b'SEARCH TEXT "nested 4719"',
    "SORT (DATE)": b"SORT (DATE) UTF-8 ALL",
    "SORT (SUBJECT)": b"SORT (SUBJECT) UTF-8 ALL",
    "THREAD REFERENCES": b"THREAD REFERENCES UTF-8 ALL",
    "Thunderbird's list": THUNDERBIRD,
}


def reading(servers: list[Server], user: str, scale: float) -> None:
    count = int(10_000 * scale)
    messages = [message(number) for number in range(count)]
    times: dict[str, dict[str, float]] = {}
    for server in servers:
        imap = _connected(server, user)
        imap.command(b"CREATE reading")
        imap.append(b"reading", messages)
        imap.close()
    time.sleep(10 + 30 * scale)  # for an index that is made in the background
    rounds: dict[str, dict[str, list[float]]] = {server.name: {} for server in servers}
    for _ in range(ROUNDS):
        for server in servers:
            for what, command in COMMANDS.items():
                imap = _connected(server, user)
                imap.command(b"SELECT reading")
                rounds[server.name].setdefault(what, []).append(imap.command(command)[0] * 1000)
                imap.close()
    for name, found in rounds.items():
        times[name] = {}
        for what, figures in found.items():
            times[name][f"{what}, first"] = figures[0]
            times[name][f"{what}, again"] = statistics.median(figures[1:])
    print(f"| IMAP, {count} messages, ms | " + " | ".join(times) + " | ratio |")
    print("|" + " --- |" * (len(times) + 2))
    for what in times[servers[0].name]:
        values = [found[what] for found in times.values()]
        print(f"| {what} | " + " | ".join(f"{value:.1f}" for value in values) + f" | {values[0] / values[-1]:.1f} |", flush=True)


def _connected(server: Server, user: str) -> Imap:
    imap = Imap(server.host, server.imap)
    imap.command(f"LOGIN {user} {PASSWORD}".encode())
    return imap
