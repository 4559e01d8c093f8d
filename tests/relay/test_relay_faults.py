"""Whatever a server answers, and wherever it breaks off: one outcome for each recipient, and none that is not true."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from postillon.model.queue import OutcomeKind

from .sink import Answer, Conversation, Sink
from .test_transport import MESSAGE, Octets, envelope, relay

ANSWERS: list[Answer] = [
    *("250 2.0.0 ok", "250-2.0.0 two\r\n250 2.0.0 lines", "354 go", "450 4.2.1 later", "550 5.1.1 no", "452 4.5.3 many"),
    *("421 4.3.2 bye", None, b"250 ok\r\n250 more\r\n", b"x\r\n", b"\xff\xfe\r\n", b"550", "", "", ""),
]


@pytest.mark.parametrize("seed", range(60))
async def test_outcomes_are_complete_and_true(seed: int):
    dice = random.Random(seed)

    def script(_: Conversation, command: bytes) -> Answer:
        return dice.choice(ANSWERS) if dice.random() < 0.25 else ""

    extensions = dice.choice([("PIPELINING", "8BITMIME"), ()])
    sinks = [await Sink(script=script, extensions=extensions).start("127.0.0.11")]
    sinks.append(await Sink(script=script, extensions=extensions).start("127.0.0.12", sinks[0].port))
    table = {
        "there.test": {"mx": [(10, "one.test"), (20, "two.test")]},
        "one.test": {"a": ["127.0.0.11"]},
        "two.test": {"a": ["127.0.0.12"]},
    }
    names = [f"r{n}@there.test" for n in range(4)]
    told: Counter[str] = Counter()
    async with relay(sinks[0].port, table=table) as transport:
        transport._settings = _hasty(transport._settings)
        for _ in range(8):
            found = await transport.attempt(envelope(*names), Octets(MESSAGE))
            assert sorted(found) == list(range(len(names)))
            assert all(outcome.text.isprintable() and len(outcome.text) <= 500 for outcome in found.values())
            assert all(
                outcome.status[0] == {"delivered": "2", "deferred": "4", "failed": "5"}[outcome.kind.value]
                for outcome in found.values()
            )
            told.update(names[i] for i, outcome in found.items() if outcome.kind is OutcomeKind.DELIVERED)
    taken = Counter(
        line.removeprefix(b"RCPT TO:<").partition(b">")[0].decode()
        for sink in sinks
        for received in sink.received
        for line in received.rcpts
    )
    # A sink may have taken a message and lost the answer to it; it never was told to be delivered without having been taken.
    assert not told - taken
    assert all(received.message == MESSAGE for sink in sinks for received in sink.received)
    await asyncio.gather(*(sink.stop() for sink in sinks))


def _hasty(settings):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    timeouts = replace(settings.timeouts, greeting_s=0.05, command_s=0.05, data_s=0.05, end_s=0.05, quit_s=0.05)
    return replace(settings, timeouts=timeouts)
