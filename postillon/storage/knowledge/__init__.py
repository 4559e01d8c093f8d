"""What the judgement of mail remembers: choices, lists, learned words, senders, contacts. All questions about it.

One concrete class over `Database`, as `Store` is for mail. What a message needs is read in two questions: `about` and `tokens`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...model.choice import Choice, Listed
from ...model.ids import AccountId, EmailId
from ...seams import Clock, Database, Tx
from . import choices, contacts, lessons, senders, tokens
from .about import About, Known, about
from .contacts import Contact, Met
from .lessons import Lesson, Wish
from .senders import Heard, Reputation
from .tokens import Counts, Learn

EVERYBODY = AccountId(0)
"""The account of what holds for all: lists, shared words, people of this server."""


class Knowledge:
    """Methods that change are durable when they return, like the store's."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # --- for a message under examination -----------------------------------------------------------------------------

    async def about(self, question: About) -> Known:
        """All that is known about a sender and the recipients' choices, in one reading."""
        now = self._clock.now()
        return await self._database.peek(lambda tx: about(tx, question, now))

    async def tokens(self, owners: Sequence[int], wanted: Sequence[int]) -> dict[int, Counts]:
        """Of each owner who has learned anything: its counts of messages and of those of the *wanted* tokens it knows."""
        return await self._database.peek(lambda tx: tokens.read(tx, owners, wanted))

    async def mistaken_for(self, shapes: Sequence[int]) -> list[str]:
        """Domains that have one of *shapes* and that somebody here writes to."""
        return await self._database.peek(lambda tx: contacts.lookalikes(tx, shapes))

    async def writes_to(self, accounts: Sequence[AccountId], domains: Sequence[str]) -> set[tuple[AccountId, str]]:
        """Which of *accounts* write to which of *domains*."""
        return await self._database.peek(lambda tx: contacts.writes_to(tx, accounts, domains))

    async def domains(self) -> list[str]:
        """Our own."""
        return await self._database.read(lambda tx: [bytes(row[0]).decode() for row in tx.all("SELECT name FROM domain")])

    # --- choices -----------------------------------------------------------------------------------------------------

    async def choice(self, account: AccountId) -> Choice:
        found = await self._database.peek(lambda tx: choices.of(tx, [account]))
        return found.get(account, Choice())

    async def choose(self, account: AccountId, choice: Choice) -> None:
        await self._database.write(lambda tx: choices.choose(tx, account, choice))

    async def set_listed(self, account: AccountId, pattern: str, verdict: Listed | None) -> bool:
        """Put *pattern* (canonical) on the account's list, or take it off with None; False if it was not there."""
        now = self._clock.now()
        return await self._database.write(lambda tx: choices.set_listed(tx, account, pattern, verdict, now))

    async def listed(self, account: AccountId) -> list[tuple[str, Listed]]:
        """The account's list, in order of the patterns."""
        return await self._database.read(lambda tx: choices.listed(tx, account))

    # --- learning ----------------------------------------------------------------------------------------------------

    async def learn(self, learned: Sequence[Learn]) -> None:
        """Add what messages teach to the counts, or take it back."""
        day = self._clock.now() // 86400
        await self._database.write(lambda tx: tokens.learn(tx, learned, day), heavy=True)

    async def totals(self) -> list[tuple[int, int, int]]:
        """(owner, good messages, bad messages) learned, of those who learned any."""
        return await self._database.read(tokens.totals)

    async def forget_tokens(self, owner: int, before_day: int, most: int) -> int:
        """Drop words seen once and not since *before_day*; at most *most* in one step, how many."""
        return await self._database.write(lambda tx: tokens.forget(tx, owner, before_day, most), heavy=True)

    async def lessons(self, limit: int) -> list[Lesson]:
        """What waits to be learned, with what was learned from the same email before."""
        return await self._database.peek(lambda tx: lessons.waiting(tx, limit))

    async def lesson_learned(self, lesson: Lesson, version: int, learned: Sequence[Learn]) -> bool:
        """As one: the counts change, and the lesson is over; False if somebody said something else meanwhile."""
        day = self._clock.now() // 86400

        def work(tx: Tx) -> bool:
            if not lessons.end(tx, lesson, version):
                return False
            tokens.learn(tx, learned, day)
            return True

        return await self._database.write(work, heavy=True)

    # --- people and senders ------------------------------------------------------------------------------------------

    async def note(self, met: Sequence[Met], heard: Mapping[int, Heard], shapes: Iterable[tuple[int, str]] = ()) -> None:
        """Write down whom accounts met, how senders behaved, and the shapes of domains that are written to."""
        now, known = self._clock.now(), list(shapes)

        def work(tx: Tx) -> None:
            contacts.meet(tx, met, now)
            senders.note(tx, heard, now)
            contacts.add_shapes(tx, known)

        await self._database.write(work, heavy=True)

    async def sweep(self) -> None:
        """Forget whom nobody heard of for long, in steps."""
        now = self._clock.now()
        sender: int | None = -1
        while sender is not None:
            sender = await self._database.write(lambda tx, after=sender: senders.sweep(tx, after, now), heavy=True)  # type: ignore[misc]
        contact: tuple[int, bytes] | None = (0, b"")
        while contact is not None:
            contact = await self._database.write(lambda tx, after=contact: contacts.sweep(tx, after, now), heavy=True)  # type: ignore[misc]
        while await self._database.write(lambda tx: lessons.prune(tx, now), heavy=True):
            pass


__all__ = [
    "EVERYBODY",
    "About",
    "Contact",
    "Counts",
    "EmailId",
    "Heard",
    "Knowledge",
    "Known",
    "Learn",
    "Lesson",
    "Met",
    "Reputation",
    "Wish",
]
