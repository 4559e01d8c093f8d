"""Nobody may use us to reach others: the classic probes, all of them refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from .conftest import ACCOUNTS, ALICE, BOB
from .server import Server
from .sink import Sink
from .wire import Smtp

pytestmark = [pytest.mark.real]

SENDERS = ("x@far.test", "", ALICE, "postmaster@example.test", "x@elsewhere.test", "x@[127.0.0.1]", "x@localhost")
RECIPIENTS = (
    "x@elsewhere.test",
    "x@ELSEWHERE.test",
    "x@elsewhere.test.",
    "x%elsewhere.test@example.test",
    "x%elsewhere.test@[127.0.0.1]",
    "x%elsewhere.test",
    "x@elsewhere.test%example.test",
    '"x@elsewhere.test"',
    '"x@elsewhere.test"@example.test',
    '"x%elsewhere.test"@example.test',
    '"x@elsewhere.test"@[127.0.0.1]',
    "@example.test:x@elsewhere.test",
    "@[127.0.0.1]:x@elsewhere.test",
    "@example.test,@example.test:x@elsewhere.test",
    "elsewhere.test!x",
    "elsewhere.test!x@example.test",
    "elsewhere.test!x@[127.0.0.1]",
    "example.test!elsewhere.test!x",
    "x@elsewhere.test@example.test",
    "x@example.test@elsewhere.test",
    "x@[127.0.0.1]",
    "x@[IPv6:::1]",
    "x@localhost",
    "x@sub.example.test",
    "x@example.test.elsewhere.test",
    "x@xn--elsewhere.test",
    " x@elsewhere.test",
    "x@elsewhere.test ORCPT=rfc822;alice@example.test",
    "<x@elsewhere.test>",
    "x@elsewhere.test\\@example.test",
    "alice@example.test,x@elsewhere.test",
    "alice@example.test> <x@elsewhere.test",
)


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sink: Sink) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("server") / "data"
    with Server(data, "--route", f"elsewhere.test=127.0.0.1:{sink.port}", accounts=ACCOUNTS) as running:
        yield running
        assert not running.bugs(), running.bugs()[0]
        # Nothing slipped through by another way.
        assert running.ask("queue.list") == []
        assert sink.connections == 0


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("service", ["smtp", "submission", "submissions"])
def test_no_probe_is_accepted(server: Server, service: str, sender: str):
    for recipient in RECIPIENTS:
        with Smtp(server, service, source="127.0.0.1") as smtp:
            code, text = smtp.ask(f"MAIL FROM:<{sender}>")
            if service != "smtp":
                assert code == 530, (code, text)
            code, text = smtp.ask(f"RCPT TO:<{recipient}>")
            assert 500 <= code < 600, (recipient, code, text)
            assert re.match(r"5\.\d+\.\d+ ", text), text
            assert smtp.ask("DATA")[0] in (503, 554)


def test_who_has_logged_in_sends_as_itself_only(server: Server):
    with Smtp(server, "submissions") as smtp:
        assert smtp.login(ALICE)[0] == 235
        for sender in (BOB, "x@elsewhere.test", "postmaster@example.test", "alice@elsewhere.test", "alice@sub.example.test"):
            code, text = smtp.ask(f"MAIL FROM:<{sender}>")
            assert code == 550, (sender, code, text)
        for header in (
            f"From: <{BOB}>",
            f"From: <{ALICE}>, <{BOB}>",
            f"From: <{ALICE}>\r\nSender: <{BOB}>",
            f"From: <{ALICE}>\r\nFrom: <{BOB}>",
        ):
            code, text = smtp.deliver(ALICE, "x@elsewhere.test", f"{header}\r\nSubject: x\r\n\r\nx\r\n".encode())
            assert code in (550, 554), (header, code, text)
            smtp.ask("RSET")
