"""Who pretends to be somebody else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postillon.filters.fraud import Fraud, OwnDomains
from postillon.filters.known import Acquaintance
from postillon.filters.notebook import Notebook
from postillon.model.address import Address
from postillon.model.envelope import Envelope, Recipient
from postillon.model.ids import AccountId
from postillon.model.verdict import Opinion

from .conftest import ALICE, BOB, Office, codes, examined, findings, message, verdict


async def opinion(office: Office, octets: bytes, *accounts: AccountId, proven: str = "") -> Opinion:
    one = examined(octets, *accounts, found=verdict(dkim=proven))
    return await Fraud(Acquaintance(office.knowledge), OwnDomains(lambda: 0.0)).examine(one)


async def wrote(office: Office, account: AccountId, to: str, author: str = "Alice Liddell <alice@example.test>") -> None:
    """*account* has sent a message to *to*, an address with a display name."""
    notebook = Notebook(office.knowledge)
    header = f"From: {author}\r\nTo: {to}\r\n\r\n".encode()
    address = Address.parse(to.partition("<")[2].rstrip(">"))
    notebook.wrote(account, Envelope(None, (Recipient(address),)), header)
    assert await notebook.flush()


@pytest.mark.parametrize(
    ("author", "code"),
    [
        ("x@paypaI.test".lower(), ""),
        ("x@paypa1.test", "fraud.sender_looks"),
        ("x@xn--pypal-4ve.test", "fraud.sender_looks"),
        ("x@payypal.test", "fraud.sender_typing"),
        ("x@paypal.example", "fraud.sender_ending"),
        ("x@mail.paypal.test", ""),
        ("x@unrelated.test", ""),
    ],
)
async def test_domains_like_one_the_recipient_writes_to_are_told(office: Office, author: str, code: str):
    await wrote(office, ALICE, "Service <service@paypal.test>")
    found = await opinion(office, message(author), ALICE, BOB)
    alike = [one for one in findings(found, ALICE) if one.code.startswith("fraud.sender_")]
    if author == "x@paypai.test":
        assert [one.code for one in alike] == ["fraud.sender_typing"]
        return
    assert [one.code for one in alike] == ([code] if code else [])
    assert all(one.fact("known") == "paypal.test" for one in alike)
    assert not any(one.startswith("fraud.sender_") for one in codes(found, BOB)), "Bob does not write there"


async def test_domains_like_our_own_are_told_to_everybody(office: Office):
    assert "fraud.sender_looks" in codes(await opinion(office, message("boss@examp1e.test"), ALICE, BOB))
    assert "fraud.sender_typing" in codes(await opinion(office, message("boss@exemple.test"), ALICE))


async def test_a_domain_one_writes_to_is_no_imitation_of_another_one(office: Office):
    await wrote(office, ALICE, "A <a@books.test>")
    await wrote(office, ALICE, "B <b@brooks.test>")
    assert not any("sender_" in one for one in codes(await opinion(office, message("b@brooks.test")), ALICE))


async def test_links_to_a_domain_like_a_known_one_are_told(office: Office):
    await wrote(office, ALICE, "Service <service@paypal.test>")
    found = await opinion(office, message(text="Go to http://www.paypa1.test/login now"))
    assert "fraud.link_looks" in codes(found, ALICE)


async def test_our_own_domain_without_proof(office: Office):
    assert "fraud.own_domain" in codes(await opinion(office, message("boss@example.test")))
    assert "fraud.own_domain" not in codes(await opinion(office, message("boss@example.test"), proven="example.test"))


async def test_the_name_of_a_contact_with_another_address(office: Office):
    await wrote(office, ALICE, "Ada Lovelace <ada@engine.test>")
    found = await opinion(office, message("LOVELACE Ada <ada@evil.test>"), ALICE, BOB)
    assert "fraud.name" in codes(found, ALICE) and "fraud.name" not in codes(found, BOB)
    assert "fraud.name" not in codes(await opinion(office, message("Ada Lovelace <a.l@mail.engine.test>")), ALICE)


async def test_the_name_of_a_colleague_with_an_address_from_elsewhere(office: Office):
    await wrote(office, BOB, "Ada Lovelace <ada@engine.test>", author="Bob Builder <bob@example.test>")
    found = await opinion(office, message("Bob Builder <bob.builder@free.test>"), ALICE)
    assert "fraud.colleague" in codes(found, ALICE)
    assert "fraud.colleague" not in codes(await opinion(office, message("Bob Builder <bob@example.test>")), ALICE)


async def test_a_name_that_shows_another_address(office: Office):
    found = await opinion(office, message('"boss@example.test" <x@evil.test>'))
    assert "fraud.name_address" in codes(found)
    assert "fraud.name_address" not in codes(await opinion(office, message('"x@evil.test" <x@mail.evil.test>')))


async def test_answers_that_go_elsewhere_unless_a_list_wants_them(office: Office):
    assert "fraud.reply_to" in codes(await opinion(office, message(more="Reply-To: x@evil.test\r\n")))
    assert "fraud.reply_to" not in codes(await opinion(office, message(more="Reply-To: x@mail.sender.test\r\n")))
    assert "fraud.reply_to" not in codes(await opinion(office, message(more="Reply-To: l@l.test\r\nList-Id: <l.test>\r\n")))


async def test_links_that_show_another_place(office: Office):
    octets = message(text='<a href="http://evil.test/x">www.bank.test</a>', kind="html")
    (one,) = [one for one in findings(await opinion(office, octets)) if one.code == "fraud.link_text"]
    assert one.fact("host") == "evil.test" and one.fact("shown") == "www.bank.test" and one.score == 2
    honest = message(text='<a href="http://www.bank.test/x">bank.test</a>', kind="html")
    assert "fraud.link_text" not in codes(await opinion(office, honest))


async def test_first_contact_and_a_new_domain_are_told_once(office: Office):
    first = await opinion(office, message(), proven="sender.test")
    assert "fraud.new_domain" in codes(first) and codes(first, ALICE) == ["fraud.first_contact"]
    notebook = Notebook(office.knowledge)
    notebook.judged(examined(message(), found=verdict(dkim="sender.test")), True, False, [ALICE])
    await notebook.flush()
    again = await opinion(office, message(), ALICE, BOB, proven="sender.test")
    assert "fraud.new_domain" not in codes(again) and codes(again, ALICE) == [] and codes(again, BOB) == ["fraud.first_contact"]


async def test_who_one_writes_to_is_trusted_if_it_is_he(office: Office):
    await wrote(office, ALICE, "Joe <joe@sender.test>")
    assert codes(await opinion(office, message(), proven="sender.test"), ALICE) == ["fraud.contact"]
    assert codes(await opinion(office, message()), ALICE) == []


async def test_a_message_to_hundreds_makes_no_friends(office: Office):
    notebook = Notebook(office.knowledge)
    many = tuple(Recipient(Address.parse(f"u{n}@far.test")) for n in range(200))
    notebook.wrote(ALICE, replace(Envelope(None), recipients=many), b"From: a@example.test\r\n\r\n")
    assert await notebook.flush() == 0
