"""One milter in one SMTP session: the dialogue with it, and what its answers mean for the mail.

The milter is asked when the client says MAIL, and hears then of the connection and the greeting, too: clients that never send
cost it nothing. A refusal at one of these is told at MAIL. The octets of a message are told when it is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace

from ..message.header import Buffer, fields
from ..model.envelope import Client, Envelope, Recipient
from ..model.errors import Refusal
from ..model.verdict import Edits
from ..net.service import ServiceAddress, open_service
from ..net.stream import Stream
from ..protocols.milter import CHUNK, MilterEngine, Stage, Steps
from ..protocols.milter_answers import Answer, Change, MilterError, Progress, ReplaceBody, ReplyCode, Verdict
from .milter_words import (
    address_of,
    connect_macros,
    edits_of,
    helo_macros,
    mail_arguments,
    mail_macros,
    name_of,
    quarantine_of,
    rcpt_arguments,
    rcpt_macros,
    refusal_of,
)
from .outside import Health, WhenDown

MAX_CHANGES = 10_000
"""Changes that one milter may make to a message."""


@dataclass(frozen=True, slots=True)
class MilterSettings:
    name: str
    address: ServiceAddress
    when_down: WhenDown = WhenDown.CONTINUE
    connect_s: float = 5.0
    command_s: float = 15.0
    """For each answer in the dialogue."""
    message_s: float = 20.0
    """For each answer once the message is complete; a sign of life from the milter begins it anew."""
    max_body: int = 50 << 20
    """Octets of a new body."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a milter is told of a message. The body is `octets[body_start:]`."""

    header: bytes
    """With its empty line, as it would be without this milter."""
    octets: Buffer
    body_start: int
    queue_id: str = ""
    seconds: float = 25.0
    """What is left of the time for all milters."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What it wants done with a message."""

    edits: Edits | None = None
    refusal: Refusal | None = None
    quarantine: str | None = None
    """The reason."""
    discard: bool = False
    down: bool = False


@dataclass(slots=True)
class _Message:
    """What is known of the message under way."""

    is_done: bool = False
    """It said: accepted, no more of this message."""
    discard: bool = False
    is_down: bool = False
    recipients: int = 0


class MilterLink:
    """One milter, for one client's session. *ours* are the macros that do not change (`j`, `v`, `{daemon_name}`)."""

    def __init__(self, settings: MilterSettings, health: Health, ours: Mapping[str, str]) -> None:
        self.settings = settings
        self._health = health
        self._ours = ours
        self._stream: Stream | None = None
        self._engine = MilterEngine()
        self._answers: Iterator[object] = iter(())
        self._client: Client | None = None
        self._refused: Refusal | None = None
        self._refused_for: Client | None = None
        """Whom it refused at its greeting; None: whatever the client says."""
        self._is_done = False
        self._message: _Message | None = None
        self._macros: dict[str, str] = {}

    @property
    def quarantines_when_down(self) -> bool:
        return self.settings.when_down is WhenDown.QUARANTINE

    # The dialogue. Each raises Refusal.

    async def sender(self, client: Client, envelope: Envelope) -> None:
        """MAIL, and before it what the milter has not heard yet of the client."""
        self.reset()
        if self._client is not None and self._client.address != client.address:
            self._begin_anew()
        if self._refused is not None and (self._refused_for is None or self._refused_for == client):
            raise self._refused
        self._message = message = _Message()
        self._macros.pop("i", None)
        async with self._alive(message):
            await self._introduce(client)
            if not self._is_done:
                octets = self._engine.mail(mail_arguments(envelope), self._known(mail_macros(client, envelope)))
                await self._judge(Stage.MAIL, octets, message)

    async def recipient(self, recipient: Recipient, refusal: Refusal | None = None) -> None:
        """RCPT. With *refusal*: we refuse the recipient ourselves, and the milter may want to hear of it."""
        message = self._current()
        if message is None or self._stream is None:
            return
        terms = self._engine.terms
        if refusal is not None and not (terms and terms.steps & Steps.REFUSED_RCPT):
            return
        async with self._alive(message):
            octets = self._engine.rcpt(rcpt_arguments(recipient), self._known(rcpt_macros(recipient, refusal)))
            if refusal is None:
                await self._judge(Stage.RCPT, octets, message)
                message.recipients += 1
            else:
                await self._ask(octets, self.settings.command_s)  # what it thinks of it makes no difference

    async def message(self, told: Told) -> Heard:
        """DATA and the whole message; afterwards the link waits for the next one."""
        message, self._message = self._message, None
        if message is None or message.is_down:
            return Heard(down=message is not None, refusal=self._health.refusal() if message is not None else None)
        if message.discard or message.is_done or self._is_done or self._stream is None:
            self._give_up()
            return Heard(discard=message.discard)
        heard = Heard()
        try:
            async with self._alive(message), asyncio.timeout(told.seconds):
                heard = await self._examine(told, message)
        except Refusal as refusal:
            heard = Heard(refusal=refusal)
            if not message.is_down:
                self._give_up()
        except BaseException:  # given up in the middle: what it still says would be taken for an answer to something else
            self._drop()
            raise
        return replace(heard, down=message.is_down, discard=message.discard)

    def reset(self) -> None:
        """The message under way is given up by the client."""
        if self._message is not None:
            self._message = None
            self._give_up()

    def close(self) -> None:
        """The client is gone."""
        if self._stream is not None:
            if self._engine.terms is not None:
                self._stream.write(self._engine.quit())
            self._stream.finish()
            self._stream = None

    # How it is done

    def _begin_anew(self) -> None:
        """The client speaks for another one now (XCLIENT), of whom the milter hears as of every new connection."""
        self.close()
        self._client = self._refused = None

    def _current(self) -> _Message | None:
        message = self._message
        if message is None or message.is_done or message.discard or message.is_down or self._is_done:
            return None
        return message

    def _give_up(self) -> None:
        if self._stream is not None:
            self._stream.write(self._engine.abort())

    def _alive(self, message: _Message) -> _Alive:
        return _Alive(self, message)

    def failed(self, error: BaseException, message: _Message) -> Refusal | None:
        """The milter is of no use any more in this session."""
        message.is_down = True
        self._health.failed(error)
        self._drop()
        return self._health.refusal()

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.abort()
            self._stream = None
        self._client = None

    async def _introduce(self, client: Client) -> None:
        """Connect, and tell who the client is, or who it is now."""
        if self._stream is None:
            if self._health.rests:
                raise _Rests
            self._engine, self._client, self._is_done = MilterEngine(), None, False
            self._stream = await open_service(self.settings.address, self.settings.connect_s)
            await self._send(self._engine.hello())
            await self._next(self.settings.command_s)
            self._health.answered()
        known, self._client = self._client, client
        if known is None:
            self._macros = dict(self._ours)
            macros = self._known(connect_macros(client))
            octets = self._engine.connect(name_of(client), address_of(client), client.port, macros)
            await self._judge(Stage.CONNECT, octets, None)
        if (known is None or known != client) and not self._is_done:
            await self._judge(Stage.HELO, self._engine.helo(client.hello, self._known(helo_macros(client))), None)

    async def _judge(self, stage: Stage, octets: bytes, message: _Message | None) -> Verdict | None:
        """Say *octets* and act on the answer. *message* is None before there is one. Raises Refusal."""
        seconds = self.settings.message_s if stage in _OF_THE_MESSAGE else self.settings.command_s
        answer = await self._ask(octets, seconds)
        refusal = refusal_of(answer, self.settings.name)
        if refusal is not None:
            if message is None:
                self._refused, self._refused_for = refusal, self._client if stage is Stage.HELO else None
            raise refusal
        if answer is Verdict.ACCEPT:
            if message is None:
                self._is_done = True
            else:
                message.is_done = True
        elif answer is Verdict.DISCARD and message is not None:
            message.discard = True
        return answer if isinstance(answer, Verdict) else None

    async def _ask(self, octets: bytes, seconds: float) -> Answer:
        if octets:
            await self._send(octets)
        if not octets or not self._engine.awaited:
            return Verdict.CONTINUE
        answer = await self._next(seconds)
        if not isinstance(answer, Verdict | ReplyCode):
            raise MilterError("no verdict where one belongs")
        return answer

    async def _send(self, octets: bytes) -> None:
        assert self._stream is not None
        self._stream.write(octets)
        await self._stream.drain(self.settings.message_s)

    async def _next(self, seconds: float) -> object:
        """The next thing it says."""
        assert self._stream is not None
        while True:
            for answer in self._answers:
                return answer
            data = await self._stream.receive(None, seconds)
            if not data:
                raise ConnectionResetError("it closed the connection")
            self._answers = self._engine.receive(data)

    def _known(self, macros: Mapping[str, str]) -> Mapping[str, str]:
        """All that is known by now, with *macros*: a milter may ask at any stage for what was known at an earlier one."""
        self._macros |= macros
        return self._macros

    # The message

    async def _examine(self, told: Told, message: _Message) -> Heard:
        macros = self._known({"i": told.queue_id, "{nrcpts}": str(message.recipients)})
        engine = self._engine
        await self._judge(Stage.DATA, engine.data(macros), message)
        if engine.wants(Stage.HEADER):
            for one in fields(told.header, len(told.header)):
                if message.is_done or message.discard:
                    break
                if one.name:
                    await self._judge(Stage.HEADER, engine.header(one.name, one.value), message)
        if not (message.is_done or message.discard):
            await self._judge(Stage.END_OF_HEADER, engine.end_of_header(macros), message)
        await self._tell_body(told, message)
        if message.is_done or message.discard:
            self._give_up()
            return Heard()
        changes = [change async for change in self._end(macros, message)]
        return Heard(edits=edits_of(changes), quarantine=quarantine_of(changes))

    async def _tell_body(self, told: Told, message: _Message) -> None:
        if not self._engine.wants(Stage.BODY):
            return
        for start in range(told.body_start, len(told.octets), CHUNK):
            if message.is_done or message.discard:
                return
            chunk = bytes(told.octets[start : start + CHUNK])
            if await self._judge(Stage.BODY, self._engine.body(chunk), message) is Verdict.SKIP:
                return

    async def _end(self, macros: Mapping[str, str], message: _Message) -> AsyncIterator[Change]:
        """The changes it makes at the end of the message. Raises Refusal if that is its verdict."""
        await self._send(self._engine.end(macros))
        size = count = 0
        while True:
            answer = await self._next(self.settings.message_s)
            if isinstance(answer, Progress):
                continue
            if isinstance(answer, Verdict | ReplyCode):
                refusal = refusal_of(answer, self.settings.name)
                if refusal is not None:
                    raise refusal
                message.discard = answer is Verdict.DISCARD
                return
            count += 1
            if isinstance(answer, ReplaceBody):
                size += len(answer.octets)
            if size > self.settings.max_body or count > MAX_CHANGES:
                raise MilterError("it changes too much")
            yield answer  # type: ignore[misc]


_OF_THE_MESSAGE = {Stage.DATA, Stage.HEADER, Stage.END_OF_HEADER, Stage.BODY, Stage.END}


class _Rests(Exception):
    """It was down a moment ago."""


class _Alive:
    """A context in which the milter's failure is noted, and raised only as the refusal that is configured, if any."""

    def __init__(self, link: MilterLink, message: _Message) -> None:
        self._link = link
        self._message = message

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, _Rests):
            self._message.is_down = True
            refusal = self._link._health.refusal()
        elif isinstance(error, OSError | MilterError):
            refusal = self._link.failed(error, self._message)
        else:
            return False
        if refusal is not None:
            raise refusal from error
        return True
