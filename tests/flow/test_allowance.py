"""Limits and holds on the way of a submission, and who is told."""

from __future__ import annotations

import email
import email.policy
import itertools
from dataclasses import replace

import pytest

from postillon.flow.allowance import Allowance, AllowanceSettings
from postillon.flow.bounce import LanguageOf
from postillon.flow.notice import Notices
from postillon.flow.own_mail import OwnMail
from postillon.flow.submit import Submitter
from postillon.model.errors import SendingLimitReached
from postillon.model.ids import AccountId
from postillon.model.queue import QueueState
from postillon.model.sending import NO_LIMITS, SendingLimits
from postillon.storage.ids import IdSource
from postillon.storage.store import sending

from .conftest import SETTINGS, Office

_numbers = itertools.count()


def text() -> bytes:
    """Each time another one."""
    return b"From: alice@example.test\r\nSubject: hi\r\n\r\nHello %d.\r\n" % next(_numbers)


async def french(_: AccountId) -> str:
    return "fr"


def limited(office: Office, limits: SendingLimits = NO_LIMITS, language_of: LanguageOf = french) -> tuple[Office, Allowance]:
    """The office with a submission that counts. Alice, as the first account, is the postmaster as well."""
    ids = IdSource(9)
    mail = OwnMail(store=office.store, directory=office.directory, clock=office.clock, ids=ids, settings=SETTINGS)
    notices = Notices(
        store=office.store,
        directory=office.directory,
        mail=mail,
        clock=office.clock,
        ids=ids,
        hostname="mail.example.test",
    )
    allowance = Allowance(
        database=office.store.database,
        directory=office.directory,
        clock=office.clock,
        notices=notices,
        settings=AllowanceSettings(limits),
        language_of=language_of,
    )
    submitter = Submitter(
        store=office.store,
        directory=office.directory,
        deliverer=office.deliverer,
        clock=office.clock,
        ids=ids,
        settings=SETTINGS,
        allowance=allowance,
    )
    return replace(office, submitter=submitter), allowance


async def notices(office: Office) -> list[email.message.EmailMessage]:
    found = [email.message_from_bytes(data, policy=email.policy.default) for data in await office.mail(office.alice)]
    return [message for message in found if message["Auto-Submitted"] == "auto-generated"]  # type: ignore[misc]


async def test_the_operator_hears_of_a_limit_once_a_day(office: Office):
    office, _ = limited(office, replace(NO_LIMITS, messages_per_hour=2))
    for _ in range(2):
        await office.submit("alice@example.test", ["x@there.test"], text())
    for _ in range(3):
        with pytest.raises(SendingLimitReached, match="2 messages an hour"):
            await office.submit("alice@example.test", ["x@there.test"], text())
    (told,) = await notices(office)
    assert told["Subject"] == "alice@example.test has reached a sending limit" and told["To"] == "postmaster@mail.example.test"
    assert "postillon account limit alice@example.test" in told.get_content()
    office.clock.at += 86400
    for _ in range(2):
        await office.submit("alice@example.test", ["x@there.test"], text())
    with pytest.raises(SendingLimitReached):
        await office.submit("alice@example.test", ["x@there.test"], text())
    assert len(await notices(office)) == 2


async def test_too_many_recipients_are_refused_after_data(office: Office):
    office, _ = limited(office, replace(NO_LIMITS, recipients_per_day=3))
    await office.submit("alice@example.test", ["a@there.test", "b@there.test"], text())
    with pytest.raises(SendingLimitReached, match="with this message it would be 4"):
        await office.submit("alice@example.test", ["c@there.test", "bob@example.test"], text())
    await office.submit("alice@example.test", ["c@there.test"], text())
    assert len(await notices(office)) == 1 and await office.mail(office.bob) == []


async def test_a_break_with_what_is_usual_holds_the_queue_and_tells_both(office: Office):
    office, allowance = limited(office)
    for day in range(35):
        office.clock.at += 43200
        await office.submit("alice@example.test", [f"friend{day % 3}@there.test"], text())
    thief = replace(office.client, address="203.0.113.9")
    office.clock.at += 5 * 3600
    for n in range(45):
        await office._pass(office.submitter, thief, "alice@example.test", [f"stranger{n}@there.test"], text())
    views = await office.store.queue_views()
    held = [view for view in views if view.state is QueueState.ACCOUNT_HELD]
    assert len(held) == len(views) == 80
    operator, account = await notices(office)
    assert operator["Subject"] == "Mail of alice@example.test is held"
    assert "never written to" in " ".join(operator.get_content().split())
    assert "postillon account release alice@example.test" in operator.get_content()
    assert account["Subject"] == "Votre courrier vers d'autres serveurs est retenu" and "mot de passe" in account.get_content()
    assert (await allowance.allowed(office.alice)).hold is not None
    assert await allowance.release(office.alice) == 80
    assert await allowance.release(office.alice) is None
    assert {view.state for view in await office.store.queue_views()} == {QueueState.WAITING}


async def test_a_release_that_was_cut_off_is_finished_by_the_next(office: Office):
    office, allowance = limited(office)
    assert await allowance.hold(AccountId(office.alice), ["rate"])
    await office.submit("alice@example.test", ["x@there.test"], text())
    await office.store.database.write(lambda tx: sending.release(tx, AccountId(office.alice)))  # and then the power failed
    assert await allowance.release(AccountId(office.alice)) == 1
    assert {view.state for view in await office.store.queue_views()} == {QueueState.WAITING}


async def test_what_is_accepted_stays_so_when_the_look_at_its_account_fails(office: Office):
    async def broken(_: AccountId) -> str:
        raise OSError("no answer")

    office, _ = limited(office)
    for day in range(35):
        office.clock.at += 43200
        await office.submit("alice@example.test", [f"friend{day % 3}@there.test"], text())
    office, _ = limited(office, language_of=broken)
    thief = replace(office.client, address="203.0.113.9")
    office.clock.at += 5 * 3600
    for n in range(45):
        await office._pass(office.submitter, thief, "alice@example.test", [f"stranger{n}@there.test"], text())
    assert len(await office.store.queue_views()) == 80
