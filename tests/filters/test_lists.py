"""Lists of an account and of everybody."""

from __future__ import annotations

import pytest

from postillon.filters.known import Acquaintance
from postillon.filters.lists import Lists
from postillon.model.choice import Listed, PatternError, pattern
from postillon.storage.knowledge import EVERYBODY

from .conftest import ALICE, BOB, Office, codes, examined, message, verdict


def lists(office: Office) -> Lists:
    return Lists(Acquaintance(office.knowledge))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("Joe@Sender.Test", "joe@sender.test"),
        ("@Sender.test", "sender.test"),
        ("bücher.test", "xn--bcher-kva.test"),
        ("192.0.2.77", "192.0.2.77/32"),
        ("192.0.2.77/24", "192.0.2.0/24"),
        ("2001:db8::1/48", "2001:db8::/48"),
    ],
)
def test_entries_have_one_form(text: str, canonical: str):
    assert pattern(text) == canonical


@pytest.mark.parametrize("text", ["", "no spaces", "192.0.2.0/27", "a@b@c", "x" * 300])
def test_what_names_nobody_is_no_entry(text: str):
    with pytest.raises(PatternError):
        pattern(text)


@pytest.mark.parametrize("entry", ["joe@sender.test", "sender.test", "test", "192.0.2.0/24", "192.0.2.7/32", "192.0.0.0/16"])
async def test_who_is_denied_is_denied_by_any_entry_that_means_him(office: Office, entry: str):
    await office.knowledge.set_listed(ALICE, entry, Listed.DENY)
    opinion = await lists(office).examine(examined(message(), ALICE, BOB))
    if entry == "test":  # a whole top-level domain is no sender
        assert codes(opinion, ALICE) == []
    else:
        assert codes(opinion, ALICE) == ["lists.own.denied"]
    assert codes(opinion, BOB) == codes(opinion) == []


async def test_who_is_allowed_must_be_it(office: Office):
    await office.knowledge.set_listed(ALICE, "sender.test", Listed.ALLOW)
    assert codes(await lists(office).examine(examined(message(), found=verdict())), ALICE) == []
    signed = examined(message(), found=verdict(dkim="sender.test"))
    assert codes(await lists(office).examine(signed), ALICE) == ["lists.own.allowed"]


async def test_a_signature_of_a_domain_below_proves_nothing_about_the_one_above(office: Office):
    await office.knowledge.set_listed(ALICE, "sender.test", Listed.ALLOW)
    assert codes(await lists(office).examine(examined(message(), found=verdict(dkim="evil.sender.test"))), ALICE) == []


async def test_the_closest_entry_counts(office: Office):
    await office.knowledge.set_listed(ALICE, "sender.test", Listed.DENY)
    await office.knowledge.set_listed(ALICE, "joe@sender.test", Listed.ALLOW)
    assert codes(await lists(office).examine(examined(message())), ALICE) == ["lists.own.allowed"]


async def test_an_accounts_list_counts_before_everybodys(office: Office):
    await office.knowledge.set_listed(EVERYBODY, "sender.test", Listed.DENY)
    await office.knowledge.set_listed(ALICE, "sender.test", Listed.ALLOW)
    opinion = await lists(office).examine(examined(message(), ALICE, BOB))
    assert codes(opinion) == ["lists.all.denied"] and codes(opinion, BOB) == []
    both = sum(one.score for one in (*opinion.findings, *dict(opinion.personal)[ALICE]))
    assert both == -100


async def test_an_entry_can_be_taken_off(office: Office):
    await office.knowledge.set_listed(ALICE, "sender.test", Listed.DENY)
    assert await office.knowledge.listed(ALICE) == [("sender.test", Listed.DENY)]
    assert await office.knowledge.set_listed(ALICE, "sender.test", None)
    assert not await office.knowledge.set_listed(ALICE, "sender.test", None)
    assert await office.knowledge.listed(ALICE) == []
