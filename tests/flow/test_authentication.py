"""Forged mail at the MX, our results in the header, our signatures on what leaves: over a real store and directory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from postillon.flow.authenticate import AuthenticationSettings, Authenticator
from postillon.flow.judgement import Judge
from postillon.flow.receive import Receiver
from postillon.flow.sign import Signer
from postillon.flow.submit import Submitter
from postillon.mailauth import arc, dkim
from postillon.mailauth.content import Content
from postillon.mailauth.dkim_sign import sign
from postillon.model.errors import Refusal
from tests.kinds import TableResolver
from tests.mailauth.keys import published, signing_keys

from .conftest import SETTINGS, Office

TABLE: dict[str, Any] = {
    "strict.test": {"txt": ["v=spf1 ip4:192.0.2.7 -all"], "mx": [(10, "mx.strict.test")]},
    "_dmarc.strict.test": {"txt": ["v=DMARC1; p=reject"]},
    "_dmarc.careful.test": {"txt": ["v=DMARC1; p=quarantine"]},
    "_dmarc.watching.test": {"txt": ["v=DMARC1; p=none"]},
} | published("example.test", "strict.test")
NAME = "mail.example.test"


def message(author: str, more: bytes = b"") -> bytes:
    return more + f"From: {author}\r\nTo: bob@example.test\r\nSubject: hi\r\n\r\nHello.\r\n".encode()


def guarded(office: Office, **settings: Any) -> Office:
    authenticator = Authenticator(
        resolver=TableResolver(TABLE),
        hostname=NAME,
        settings=AuthenticationSettings(**settings),
        keys=lambda domain: signing_keys(domain) if domain == "example.test" else [],
    )
    receiver = Receiver(
        store=office.store,
        directory=office.directory,
        resolver=TableResolver(TABLE),
        deliverer=office.deliverer,
        clock=office.clock,
        settings=SETTINGS,
        judge=Judge(authenticator=authenticator, hostname=NAME),
    )
    return replace(office, receiver=receiver)


async def junk(office: Office) -> list[bytes]:
    return await office.mail(office.bob, ("Junk",))


async def test_an_honest_message_has_its_results_in_front(office: Office):
    office = guarded(office)
    await office.receive("joe@strict.test", ["bob@example.test"], message("joe@strict.test"))
    (filed,) = await office.mail(office.bob)
    assert filed.startswith(b"Return-Path: <joe@strict.test>\r\nAuthentication-Results: mail.example.test;\r\n\tspf=pass")
    assert b"dmarc=pass (p=reject dis=none) header.from=strict.test" in filed
    assert filed.index(b"Authentication-Results:") < filed.index(b"Received:")
    assert filed.endswith(message("joe@strict.test"))


async def test_forged_mail_is_refused_where_its_domain_asks_for_that(office: Office):
    office = guarded(office)
    with pytest.raises(Refusal) as caught:
        await office.receive("x@evil.test", ["bob@example.test"], message("joe@strict.test"))
    assert (caught.value.status, caught.value.code) == ("5.7.1", 550) and "strict.test" in caught.value.text
    assert await office.mail(office.bob) == []


async def test_forged_mail_is_junk_where_its_domain_asks_for_that(office: Office):
    office = guarded(office)
    await office.receive("x@evil.test", ["bob@example.test"], message("joe@careful.test"))
    assert await office.mail(office.bob) == []
    (filed,) = await junk(office)
    assert b"dmarc=fail (p=quarantine dis=quarantine)" in filed


async def test_forged_mail_is_filed_where_its_domain_only_watches(office: Office):
    office = guarded(office)
    await office.receive("x@evil.test", ["bob@example.test"], message("joe@watching.test"))
    (filed,) = await office.mail(office.bob)
    assert b"dmarc=fail (p=none dis=none)" in filed


async def test_without_enforcement_results_are_only_written_down(office: Office):
    office = guarded(office, enforce=False)
    await office.receive("x@evil.test", ["bob@example.test"], message("joe@strict.test"))
    (filed,) = await office.mail(office.bob)
    assert b"dmarc=fail (p=reject dis=reject)" in filed


async def test_two_from_fields_are_refused(office: Office):
    with pytest.raises(Refusal, match="more than one From"):
        await guarded(office).receive("x@evil.test", ["bob@example.test"], message("a@evil.test", b"From: ceo@bank.test\r\n"))


async def test_a_message_without_from_arrives(office: Office):
    office = guarded(office)
    await office.receive(None, ["bob@example.test"], b"Subject: no author\r\n\r\nHello\r\n")
    assert len(await office.mail(office.bob)) == 1


async def test_results_in_our_name_are_left_out_and_the_signature_counts_all_the_same(office: Office):
    office = guarded(office)
    lie = b"Authentication-Results: (c) MAIL.example.test;\r\n dmarc=pass header.from=strict.test\r\n"
    other = b"Authentication-Results: mx.list.test; dkim=pass\r\n"
    original = lie + other + message("joe@strict.test")
    header, empty, body = original.partition(b"\r\n\r\n")
    # A signature over the very field that is left out: it is verified on what was received.
    signature = sign(header + empty, lambda: [body], signing_keys("strict.test"), office.clock.now())
    await office.receive("list@list.test", ["bob@example.test"], signature + original)
    (filed,) = await office.mail(office.bob)
    assert lie not in filed and other in filed and filed.count(b"mail.example.test;\r\n\tspf=none") == 1
    assert b"dmarc=pass" in filed and filed.endswith(b"Subject: hi\r\n\r\nHello.\r\n")
    from postillon.message.part import decode_structure
    from postillon.model.account import SERVER

    box = await office.store.find_mailbox(SERVER, office.bob, ("INBOX",))
    (row,) = await office.store.snapshot(SERVER, office.bob, box.id, 0)
    (email,) = await office.store.emails(SERVER, office.bob, box.id, [row[0]])
    part = decode_structure(email.structure)
    assert (signature + original)[part.body_start : part.body_end] == b"Hello.\r\n"


async def test_a_large_message_is_judged_from_its_file(office: Office):
    office = guarded(office)
    original = message("joe@strict.test") + b"0123456789 abcdef \r\n" * 20_000
    header, empty, body = original.partition(b"\r\n\r\n")
    signature = sign(header + empty, lambda: [body], signing_keys("strict.test"), office.clock.now())
    await office.receive("list@list.test", ["bob@example.test"], signature + original)
    (filed,) = await office.mail(office.bob)
    assert filed.count(b"dkim=pass") == 2
    with pytest.raises(Refusal):
        await office.receive("list@list.test", ["bob@example.test"], signature + original + b"more\r\n")


# --- what leaves


def signing(office: Office) -> Office:
    keys = {"example.test": signing_keys("example.test")}
    submitter = Submitter(
        store=office.store,
        directory=office.directory,
        deliverer=office.deliverer,
        clock=office.clock,
        ids=office.submitter._ids,
        settings=SETTINGS,
        signer=Signer(lambda domain: keys.get(domain, [])),
    )
    return replace(office, submitter=submitter)


@pytest.mark.parametrize("size", [10, 200_000])
async def test_what_leaves_is_signed_as_it_leaves(office: Office, size: int):
    office = signing(office)
    text = b"From: Alice <alice@example.test>\r\nBcc: eve@else.test\r\nSubject: hi\r\n\r\n" + b"Hello  there. \r\n" * (
        size // 16 + 1
    )
    await office.submit("alice@example.test", ["carol@else.test", "bob@example.test"], text)
    ((_, sent),) = await office.queued()
    assert sent.startswith(b"DKIM-Signature: v=1; a=rsa-sha256;") and b"Bcc" not in sent
    header, empty, body = sent.partition(b"\r\n\r\n")
    content = Content(header + empty, lambda: [body])
    found = await dkim.evaluate(content, dkim.read(content), TableResolver(TABLE), office.clock.now())
    assert [(one.result, one.domain) for one in found] == [("pass", "example.test")] * 2
    (filed,) = await office.mail(office.bob)
    assert b"DKIM-Signature" not in filed


async def test_a_domain_without_keys_sends_unsigned(office: Office):
    office = signing(office)
    await office.directory.create_domain("other.test")
    await office.directory.create_alias("alice@other.test", ["alice@example.test"])
    await office.submit("alice@example.test", ["carol@else.test"], message("alice@other.test"))
    ((_, sent),) = await office.queued()
    assert b"DKIM-Signature" not in sent


# --- what is handed on


async def test_what_is_handed_on_is_sealed_with_what_was_found(office: Office):
    office = guarded(office)
    await office.directory.create_alias("out@example.test", ["carol@elsewhere.test", "bob@example.test"])
    lie = b"Authentication-Results: mail.example.test; dmarc=pass header.from=bank.test\r\n"
    await office.receive("joe@strict.test", ["out@example.test"], lie + message("joe@strict.test"))
    ((_, sent),) = await office.queued()
    assert sent.startswith(b"ARC-Seal: i=1; a=rsa-sha256; cv=none; d=example.test; s=r1;") and lie not in sent
    header, empty, body = sent.partition(b"\r\n\r\n")
    content = Content(header + empty, lambda: [body])
    chain = await arc.evaluate(content, arc.read(content), TableResolver(TABLE))
    assert chain.result == "pass", chain.reason
    assert "dmarc=pass (p=reject dis=none) header.from=strict.test" in chain.said(0)
    (filed,) = await office.mail(office.bob)
    assert b"ARC-" not in filed


async def test_a_second_forwarder_adds_to_the_chain(office: Office):
    office = guarded(office)
    await office.directory.create_alias("out@example.test", ["carol@elsewhere.test"])
    lie = b"Authentication-Results: mail.example.test; dmarc=pass header.from=bank.test\r\n"
    await office.receive("joe@strict.test", ["out@example.test"], message("joe@strict.test"))
    ((_, once),) = await office.queued()
    await office.receive("joe@strict.test", ["out@example.test"], lie + once)
    sent = max([octets for _, octets in await office.queued()], key=len)
    header, empty, body = sent.partition(b"\r\n\r\n")
    content = Content(header + empty, lambda: [body])
    chain = await arc.evaluate(content, arc.read(content), TableResolver(TABLE))
    assert (chain.result, chain.sealers) == ("pass", ("example.test", "example.test")), chain.reason
    assert "arc=pass" in chain.said(1) and lie not in sent
