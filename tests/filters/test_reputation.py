"""Counts of senders that fade."""

from __future__ import annotations

from postillon.filters.known import Acquaintance, keys_of
from postillon.filters.notebook import MOST, Notebook
from postillon.filters.reputation import SenderReputation, weight
from postillon.storage.knowledge import Heard, Reputation
from postillon.storage.knowledge.senders import HALF_LIFE_S

from .conftest import ALICE, Office, codes, examined, findings, message, verdict


async def judged(office: Office, times: int, *, bad: bool, octets: bytes = message(), signer: str = "sender.test") -> None:
    notebook = Notebook(office.knowledge)
    for _ in range(times):
        notebook.judged(examined(octets, found=verdict(dkim=signer)), not bad, bad, [ALICE])
    await notebook.flush()


async def test_strangers_have_none(office: Office):
    assert codes(await SenderReputation(Acquaintance(office.knowledge)).examine(examined(message()))) == []


async def test_who_sent_much_junk_is_known_for_it_and_it_fades(office: Office):
    await judged(office, 10, bad=True)
    filter_ = SenderReputation(Acquaintance(office.knowledge))
    found = await filter_.examine(examined(message(), found=verdict(dkim="sender.test")))
    assert codes(found) == ["reputation.bad"] and findings(found)[0].score > 2
    office.clock.at += 3 * HALF_LIFE_S
    later = await SenderReputation(Acquaintance(office.knowledge)).examine(examined(message(), found=verdict(dkim="sender.test")))
    assert codes(later) == []


async def test_a_good_name_does_not_help_who_only_claims_it(office: Office):
    await judged(office, 60, bad=False)
    filter_ = SenderReputation(Acquaintance(office.knowledge))
    assert codes(await filter_.examine(examined(message(), found=verdict(dkim="sender.test")))) == ["reputation.good"]
    forged = examined(message(), found=verdict(), client="198.51.100.9")
    assert codes(await filter_.examine(forged)) == []


async def test_junk_in_somebodys_name_does_not_harm_him(office: Office):
    await judged(office, 20, bad=True, signer="")
    filter_ = SenderReputation(Acquaintance(office.knowledge))
    genuine = examined(message(), found=verdict(dkim="sender.test"), client="198.51.100.9")
    assert codes(await filter_.examine(genuine)) == []


def test_a_few_messages_say_nothing_and_mixed_ones_neither():
    assert weight(Reputation(0, 2, 0, 0), "address", True) == 0
    assert weight(Reputation(5, 5, 0, 0), "address", True) == 0
    assert weight(Reputation(0, 50, 0, 0), "address", True) > weight(Reputation(5, 15, 0, 0), "address", True) > 0


async def test_what_waits_to_be_written_down_is_bounded(office: Office):
    notebook = Notebook(office.knowledge)
    for number in range(MOST + 500):
        notebook._add(number, Heard(1.0))
    assert await notebook.flush() == MOST
    assert await notebook.flush() == 0


async def test_senders_of_long_ago_are_forgotten(office: Office):
    await judged(office, 1, bad=True)
    office.clock.at += 500 * 86400
    await office.knowledge.sweep()
    keys = keys_of(examined(message(), found=verdict(dkim="sender.test")))
    known = await Acquaintance(office.knowledge).about(examined(message(), found=verdict(dkim="sender.test")))
    assert keys and known.reputations == {} and known.contacts == {}
