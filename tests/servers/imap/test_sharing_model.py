"""A model of sharing: three people on two workers, their mailboxes opened and closed to each other at random.

Every command is compared with a simple model of RFC 4314: what each right allows, which names are seen, whose \\Seen it is,
and that nothing is told of what may not be seen. Viewers come back with QRESYNC and must then believe the truth. The seed is in
the test's name; POSTILLON_SHARING_STEPS makes runs longer.
"""

from __future__ import annotations

import os
import random
import re
from dataclasses import dataclass, field

import pytest

from postillon.net.listener import bind, serve
from postillon.servers.imap import snapshots
from postillon.servers.imap.service import ImapServer, ImapSettings
from postillon.servers.imap.snapshots import Snapshots
from postillon.storage.ids import IdSource

from .house import PASSWORD, Client, House, open_house
from .test_imap_model import numbers_in

STEPS = int(os.environ.get("POSTILLON_SHARING_STEPS", "350"))
PEOPLE = ("alice", "bob", "carol")
LETTERS = "lrswikxtea"
KNOWING = set("lrikxa")
"""With any of these one may know of a mailbox: RFC 4314 §4 lets one ask for one's rights."""
ACTS = ("grant", "list", "status", "select", "append", "store", "fetch", "expunge", "copy", "move", "away")
WEIGHTS = (3, 2, 1, 2, 3, 3, 1, 1, 1, 1, 1)
LOST = ("NOOP", "FETCH 1:* (FLAGS)", "SEARCH ALL", "EXPUNGE", 'LIST "" "%"', "UID FETCH 1:* (BODY[])")
"""What those say who may not read any more and do not know it yet."""
SHARED = {r"\Flagged": "w", "$Todo": "w", r"\Deleted": "t"}
_UID, _FLAGS = re.compile(rb"UID (\d+)"), re.compile(rb"FLAGS \(([^)]*)\)")
_MY_RIGHTS = re.compile(rb'MYRIGHTS "?(.+?)"? (\w+)\Z')
_HIGHEST, _VALIDITY = re.compile(rb"HIGHESTMODSEQ (\d+)"), re.compile(rb"UIDVALIDITY (\d+)")


@dataclass
class Message:
    flags: set[str] = field(default_factory=set)
    """Those that all see; \\Seen is in *seen*."""
    seen: set[str] = field(default_factory=set)

    def view(self, who: str) -> frozenset[str]:
        return frozenset(self.flags | ({r"\Seen"} if who in self.seen else set()))


@dataclass
class Box:
    owner: str
    name: str
    granted: dict[str, set[str]] = field(default_factory=dict)
    """By identifier, negative ones included."""
    messages: dict[int, Message] = field(default_factory=dict)
    uidnext: int = 1

    def rights(self, who: str) -> set[str]:
        if who == self.owner:
            return set(LETTERS)
        plus = self.granted.get(who, set()) | self.granted.get("anyone", set())
        return plus - self.granted.get("-" + who, set()) - self.granted.get("-anyone", set())

    def called(self, who: str) -> str:
        return self.name if who == self.owner else f"Other Users/{self.owner}@example.test/{self.name}"

    def refusal(self, who: str) -> bytes:
        return b"NO [NOPERM]" if self.rights(who) & KNOWING else b"NO [NONEXISTENT]"

    def view(self, who: str) -> dict[int, frozenset[str]]:
        return {uid: message.view(who) for uid, message in self.messages.items()}

    def file(self, who: str, flags: frozenset[str]) -> None:
        """With those flags that *who* has the right for."""
        rights = self.rights(who)
        shared = {flag for flag in flags if SHARED.get(flag, "") in rights and flag in SHARED}
        self.messages[self.uidnext] = Message(shared, {who} if r"\Seen" in flags and "s" in rights else set())
        self.uidnext += 1


@dataclass
class Person:
    name: str
    port: int
    client: Client
    box: Box | None = None
    memories: dict[int, tuple[int, int, dict[int, frozenset[str]]]] = field(default_factory=dict)
    """By box: (uidvalidity, mod-sequence, flags by uid) when it was left."""
    flags: dict[int, frozenset[str]] = field(default_factory=dict)
    validity: int = 0


class World:
    def __init__(self, house: House, people: list[Person], boxes: list[Box], seed: int) -> None:
        self.house = house
        self.people = people
        self.boxes = boxes
        self.random = random.Random(seed)

    # -- what a person does

    async def step(self) -> None:
        person, box, rng = self.random.choice(self.people), self.random.choice(self.boxes), self.random
        if person.box is not None and "r" not in person.box.rights(person.name):
            await self.thrown_out(person)
        act = rng.choices(ACTS, WEIGHTS)[0]
        if act in ("store", "fetch", "expunge", "copy", "move"):
            if person.box is None:
                act = "select"
            elif act in ("store", "fetch", "expunge"):
                box = person.box
        await getattr(self, act)(person, box)

    async def thrown_out(self, person: Person) -> None:
        assert person.box is not None
        command = self.random.choice(LOST)
        person.client.send(b"x " + command.encode() + b"\r\n")
        heard = []
        while response := await person.client.response():
            heard.append(response)
        assert heard[-1].startswith(b"* BYE"), heard
        assert not any(b"FETCH" in one or b"SEARCH" in one or b"EXISTS" in one for one in heard), heard
        await self.come(person)

    async def come(self, person: Person) -> None:
        person.client = await self.house.client(port=person.port, name=person.name)
        person.box = None
        await person.client.ok("ENABLE QRESYNC")

    async def away(self, person: Person, box: Box) -> None:
        """Leave without a word, and remember."""
        if person.box is not None:
            await self.look(person)
            (line,) = await person.client.ok(f'STATUS "{person.box.called(person.name)}" (HIGHESTMODSEQ)')
            modseq = int(_HIGHEST.search(line)[1])  # type: ignore[index]
            person.memories[id(person.box)] = (person.validity, modseq, dict(person.flags))
        await person.client.close()
        await self.come(person)

    async def select(self, person: Person, box: Box) -> None:
        memory = person.memories.get(id(box))
        known = f" (QRESYNC ({memory[0]} {memory[1]}))" if memory else ""
        responses = await person.client.command(f'SELECT "{box.called(person.name)}"{known}')
        person.box = None
        if "r" not in box.rights(person.name):
            assert responses[-1].startswith(box.refusal(person.name)), responses
            return
        can_change = box.rights(person.name) & set("swite")
        assert responses[-1].startswith(b"OK [READ-WRITE]" if can_change else b"OK [READ-ONLY]"), responses
        self.check_lasting(person, box, responses)
        person.box, person.flags = box, {}
        person.validity = int(_VALIDITY.search(b"".join(responses))[1])  # type: ignore[index]
        if memory and memory[0] == person.validity:
            self.check_return(person, box, memory[2], responses)
        await self.look(person)

    def check_lasting(self, person: Person, box: Box, responses: list[bytes]) -> None:
        (line,) = [one for one in responses if b"PERMANENTFLAGS" in one]
        rights = box.rights(person.name)
        assert (rb"\Seen" in line, rb"\Deleted" in line, rb"\Flagged" in line, rb"\*" in line) == (
            "s" in rights,
            "t" in rights,
            "w" in rights,
            "w" in rights,
        ), line

    def check_return(self, person: Person, box: Box, known: dict[int, frozenset[str]], responses: list[bytes]) -> None:
        """What one believed, with what one is told now, is the truth."""
        assert self.hear(dict(known), responses) == box.view(person.name)

    def hear(self, flags: dict[int, frozenset[str]], responses: list[bytes]) -> dict[int, frozenset[str]]:
        for response in responses:
            if found := re.match(rb"\* VANISHED (?:\(EARLIER\) )?([\d:,]+)", response):
                for uid in numbers_in(found[1]):
                    flags.pop(uid, None)
            elif uid := self.uid_in(response):
                flags[uid] = self.flags_in(response)
        return flags

    @staticmethod
    def uid_in(response: bytes) -> int:
        found = _UID.search(response) if b" FETCH (" in response else None
        return int(found[1]) if found else 0

    @staticmethod
    def flags_in(response: bytes) -> frozenset[str]:
        found = _FLAGS.search(response)
        return frozenset(found[1].decode().split()) if found else frozenset()

    async def look(self, person: Person) -> None:
        assert person.box is not None
        responses = await person.client.ok("UID FETCH 1:* (FLAGS)")
        person.flags = self.hear({}, responses)
        assert person.flags == person.box.view(person.name), person.name

    async def fetch(self, person: Person, box: Box) -> None:
        """Reading marks it, for who has s."""
        await self.look(person)
        responses = await person.client.ok("UID FETCH 1:* (BODY[TEXT])")
        assert sum(b"BODY[TEXT]" in one for one in responses) == len(box.messages)
        if "s" in box.rights(person.name):
            for message in box.messages.values():
                message.seen.add(person.name)
        await self.look(person)

    async def store(self, person: Person, box: Box) -> None:
        flags = self.random.sample([r"\Seen", *SHARED], self.random.choice((1, 1, 2)))
        sign, rights = self.random.choice("+-"), box.rights(person.name)
        responses = await person.client.command(f"UID STORE 1:* {sign}FLAGS ({' '.join(flags)})")
        may = [flag for flag in flags if (SHARED.get(flag) or "s") in rights]
        if box.messages:
            assert responses[-1].startswith(b"OK" if may else b"NO [NOPERM]"), (responses, rights, flags)
        for message in box.messages.values():
            for flag in may:
                kept, what = (message.seen, person.name) if flag == r"\Seen" else (message.flags, flag)
                kept.add(what) if sign == "+" else kept.discard(what)
        await self.look(person)

    async def expunge(self, person: Person, box: Box) -> None:
        responses = await person.client.command("EXPUNGE")
        if "e" not in box.rights(person.name):
            assert responses[-1].startswith(b"NO [NOPERM]"), responses
            return
        box.messages = {uid: message for uid, message in box.messages.items() if r"\Deleted" not in message.flags}
        await self.look(person)

    async def append(self, person: Person, box: Box) -> None:
        flags = frozenset(self.random.sample([r"\Seen", *SHARED], 2))
        text = "Subject: m\r\n\r\nbody\r\n"
        responses = await person.client.command(
            f'APPEND "{box.called(person.name)}" ({" ".join(flags)}) {{{len(text)}+}}\r\n{text}'
        )
        if "i" in box.rights(person.name):
            assert b"OK [APPENDUID" in responses[-1], responses
            box.file(person.name, flags)
        else:
            self.not_into(person, box, responses)

    def not_into(self, person: Person, box: Box, responses: list[bytes]) -> None:
        seen = box.rights(person.name) & KNOWING
        assert responses[-1].startswith(b"NO [NOPERM]" if seen else b"NO [TRYCREATE]"), responses

    async def copy(self, person: Person, box: Box, *, moves: bool = False) -> None:
        source, who = person.box, person.name
        assert source is not None
        if len(source.messages) + len(box.messages) > 60:
            return  # copies of copies
        responses = await person.client.command(f'UID {"MOVE" if moves else "COPY"} 1:* "{box.called(who)}"')
        if "i" not in box.rights(who):
            self.not_into(person, box, responses)
        elif moves and source.messages and not {"t", "e"} <= source.rights(who):
            assert responses[-1].startswith(b"NO [NOPERM]"), responses
        else:
            assert responses[-1].startswith(b"OK"), responses
            copied = list(source.messages.items())
            for _, message in copied:
                box.file(who, message.view(who))
                if moves and source.owner == box.owner:  # those who had seen it have seen it
                    box.messages[box.uidnext - 1].seen |= message.seen - {who}
            if moves:
                for uid, _ in copied:
                    del source.messages[uid]
        await self.look(person)

    async def move(self, person: Person, box: Box) -> None:
        await self.copy(person, box, moves=True)

    async def list(self, person: Person, box: Box) -> None:
        """LIST leaks no name, and MYRIGHTS tells the truth."""
        who = person.name
        responses = await person.client.ok('LIST "" "*" RETURN (MYRIGHTS)')
        listed = [one for one in responses if one.startswith(b"* LIST")]
        levels = [one for one in listed if b"Noselect" in one]
        told = {one.rpartition(b'"/" ')[2].strip(b'"').decode() for one in listed if one not in levels}
        others = {one.called(who) for one in self.boxes if one.owner != who and "l" in one.rights(who)}
        assert {name for name in told if name.startswith("Other")} == others
        assert len(levels) == (1 if others else 0) + len({name.split("/")[1] for name in others})
        mine = dict(_MY_RIGHTS.search(one).groups() for one in responses if b"MYRIGHTS" in one)  # type: ignore[union-attr]
        for one in self.boxes:
            rights = set(mine.get(one.called(who).encode(), b"").decode()) - set("cdp")
            assert rights == (one.rights(who) if "l" in one.rights(who) else set()), one

    async def status(self, person: Person, box: Box) -> None:
        responses = await person.client.command(f'STATUS "{box.called(person.name)}" (MESSAGES UNSEEN DELETED)')
        if "r" not in box.rights(person.name):
            assert responses[-1].startswith(box.refusal(person.name)), responses
            return
        view = box.view(person.name).values()
        unseen, deleted = (sum(r"\Seen" not in flags for flags in view), sum(r"\Deleted" in flags for flags in view))
        assert b"(MESSAGES %d UNSEEN %d DELETED %d)" % (len(view), unseen, deleted) in responses[0]

    async def grant(self, person: Person, box: Box) -> None:
        """The owner, mostly, changes rights."""
        owner = next(one for one in self.people if one.name == box.owner)
        actor = owner if self.random.random() < 0.8 else person
        if actor.box is not None and "r" not in actor.box.rights(actor.name):
            await self.thrown_out(actor)
        to = self.random.choice([name for name in (*PEOPLE, "anyone") if name != box.owner])
        if self.random.random() < 0.2:
            to = "-" + to
        rights = {letter for letter in LETTERS if self.random.random() < (0.3 if to[0] == "-" else 0.75)}
        if to.removeprefix("-") in (actor.name, "anyone") and actor is not owner:
            rights |= {"r", "l"} if to[0] != "-" else set()  # who locks himself out hears BYE instead of OK
            rights -= {"r"} if to[0] == "-" else set()
        identifier = to if to.endswith("anyone") else f"{to}@example.test"
        responses = await actor.client.command(f'SETACL "{box.called(actor.name)}" {identifier} "{"".join(sorted(rights))}"')
        if "a" not in box.rights(actor.name):
            assert responses[-1].startswith(box.refusal(actor.name)), responses
            return
        assert responses[-1].startswith(b"OK"), responses
        box.granted[to] = rights


@pytest.mark.parametrize("seed", range(6))
async def test_nobody_sees_or_does_what_he_has_no_right_to(seed: int, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    if seed % 2:  # as if mailboxes were large and memory short: they are kept packed, with the owner's \\Seen
        monkeypatch.setattr(snapshots, "PACK_FROM", 1)
    settings = ImapSettings(plaintext_on_loopback=True, reread_s=0)
    async with open_house(tmp_path, settings) as house:
        await house.directory.create_account("carol@example.test", PASSWORD)
        other = ImapServer(
            store=house.store,
            directory=house.directory,
            bus=house.bus,
            clock=house.clock,
            session_id=IdSource.session,
            settings=settings,
        )
        if seed % 2:
            house.server.snapshots, other.snapshots = (Snapshots(store=house.store, limit=0) for _ in range(2))
        listener = await serve(bind("127.0.0.1", 0), other.session)
        boxes = [Box("alice", "Work"), Box("alice", "Archive"), Box("bob", "INBOX"), Box("carol", "INBOX")]
        people = []
        for at, name in enumerate(PEOPLE):
            port = (house.port, listener.port)[at % 2]
            people.append(Person(name, port, await house.client(port=port, name=name)))
            await people[-1].client.ok("ENABLE QRESYNC")
        await people[0].client.ok("CREATE Work")
        world = World(house, people, boxes, seed)
        for _ in range(STEPS):
            await world.step()
        for person in people:
            if person.box is not None and "r" not in person.box.rights(person.name):
                await world.thrown_out(person)
            for box in boxes:
                await world.select(person, box)
                await world.status(person, box)
            await world.list(person, boxes[0])
        for person in people:
            await person.client.close()
        await listener.close(0.2)
