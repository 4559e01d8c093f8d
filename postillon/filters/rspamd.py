"""The opinion of rspamd, over its HTTP protocol (`/checkv2`): symbols become findings, actions wishes, its headers edits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ..message.incoming import Incoming
from ..model.errors import Refusal
from ..model.verdict import NO_OPINION, Edits, FieldEdit, Finding, Opinion, finding
from ..net.http_client import HttpError, post_stream
from ..net.service import ServiceAddress, open_service
from .examined import Examined
from .outside import Health, WhenDown

MAX_ANSWER = 1 << 20
MAX_SYMBOLS = 15
"""Findings, the weightiest; the others are one together."""
MAX_RECIPIENTS = 100
"""That it is told."""
MAX_FIELDS = 50
_CHUNK = 1 << 16
_LEAST = 0.05
"""Of a score that is told by itself."""


@dataclass(frozen=True, slots=True)
class RspamdSettings:
    address: ServiceAddress
    when_down: WhenDown = WhenDown.CONTINUE
    follows: bool = True
    """Do what it says (reject, soft reject, add header); False: only its scores count."""
    scale: float = 1.0
    """Its scores times this are ours."""
    headers: bool = True
    """Put in and take out the header fields that it wants."""
    password: str = ""
    time_s: float = 20.0
    max_size: int = 50 << 20


class _Symbol(msgspec.Struct):
    score: float = 0.0
    metric_score: float = 0.0
    description: str = ""
    options: list[Any] = msgspec.field(default_factory=list)


class _Milter(msgspec.Struct):
    add_headers: dict[str, Any] = msgspec.field(default_factory=dict)
    remove_headers: dict[str, Any] = msgspec.field(default_factory=dict)


class Answer(msgspec.Struct):
    """What of its JSON is of use."""

    action: str = "no action"
    score: float = 0.0
    required_score: float = 0.0
    subject: str = ""
    symbols: dict[str, _Symbol] = msgspec.field(default_factory=dict)
    messages: dict[str, Any] = msgspec.field(default_factory=dict)
    milter: _Milter = msgspec.field(default_factory=_Milter)
    error: str = ""


class Rspamd:
    name = "rspamd"
    is_local = False

    def __init__(self, settings: RspamdSettings, *, hostname: str) -> None:
        self._settings = settings
        self._hostname = hostname
        self._health = Health(self.name, settings.when_down)

    async def examine(self, examined: Examined) -> Opinion:
        size = len(examined.octets)
        if size > self._settings.max_size:
            return Opinion((finding("rspamd.too_large", size=size),))
        if self._health.rests:
            return self._health.opinion()
        try:
            async with asyncio.timeout(self._settings.time_s):
                answer = parse(await self._asked(examined))
        except (OSError, HttpError, ValueError) as error:
            self._health.failed(error)
            return self._health.opinion()
        self._health.answered()
        return opinion_of(answer, self._settings, examined)

    async def _asked(self, examined: Examined) -> bytes:
        octets = examined.octets
        stream = await open_service(self._settings.address, self._settings.time_s)
        try:
            return (
                await post_stream(
                    stream,
                    "rspamd",
                    "/checkv2",
                    self._fields(examined.incoming),
                    (bytes(octets[at : at + _CHUNK]) for at in range(0, len(octets), _CHUNK)),
                    len(octets),
                    MAX_ANSWER,
                )
            ).body
        finally:
            stream.abort()

    def _fields(self, incoming: Incoming) -> list[tuple[str, str]]:
        """What it is told besides the message."""
        client, envelope = incoming.client, incoming.envelope
        found = [
            ("IP", "127.0.0.1" if client.address == "unix" else client.address),
            ("Helo", client.hello),
            ("From", str(envelope.sender or "")),
            *(("Rcpt", str(one.address)) for one in envelope.recipients[:MAX_RECIPIENTS]),
            ("Queue-Id", f"{incoming.body.blob:x}"),
            ("MTA-Name", self._hostname),
            ("MTA-Tag", self._hostname),
            ("Flags", "milter"),
        ]
        if client.reverse_name:
            found.append(("Hostname", client.reverse_name))
        if client.login:
            found.append(("User", client.login))
        if client.tls is not None:
            found += [("TLS-Version", client.tls.version), ("TLS-Cipher", client.tls.cipher)]
        if self._settings.password:
            found.append(("Password", self._settings.password))
        return found


def parse(body: bytes) -> Answer:
    """Raises ValueError."""
    answer = msgspec.json.decode(body, type=Answer, strict=False)
    if answer.error:
        raise ValueError(answer.error[:200])
    return answer


def opinion_of(answer: Answer, settings: RspamdSettings, examined: Examined) -> Opinion:
    findings = tuple(_findings(answer, settings.scale))
    edits = Edits(tuple(_edits(answer, examined))[:MAX_FIELDS]) if settings.headers else Edits()
    refusal = _refusal(answer) if settings.follows else None
    junk = settings.follows and answer.action in ("add header", "rewrite subject")
    if not findings and refusal is None and not junk and edits == Edits():
        return NO_OPINION
    return Opinion(findings, refusal, junk, edits=edits if edits != Edits() else None)


def _findings(answer: Answer, scale: float) -> Iterator[Finding]:
    """Together they have its score: groups of its symbols may have limits, so the sum of the symbols need not be it."""
    ranked = sorted(answer.symbols.items(), key=lambda item: -abs(item[1].score))
    rest = answer.score
    for name, symbol in ranked[:MAX_SYMBOLS]:
        if abs(symbol.score) < _LEAST:
            break
        rest -= symbol.score
        why = symbol.description or name
        yield finding("rspamd.symbol", round(symbol.score * scale, 2), symbol=name, why=why)
    if abs(rest) >= _LEAST:
        yield finding("rspamd.rest", round(rest * scale, 2), action=answer.action)


def _refusal(answer: Answer) -> Refusal | None:
    words = answer.messages.get("smtp_message")
    text = "".join(char if " " <= char <= "~" else "?" for char in words)[:400] if isinstance(words, str) else ""
    if answer.action == "reject":
        return Refusal(text or "The message looks like unwanted mail", status="5.7.1", detail=f"rspamd {answer.score:.1f}")
    if answer.action == "soft reject":
        return Refusal(text or "Try again later", status="4.7.1", detail=f"rspamd {answer.score:.1f}")
    return None


def _edits(answer: Answer, examined: Examined) -> Iterator[FieldEdit]:
    """Removals first, as its own milter does."""
    for name, which in answer.milter.remove_headers.items():
        yield from _removals(name.encode("utf-8", "replace"), which, examined)
    for name, wanted in answer.milter.add_headers.items():
        for one in wanted if isinstance(wanted, list) else [wanted]:
            value, order = (one.get("value"), one.get("order")) if isinstance(one, Mapping) else (one, None)
            if isinstance(value, str):
                at = order if isinstance(order, int) and order >= 0 else None
                yield FieldEdit(name.encode("utf-8", "replace"), b" " + value.encode("utf-8", "replace"), at=at)
    if answer.action == "rewrite subject" and answer.subject:
        yield FieldEdit(b"Subject", b" " + answer.subject.encode("utf-8", "replace"), nth=1)


def _removals(name: bytes, which: Any, examined: Examined) -> Iterator[FieldEdit]:
    """0: all fields of that name; from 1 on the nth from the top, below 0 from the bottom; or a list of these."""
    there = len(examined.field_values(name.lower()))
    numbers = [one for one in (which if isinstance(which, list) else [which]) if isinstance(one, int)]
    wanted = {number if number > 0 else there + 1 + number for number in numbers if number}
    if 0 in numbers:
        wanted = set(range(1, there + 1))
    for nth in sorted(wanted, reverse=True):
        if 1 <= nth <= there:
            yield FieldEdit(name, None, nth=nth)
