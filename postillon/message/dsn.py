"""Delivery status notifications: what a sender is told about recipients (RFC 3461, 3464, 6522; international: RFC 6533).

Pure: the time, the Message-ID and the boundary are arguments. To whom a report goes, and whether, is the flow's decision.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..model.address import Address
from ..model.envelope import Recipient
from ..model.queue import Outcome, OutcomeKind
from . import build
from .date import format_date
from .encoded_words import decode
from .header import first

MAX_DIAGNOSTIC = 1000
"""Characters of a remote's words that go into a report."""
MAX_HEADER_RETURNED = 64 * 1024

_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_MESSAGE_ID = re.compile(rb"<([^<>\s]+@[^<>\s]+)>")
_UNPRINTABLE = re.compile(r"[^ -~]")
_TYPED = re.compile(r"[A-Za-z0-9-]{1,40};[!-~ ]+")

_SUBJECT = {
    "failed": "Not delivered",
    "delayed": "Delayed",
    "delivered": "Delivered",
    "relayed": "Delivered",
    "expanded": "Delivered",
}
_INTRODUCTION = {
    "failed": "Your message could not be delivered to:",
    "delayed": "Your message has not been delivered yet, and will be tried again. This concerns:",
    "delivered": "Your message was delivered to:",
    "relayed": "Your message was handed on, to a system that may not confirm its delivery, for:",
    "expanded": "Your message was delivered to a list, whose members will not confirm it:",
}


@dataclass(frozen=True, slots=True)
class Original:
    """The message that a report is about."""

    sender: Address
    header: bytes
    """Its header block."""
    arrived: int
    """Epoch seconds."""
    envid: str | None = None
    """ENVID, decoded."""
    content: bytes | None = None
    """The whole message, if it shall be returned; else its header is."""
    smtputf8: bool = False
    """It came with SMTPUTF8, and so may the report go (RFC 6533)."""


@dataclass(frozen=True, slots=True)
class Reported:
    recipient: Recipient
    outcome: Outcome
    attempted: int = 0
    """When it was last tried, epoch seconds; 0 if it was not."""
    is_expanded: bool = False
    """It led to several addresses, of which none will be reported as delivered (RFC 3461 §5.2.7)."""

    @property
    def action(self) -> str:
        """RFC 3464 §2.3.3. Delivered elsewhere is `relayed`: we only know that somebody took it."""
        if self.outcome.kind is OutcomeKind.DELIVERED and self.is_expanded:
            return "expanded"
        if self.outcome.kind is OutcomeKind.DELIVERED:
            return "relayed" if self.outcome.remote else "delivered"
        return "failed" if self.outcome.kind is OutcomeKind.FAILED else "delayed"


def report(
    original: Original,
    reported: Sequence[Reported],
    *,
    host: str,
    at: int,
    message_id: str,
    boundary: str,
    zone: int = 0,
    retry_until: int | None = None,
    words: str | None = None,
    author: Address | None = None,
    subject: Callable[[str, str], str] | None = None,
) -> bytes:
    """The whole report, a message to the original's sender, in CRLF lines.

    *host* is our name, *message_id* (no angle brackets) and *boundary* are fresh. *retry_until*: for delays, when we give up.
    *words*: the part for people, if the caller has better ones than ours; *subject* makes a subject of the action and the
    original's subject. *author* is
    who answers questions (RFC 3464 §2), `MAILER-DAEMON@host` if nobody is named.
    Raises `build.BuildError` if there is nobody to report on, or the boundary occurs in the original.
    """
    if not reported:
        raise build.BuildError("a report is about somebody")
    worst = min((one.action for one in reported), key=list(_SUBJECT).index)
    parts = [
        build.text_part(words or _words(reported, host, at, zone, retry_until)),
        _status_part(original, reported, host, zone, retry_until),
        _returned(original),
    ]
    body = build.multipart("report", boundary, parts, **{"report-type": "delivery-status"})
    return b"".join(
        [
            build.addresses("From", [("Mail Delivery System", author or Address("MAILER-DAEMON", host))]),
            build.addresses("To", [("", original.sender)]),
            build.text("Subject", (subject or _subject)(worst, decode((first(original.header, b"subject") or b"")[:500]))),
            build.date("Date", at, zone),
            build.message_id("Message-ID", [message_id]),
            _thread(original.header),
            build.raw("Auto-Submitted", b"auto-replied"),  # RFC 3834 §5
            build.raw("MIME-Version", b"1.0"),
            b"" if body.isascii() else build.raw("Content-Transfer-Encoding", b"8bit"),
            body,
        ]
    )


def _subject(action: str, subject: str) -> str:
    return f"{_SUBJECT[action]}: {subject}" if subject.strip() else f"{_SUBJECT[action]}: your message"


def _thread(header: bytes) -> bytes:
    """In-Reply-To and References, if the original's Message-ID can be written again."""
    match = _MESSAGE_ID.search(first(header, b"message-id") or b"")
    if match is None:
        return b""
    try:
        one = [match[1].decode("ascii")]
        return build.message_id("In-Reply-To", one) + build.message_id("References", one)
    except (UnicodeDecodeError, build.BuildError):
        return b""


def _words(reported: Sequence[Reported], host: str, at: int, zone: int, retry_until: int | None) -> str:
    """The part for people."""
    lines = [f"This is the mail system at {host}."]
    for action, introduction in _INTRODUCTION.items():
        concerned = [one for one in reported if one.action == action]
        if concerned:
            lines += ["", introduction, ""]
            for one in concerned:
                lines += [f"    {one.recipient.address}", f"        {_explanation(one.outcome)}"]
    if any(one.action == "delayed" for one in reported) and retry_until is not None:
        lines += ["", f"We keep trying until {format_date(retry_until, zone)}.", "You need not send it again."]
    elif any(one.action == "failed" for one in reported):
        lines += ["", "It will not be tried again. Please check the address, or ask the recipient by another way."]
    lines += ["", f"Written {format_date(at, zone)}. Details for the technician, and the message or its header, are attached."]
    return "\n".join(lines) + "\n"


def _explanation(outcome: Outcome) -> str:
    said = _line(outcome.text) or "no explanation was given"
    code = f"{outcome.code} " if outcome.code else ""
    return f"{_line(outcome.remote)} said: {code}{said}" if outcome.remote else f"{said} ({_status(outcome)})"


def _status_part(original: Original, reported: Sequence[Reported], host: str, zone: int, retry_until: int | None) -> bytes:
    """message/delivery-status: fields about the message, then a block for each recipient (RFC 3464 §2.1)."""
    fields = [_field("Original-Envelope-Id", original.envid)] if original.envid else []
    fields += [_field("Reporting-MTA", f"dns; {host}"), _field("Arrival-Date", format_date(original.arrived, zone))]
    blocks = [b"".join(fields), *(_recipient_block(one, zone, retry_until, original.smtputf8) for one in reported)]
    content = b"\r\n".join(blocks)
    if content.isascii():
        return build.content_type("message/delivery-status") + b"\r\n" + content
    # RFC 6533 §4: addresses as they are need the type that may hold them.
    coding = build.raw("Content-Transfer-Encoding", b"8bit")
    return build.content_type("message/global-delivery-status") + coding + b"\r\n" + content


def _recipient_block(one: Reported, zone: int, retry_until: int | None, smtputf8: bool) -> bytes:
    outcome = one.outcome
    fields = []
    if one.recipient.original and _TYPED.fullmatch(one.recipient.original):
        fields.append(_field("Original-Recipient", one.recipient.original))
    fields += [
        build.raw("Final-Recipient", typed_address(one.recipient.address, as_it_is=smtputf8).encode("utf-8", "replace")),
        _field("Action", one.action),
        _field("Status", _status(outcome)),
    ]
    if remote := _line(outcome.remote).partition(" ")[0]:
        fields.append(_field("Remote-MTA", f"dns; {remote}"))
    if outcome.code:
        # As it was said (RFC 3464 §2.3.6); a status of x.0.0 is what we make of a reply without one.
        said = outcome.text if _status(outcome).endswith(".0.0") else f"{_status(outcome)} {outcome.text}"
        fields.append(_field("Diagnostic-Code", f"smtp; {outcome.code} {_line(said)}"))
    if one.attempted:
        fields.append(_field("Last-Attempt-Date", format_date(one.attempted, zone)))
    if one.action == "delayed" and retry_until is not None:
        fields.append(_field("Will-Retry-Until", format_date(retry_until, zone)))
    return b"".join(fields)


def _returned(original: Original) -> bytes:
    """The message itself, or its header (RFC 6522 §3)."""
    if original.content is not None:
        kind, content = "message/rfc822", original.content
    else:
        kind, content = "text/rfc822-headers", original.header[:MAX_HEADER_RETURNED].rstrip(b"\r\n") + b"\r\n"
    if original.smtputf8 and not original.header.isascii():
        # RFC 6533 §6: a header in UTF-8 has types of its own.
        kind = "message/global" if original.content is not None else "message/global-headers"
    coding = b"" if content.isascii() else build.raw("Content-Transfer-Encoding", b"8bit")
    return build.content_type(kind) + coding + b"\r\n" + content


def _status(outcome: Outcome) -> str:
    """The status code; what is none becomes the general one of its class."""
    if _STATUS.fullmatch(outcome.status):
        return outcome.status
    return {OutcomeKind.DELIVERED: "2.0.0", OutcomeKind.DEFERRED: "4.0.0", OutcomeKind.FAILED: "5.0.0"}[outcome.kind]


def _line(words: str) -> str:
    """*words* as one line of printable ASCII: the fields of a delivery-status hold nothing else."""
    return _UNPRINTABLE.sub("?", " ".join(words.split()))[:MAX_DIAGNOSTIC]


def _field(name: str, value: str) -> bytes:
    return build.raw(name, _line(value).encode("ascii"))


def typed_address(address: Address, *, as_it_is: bool = False) -> str:
    """`rfc822; a@b`, or the `utf-8` type: in its ASCII form (RFC 6533 §3 utf-8-addr-xtext), or *as_it_is* in UTF-8."""
    if address.is_ascii:
        return f"rfc822; {address}"

    def may_stand(char: str) -> bool:
        return (char > "\xa0" and as_it_is and char.isprintable()) or ("!" <= char <= "~" and char not in "\\+=")

    written = "".join(char if may_stand(char) else f"\\x{{{ord(char):X}}}" for char in str(address))
    return f"utf-8; {written}"
