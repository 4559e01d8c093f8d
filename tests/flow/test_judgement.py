"""Filters beside mail authentication at the MX: scores and thresholds, faults of filters, the fields that say why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from bench.corpus import message as corpus_message
from postillon.filters.examined import Examined
from postillon.filters.skeleton import Skeleton
from postillon.flow.judgement import Judge, JudgeSettings
from postillon.flow.receive import Receiver
from postillon.message.part import decode_structure
from postillon.message.prepare import prepare, prepare_scanned
from postillon.message.structure import survey
from postillon.model.account import SERVER
from postillon.model.choice import Choice
from postillon.model.errors import Refusal
from postillon.model.ids import AccountId
from postillon.model.plan import Receipt
from postillon.model.verdict import NO_OPINION, Opinion, finding
from postillon.storage.store.quarantine import Quarantine

from .conftest import SETTINGS, STRANGER, Office

TEXT = b"From: Joe <joe@sender.test>\r\nSubject: BUY NOW AND HERE\r\nX-Spam-Status: No, trust me\r\n\r\nHello.\r\n"


@dataclass
class Says:
    """A filter that has its opinion already."""

    opinion: Opinion = NO_OPINION
    name: str = "says"
    is_local: bool = True

    async def examine(self, examined: Examined) -> Opinion:
        return self.opinion


@dataclass
class Breaks:
    name: str = "breaks"
    is_local: bool = True

    async def examine(self, examined: Examined) -> Opinion:
        raise ValueError("a bug")


@dataclass
class Hangs:
    name: str = "hangs"
    is_local: bool = False
    ended: bool = False

    async def examine(self, examined: Examined) -> Opinion:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True
        return NO_OPINION


@dataclass
class Reads:
    """Keeps what it saw."""

    name: str = "reads"
    is_local: bool = True
    seen: list[object] = field(default_factory=list)

    async def examine(self, examined: Examined) -> Opinion:
        self.seen += [examined.author, examined.author_name, examined.subject, examined.text, examined.accounts]
        return NO_OPINION


def judged(office: Office, *filters: object, settings: JudgeSettings | None = None, **more: object) -> Office:
    judge = Judge(
        authenticator=None,
        hostname="mail.example.test",
        filters=filters,  # type: ignore[arg-type]
        settings=settings,
        **more,  # type: ignore[arg-type]
    )
    receiver = Receiver(
        store=office.store,
        directory=office.directory,
        resolver=office.receiver._resolver,
        deliverer=office.deliverer,
        clock=office.clock,
        settings=SETTINGS,
        judge=judge,
    )
    return replace(office, receiver=receiver)


def scored(score: float) -> Says:
    return Says(Opinion((finding("skeleton.shouted", score, subject="X"),)))


async def arrive(office: Office, recipients: Sequence[str] = ("bob@example.test",), text: bytes = TEXT) -> None:
    await office.receive("joe@sender.test", list(recipients), text)


@pytest.mark.parametrize(("score", "mailbox"), [(-3, "INBOX"), (5.9, "INBOX"), (6, "Junk"), (14.9, "Junk")])
async def test_the_sum_of_scores_says_where_it_is_filed(office: Office, score: float, mailbox: str):
    await arrive(judged(office, scored(score - 1.5), replace(scored(0.5), name="other"), replace(scored(1), name="third")))
    assert len(await office.mail(office.bob, (mailbox,))) == 1


async def test_from_the_highest_threshold_on_it_is_refused(office: Office):
    with pytest.raises(Refusal) as caught:
        await arrive(judged(office, scored(15)))
    assert caught.value.status == "5.7.1" and caught.value.code == 550
    assert await office.mail(office.bob) == await office.mail(office.bob, ("Junk",)) == []


async def test_the_header_says_why_and_only_ours_does(office: Office):
    await arrive(judged(office, Skeleton(score=6.5)))
    (filed,) = await office.mail(office.bob, ("Junk",))
    assert b"X-Spam-Status: Yes, score=6.5 required=6.0\r\nX-Spam-Score: 6.5\r\nX-Spam-Flag: YES\r\n" in filed
    assert b"X-Spam-Report: The subject is shouted in capitals (+6.5)\r\n" in filed
    assert b"X-Postillon-Findings: skeleton.shouted=+6.5\r\n" in filed
    assert b"trust me" not in filed and filed.endswith(b"Subject: BUY NOW AND HERE\r\n\r\nHello.\r\n")


async def test_an_unsuspicious_message_gets_no_field(office: Office):
    await arrive(judged(office, Skeleton()), text=b"From: joe@sender.test\r\nSubject: hello there\r\n\r\nHello.\r\n")
    (filed,) = await office.mail(office.bob)
    assert b"X-Spam" not in filed and b"X-Postillon" not in filed


async def test_what_is_handed_on_keeps_the_fields_it_came_with(office: Office):
    await office.directory.create_alias("far@example.test", ["far@elsewhere.test"])
    await arrive(judged(office, scored(3)), ["far@example.test", "bob@example.test"])
    ((_, handed_on),) = await office.queued()
    assert b"X-Spam-Status: No, trust me" in handed_on and b"X-Postillon" not in handed_on


async def test_a_filter_that_breaks_leaves_a_finding_and_the_mail_goes_on(office: Office):
    await arrive(judged(office, Breaks(), scored(1)))
    (filed,) = await office.mail(office.bob)
    assert b"X-Postillon-Findings: skeleton.shouted=+1.0; filter.failed=+0.0\r\n" in filed


async def test_a_filter_that_hangs_is_left_behind(office: Office):
    hangs = Hangs()
    await arrive(judged(office, hangs, replace(hangs, name="too", is_local=True), settings=JudgeSettings(time_s=0.01)))
    (filed,) = await office.mail(office.bob)
    assert filed.count(b"filter.late=") == 2 and hangs.ended


async def test_all_filters_together_have_a_limit(office: Office):
    hangs, late = Hangs(), Hangs("late", is_local=True)
    await arrive(judged(office, scored(6), hangs, late, settings=JudgeSettings(time_s=60, total_s=0.01)))
    (filed,) = await office.mail(office.bob, ("Junk",))  # what was found by then counts
    assert filed.count(b"filter.late=") == 2 and hangs.ended and late.ended


async def test_a_wish_that_is_stated_counts_whatever_the_scores_are(office: Office):
    await arrive(judged(office, scored(-50), Says(Opinion(junk=True), "wish")))
    assert len(await office.mail(office.bob, ("Junk",))) == 1
    with pytest.raises(Refusal, check=lambda refusal: refusal.text == "Not this one"):
        await arrive(
            judged(office, scored(-50), Says(Opinion(junk=True), "a"), Says(Opinion(refusal=Refusal("Not this one")), "b"))
        )


async def test_what_one_account_thinks_does_not_touch_another(office: Office):
    mine = Says(Opinion(personal=((office.alice, (finding("skeleton.shouted", 20),)),)))
    await arrive(judged(office, mine), ["alice@example.test", "bob@example.test"])
    assert len(await office.mail(office.alice, ("Junk",))) == 1  # refused, but not by everybody
    (filed,) = await office.mail(office.bob)
    assert b"X-Spam" not in filed
    with pytest.raises(Refusal):
        await arrive(judged(office, mine), ["alice@example.test"])


async def test_an_account_may_have_thresholds_of_its_own(office: Office):
    async def choices(examined: Examined) -> dict[AccountId, Choice]:
        return {office.alice: Choice(junk=2)}

    wary = judged(office, scored(2.5), choices=choices)
    await arrive(wary, ["alice@example.test", "bob@example.test"])
    (filed,) = await office.mail(office.alice, ("Junk",))
    assert b"X-Spam-Status: Yes, score=2.5 required=2.0" in filed
    (filed,) = await office.mail(office.bob)
    assert b"X-Spam-Status: No, score=2.5 required=6.0" in filed


async def test_the_administrator_may_weigh_findings_otherwise(office: Office):
    await arrive(judged(office, scored(15), settings=JudgeSettings(scores={"skeleton.shouted": 0.0})))
    assert len(await office.mail(office.bob)) == 1


@pytest.mark.parametrize("size", [100, 200_000])
async def test_filters_see_small_and_large_messages_alike(office: Office, size: int):
    reads = Reads()
    text = b"From: =?utf-8?q?J=C3=B6?= <Joe@Sender.test>\r\nSubject: =?utf-8?q?h=C3=A9?=\r\n\r\n" + b"word " * (size // 5)
    await arrive(judged(office, reads), text=text)
    author, name, subject, shown, accounts = reads.seen
    assert (author, name, subject, accounts) == ("joe@sender.test", "Jö", "hé", (AccountId(office.bob),))
    assert isinstance(shown, str) and shown.startswith("word word") and len(shown) == min(size, 128 * 1024)


async def test_facts_from_outside_cannot_add_a_field(office: Office):
    evil = finding("skeleton.shouted\r\nBcc: x", 4, subject="x\r\nEvil: yes\u202e")
    await arrive(judged(office, Says(Opinion((evil, finding("own", 4, text="a\r\nEvil: b"))))))
    (filed,) = await office.mail(office.bob, ("Junk",))
    assert b"\nEvil" not in filed and b"\nBcc" not in filed


async def test_half_characters_in_a_subject_do_not_keep_a_message_out_of_the_quarantine(office: Office):
    """UTF-7 can say half of a surrogate pair, which no other encoding can."""
    text = b"From: =?utf-7?b?KzJBQS14?= <joe@sender.test>\r\nSubject: =?utf-7?b?KzJBQS14?=\r\n\r\nHello.\r\n"
    hold = judged(office, Says(Opinion((finding("own", 4, text="x"),), quarantine=True)))
    await arrive(hold, text=text)
    (held,) = await Quarantine(office.store).list()
    assert held.facts["subject"] == "\ufffdx"


async def test_by_lmtp_each_recipient_has_its_own_answer(office: Office):
    async def choices(examined: Examined) -> dict[AccountId, Choice]:
        return {office.bob: Choice(refuse=5)}

    strict = judged(office, scored(8), choices=choices)
    names = ["bob@example.test", "alice@example.test"]
    incoming = await office.incoming(strict.receiver, STRANGER, "joe@sender.test", names, TEXT)
    bob, alice = await strict.receiver.each(incoming)
    assert isinstance(bob, Refusal) and bob.status == "5.7.1"
    assert isinstance(alice, Receipt) and len(alice.filed) == 1
    assert len(await office.mail(office.alice, ("Junk",))) == 1 and not await office.mail(office.bob)
    hard = judged(office, scored(20))
    with pytest.raises(Refusal):
        await hard.receiver.each(incoming)


async def test_by_lmtp_who_refused_it_at_first_gets_it_when_it_is_sent_again(office: Office):
    chosen = {office.bob: Choice(refuse=5)}

    async def choices(examined: Examined) -> dict[AccountId, Choice]:
        return chosen

    receiver = judged(office, scored(8), choices=choices).receiver
    names = ["bob@example.test", "alice@example.test"]
    first = await office.incoming(receiver, STRANGER, "joe@sender.test", names, TEXT)
    await receiver.each(first)
    await receiver.unheard(first.to(first.accepted[1:]))
    chosen.clear()
    again = await office.incoming(receiver, STRANGER, "joe@sender.test", names, TEXT)
    bob, alice = await receiver.each(again)
    assert isinstance(bob, Receipt) and isinstance(alice, Receipt)
    assert len(await office.mail(office.bob, ("Junk",))) == 1


async def test_by_lmtp_what_everybody_took_is_filed_once_however_often_it_comes(office: Office):
    receiver = judged(office, scored(8)).receiver
    names = ["bob@example.test", "alice@example.test"]
    first = await office.incoming(receiver, STRANGER, "joe@sender.test", names, TEXT)
    await receiver.each(first)
    await receiver.unheard(first)
    again = await office.incoming(receiver, STRANGER, "joe@sender.test", names, TEXT)
    assert all(isinstance(one, Receipt) and one.repeated for one in await receiver.each(again))
    assert len(await office.mail(office.bob, ("Junk",))) == 1


async def test_junk_is_junk_for_everybody_however_many_there_are(office: Office):
    names = [f"user{n}@example.test" for n in range(60)]
    accounts = [await office.directory.create_account(name, "secret") for name in names]
    wanted = accounts[59].id
    mine = Says(Opinion(personal=((wanted, (finding("lists.own.allowed", -100, entry="x"),)),)), "lists")
    await arrive(judged(office, scored(7), mine), names)
    assert [len(await office.mail(one.id, ("Junk",))) for one in accounts] == [1] * 59 + [0]
    assert len(await office.mail(wanted)) + len(await office.queued()) == 1


@pytest.mark.parametrize("number", range(40))
def test_what_a_check_has_read_is_stored_as_if_it_were_read_again(number: int):
    octets = corpus_message(number)
    header = octets[: octets.index(b"\r\n\r\n") + 4]
    assert prepare_scanned(header, survey(octets).part) == prepare(octets)


@pytest.mark.parametrize("more", [b"", b"X-Spam-Flag: NO\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n"])
async def test_the_stored_structure_is_the_same_with_checks_and_without(office: Office, more: bytes):
    text = more + b"From: joe@sender.test\r\nMessage-ID: <1@x.test>\r\n\r\n--b\r\n\r\nHello.\r\n--b--\r\n"
    await arrive(office, text=text)
    await arrive(judged(office, Reads()), text=text)
    box = await office.store.find_mailbox(SERVER, office.bob, ("INBOX",))
    one, other = await office.store.emails(SERVER, office.bob, box.id, [1, 2])
    if not more.startswith(b"X-Spam"):  # there the second lacks a field
        assert one.overview == other.overview
    assert decode_structure(one.structure) == decode_structure(other.structure)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
async def test_a_score_that_is_no_number_does_not_outweigh_the_others(office: Office, score: float):
    await arrive(judged(office, scored(score), replace(scored(7), name="other")))
    assert len(await office.mail(office.bob, ("Junk",))) == 1
