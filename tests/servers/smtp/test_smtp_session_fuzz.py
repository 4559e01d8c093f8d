"""Whole sessions over a tape: any octets, in any order, never make a bug."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from postillon.bus.local import LocalBus
from postillon.protocols.smtp.server import SmtpLimits
from postillon.servers.smtp.mx import MxServer
from postillon.servers.smtp.patience import PatienceSettings
from postillon.servers.smtp.service import SmtpSettings
from postillon.servers.smtp.submission import SubmissionServer
from tests.kinds import FixedClock

from .house import Office, OneAccount

WORDS = [
    b"EHLO a\r\n",
    b"HELO a\r\n",
    b"MAIL FROM:<>\r\n",
    b"MAIL FROM:<a@b.example> SMTPUTF8\r\n",
    b"MAIL FROM:<nobody@b.example>\r\n",
    b"RCPT TO:<Postmaster>\r\n",
    b"RCPT TO:<unknown@b.example>\r\n",
    b"RCPT TO:<b@b.example>\r\n",
    b"DATA\r\n",
    b"BDAT 3\r\n",
    b"BDAT 5 LAST\r\n",
    b"BDAT 0 LAST\r\n",
    b"RSET\r\n",
    b"STARTTLS\r\n",
    b"AUTH PLAIN\r\n",
    b"AUTH LOGIN =\r\n",
    b"AUTH SCRAM-SHA-256\r\n",
    b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
    b"*\r\n",
    b"AAA=\r\n",
    b"virus\r\n.\r\n",
    b".\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b".",
    b"\0",
    b"x" * 3000,
    b"VRFY x\r\n",
    b"NOOP\r\n",
    b"QUIT\r\n",
    b"\xff\xfe",
]


class Tape:
    """A stream whose client says what is on the tape."""

    def __init__(self, segments: list[bytes]) -> None:
        self.peer, self.peer_port, self.local, self.local_port = "127.0.0.1", 1, "127.0.0.1", 25
        self.tls, self.stopping, self.unread, self.ended_well = None, False, 0, False
        self.written = b""
        self._segments = iter(segments)

    async def receive(self, waker: Any = None, timeout_s: float | None = None) -> bytes:
        return next(self._segments, b"")

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None: ...

    def channel_binding(self, kind: str) -> None:
        return None

    def verified_addresses(self) -> tuple[str, ...]:
        return ()


def play(segments: list[bytes], is_submission: bool) -> tuple[bytes, Office]:
    office, tape = Office(), Tape(segments)
    patience = PatienceSettings(soft_errors=1000, hard_errors=1000)
    shared: dict[str, Any] = {
        "path": office,
        "spool": office.spool,
        "clock": FixedClock(),
        "session_id": lambda: "session1",
        "settings": SmtpSettings(limits=SmtpLimits(size=100), patience=patience, plaintext_login_allowed=True),
    }
    server = SubmissionServer(**shared, directory=OneAccount(), bus=LocalBus()) if is_submission else MxServer(**shared)
    asyncio.run(server.session(tape))  # type: ignore[arg-type]
    return tape.written, office


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=20)), max_size=40), st.booleans())
def test_no_session_meets_a_bug(words: list[bytes], is_submission: bool) -> None:
    written, office = play([b"EHLO client.example\r\n", *(word for word in words if word)], is_submission)
    assert b"Internal error" not in written and b"Temporary authentication failure" not in written
    assert office.open_spools == 0
    assert written.startswith(b"220 ") and written.endswith(b"\r\n")


def test_the_tape_delivers() -> None:
    segments = [
        b"EHLO a\r\n",
        b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
        b"MAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\nBDAT 3 LAST\r\nx\r\n",
    ]
    written, office = play(segments, True)
    assert written.endswith(b"250 2.0.0 Ok: b10b\r\n") and len(office.messages) == 1
