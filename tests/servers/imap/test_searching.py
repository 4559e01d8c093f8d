"""Search keys against a naive evaluation of the same keys, message by message."""

from __future__ import annotations

import datetime
import random
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from postillon.message.folding import fold
from postillon.protocols.imap import search_keys as keys
from postillon.protocols.imap.commands import SortKey
from postillon.protocols.imap.sequence import SequenceSet
from postillon.servers.imap.commands.sort import each_once
from postillon.servers.imap.matching import match_headers
from postillon.servers.imap.searching import cost, find
from postillon.servers.imap.snapshot import Snapshot
from postillon.servers.imap.view import View

from .house import House

DAY = 86400
BASE = 1_799_971_200  # 15-Jan-2027 00:00:00 +0000
WORDS = ("alpha", "Beta", "gamma delta", "Größe", "Straße", "épée")


@dataclass(frozen=True)
class Letter:
    uid: int
    subject: str
    body: str
    size: int
    received: int
    sent: datetime.date
    flags: frozenset[str]


async def write(house: House, rng: random.Random, count: int, first: int = 1) -> list[Letter]:
    letters = []
    for uid in range(first, first + count):
        subject, body = rng.choice(WORDS), " ".join(rng.choices(WORDS, k=rng.randint(0, 30)))
        zone = rng.choice(("+0000", "-1100", "+1300"))
        sent = datetime.date(2026, 1, rng.randint(1, 28))
        hour = rng.choice((0, 12, 23))
        message = (
            f"Subject: {subject}\r\nDate: {sent.day} Jan 2026 {hour:02}:30:00 {zone}\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n"
        ).encode()
        received = BASE + rng.randint(-3, 3) * DAY
        flags = frozenset(rng.sample(("\\Seen", "\\Flagged", "$Work"), rng.randint(0, 3)))
        bits = ("\\Seen" in flags) * 1 + ("\\Flagged" in flags) * 4
        await house.put(message, flags=bits, keywords=(b"$Work",) * ("$Work" in flags), received=received)
        letters.append(Letter(uid, subject, body, len(message), received, sent, flags))
    return letters


def leaf(rng: random.Random, count: int) -> tuple[str, object]:
    """A key as text (literals as text with a mark) and a predicate."""
    kind = rng.randrange(11)
    if kind == 0:
        return "SEEN", lambda m: "\\Seen" in m.flags
    if kind == 1:
        return "UNFLAGGED", lambda m: "\\Flagged" not in m.flags
    if kind == 2:
        return "KEYWORD $WORK", lambda m: "$Work" in m.flags
    if kind == 3:
        low = rng.randint(1, count)
        return f"UID {low}:{low + 5}", lambda m: low <= m.uid <= low + 5
    if kind == 4:
        size = rng.randint(100, 300)
        return f"LARGER {size}", lambda m: m.size > size
    if kind == 5:
        at = BASE + rng.randint(-3, 3) * DAY
        day = datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%d-%b-%Y")
        return f"SINCE {day}", lambda m: m.received // DAY >= at // DAY
    if kind == 6:
        sent = datetime.date(2026, 1, rng.randint(1, 28))
        return f"SENTBEFORE {sent.strftime('%d-%b-%Y')}", lambda m: m.sent < sent
    if kind == 7:
        sent = datetime.date(2026, 1, rng.randint(1, 28))
        return f"SENTON {sent.strftime('%d-%b-%Y')}", lambda m: m.sent == sent
    word = rng.choice((*WORDS, "ALPHA", "STRASSE", "e", "mma d"))
    octets = word.encode()
    literal = f"{{{len(octets)}+}}\r\n{word}"
    if kind == 8:
        return f"SUBJECT {literal}", lambda m: fold(word) in fold(m.subject)
    if kind == 9:
        return f"BODY {literal}", lambda m: fold(word) in fold(m.body)
    return f"TEXT {literal}", lambda m: fold(word) in fold(m.body) or fold(word) in fold(f"Subject: {m.subject}\n" + HEAD)


HEAD = "Date: jan 2026 content-type: text/plain; charset=utf-8"


def tree(rng: random.Random, count: int, depth: int):
    if depth == 0 or rng.random() < 0.3:
        return leaf(rng, count)
    kind = rng.randrange(3)
    one, is_one = tree(rng, count, depth - 1)
    if kind == 0:
        return f"NOT {one}", lambda m: not is_one(m)
    two, is_two = tree(rng, count, depth - 1)
    if kind == 1:
        return f"OR {one} {two}", lambda m: is_one(m) or is_two(m)
    return f"({one} {two})", lambda m: is_one(m) and is_two(m)


@pytest.mark.parametrize("seed", range(4))
async def test_any_keys_find_what_they_mean(house: House, seed: int):
    rng = random.Random(seed)
    letters = await write(house, rng, 40)
    client = await house.client(select="INBOX")
    for _ in range(60):
        text, matches = tree(rng, len(letters), 3)
        (answer,) = await client.ok(f"UID SEARCH CHARSET UTF-8 {text}".encode())
        found = [int(uid) for uid in answer.split()[2:]]
        assert found == [letter.uid for letter in letters if matches(letter)], text


def test_cheap_keys_are_known():
    assert cost(keys.HasFlag(b"\\Seen")) < cost(keys.Larger(1)) < cost(keys.Header(b"to", "x")) < cost(keys.Body("x"))
    assert cost(keys.Not(keys.And((keys.All(), keys.Text("x"))))) == cost(keys.Body("x"))


@pytest.mark.parametrize(
    ("header", "text", "found"),
    [
        (b"Subject: Plain text\r\n", "PLAIN", True),
        (b"Subject: folded\r\n over lines\r\n", "folded over", True),
        (b"Subject: folded\r\n\tby tab\r\n", "folded\tby", True),
        (b"Subject: =?utf-8?q?Stra=C3=9Fe?=\r\n", "STRASSE", True),
        (b"Subject: Stra\xc3\x9fe\r\n", "strasse", True),
        (b"Subject: a\r\nSubject: b\r\n", "b", True),
        (b"To: Plain\r\n", "plain", False),
        (b"Subject:\r\n", "", True),
        (b"To: x\r\n", "", False),
        ("Subject: cafe\u0301\r\n".encode(), "café", True),
        ("Subject: \ufb01ne\r\n".encode(), "fine", True),
    ],
)
def test_headers_are_compared_decoded_and_folded(header: bytes, text: str, found: bool):
    key = keys.Header(b"subject", text)
    assert match_headers([key], [header]) == [{key} if found else set()]


def test_a_field_that_is_sorted_by_is_sorted_by_once():
    order = [SortKey("SUBJECT"), SortKey("DATE", True), *[SortKey("SUBJECT", True), SortKey("DATE")] * 100]
    assert each_once(order) == [SortKey("SUBJECT"), SortKey("DATE", True)]


async def test_others_have_a_turn_between_the_keys_of_a_long_search():
    snapshot = Snapshot()
    snapshot.extend([(uid, 0, 1) for uid in range(1, 10_001)])
    turns = 0

    async def breathe() -> None:
        nonlocal turns
        turns += 1

    looked_at = SimpleNamespace(view=View(snapshot))
    key = keys.And(tuple(keys.Not(keys.Uids(SequenceSet(((20_000 + n, 20_000 + n),)))) for n in range(100)))
    found = await find(key, looked_at, None, 0, breathe)
    assert len(found) == 10_000 and turns >= 10
