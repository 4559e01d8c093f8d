"""The DNS budget of one message: so many questions and seconds, with shares that nobody else can use up.

Whoever forges a message controls what most of its questions cost: SPF records, keys, names. What tells the forgery (the DMARC
record of the domain it claims) therefore has a share of its own. The same question twice costs once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..seams import Answer, DnsStatus, Resolver

MAX_HEARD, MAX_SHOWN, MAX_RECORD = 16, 4, 100
"""Answers that are remembered, records of one, characters of a record."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer of DNS, as it was."""

    kind: str
    """`txt`, `mx`, `addresses`, `ptr`."""
    name: str
    said: str
    """The records, cut; or why there are none."""


def _shown(record: object) -> str:
    return (" ".join(map(str, record)) if isinstance(record, tuple) else str(record))[:MAX_RECORD]


class Questions:
    """What is left for one message. *seconds* run from now; made on the loop."""

    def __init__(self, resolver: Resolver, *, total: int = 30, seconds: float = 20.0) -> None:
        self.resolver = resolver
        self.deadline = asyncio.get_running_loop().time() + seconds
        self.known: dict[tuple[str, ...], asyncio.Future[Answer]] = {}
        self.common = total

    def heard(self) -> tuple[Heard, ...]:
        """What was asked and answered, for whoever asks later why a message was judged as it was."""
        done = [(key, one.result()) for key, one in self.known.items() if one.done() and not one.cancelled()]
        return tuple(
            Heard(key[0], key[1], ", ".join(_shown(record) for record in answer.records[:MAX_SHOWN]) or answer.status.value)
            for key, answer in done[:MAX_HEARD]
        )

    def share(self, reserved: int = 0) -> Share:
        """A resolver that spends *reserved* questions of its own first, then those that are nobody's."""
        self.common -= reserved
        return Share(self, reserved)


class Share:
    """A `seams.Resolver`. Beyond the budget every answer is a timeout, and `is_spent` tells."""

    def __init__(self, questions: Questions, reserved: int) -> None:
        self._questions = questions
        self._left = reserved
        self.is_spent = False

    async def txt(self, name: str) -> Answer:
        return await self._ask(("txt", name), name, lambda: self._questions.resolver.txt(name))

    async def mx(self, name: str) -> Answer:
        return await self._ask(("mx", name), name, lambda: self._questions.resolver.mx(name))

    async def addresses(self, name: str, ipv6: bool = True, ipv4: bool = True) -> Answer:
        key = ("addresses", name, str(ipv6), str(ipv4))
        return await self._ask(key, name, lambda: self._questions.resolver.addresses(name, ipv6, ipv4), ipv6 + ipv4)

    async def ptr(self, address: str) -> Answer:
        return await self._ask(("ptr", address), address, lambda: self._questions.resolver.ptr(address))

    async def tlsa(self, name: str) -> Answer:
        return await self._ask(("tlsa", name), name, lambda: self._questions.resolver.tlsa(name))

    async def _ask(self, key: tuple[str, ...], name: str, asking: Callable[[], Awaitable[Answer]], cost: int = 1) -> Answer:
        asked = self._questions.known.get(key)
        if asked is not None:
            return asked.result() if asked.done() else await asyncio.shield(asked)
        answer = Answer(DnsStatus.TIMEOUT, name=name)
        if not self._pay(cost):
            self.is_spent = True
            return answer
        asked = self._questions.known[key] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout_at(self._questions.deadline):
                answer = await asking()
        except TimeoutError:
            self.is_spent = True
        finally:
            asked.set_result(answer)  # also for who waits for the same, when we are cancelled
        return answer

    def release(self) -> None:
        """What was reserved and not needed is everybody's."""
        self._questions.common += self._left
        self._left = 0

    def _pay(self, cost: int) -> bool:
        own = min(cost, self._left)
        if cost - own > self._questions.common:
            return False
        self._left -= own
        self._questions.common -= cost - own
        return True
