"""Searches that are kept up to date (RFC 5267): what a client makes of the updates is what a new search finds."""

from __future__ import annotations

import random
import re

import pytest

from postillon.servers.imap.contexts import MAX_CONTEXTS

from .house import SIMPLE, Client, House
from .letters import MESSAGES

_UPDATE = re.compile(rb'\* ESEARCH \(TAG "(\w+)"\)( UID)? (ADDTO|REMOVEFROM) \((.*)\)')
_EXPUNGE = re.compile(rb"\* (\d+) EXPUNGE")


def numbers(text: bytes) -> list[int]:
    found: list[int] = []
    for piece in text.split(b","):
        low, _, high = piece.partition(b":")
        found += range(int(low), int(high or low) + 1)
    return found


class Follower:
    """A client's side of one context."""

    def __init__(self, by_uid: bool, is_sorted: bool, results: list[int]) -> None:
        self.by_uid = by_uid
        self.is_sorted = is_sorted
        self.results = results

    def update(self, word: bytes, pairs: bytes) -> None:
        pieces = pairs.split(b" ")
        for position, text in zip(pieces[::2], pieces[1::2], strict=True):
            at, chosen = int(position), numbers(text)
            assert (at > 0) is self.is_sorted
            if word == b"ADDTO":
                assert not set(chosen) & set(self.results)
                self.results[max(at - 1, 0) : max(at - 1, 0)] = chosen
                if not at:
                    self.results.sort()
            elif at:
                assert self.results[at - 1 : at - 1 + len(chosen)] == chosen
                del self.results[at - 1 : at - 1 + len(chosen)]
            else:
                for number in chosen:
                    self.results.remove(number)

    def expunged(self, number: int) -> None:
        if not self.by_uid:
            assert number not in self.results, "REMOVEFROM must come before EXPUNGE"
            self.results = [one - (one > number) for one in self.results]


SEARCHES = {
    b"k1": b"UID SEARCH RETURN (%bALL) UNSEEN",
    b"k2": b"SEARCH RETURN (%bALL) OR FLAGGED SUBJECT hello",
    b"k3": b"UID SORT RETURN (%bALL) (SUBJECT REVERSE SIZE) UTF-8 NOT DELETED",
    b"k4": b"SORT RETURN (%bALL) (FROM) UTF-8 UNSEEN",
}


async def found(client: Client, search: bytes) -> list[int]:
    (line,) = [line for line in await client.ok(search) if line.startswith(b"* ESEARCH")]
    _, is_there, text = line.partition(b" ALL ")
    return numbers(text) if is_there else []


def apply(followers: dict[bytes, Follower], lines: list[bytes]) -> None:
    for line in lines:
        if update := _UPDATE.fullmatch(line):
            followers[update[1]].update(update[3], update[4])
        elif expunge := _EXPUNGE.fullmatch(line):
            for follower in followers.values():
                follower.expunged(int(expunge[1]))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_updates_lead_to_what_a_new_search_finds(house: House, seed: int):
    rng = random.Random(seed)
    letters = [MESSAGES["simple"], MESSAGES["multipart"], MESSAGES["odd"]]
    await house.put(*rng.choices(letters, k=8))
    ours, other = await house.client(select="INBOX"), await house.client(select="INBOX")
    followers: dict[bytes, Follower] = {}
    for tag, search in SEARCHES.items():
        ours.send(tag + b" " + search % b"UPDATE " + b"\r\n")
        (line, _) = await ours.until(tag)
        _, is_there, text = line.partition(b" ALL ")
        followers[tag] = Follower(b"UID" in search, b"SORT" in search, numbers(text) if is_there else [])
    for _ in range(120):
        actor = rng.choice([ours, other])
        count = len(await found(actor, b"UID SEARCH RETURN (ALL) ALL"))
        some = ",".join(str(rng.randint(1, count)) for _ in range(rng.randint(1, 4))) if count else ""
        step = rng.choice(["put", "store", "store", "uid store", "expunge", "noop"])
        lines: list[bytes] = []
        if step == "put":
            await house.put(*rng.choices(letters, k=rng.randint(1, 3)))
        elif step == "expunge":
            lines = await actor.ok("EXPUNGE")
        elif step == "noop":
            lines = await actor.ok("NOOP")
        elif some:
            flags = " ".join(rng.sample(["\\Seen", "\\Flagged", "\\Deleted"], rng.randint(0, 2)))
            uid = "UID " if step == "uid store" else ""
            lines = (await actor.command(f"{uid}STORE {some} {rng.choice(['+', '-', ''])}FLAGS ({flags})"))[:-1]
        if actor is ours:
            apply(followers, lines)
        apply(followers, await ours.ok("NOOP"))
        for tag, search in SEARCHES.items():
            assert followers[tag].results == await found(ours, search % b""), (tag, step)


async def test_there_is_a_limit_on_how_many(house: House):
    await house.put(SIMPLE)
    client = await house.client(select="INBOX")
    for _ in range(MAX_CONTEXTS):
        assert all(b"NOUPDATE" not in line for line in await client.ok("SEARCH RETURN (UPDATE) ALL"))
    lines = await client.ok("SEARCH RETURN (UPDATE COUNT) ALL")
    assert [b"NOUPDATE" in line for line in lines] == [False, True]
    await client.ok('CANCELUPDATE "t3"')
    assert all(b"NOUPDATE" not in line for line in await client.ok("SEARCH RETURN (UPDATE) ALL"))
