"""Rules of domains about dangerous content, and one answer for all recipients."""

from __future__ import annotations

import pytest

from postillon.filters.attachments import Action, Attachments, ContentPolicy, ContentSettings
from postillon.flow.judgement import Judge
from postillon.flow.receive import Receiver
from postillon.model.errors import Refusal
from postillon.storage.store.quarantine import Quarantine
from tests.kinds import TableResolver

from ..filters import dangerous as d
from .conftest import SETTINGS, Office

TEXT = d.with_attachments(d.part("evil.exe", d.PROGRAM))
ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@careful.test"


async def careful(office: Office, rule: Action) -> Office:
    """Everybody refuses programs; careful.test does *rule*."""
    await office.directory.create_domain("careful.test")
    await office.directory.create_account(CAROL, "secret")
    settings = ContentSettings(domains={"careful.test": ContentPolicy(executables=rule)})
    office.receiver = Receiver(
        store=office.store,
        directory=office.directory,
        resolver=TableResolver({}),  # type: ignore[arg-type]
        deliverer=office.deliverer,
        clock=office.clock,
        settings=SETTINGS,
        judge=Judge(authenticator=None, hostname="mail.example.test", filters=[Attachments(settings)]),
    )
    return office


async def test_all_refuse_so_the_message_is_refused(office: Office):
    await careful(office, Action.REFUSE)
    with pytest.raises(Refusal):
        await office.receive("joe@sender.test", [ALICE, CAROL], TEXT)


async def test_one_domain_holds_it_and_for_the_others_it_is_junk(office: Office):
    await careful(office, Action.QUARANTINE)
    receipt = await office.receive("joe@sender.test", [ALICE, CAROL], TEXT)
    assert [filed.account for filed in receipt.filed] == [office.alice]
    assert await office.mail(office.alice) == [] and len(await office.mail(office.alice, ("Junk",))) == 1
    (held,) = await Quarantine(office.store).list()
    assert [str(one.address) for one in held.envelope.recipients] == [CAROL]


async def test_one_domain_only_scores_it(office: Office):
    await careful(office, Action.TAG)
    receipt = await office.receive("joe@sender.test", [CAROL], TEXT)
    carol = (await office.directory.find_account(CAROL)).id
    assert [filed.account for filed in receipt.filed] == [carol]
    assert b"attachment.executable=+8.0" in (await office.mail(carol, ("Junk",)))[0]


async def test_what_goes_elsewhere_is_held_with_the_rule_of_the_address_that_leads_there(office: Office):
    await careful(office, Action.QUARANTINE)
    await office.directory.create_alias("away@careful.test", ["x@there.test"])
    receipt = await office.receive("joe@sender.test", ["away@careful.test"], TEXT)
    assert receipt.filed == () and receipt.queued == ()
    keeper = Quarantine(office.store)
    (held,) = await keeper.list()
    assert (held.account, held.destinations) == (None, ("there.test",))
    await keeper.release(held.hold_id, office.clock.now())
    ((entry, message),) = await office.queued()
    assert str(entry.recipient.address) == "x@there.test" and message.endswith(TEXT)
