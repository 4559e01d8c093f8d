"""Counting what accounts send, and holding what they have waiting."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postillon.model.address import Address
from postillon.model.envelope import Envelope, Recipient
from postillon.model.errors import SendingLimitReached
from postillon.model.ids import AccountId, QueueId
from postillon.model.plan import Enqueue, Plan, Receipt
from postillon.model.queue import QueueState
from postillon.model.sending import NO_LIMITS, Charge, SendingLimits, Sent
from postillon.seams import Tx
from postillon.storage.store import sending, settings
from postillon.storage.store.sending import HOUR, recipient_hash

from .conftest import Office


async def submit(office: Office, *recipients: str, limits: SendingLimits = NO_LIMITS, network: bytes = b"") -> Receipt:
    spool = office.store.spool(10**6)
    spool.write(b"Subject: x\r\n\r\nx\r\n")
    now = office.clock.now()
    envelope = Envelope(Address.parse("alice@example.test"), tuple(Recipient(Address.parse(name)) for name in recipients))
    domains = tuple(recipient.address.domain for recipient in envelope.recipients)
    item = Enqueue(QueueId(office.store.new_ids(1)[0]), envelope, domains, b"", office.alice, now, now + 86400)
    charge = Charge(office.alice, tuple(recipient_hash(r.address.key) for r in envelope.recipients), limits, network)
    return await office.store.commit(Plan(await spool.finish(), None, now, items=(item,), charge=charge))


def names(count: int, at: str = "there.test") -> list[str]:
    return [f"u{n}@{at}" for n in range(count)]


async def states(office: Office, account: AccountId) -> list[QueueState]:
    return [view.state for view in await office.store.queue_views()]


async def test_messages_recipients_and_strangers_are_counted_by_hour_and_day(office: Office):
    receipt = await submit(office, "a@there.test", "b@there.test")
    assert receipt.usage is not None and receipt.usage.hour == receipt.usage.day == Sent(1, 2, 2)
    receipt = await submit(office, "a@there.test", "c@there.test")
    assert receipt.usage is not None and receipt.usage.hour == Sent(2, 4, 3)
    office.clock.at += 12 * HOUR
    receipt = await submit(office, "a@there.test")
    assert receipt.usage is not None and receipt.usage.hour == Sent(1, 1, 0) and receipt.usage.day == Sent(3, 5, 3)
    office.clock.at += 12 * HOUR + HOUR
    usage = await office.database.read(lambda tx: sending.usage(tx, office.alice, office.clock.now()))
    assert usage.day == Sent(1, 1, 0)


async def test_the_window_slides_so_that_a_full_hour_frees_up_bit_by_bit(office: Office):
    limits = replace(NO_LIMITS, recipients_per_hour=100)
    office.clock.at -= office.clock.at % HOUR
    await submit(office, *names(100), limits=limits)
    office.clock.at += HOUR + HOUR // 4
    with pytest.raises(SendingLimitReached):
        await submit(office, *names(26), limits=limits)
    await submit(office, *names(25), limits=limits)


@pytest.mark.parametrize(
    ("limit", "first", "second"),
    [
        ("messages_per_hour", 1, 1),
        ("messages_per_day", 1, 1),
        ("recipients_per_hour", 1, 3),
        ("recipients_per_day", 1, 3),
        ("first_time_per_hour", 1, 3),
        ("first_time_per_day", 1, 3),
    ],
)
async def test_beyond_a_limit_nothing_is_taken_and_nothing_is_counted(office: Office, limit: str, first: int, second: int):
    limits = replace(NO_LIMITS, **{limit: 1 if limit.startswith("messages") else 3})
    await submit(office, *names(first, "one.test"), limits=limits)
    with pytest.raises(SendingLimitReached) as caught:
        await submit(office, *names(second, "two.test"), limits=limits)
    assert (caught.value.status, caught.value.code, caught.value.detail) == ("4.7.1", 450, limit)
    assert len(await states(office, office.alice)) == first
    usage = await office.database.read(lambda tx: sending.usage(tx, office.alice, office.clock.now()))
    assert usage.hour == Sent(1, first, first)


async def test_known_recipients_are_no_strangers(office: Office):
    limits = replace(NO_LIMITS, first_time_per_day=3)
    await submit(office, *names(3), limits=limits)
    office.clock.at += 40 * 86400
    await submit(office, *names(3), limits=limits)
    await submit(office, "new@there.test", limits=limits)


async def test_a_message_that_is_too_much_by_itself_is_refused_for_good(office: Office):
    with pytest.raises(SendingLimitReached) as caught:
        await submit(office, *names(4), limits=replace(NO_LIMITS, recipients_per_hour=3))
    assert (caught.value.status, caught.value.code) == ("5.5.3", 554)


async def test_an_account_may_have_limits_of_its_own(office: Office):
    async def change(**changes: int | None) -> None:
        await office.database.write(lambda tx: sending.set_limits(tx, office.alice, changes))

    few = replace(NO_LIMITS, messages_per_hour=1)
    await change(messages_per_hour=3)
    for _ in range(3):
        await submit(office, "a@there.test", limits=few)
    with pytest.raises(SendingLimitReached):
        await submit(office, "a@there.test", limits=few)
    with pytest.raises(SendingLimitReached):
        await office.database.peek(lambda tx: sending.check_next(tx, office.alice, few, office.clock.now()))
    await change(messages_per_hour=0)
    await submit(office, "a@there.test", limits=few)
    await change(messages_per_hour=None)
    with pytest.raises(SendingLimitReached):
        await submit(office, "a@there.test", limits=few)


async def test_a_held_account_goes_on_to_be_held_until_it_is_released(office: Office):
    await submit(office, *names(3))

    async def turn(before: QueueState, after: QueueState) -> int:
        def work(tx: Tx) -> int:
            return sending.change_step(tx, office.alice, before, after, 2)

        total = 0
        while count := await office.database.write(work):
            total += count
        return total

    now = office.clock.now()
    assert await office.database.write(lambda tx: sending.hold(tx, office.alice, "why", now))
    assert not await office.database.write(lambda tx: sending.hold(tx, office.alice, "again", now))
    assert await turn(QueueState.WAITING, QueueState.ACCOUNT_HELD) == 3
    await submit(office, "late@there.test")
    assert await states(office, office.alice) == [QueueState.ACCOUNT_HELD] * 4
    assert await office.store.lease(now, 100, 300) == []
    assert await office.database.read(lambda tx: sending.hold_of(tx, office.alice)) == sending.Hold(now, "why")
    assert await office.database.write(lambda tx: sending.release(tx, office.alice))
    assert not await office.database.write(lambda tx: sending.release(tx, office.alice))
    assert await turn(QueueState.ACCOUNT_HELD, QueueState.WAITING) == 4
    assert len(await office.store.lease(now, 100, 300)) == 4


async def test_the_profile_tells_the_weeks_before_without_the_last_two_hours(office: Office):
    for day in range(10):
        office.clock.at += 86400
        await submit(office, "a@there.test", f"day{day}@there.test", network=b"home")
    office.clock.at += 3 * HOUR
    await submit(office, *names(40), network=b"away")
    profile = await office.database.read(lambda tx: sending.profile(tx, office.alice, office.clock.now()))
    assert (profile.active_days, profile.busiest_hour, profile.sent) == (10, 2, Sent(10, 20, 11))
    assert profile.networks == {b"home"} and len(profile.hours) == 1


async def test_what_is_too_old_is_forgotten_in_steps(office: Office):
    await submit(office, *names(5), network=b"home")
    office.clock.at += 500 * 86400
    assert await office.database.write(lambda tx: sending.prune(tx, office.clock.now(), 3)) == 1 + 3 + 1
    assert await office.database.write(lambda tx: sending.prune(tx, office.clock.now(), 3)) == 2
    assert await office.database.write(lambda tx: sending.prune(tx, office.clock.now(), 3)) == 0


async def test_settings_of_an_account_are_set_read_and_removed(office: Office):
    await office.database.write(lambda tx: settings.put(tx, office.alice, "language", "fr"))
    await office.database.write(lambda tx: settings.put(tx, office.alice, "language", "en"))
    assert await office.database.read(lambda tx: settings.all_of(tx, office.alice)) == {"language": "en"}
    await office.database.write(lambda tx: settings.put(tx, office.alice, "language", None))
    assert await office.database.read(lambda tx: settings.get(tx, office.alice, "language")) is None
