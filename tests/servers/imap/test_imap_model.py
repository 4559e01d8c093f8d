"""A model checker: sessions of random commands on two workers, against what IMAP promises a client that counts for itself.

Each client keeps what it was told (numbers, uids, flags, mod-sequences) and nothing else. Checked at every response: numbers
never point past the mailbox, a message's uid and octets never change, mod-sequences never fall, no EXPUNGE comes where it may
not. Now and then a client goes away and comes back with QRESYNC, and what it then believes must be the truth, also when
months have passed and nobody remembers any more what was expunged. One client compresses, one is told of news at any time
(NOTIFY), two are somebody else's, with a \\Seen of their own. At the end all sessions agree with the store. The seed is in the
test's name; POSTILLON_MODEL_STEPS makes runs longer.
"""

from __future__ import annotations

import os
import random
import re
from dataclasses import dataclass, field

import pytest

from postillon.model.access import ALL
from postillon.model.account import SERVER, Principal
from postillon.net.listener import bind, serve
from postillon.servers.imap.keywords import Keywords
from postillon.servers.imap.service import ImapServer, ImapSettings
from postillon.storage.ids import IdSource
from postillon.storage.store.calls.upkeep import KEEP_GONE_S

from .house import Client, House, open_house

STEPS = int(os.environ.get("POSTILLON_MODEL_STEPS", "250"))
BOXES = ("INBOX", "Archive")
FLAGS = (rb"\Seen", rb"\Flagged", rb"\Deleted", b"$One", b"$Two")

_EXISTS = re.compile(rb"\* (\d+) EXISTS")
_EXPUNGE = re.compile(rb"\* (\d+) EXPUNGE")
_VANISHED = re.compile(rb"\* VANISHED (\(EARLIER\) )?([\d:,]+)")
_FETCH = re.compile(rb"\* (\d+) FETCH \((.*)\)", re.DOTALL)
_UID, _MODSEQ = re.compile(rb"UID (\d+)"), re.compile(rb"MODSEQ \((\d+)\)")
_FLAGS, _SUBJECT = re.compile(rb"FLAGS \(([^)]*)\)"), re.compile(rb"Subject: (\S+)")
_HIGHEST, _VALIDITY = re.compile(rb"HIGHESTMODSEQ (\d+)"), re.compile(rb"UIDVALIDITY (\d+)")


def numbers_in(text: bytes) -> list[int]:
    found: list[int] = []
    for piece in text.split(b","):
        low, _, high = piece.partition(b":")
        found += range(int(low), int(high or low) + 1)
    return found


@dataclass
class Memory:
    """What a client knows of a mailbox; survives its absence."""

    validity: int = 0
    modseq: int = 0
    flags: dict[int, frozenset[bytes]] = field(default_factory=dict)
    modseqs: dict[int, int] = field(default_factory=dict)


@dataclass
class Counting:
    """A client that counts for itself."""

    client: Client
    subjects: dict[tuple[str, int], bytes]
    """Shared by all: which message has which uid. Never changes."""
    qresync: bool
    viewer: str = ""
    """Who looks at alice's mailboxes, if it is somebody else: with a \\Seen of his own."""
    box: str = ""
    uids: list[int] = field(default_factory=list)
    """By number; 0 where it was not told the uid yet."""
    memories: dict[str, Memory] = field(default_factory=dict)

    def called(self, box: str) -> str:
        return f'"Other Users/alice@example.test/{box}"' if self.viewer else box

    @property
    def memory(self) -> Memory:
        return self.memories.setdefault(self.box, Memory())

    async def do(self, text: str, *, may_expunge: bool = True) -> list[bytes]:
        responses = await self.client.command(text)
        for response in responses[:-1]:
            self.hear(response, may_expunge=may_expunge)
        # A client that has yet to look at new messages must not move on, or it would never hear of them again.
        if self.qresync and 0 not in self.uids and (found := _HIGHEST.search(responses[-1])):
            self.memory.modseq = int(found[1])
        return responses

    def hear(self, response: bytes, *, may_expunge: bool = True) -> None:
        if found := _EXISTS.fullmatch(response):
            count = int(found[1])
            assert count >= len(self.uids), f"EXISTS {count} with {len(self.uids)} known"
            self.uids += [0] * (count - len(self.uids))
        elif found := _EXPUNGE.fullmatch(response):
            assert may_expunge, "EXPUNGE where it is forbidden"
            assert 1 <= int(found[1]) <= len(self.uids)
            self.forget(self.uids.pop(int(found[1]) - 1))
        elif found := _VANISHED.fullmatch(response):
            assert may_expunge or found[1], "VANISHED where it is forbidden"
            for uid in numbers_in(found[2]):
                if not found[1]:
                    self.vanish(uid)
                self.forget(uid)
        elif found := _FETCH.fullmatch(response):
            self.fetched(int(found[1]), found[2])

    def vanish(self, uid: int) -> None:
        if uid in self.uids:
            self.uids.remove(uid)
            return
        # One that the client had not asked about: it must be among the unknown ones behind the last smaller uid.
        at = max((at for at, known in enumerate(self.uids) if 0 < known < uid), default=-1) + 1
        assert self.uids[at] == 0, f"VANISHED {uid}, which is not there"
        del self.uids[at]

    def forget(self, uid: int) -> None:
        self.memory.flags.pop(uid, None)

    def fetched(self, number: int, items: bytes) -> None:
        assert 1 <= number <= len(self.uids), f"FETCH of {number} with {len(self.uids)} known"
        memory, told = self.memory, _UID.search(items)
        uid = int(told[1]) if told else self.uids[number - 1]
        assert self.uids[number - 1] in (0, uid), f"number {number} was {self.uids[number - 1]}, is {uid}"
        self.uids[number - 1] = uid
        if not uid:
            return  # the client has yet to ask which message that is
        assert [u for u in self.uids if u] == sorted({u for u in self.uids if u}), "uids do not ascend"
        if flags := _FLAGS.search(items):
            memory.flags[uid] = frozenset(flags[1].split())
        if modseq := _MODSEQ.search(items):
            assert int(modseq[1]) >= memory.modseqs.get(uid, 0), "MODSEQ fell"
            memory.modseqs[uid] = int(modseq[1])
        if subject := _SUBJECT.search(items):
            assert self.subjects.setdefault((self.box, uid), subject[1]) == subject[1], "the message changed"

    async def select(self, box: str) -> None:
        if self.box:
            await self.do("UNSELECT")
        self.box, self.uids = box, []
        memory = self.memory
        if self.qresync and memory.modseq:
            # With the list of what it knows: the numbers it will be told of are unknown until fetched.
            before = dict(memory.flags)
            responses = await self.client.command(f"SELECT {self.called(box)} (QRESYNC ({memory.validity} {memory.modseq}))")
        else:
            before = {}
            memory.flags.clear()
            responses = await self.client.command(f"SELECT {self.called(box)}")
        assert responses[-1].startswith(b"OK"), responses
        self.uids = []
        known = _VALIDITY.search(b"".join(responses))
        assert known is not None
        if memory.validity != int(known[1]):  # another mailbox of the same name: nothing that was known is true
            before = {}
            memory.flags.clear()
            memory.modseqs.clear()
        memory.validity = int(known[1])
        for response in responses[:-1]:
            self.hear(response)
        await self.believe_the_truth(before, responses)

    async def believe_the_truth(self, before: dict[int, frozenset[bytes]], responses: list[bytes]) -> None:
        """After QRESYNC: what the client believed, corrected by what it heard, is what a full look shows."""
        memory = self.memory
        believed = dict(memory.flags)
        memory.modseq = int(_HIGHEST.search(b"".join(responses))[1])  # type: ignore[index]
        memory.flags = {}
        await self.do("UID FETCH 1:* (FLAGS MODSEQ)", may_expunge=False)
        if before:
            assert believed == {uid: flags for uid, flags in memory.flags.items() if uid in believed}
            missing = memory.flags.keys() - believed.keys()
            assert not missing, f"{missing} were never told"

    async def settle(self) -> dict[int, frozenset[bytes]]:
        """Hear everything; what the client then sees."""
        await self.do("NOOP")
        heard = {uid: flags for uid, flags in self.memory.flags.items() if uid in self.uids}
        await self.do("FETCH 1:* (UID FLAGS MODSEQ BODY.PEEK[HEADER.FIELDS (SUBJECT)])", may_expunge=False)
        now = {uid: self.memory.flags[uid] for uid in self.uids}
        assert heard == {uid: flags for uid, flags in now.items() if uid in heard}, "news of flags were lost"
        return now


class Checker:
    def __init__(self, house: House, clients: list[Counting], seed: int) -> None:
        self.house = house
        self.clients = clients
        self.random = random.Random(seed)
        self.sent = 0

    async def step(self) -> None:
        one, rng = self.random.choice(self.clients), self.random
        if not one.box or rng.random() < 0.03:
            await one.select(rng.choice(BOXES))
            return
        act = rng.choices(
            (
                "append",
                "store",
                "uid store",
                "expunge",
                "uid expunge",
                "copy",
                "move",
                "fetch",
                "uid fetch",
                "search",
                "noop",
                "idle",
                "replace",
                "uid replace",
                "months",
                "rename inbox",
                "begin anew",
            ),
            (10, 14, 8, 4, 3, 4, 4, 8, 8, 5, 6, 3, 3, 2, 1, 0.2, 0.2),
        )[0]
        await getattr(self, act.replace(" ", "_"))(one)

    def some(self, one: Counting) -> str:
        """A set of numbers that the client may use."""
        count = len(one.uids)
        low, high = sorted(self.random.choices(range(1, count + 1), k=2))
        return f"{low}:{min(high, low + 5)}"

    def some_uids(self, one: Counting) -> str:
        top = max([uid for uid in one.uids if uid], default=1)
        low = self.random.randint(1, top)
        return f"{low}:{low + self.random.randint(0, 6)}"

    def change(self) -> str:
        flags = b" ".join(self.random.sample(FLAGS, self.random.choice((1, 1, 2)))).decode()
        silent = self.random.choice(("", ".SILENT"))
        return f"{self.random.choice(('+', '-', ''))}FLAGS{silent} ({flags})"

    async def append(self, one: Counting) -> None:
        self.sent += 1
        message = b"Subject: m%d\r\n\r\nbody\r\n" % self.sent
        box = self.random.choice(BOXES)
        await one.do(f"APPEND {one.called(box)} {{{len(message)}+}}\r\n{message.decode()}")

    async def store(self, one: Counting) -> None:
        if one.uids:
            change, numbers = self.change(), self.some(one)
            await one.do(f"STORE {numbers} {change}", may_expunge=False)
            if "SILENT" in change:  # the client works the outcome out for itself; asking is simpler
                await one.do(f"FETCH {numbers} (UID FLAGS)", may_expunge=False)

    async def uid_store(self, one: Counting) -> None:
        change, uids = self.change().replace(".SILENT", ""), self.some_uids(one)
        known = one.memory.modseq
        condition = f"(UNCHANGEDSINCE {known}) " if one.qresync and known and self.random.random() < 0.3 else ""
        await one.do(f"UID STORE {uids} {condition}{change}")

    async def expunge(self, one: Counting) -> None:
        await one.do("EXPUNGE")

    async def uid_expunge(self, one: Counting) -> None:
        await one.do(f"UID EXPUNGE {self.some_uids(one)}")

    async def copy(self, one: Counting) -> None:
        if one.uids:
            await one.do(f"COPY {self.some(one)} {one.called(self.random.choice(BOXES))}")

    async def move(self, one: Counting) -> None:
        if one.uids:
            await one.do(f"MOVE {self.some(one)} {one.called(self.random.choice(BOXES))}")

    async def fetch(self, one: Counting) -> None:
        if one.uids:
            what = self.random.choice(("UID FLAGS", "FLAGS MODSEQ", "UID BODY[HEADER.FIELDS (SUBJECT)]", "ENVELOPE"))
            await one.do(f"FETCH {self.some(one)} ({what})", may_expunge=False)

    async def uid_fetch(self, one: Counting) -> None:
        await one.do(f"UID FETCH {self.some_uids(one)} (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")

    async def search(self, one: Counting) -> None:
        responses = await one.do("SEARCH NOT DELETED", may_expunge=False)
        found = [int(n) for r in responses if r.startswith(b"* SEARCH") for n in r.split()[2:] if n.isdigit()]
        assert all(1 <= number <= len(one.uids) for number in found)

    async def replace(self, one: Counting) -> None:
        if one.uids:
            await self.put_in_place(one, f"REPLACE {self.random.randint(1, len(one.uids))}")

    async def uid_replace(self, one: Counting) -> None:
        known = [uid for uid in one.uids if uid]
        if known:
            await self.put_in_place(one, f"UID REPLACE {self.random.choice(known)}")

    async def put_in_place(self, one: Counting, command: str) -> None:
        self.sent += 1
        message = f"Subject: m{self.sent}\r\n\r\nbody\r\n"
        responses = await one.do(f"{command} {one.called(self.random.choice(BOXES))} {{{len(message)}+}}\r\n{message}")
        assert responses[-1].startswith((b"OK", b"NO [EXPUNGEISSUED]")), responses

    async def months(self, one: Counting) -> None:
        """So many pass that tombstones, and the octets of what was expunged, are gone."""
        self.house.clock.at += KEEP_GONE_S + 1
        while await self.house.store.clean():
            pass

    async def rename_inbox(self, one: Counting) -> None:
        """RFC 3501 §6.3.5: its messages move away, and it stays."""
        if not one.viewer:
            self.sent += 1
            await one.do(f"RENAME INBOX Old{self.sent}")
            await one.do(f"DELETE Old{self.sent}")

    async def begin_anew(self, one: Counting) -> None:
        """A mailbox is deleted and made again, with the same name and other messages."""
        if one.viewer:
            return
        for client in self.clients:
            if client.box == "Archive":
                await client.select("INBOX")
        assert (await one.do("DELETE Archive"))[-1].startswith(b"OK")
        assert (await one.do("CREATE Archive"))[-1].startswith(b"OK")
        assert (await one.do("SETACL Archive bob@example.test lrswipkxtea"))[-1].startswith(b"OK")
        subjects = self.clients[0].subjects
        for place in [place for place in subjects if place[0] == "Archive"]:
            del subjects[place]

    async def noop(self, one: Counting) -> None:
        await one.do("NOOP")

    async def idle(self, one: Counting) -> None:
        one.client.send(b"i IDLE\r\n")
        while not (response := await one.client.response()).startswith(b"+"):
            one.hear(response)
        one.client.send(b"DONE\r\n")
        for response in (await one.client.until(b"i"))[:-1]:
            one.hear(response)

    async def agree(self) -> None:
        """All sessions, once they have heard everything, see what is in the store."""
        keywords = Keywords()
        keywords.learn(await self.house.store.keywords(self.house.alice.id))
        alice, bob = self.house.alice.id, self.house.bob.id
        for name in BOXES:
            number = (await self.house.mailbox(name)).id
            for who in (alice, bob):
                box = await self.house.store.mailbox(Principal(who), alice, number)
                rows = await self.house.store.snapshot(Principal(who), alice, number, 0, 100_000)
                truth = {uid: frozenset(keywords.text(word)[1:-1].split()) for uid, word, _ in rows}
                assert box.total == len(truth)
                assert box.unseen == sum(rb"\Seen" not in flags for flags in truth.values())
                assert box.deleted == sum(rb"\Deleted" in flags for flags in truth.values())
                for one in self.clients:
                    if one.box == name and bool(one.viewer) is (who == bob):
                        assert await one.settle() == truth


@pytest.mark.parametrize("seed", range(8))
async def test_sessions_of_random_commands_keep_the_promises(seed: int, tmp_path) -> None:
    await play(seed, STEPS, tmp_path)


@pytest.mark.real
@pytest.mark.parametrize("seed", range(100, 108))
async def test_twenty_thousand_random_commands_keep_the_promises(seed: int, tmp_path) -> None:
    await play(seed, max(2500, STEPS), tmp_path)


async def play(seed: int, steps: int, tmp_path) -> None:
    settings = ImapSettings(plaintext_on_loopback=True, reread_s=0.02)
    async with open_house(tmp_path, settings) as house:
        other = ImapServer(
            store=house.store,
            directory=house.directory,
            bus=house.bus,
            clock=house.clock,
            session_id=IdSource.session,
            settings=settings,
        )
        listener = await serve(bind("127.0.0.1", 0), other.session)
        subjects: dict[tuple[str, int], bytes] = {}
        clients = []
        for name in BOXES:
            box = await house.mailbox(name)
            await house.store.set_acl(SERVER, house.alice.id, box.id, "bob@example.test", "add", ALL)
        for at in range(7):
            viewer = "bob" if at >= 5 else ""
            client = await house.client(port=(house.port, listener.port)[at % 2], name=viewer or "alice")
            one = Counting(client, subjects, qresync=3 <= at < 6, viewer=viewer)
            if one.qresync:
                await client.ok("ENABLE QRESYNC")
            if at == 1:
                await client.ok("COMPRESS DEFLATE")
                client.deflate()
            if at == 2:
                await client.ok("NOTIFY SET (selected-delayed (MessageNew MessageExpunge FlagChange))")
            clients.append(one)
        checker = Checker(house, clients, seed)
        for step in range(steps):
            await checker.step()
            if step % 100 == 99:
                await checker.agree()
        await checker.agree()
        await listener.close(0)
