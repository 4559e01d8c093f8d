"""Wakes, in a process and between workers."""

from __future__ import annotations

import asyncio
from pathlib import Path

from postillon.bus.local import LocalBus


async def heard(flag) -> bool:
    done = asyncio.get_running_loop().create_future()
    flag.on_set(lambda: done.done() or done.set_result(None))
    async with asyncio.timeout(2):
        await done
    return True


async def test_a_wake_sets_the_flags_of_its_topic_only():
    bus = LocalBus()
    one, other = bus.subscribe(1), bus.subscribe(2)
    bus.publish([1, 1])
    assert one.is_set() and not other.is_set()
    one.clear()
    assert not one.is_set()


async def test_a_flag_that_is_set_calls_back_at_once_and_only_once_until_cleared():
    bus, calls = LocalBus(), []
    flag = bus.subscribe(1)
    bus.publish([1])
    flag.on_set(lambda: calls.append(1))
    bus.publish([1])
    assert calls == [1]
    flag.clear()
    bus.publish([1])
    assert calls == [1, 1]
    flag.close()
    bus.publish([1])
    assert calls == [1, 1]


async def test_another_worker_hears_it(tmp_path: Path):
    one, two = LocalBus(str(tmp_path), 0).open(), LocalBus(str(tmp_path), 1).open()
    flag = two.subscribe(-1)
    one.publish(range(-1, 600))
    assert await heard(flag)
    await two.close()
    one.publish([-1])  # a worker that went is no error
    await one.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_worker_takes_over_the_place_of_one_that_died(tmp_path: Path):
    LocalBus(str(tmp_path), 0).open()  # never closed: its socket file stays
    again, other = LocalBus(str(tmp_path), 0).open(), LocalBus(str(tmp_path), 1).open()
    flag = again.subscribe(5)
    other.publish([5])
    assert await heard(flag)
    await again.close()
    await other.close()


async def test_a_wake_that_cannot_be_sent_on_is_lost_and_raises_nothing(tmp_path: Path):
    bus = LocalBus(str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    bus.open()
    flag = bus.subscribe(1)
    (tmp_path / "run" / "bus.0").unlink()
    (tmp_path / "run").rmdir()  # as it looks when no descriptor is left to list it
    bus.publish([1])
    assert flag.is_set()
    await bus.close()
