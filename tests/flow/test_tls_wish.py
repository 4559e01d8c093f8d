"""RFC 8689: what a message wishes about TLS goes with it through the queue."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postillon.flow.accept import with_tls_wish
from postillon.model.address import Address
from postillon.model.envelope import Envelope, Recipient
from postillon.model.queue import Outcome, OutcomeKind

from .conftest import Office
from .test_bounce import leased, reporter

ENVELOPE = Envelope(Address.parse("alice@example.test"))


@pytest.mark.parametrize(
    ("header", "is_optional"),
    [
        (b"TLS-Required: No\r\n\r\n", True),
        (b"Subject: x\r\ntls-required:  NO \r\n\r\n", True),
        (b"TLS-Required: Yes\r\n\r\n", False),
        (b"Subject: TLS-Required: No\r\n\r\n", False),
    ],
)
def test_the_header_may_wish_for_less(header: bytes, is_optional: bool):
    assert with_tls_wish(ENVELOPE, header).tls_optional is is_optional
    assert not with_tls_wish(replace(ENVELOPE, require_tls=True), header).tls_optional


async def test_the_wish_is_in_the_queue(office: Office):
    text = b"From: alice@example.test\r\nTLS-Required: No\r\n\r\nhello\r\n"
    await office.submit("alice@example.test", ["carol@there.test"], text)
    ((entry, _),) = await office.queued()
    assert entry.envelope.tls_optional


async def test_a_report_about_what_must_not_travel_in_clear_does_not_return_it(office: Office):
    entries = await leased(office, Recipient(Address.parse("bob@there.test")), ret="FULL", require_tls=True)
    failed = Outcome(OutcomeKind.FAILED, "5.7.30", "it does not support REQUIRETLS")
    plan = await reporter(office).failure([(entries[0], failed)])
    assert plan is not None and plan.body.data is not None
    assert b"Secret body" not in plan.body.data
