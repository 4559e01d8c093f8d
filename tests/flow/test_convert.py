"""Our own people's mail is converted for those who take less, before it is signed; nobody else's is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from postillon.flow.bounce import Reporter
from postillon.flow.convert import Converter
from postillon.flow.outbound import Outbound
from postillon.flow.sign import Signer
from postillon.flow.submit import Submitter
from postillon.mailauth import dkim
from postillon.mailauth.content import Content
from postillon.message.downgrade import has_long_line, is_binary
from postillon.message.structure import scan
from postillon.model.address import Address
from postillon.model.envelope import Envelope
from postillon.model.errors import Refusal
from postillon.model.queue import Outcome, OutcomeKind, QueueEntry
from postillon.storage.ids import IdSource
from tests.kinds import TableResolver
from tests.mailauth.keys import published, signing_keys

from .conftest import SETTINGS, Office

HEAD = b"From: alice@example.test\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
EIGHT = HEAD + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + "Grüße aus dem Süden, wie immer.\r\n".encode()
BINARY = (
    HEAD.replace(b"text/plain; charset=utf-8", b"image/png") + b"Content-Transfer-Encoding: binary\r\n\r\n\x89PNG\0\r\n\x1a\n"
)
UNFIT = Outcome(OutcomeKind.FAILED, "5.6.3", "the message has 8-bit octets, it takes none", "old [192.0.2.1]")


class SevenBit:
    """A transport whose server takes 7-bit octets only."""

    def __init__(self) -> None:
        self.taken: list[tuple[Envelope, bytes]] = []

    async def attempt(self, envelope: Envelope, octets: Any, destination: str = "") -> dict[int, Outcome]:
        data = await octets.read(0, octets.size)
        if not data.isascii():
            return dict.fromkeys(range(len(envelope.recipients)), UNFIT)
        self.taken.append((envelope, data))
        return {i: Outcome(OutcomeKind.DELIVERED, "2.0.0", "taken", "old", 250) for i in range(len(envelope.recipients))}


def signer() -> Signer:
    return Signer(lambda domain: signing_keys(domain) if domain == "example.test" else [])


def signing(office: Office) -> Office:
    submitter = Submitter(
        store=office.store,
        directory=office.directory,
        deliverer=office.deliverer,
        clock=office.clock,
        ids=IdSource(3),
        settings=SETTINGS,
        signer=signer(),
    )
    return replace(office, submitter=submitter)


async def attempted(office: Office) -> tuple[list[Outcome], SevenBit, list[QueueEntry]]:
    """What becomes of all that waits."""
    transport = SevenBit()
    outbound = Outbound(
        store=office.store,
        transport=transport,
        deliver_local=office.deliverer.file_entry,
        reporter=Reporter(
            store=office.store,
            directory=office.directory,
            clock=office.clock,
            ids=IdSource(4),
            hostname="mail.example.test",
        ),
        clock=office.clock,
        converter=Converter(office.store, signer(), 10**7),
    )
    entries = await office.store.lease(office.clock.now(), 10, 300)
    return await outbound.attempt(entries), transport, entries


async def verified(data: bytes, now: int) -> list[str]:
    """What a verifier makes of its signatures."""
    header, empty, body = data.partition(b"\r\n\r\n")
    content = Content(header + empty, lambda: [body])
    return [one.result for one in await dkim.evaluate(content, dkim.read(content), TableResolver(published("example.test")), now)]


async def test_for_a_server_that_takes_no_8_bit_octets_ours_is_converted_and_signed_anew(office: Office):
    office = signing(office)
    await office.submit("alice@example.test", ["far@elsewhere.test", "other@elsewhere.test"], EIGHT)
    outcomes, transport, _ = await attempted(office)
    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.DELIVERED] * 2
    ((envelope, data),) = transport.taken
    assert envelope.body == "7BIT" and data.isascii()
    assert data.count(b"DKIM-Signature:") == 2 and b"Gr=C3=BC=C3=9Fe" in data
    assert await verified(data, office.clock.now()) == ["pass", "pass"]


async def test_what_others_have_written_is_returned(office: Office):
    await office.directory.create_alias("far@example.test", ["far@elsewhere.test"])
    await office.receive("joe@sender.test", ["far@example.test"], EIGHT.replace(b"alice@example.test", b"joe@sender.test"))
    outcomes, transport, _ = await attempted(office)
    assert [(outcome.kind, outcome.status) for outcome in outcomes] == [(OutcomeKind.FAILED, "5.6.3")]
    assert transport.taken == []


async def test_ours_that_cannot_be_converted_is_returned(office: Office):
    await office.submit("alice@example.test", ["far@elsewhere.test"], EIGHT.replace(b"Subject: x", "Subject: Grüße".encode()))
    outcomes, _, _ = await attempted(office)
    assert [outcome.status for outcome in outcomes] == ["5.6.3"]


@pytest.mark.parametrize("count", [1, 200])
async def test_lines_that_are_too_long_never_leave_a_submission(office: Office, count: int):
    office = signing(office)
    text = HEAD + b"\r\n" + (b"short\r\n" + b"x" * 1000 + b"\r\n") * count
    await office.submit("alice@example.test", ["bob@example.test", "far@elsewhere.test"], text)
    (filed,) = await office.mail(office.bob)
    assert not has_long_line(filed) and b"Content-Transfer-Encoding: quoted-printable\r\n" in filed
    assert scan(filed).encoding == b"quoted-printable"
    _, transport, _ = await attempted(office)
    ((_, data),) = transport.taken
    assert not has_long_line(data)
    assert await verified(data, office.clock.now()) == ["pass", "pass"]


async def submit_binary(office: Office, *recipients: str) -> None:
    incoming = await office.incoming(office.submitter, office.client, "alice@example.test", list(recipients), BINARY)
    await office.submitter.message(replace(incoming, envelope=replace(incoming.envelope, body="BINARYMIME")))


async def test_binary_mail_is_filed_as_text_and_goes_elsewhere_as_it_is(office: Office):
    await submit_binary(office, "bob@example.test")
    (filed,) = await office.mail(office.bob)
    assert not is_binary(filed) and b"Content-Transfer-Encoding: base64\r\n" in filed
    await submit_binary(office, "far@elsewhere.test")
    (entry,) = await office.store.lease(office.clock.now(), 10, 300)
    assert (entry.envelope.body, entry.envelope.ret) == ("BINARYMIME", "HDRS")
    assert entry.blob_size == len(BINARY)


async def test_binary_mail_that_cannot_be_converted_is_refused(office: Office):
    text = BINARY.replace(b"Subject: x", "Subject: Grüße".encode()).replace(b"image/png", b"message/delivery-status")
    incoming = await office.incoming(office.submitter, office.client, "alice@example.test", ["bob@example.test"], text)
    with pytest.raises(Refusal) as caught:
        await office.submitter.message(replace(incoming, envelope=Envelope(Address("alice", "example.test"), body="BINARYMIME")))
    assert caught.value.status == "5.6.3"
