"""Clients that keep books while the server is being killed: what it promised, and what it had not answered when it died.

Each is a thread with an account of its own. `pause` lets none be in the middle of anything; then `check` compares its books
with what the mailboxes hold: what was promised is there, once; what was left open is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import random
import re
import threading
import time
from dataclasses import dataclass, field

from .server import Server
from .wire import Closed, Imap, Pop3, Smtp

_FETCHED = re.compile(rb"\* \d+ FETCH \(.*?UID (\d+) .*?FLAGS \(([^)]*)\).*?X-Ledger: (\S+)", re.DOTALL)
_COPYUID = re.compile(rb"\[COPYUID (\d+) (\S+) (\S+)\]")
_APPENDUID = re.compile(rb"\[APPENDUID (\d+) (\S+)\]")
SIZES = (300, 2_000, 30_000, 150_000)
"""Of bodies: the last one is kept in a file, the others in the database."""


def octets(name: str, size: int, sender: str) -> bytes:
    """A message that is like no other; the same for the same name."""
    text = hashlib.shake_128(name.encode()).hexdigest(size // 2)
    body = "\r\n".join(text[at : at + 72] for at in range(0, len(text), 72))
    return f"From: <{sender}>\r\nTo: <x@example.test>\r\nX-Ledger: {name}\r\nSubject: {name}\r\n\r\n{body}\r\n".encode()


@dataclass
class Box:
    """A mailbox as it was read: X-Ledger names and flags by uid."""

    uidvalidity: int = 0
    uidnext: int = 0
    modseq: int = 0
    names: dict[int, str] = field(default_factory=dict)
    flags: dict[int, frozenset[bytes]] = field(default_factory=dict)


def read(imap: Imap, mailbox: str) -> Box:
    """EXAMINE and look at everything."""
    box = Box()
    done, told = imap.ask(f"EXAMINE {mailbox} (CONDSTORE)")
    assert done.startswith(b"OK"), done
    for word, name in ((b"UIDVALIDITY", "uidvalidity"), (b"UIDNEXT", "uidnext"), (b"HIGHESTMODSEQ", "modseq")):
        found = re.search(rb"\[%s (\d+)\]" % word, b"".join(told))
        assert found, (word, told)
        setattr(box, name, int(found[1]))
    _, told = imap.ask("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (X-LEDGER)])")
    for response in told:
        match = _FETCHED.match(response)
        if match:
            uid = int(match[1])
            box.names[uid] = match[3].decode()
            box.flags[uid] = frozenset(flag for flag in match[2].split() if flag != rb"\Recent")
    return box


class History:
    """What a mailbox may never do: give a uid twice, count backwards, become another one."""

    def __init__(self) -> None:
        self._boxes: dict[tuple[str, str], Box] = {}

    def check(self, address: str, mailbox: str, now: Box) -> None:
        before = self._boxes.setdefault((address, mailbox), Box(now.uidvalidity))
        assert now.uidvalidity == before.uidvalidity, f"{mailbox}: UIDVALIDITY changed"
        assert now.uidnext >= before.uidnext, f"{mailbox}: UIDNEXT went back"
        assert now.modseq >= before.modseq, f"{mailbox}: HIGHESTMODSEQ went back"
        for uid, name in now.names.items():
            assert uid < now.uidnext
            known = before.names.setdefault(uid, name)
            assert known == name, f"{mailbox}: uid {uid} was {known} and is {name} now"
            assert known in before.names.values()
        before.uidnext, before.modseq = now.uidnext, now.modseq

    def promise(self, address: str, mailbox: str, uidvalidity: int, uid: int, name: str) -> None:
        """COPYUID and APPENDUID are words that hold, too."""
        box = self._boxes.setdefault((address, mailbox), Box(uidvalidity))
        assert box.uidvalidity == uidvalidity
        assert box.names.setdefault(uid, name) == name, f"{mailbox}: uid {uid} was given before"


class Actor(threading.Thread):
    """*address* is its account. `step` is one piece of work; a connection that breaks in it is what we are here for."""

    def __init__(self, server: Server, address: str, seed: int, history: History) -> None:
        super().__init__(daemon=True, name=f"{type(self).__name__} {address}")
        self.server = server
        self.address = address
        self.history = history
        self.random = random.Random(f"{seed} {self.name}")
        self.failed: BaseException | None = None
        self.done = self.broken = 0
        self._gate = threading.Event()
        self._busy = threading.Lock()
        self._over = False
        self._count = 0

    def name_one(self) -> str:
        """A new X-Ledger name."""
        self._count += 1
        return f"{self.address.partition('@')[0]}-{self._count}"

    def run(self) -> None:
        while not self._over:
            self._gate.wait()
            with self._busy:
                if not self._gate.is_set() or self._over:
                    continue
                try:
                    self.step()
                    self.done += 1
                    continue
                except TimeoutError as error:  # the server does not answer: that is never right
                    self.failed = error
                    return
                except (Closed, OSError):
                    self.broken += 1
                    self.hang_up()
                except BaseException as error:
                    self.failed = error
                    return
            time.sleep(0.02)

    def go_on(self) -> None:
        self._gate.set()

    def pause(self) -> None:
        """Returns when it is not in the middle of anything. Raises what it failed for."""
        self._gate.clear()
        with self._busy:
            pass
        if self.failed is not None:
            raise AssertionError(f"{self.name} failed") from self.failed

    def end(self) -> None:
        self._over = True
        self._gate.set()
        self.join(30)
        self.hang_up()

    def step(self) -> None:
        raise NotImplementedError

    def hang_up(self) -> None:
        """Forget the connection."""

    def check(self, boxes: dict[str, Box], queued: list[str]) -> None:
        """*boxes*: the account's mailboxes; *queued*: recipients that wait in the queue."""
        raise NotImplementedError


def check_once(boxes: dict[str, Box], promised: set[str], open_ones: set[str]) -> set[str]:
    """All that was promised is there once, nothing else but what was left open; returns the names that are there."""
    found = [name for box in boxes.values() for name in box.names.values()]
    twice = {name for name in found if found.count(name) > 1} if len(set(found)) != len(found) else set()
    assert not twice, f"there twice: {sorted(twice)}"
    lost = promised - set(found)
    assert not lost, f"acknowledged and lost: {sorted(lost)}"
    assert set(found) <= promised | open_ones, f"never sent: {sorted(set(found) - promised - open_ones)}"
    return set(found)


class Sender(Actor):
    """Another server, on port 25. What was not answered is sent again, octet by octet the same."""

    def __init__(self, server: Server, address: str, seed: int, history: History) -> None:
        super().__init__(server, address, seed, history)
        self.promised: set[str] = set()
        self.sizes: dict[str, int] = {}
        self.pending = ""
        self.again = 0
        self._smtp: Smtp | None = None

    sender = "someone@far.test"

    def connect(self) -> Smtp:
        return Smtp(self.server)

    def recipients(self, name: str) -> list[str]:
        return [self.address]

    def step(self) -> None:
        if not self.pending:
            self.pending = self.name_one()
            self.sizes[self.pending] = self.random.choice(SIZES)
        name = self.pending
        smtp = self._smtp = self._smtp or self.connect()
        commands = [f"MAIL FROM:<{self.sender}>", *(f"RCPT TO:<{one}>" for one in self.recipients(name)), "DATA"]
        for command in commands:
            code, text = smtp.ask(command)
            if code == 421:
                raise Closed(text)
            assert code in (250, 354), (command, code, text)
        smtp.send(octets(name, self.sizes[name], self.sender) + b".\r\n")
        code, text = smtp.reply()
        assert code == 250, (code, text)
        self.promised.add(name)
        self.pending = ""
        ending = self.random.random()
        if ending < 0.1:
            self.hang_up()  # without a word
        elif ending < 0.3:
            smtp.ask("QUIT")
            self.hang_up()

    def hang_up(self) -> None:
        self.again += bool(self.pending)
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None

    def check(self, boxes: dict[str, Box], queued: list[str]) -> None:
        check_once(boxes, self.promised, {self.pending})


class Submitter(Sender):
    """A mail program on port 587, with recipients here, elsewhere where nobody listens (it waits), and where somebody does."""

    @property
    def sender(self) -> str:  # type: ignore[override]
        return self.address

    def connect(self) -> Smtp:
        smtp = Smtp(self.server, "submission")
        code, text = smtp.login(self.address)
        assert code == 235, (code, text)
        return smtp

    def recipients(self, name: str) -> list[str]:
        return [self.address, f"{name}@elsewhere.test", f"{name}@relay.test"]

    def check(self, boxes: dict[str, Box], queued: list[str]) -> None:
        found = check_once(boxes, self.promised, {self.pending})
        waiting = sorted(recipient for recipient in queued if recipient.endswith("@elsewhere.test"))
        assert waiting == sorted(f"{name}@elsewhere.test" for name in found), "copy and duty are one commit"

    def check_relayed(self, streams: list[bytes]) -> int:
        """Everything reached the next hop; how many more copies than one came there, since its answers may be lost, too."""
        names = [found[1].decode() for stream in streams if (found := re.search(rb"X-Ledger: (\S+)", stream))]
        lost = self.promised - set(names)
        assert not lost, f"acknowledged and never sent on: {sorted(lost)}"
        return len(names) - len(set(names))


class Appender(Actor):
    """APPEND of one or of several messages, to INBOX. What was not answered is not sent again."""

    def __init__(self, server: Server, address: str, seed: int, history: History) -> None:
        super().__init__(server, address, seed, history)
        self.promised: set[str] = set()
        self.sizes: dict[str, int] = {}
        self._pending: tuple[str, ...] = ()
        self._open: list[tuple[str, ...]] = []
        self._imap: Imap | None = None

    def step(self) -> None:
        imap = self._imap = self._imap or Imap(self.server, login=self.address)
        names = self._pending = tuple(self.name_one() for _ in range(self.random.choice((1, 1, 3))))
        tag = imap.tag()
        imap.send(tag + b" APPEND INBOX")
        for name in names:
            self.sizes[name] = self.random.choice(SIZES)
            data = octets(name, self.sizes[name], self.address)
            imap.send(b" {%d+}\r\n" % len(data) + data)
        imap.send(b"\r\n")
        done, _ = imap.answer(tag)
        found = _APPENDUID.search(done)
        assert found and done.startswith(b"OK"), done
        for uid, name in zip(uids(found[2]), names, strict=True):
            self.history.promise(self.address, "INBOX", int(found[1]), uid, name)
        self.promised.update(names)
        self._pending = ()

    def hang_up(self) -> None:
        if self._pending:
            self._open.append(self._pending)
            self._pending = ()
        if self._imap is not None:
            self._imap.close()
            self._imap = None

    def check(self, boxes: dict[str, Box], queued: list[str]) -> None:
        found = check_once(boxes, self.promised, {name for group in self._open for name in group})
        for group in self._open:
            assert found.issuperset(group) or found.isdisjoint(group), f"half an APPEND: {group}"
            self.promised.update(found.intersection(group))
        self._open.clear()


class Mover(Actor):
    """MOVE between two mailboxes and STORE: every message is in exactly one, with the flags it was given."""

    boxes = ("INBOX", "Archive")

    def __init__(self, server: Server, address: str, seed: int, history: History, messages: int = 30) -> None:
        super().__init__(server, address, seed, history)
        self._where: dict[str, tuple[str, int]] = {}
        self._flags: dict[str, frozenset[bytes]] = {}
        self._messages = messages
        self._open: tuple[str, list[str]] | None = None
        """A MOVE or STORE that was not answered: to where (or which flag), and of which messages."""
        self._imap: Imap | None = None
        self._selected = ""

    def prepare(self) -> None:
        with Imap(self.server, login=self.address) as imap:
            for _ in range(self._messages):
                name = self.name_one()
                done = imap.append("INBOX", octets(name, 500, self.address))
                found = _APPENDUID.search(done)
                assert found, done
                self._where[name], self._flags[name] = ("INBOX", int(found[2])), frozenset()

    def step(self) -> None:
        if self._open is not None:
            time.sleep(0.02)  # first it must be seen what came of it
            return
        if self._imap is None:
            self._imap, self._selected = Imap(self.server, login=self.address), ""
        name = self.random.choice(sorted(self._where))
        box, _ = self._where[name]
        if self._selected != box:
            assert self._imap.ask(f"SELECT {box}")[0].startswith(b"OK")
            self._selected = box
        if self.random.random() < 0.5:
            self._move(self._imap, box)
        else:
            self._store(self._imap, name)

    def _move(self, imap: Imap, box: str) -> None:
        present = sorted(name for name, (place, _) in self._where.items() if place == box)
        names = self.random.sample(present, min(len(present), self.random.randint(1, 5)))
        target = self.boxes[box == self.boxes[0]]
        by_uid = {self._where[name][1]: name for name in names}
        self._open = target, names
        done, told = imap.ask(f"UID MOVE {','.join(map(str, by_uid))} {target}")
        assert done.startswith(b"OK"), done
        found = _COPYUID.search(b"".join(told) + done)
        assert found, (done, told)
        for uid, new in zip(uids(found[2]), uids(found[3]), strict=True):
            self.history.promise(self.address, target, int(found[1]), new, by_uid[uid])
            self._where[by_uid[uid]] = target, new
        self._open = None

    def _store(self, imap: Imap, name: str) -> None:
        flag = self.random.choice((rb"\Flagged", rb"\Seen", b"$Ledger"))
        is_on = flag not in self._flags[name]
        self._open = flag.decode(), [name]
        done, _ = imap.ask(b"UID STORE %d %sFLAGS (%s)" % (self._where[name][1], b"+" if is_on else b"-", flag))
        assert done.startswith(b"OK"), done
        self._flags[name] ^= {flag}
        self._open = None

    def hang_up(self) -> None:
        if self._imap is not None:
            self._imap.close()
            self._imap = None

    def check(self, boxes: dict[str, Box], queued: list[str]) -> None:
        check_once(boxes, set(self._where), set())
        found = {name: (place, uid) for place, box in boxes.items() for uid, name in box.names.items()}
        flags = {name: box.flags[uid] for box in boxes.values() for uid, name in box.names.items()}
        if self._open is not None:
            what, names = self._open
            if what in self.boxes:
                moved = [name for name in names if found[name][0] == what]
                assert moved in ([], names), f"half a MOVE: {moved} of {names}"
                self._where |= {name: found[name] for name in moved}
            else:
                assert flags[names[0]] ^ self._flags[names[0]] <= {what.encode()}
                self._flags[names[0]] = flags[names[0]]
            self._open = None
        assert found == self._where
        assert flags == self._flags


class Fetcher(Actor):
    """POP3: takes what *source* brings into the account, and deletes with QUIT."""

    def __init__(self, server: Server, source: Sender, seed: int, history: History) -> None:
        super().__init__(server, source.address, seed, history)
        self._source = source
        self.removed: set[str] = set()
        self._open: set[str] = set()
        """Deleted with a QUIT that was not answered."""
        self._pop3: Pop3 | None = None
        self._kept_out_since = 0.0

    def step(self) -> None:
        if self._open:
            time.sleep(0.02)
            return
        self._pop3 = pop3 = Pop3(self.server)
        pop3.ask(f"USER {self.address}")
        answer = pop3.ask(f"PASS {self.server.accounts[self.address]}")
        if answer.startswith(b"-ERR [IN-USE]"):  # a worker died with the lock; its successor voids it
            self._kept_out_since = self._kept_out_since or time.monotonic()
            assert time.monotonic() - self._kept_out_since < 15, "the lock of a dead worker holds"
            self.hang_up()
            time.sleep(0.02)
            return
        self._kept_out_since = 0.0
        assert answer.startswith(b"+OK"), answer
        present = len(pop3.listing("UIDL"))
        names = set()
        for number in sorted(self.random.sample(range(1, present + 1), min(present, 4))):
            header = pop3.listing(f"TOP {number} 0")
            names.add(next(line.split()[1].decode() for line in header if line.startswith(b"X-Ledger:")))
            assert pop3.ask(f"DELE {number}").startswith(b"+OK")
        self._open = names
        answer = pop3.ask("QUIT")
        assert answer.startswith(b"+OK"), answer
        self.removed |= names
        self._open = set()
        self.hang_up()

    def hang_up(self) -> None:
        if self._pop3 is not None:
            self._pop3.close()
            self._pop3 = None

    def check(self, boxes: dict[str, Box], queued: list[str]) -> None:
        there = {name for box in boxes.values() for name in box.names.values()}
        if self._open:
            assert there.issuperset(self._open) or there.isdisjoint(self._open), "half a QUIT"
            self.removed |= self._open - there
            self._open = set()
        check_once(boxes, self._source.promised - self.removed, {self._source.pending})


class Fed(Sender):
    """A sender whose mail a `Fetcher` takes away; that one does the checking."""

    def check(self, boxes: dict[str, Box], queued: list[str]) -> None:
        """Nothing of its own."""


def uids(words: bytes) -> list[int]:
    """`3:5,9` in order."""
    found: list[int] = []
    for part in words.split(b","):
        first, _, last = part.partition(b":")
        found += range(int(first), int(last or first) + 1)
    return found
