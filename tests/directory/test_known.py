"""Memory of who has waited and who came back, shared by workers."""

from __future__ import annotations

from postillon.directory.known import VISITS, Known, Trial

from .conftest import Town
from .test_plans import Noting, explain

WAIT = 60


async def test_a_host_that_waited_is_known_to_all_workers_for_a_month(town: Town) -> None:
    first, second = Known(town.side, town.clock), Known(town.side, town.clock)
    assert not await first.has_passed(Trial.GREETING, "192.0.2.7")
    await first.passed(Trial.GREETING, "192.0.2.7")
    assert await second.has_passed(Trial.GREETING, "192.0.2.7")
    assert not await second.has_passed(Trial.GREETING, "192.0.2.8")
    assert not await second.has_passed(Trial.RETURN, "192.0.2.7")
    town.clock.at += 37 * 86_400
    assert not await first.has_passed(Trial.GREETING, "192.0.2.7")


async def test_who_comes_often_is_never_forgotten(town: Town) -> None:
    known = Known(town.side, town.clock)
    await known.passed(Trial.GREETING, "192.0.2.7")
    for _ in range(10):
        town.clock.at += 20 * 86_400
        assert await known.has_passed(Trial.GREETING, "192.0.2.7")


async def test_a_network_comes_back_for_all_its_hosts(town: Town) -> None:
    known = Known(town.side, town.clock)
    await known.passed(Trial.RETURN, "192.0.2.7")
    assert await known.has_passed(Trial.RETURN, "192.0.2.200")
    assert not await known.has_passed(Trial.RETURN, "192.0.3.7")
    await known.passed(Trial.RETURN, "2001:db8:1:2::7")
    assert await known.has_passed(Trial.RETURN, "2001:db8:1:2:ffff::")
    assert not await known.has_passed(Trial.RETURN, "2001:db8:1:3::7")


async def wait(known: Known, address: str = "192.0.2.7", sender: str = "a@x.example") -> int:
    return await known.wait_of(address, sender, "bob@example.test", WAIT)


async def test_the_wait_runs_from_the_first_visit(town: Town) -> None:
    known = Known(town.side, town.clock)
    assert await wait(known) == 60
    town.clock.at += 50
    assert await wait(known, address="192.0.2.200") == 10
    town.clock.at += 10
    assert await wait(known) == 0
    assert await wait(known, sender="b@x.example") == 60


async def test_who_comes_back_after_days_begins_anew(town: Town) -> None:
    known = Known(town.side, town.clock)
    assert await wait(known) == 60
    town.clock.at += 3 * 86_400
    assert await wait(known) == 60


async def test_senders_with_numbers_of_the_message_are_the_same_sender(town: Town) -> None:
    known = Known(town.side, town.clock)
    assert await wait(known, sender="bounce-123-bob=example.test@list.example") == 60
    town.clock.at += 60
    assert await wait(known, sender="bounce-456-bob=example.test@list.example") == 0


async def test_a_network_that_never_comes_back_does_not_fill_the_database(town: Town) -> None:
    known = Known(town.side, town.clock)
    for number in range(VISITS + 20):
        assert await known.wait_of("192.0.2.7", f"{'x' * number}@x.example", "bob@example.test", WAIT) == WAIT
    rows = await town.side.read(lambda tx: tx.one("SELECT count(*) FROM limit_count"))
    assert rows is not None and rows[0] == VISITS
    town.clock.at += WAIT
    assert await known.wait_of("192.0.2.7", "@x.example", "bob@example.test", WAIT) == 0


async def test_every_statement_about_the_known_goes_by_an_index(town: Town) -> None:
    side = Noting(town.side)
    known = Known(side, town.clock)
    await known.has_passed(Trial.RETURN, "192.0.2.7")
    await known.passed(Trial.RETURN, "192.0.2.7")
    await wait(known)
    assert side.statements
    for sql in side.statements:
        await explain(side.inner, sql)
