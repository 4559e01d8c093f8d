"""Reads and plays the dialogues of `tests/dialogues/smtp`, written to be compared with the RFCs.

# text: a comment           ! word value: a setting (burl, submission, lmtp, trusted, wishes, binary, size, recipients)
C: text                     a line that the client sends (CR LF is added); lines in a row are sent as one segment
C> text                     octets as they are, with Python's escapes
S: pattern                  a line of the server; `*` stands for anything
S. closed                   the server closes
M: text                     a message that the server took, with Python's escapes
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from postillon.protocols.smtp.events import (
    Auth,
    AuthResponse,
    Bdat,
    BdatEnd,
    Burl,
    Chunk,
    DataEnd,
    DataStart,
    Ehlo,
    Etrn,
    Event,
    Help,
    Mail,
    Noop,
    ProtocolError,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
    XClient,
    XForward,
)
from postillon.protocols.smtp.offers import Offers
from postillon.protocols.smtp.reply import Reply
from postillon.protocols.smtp.server import ServerEngine, SmtpLimits

FOLDER = Path(__file__).parents[2] / "dialogues" / "smtp"
_STEP = re.compile(r"([CS]: ?|C> |S\. |M: ?|! |#)(.*)")
OK = Reply(250, "Ok", "2.0.0")
DRAFT_URL, DRAFT = b"imap://alice@mail.example/Drafts/;uid=1;urlauth=submit+alice:internal:00", b"Subject: draft\r\n\r\nHi\r\n"
"""What BURL finds; nothing else."""


@dataclass
class Dialogue:
    """Turns: what the client sends as one segment, and the patterns of the lines that answer it."""

    name: str
    settings: dict[str, str] = field(default_factory=dict)
    greeting: list[str] = field(default_factory=list)
    turns: list[tuple[bytes, list[str], bool]] = field(default_factory=list)
    """(segment, patterns, whether the server closes then)"""
    messages: list[bytes] = field(default_factory=list)

    @property
    def limits(self) -> SmtpLimits:
        return SmtpLimits(size=int(self.settings.get("size", 50 << 20)), recipients=int(self.settings.get("recipients", 1000)))

    def session(self) -> ToySession:
        lmtp = "lmtp" in self.settings
        engine = ServerEngine(
            self.limits,
            lmtp=lmtp,
            submission="submission" in self.settings,
            offers=self.offers,
            burl=self.settings.get("burl", ""),
        )
        return ToySession(engine, lmtp=lmtp)

    @property
    def offers(self) -> Offers:
        is_trusted = "trusted" in self.settings
        if "wishes" in self.settings:
            return Offers(hold_s=86400, deliver_by=True, priority=True, no_soliciting=("net.example:ADV",))
        return Offers(xclient=is_trusted, etrn=is_trusted, binary="binary" in self.settings)


def octets(text: str) -> bytes:
    return text.encode("utf-8").decode("unicode_escape").encode("latin-1")


def read(path: Path) -> Dialogue:
    dialogue = Dialogue(path.name)
    before = ""
    for line in path.read_text("utf-8").splitlines():
        if not line.strip():
            continue
        step = _STEP.fullmatch(line)
        assert step is not None, f"{path.name}: {line}"
        kind, text = step[1].strip(), step[2]
        if kind == "#":
            continue
        if kind == "!":
            word, _, value = text.partition(" ")
            dialogue.settings[word] = value or "yes"
        elif kind in ("C:", "C>"):
            sent = text.encode("utf-8") + b"\r\n" if kind == "C:" else octets(text)
            if before == "C":
                sent = dialogue.turns.pop()[0] + sent
            dialogue.turns.append((sent, [], False))
        elif kind == "S." and dialogue.turns:
            segment, patterns, _ = dialogue.turns.pop()
            dialogue.turns.append((segment, patterns, True))
        elif kind == "M:":
            dialogue.messages.append(octets(text))
        else:
            (dialogue.turns[-1][1] if dialogue.turns else dialogue.greeting).append(text)
        before = kind[0]
    return dialogue


def dialogues() -> list[Dialogue]:
    return [read(path) for path in sorted(FOLDER.glob("*.txt"))]


def agrees(answer: bytes, patterns: list[str]) -> bool:
    lines = answer.decode("ascii").split("\r\n")
    return lines.pop() == "" and len(lines) == len(patterns) and all(map(fnmatchcase, lines, map(_escaped, patterns)))


def _escaped(pattern: str) -> str:
    return pattern.replace("[", "[[]")


class ToySession:
    """A session that grants nearly everything, at once: the engine's other half in tests.

    Local parts decide: `unknown`, `full` and `later` are refused. AUTH PLAIN and LOGIN know the password `secret`.
    """

    def __init__(self, engine: ServerEngine, hostname: str = "mx.example.org", lmtp: bool = False) -> None:
        self.engine = engine
        self.lmtp = lmtp
        self.hostname = hostname
        self.closed = False
        self.messages: list[bytes] = []
        self.events: list[Event] = []
        self.envelopes: list[tuple[str, ...]] = []
        self._envelope: list[str] = []
        self._chunks: list[bytes] = []
        self._responses: list[bytes | None] = []
        self._mechanism = ""

    def receive(self, data: bytes) -> bytes:
        """All that we answer to *data*."""
        answers = []
        for event in self.engine.receive(data):
            assert not self.closed, "an event after the end"
            self.events.append(event)
            if isinstance(event, Chunk):
                self._chunks.append(event.data)
                continue
            if isinstance(event, Bdat):
                continue
            if isinstance(event, Burl) and event.url == DRAFT_URL:
                self._chunks.append(self.engine.take(DRAFT))
                self.engine.accepted(event)
                answers.append(b"" if event.last else Reply(250, f"{len(DRAFT)} octets read", "2.6.0").encode())
                continue
            if self.lmtp and isinstance(event, DataEnd):
                answers += [reply.encode() for reply in self._each(event)]
                continue
            reply = self._answer(event)
            if reply.kind in (2, 3):
                self.engine.accepted(event)
            answers.append(reply.encode())
        return b"".join(answers)

    def _answer(self, event: Event) -> Reply:
        return _ANSWERS[type(event)](self, event)

    def _ehlo(self, event: Ehlo) -> Reply:
        if not event.esmtp:
            return Reply(250, self.hostname)
        return Reply(250, (self.hostname, *self.engine.extensions((), 1_700_000_000)))

    def _mail(self, event: Mail) -> Reply:
        self._envelope = [str(event.envelope.sender or "")]
        self._chunks = []
        return Reply(250, "Sender ok", "2.1.0")

    def _rcpt(self, event: Rcpt) -> Reply:
        recipient = event.recipient
        local = "postmaster" if recipient is None else recipient.address.local
        if local == "unknown":
            return Reply(550, "No such address here", "5.1.1")
        if local == "full":
            return Reply(452, "Mailbox is full", "4.2.2")
        self._envelope.append("postmaster" if recipient is None else str(recipient.address))
        return Reply(250, "Recipient ok", "2.1.5")

    def _data_start(self, event: DataStart) -> Reply:
        return Reply(354, "End data with <CR><LF>.<CR><LF>")

    def _data_end(self, event: DataEnd) -> Reply:
        chunks, self._chunks = self._chunks, []
        if event.refusal is not None:
            return event.refusal
        message = b"".join(chunks)
        assert len(message) == event.size
        self.messages.append(message)
        self.envelopes.append(tuple(self._envelope))
        return Reply(250, "Ok: 1", "2.0.0")

    def _each(self, event: DataEnd) -> list[Reply]:
        """RFC 2033 §4.2: `fussy` will not have it."""
        reply = self._data_end(event)
        no = Reply(550, "Refused", "5.7.1")
        return [no if one.startswith("fussy@") else reply for one in self._envelope[1:]]

    def _bdat_end(self, event: BdatEnd) -> Reply:
        return Reply(250, f"{event.size} octets", "2.0.0")

    def _burl(self, event: Burl) -> Reply:
        return Reply(554, "The URL cannot be opened", "5.6.6")

    def _auth(self, event: Auth) -> Reply:
        self._responses, self._mechanism = [], event.mechanism
        if event.mechanism not in ("PLAIN", "LOGIN"):
            return Reply(504, "Authentication mechanism is not supported", "5.5.4")
        if event.initial is None:
            return Reply(334, "" if event.mechanism == "PLAIN" else "VXNlcm5hbWU6")
        self.engine.accepted(event)
        return self._response(AuthResponse(event.initial))

    def _response(self, event: AuthResponse) -> Reply:
        if event.data is None:
            self.engine.auth_over(False)
            return Reply(501, "Authentication cancelled", "5.7.0")
        self._responses.append(event.data)
        if self._mechanism == "LOGIN" and len(self._responses) == 1:
            return Reply(334, "UGFzc3dvcmQ6")
        success = event.data.endswith(b"secret")
        self.engine.auth_over(success)
        return Reply(235, "Welcome", "2.7.0") if success else Reply(535, "Authentication failed", "5.7.8")

    def _start_tls(self, event: StartTls) -> Reply:
        return Reply(220, "Go ahead", "2.0.0")

    def _quit(self, event: Quit) -> Reply:
        self.closed = True
        return Reply(221, "Bye", "2.0.0")

    def _protocol_error(self, event: ProtocolError) -> Reply:
        self.closed = event.close
        return event.reply


def etrn(event: Etrn) -> Reply:
    if event.option == "#":
        return Reply(458, "No such queue", "4.3.0")
    return Reply(250, "Started", "2.0.0") if "branch" in event.node else Reply(251, "Nothing waits", "2.0.0")


_ANSWERS: dict[type, Callable[[ToySession, Event], Reply]] = {
    Ehlo: ToySession._ehlo,
    Mail: ToySession._mail,
    Rcpt: ToySession._rcpt,
    DataStart: ToySession._data_start,
    DataEnd: ToySession._data_end,
    BdatEnd: ToySession._bdat_end,
    Burl: ToySession._burl,
    Auth: ToySession._auth,
    AuthResponse: ToySession._response,
    StartTls: ToySession._start_tls,
    Quit: ToySession._quit,
    ProtocolError: ToySession._protocol_error,
    Rset: lambda session, event: OK,
    Noop: lambda session, event: OK,
    XClient: lambda session, event: Reply(220, f"{session.hostname} ESMTP"),
    XForward: lambda session, event: OK,
    Etrn: lambda session, event: etrn(event),
    Help: lambda session, event: Reply(214, "*", "2.0.0"),
    Vrfy: lambda session, event: Reply(252, "*", "2.0.0"),
}  # type: ignore[dict-item]
