"""All milters of one service, in their order: each hears the dialogue, and of the message what those before it made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ..message.edited import edited, together
from ..model.envelope import Client, Envelope, Recipient
from ..model.errors import Refusal
from ..model.verdict import NO_OPINION, Edits, Finding, Opinion, finding
from .examined import Examined
from .milter import Heard, MilterLink, MilterSettings, Told
from .outside import Health


class Milters:
    """A `Filter` that hears the SMTP dialogue, too (`flow.listened`). *service*: `smtp` or `submission`."""

    name = "milter"
    is_local = False

    def __init__(
        self, settings: Sequence[MilterSettings], *, hostname: str, version: str, service: str, seconds: float = 25.0
    ) -> None:
        """*seconds*: for what all of them say of one message."""
        self._seconds = seconds
        self._settings = [(one, Health(one.name, one.when_down)) for one in settings]
        self._ours = {"j": hostname, "v": f"Postillon {version}", "{daemon_name}": service}
        self._sessions: dict[str, list[MilterLink]] = {}

    # The dialogue. Each raises Refusal.

    async def sender(self, client: Client, envelope: Envelope) -> None:
        """At MAIL."""
        links = self._sessions.get(client.session)
        if links is None:
            links = self._sessions[client.session] = self._links()
        for link in links:
            link.reset()
        for link in links:
            await link.sender(client, envelope)

    async def recipient(self, client: Client, recipient: Recipient, refusal: Refusal | None = None) -> None:
        """At RCPT; *refusal* is ours, of which milters that asked for it hear."""
        for link in self._sessions.get(client.session, ()):
            await link.recipient(recipient, refusal)

    def ended(self, client: Client) -> None:
        """The connection is over."""
        for link in self._sessions.pop(client.session, ()):
            link.close()

    # The message

    async def examine(self, examined: Examined) -> Opinion:
        """What they say of an incoming message."""
        incoming = examined.incoming
        told = Told(examined.header, examined.octets, len(examined.header), f"{incoming.body.blob:x}")
        return await self.message(incoming.client, incoming.envelope, told)

    async def message(self, client: Client, envelope: Envelope, told: Told) -> Opinion:
        """What they say of the message whose MAIL and RCPT they heard; one that came another way they hear as a whole."""
        links = self._sessions.get(client.session)
        if links is not None:
            return await self._through(links, envelope, told)
        links = self._links()
        try:
            for link in links:
                await link.sender(client, envelope)
                for recipient in envelope.recipients:
                    await link.recipient(recipient)
            return await self._through(links, envelope, told)
        except Refusal as refusal:
            return Opinion((finding("milter.refused", name=refusal.detail.removeprefix("milter ")),), refusal=refusal)
        finally:
            for link in links:
                link.close()

    async def _through(self, links: Sequence[MilterLink], envelope: Envelope, told: Told) -> Opinion:
        findings: list[Finding] = []
        edits: list[Edits] = []
        quarantine = False
        now = asyncio.get_running_loop().time
        deadline = now() + self._seconds
        for link in links:
            name = link.settings.name
            heard = await link.message(replace(told, seconds=max(deadline - now(), 0.1)))
            findings += _findings(name, heard)
            quarantine = quarantine or heard.quarantine is not None or (heard.down and link.quarantines_when_down)
            if heard.refusal is not None:
                return Opinion(tuple(findings), refusal=heard.refusal)
            if heard.discard:
                everybody = tuple(str(recipient.address) for recipient in envelope.recipients)
                return Opinion(tuple(findings), edits=Edits(removed=everybody))
            if heard.edits is not None:
                edits.append(heard.edits)
                told = _after(told, heard.edits)
        if not findings and not edits:
            return NO_OPINION
        return Opinion(tuple(findings), edits=together(edits) if edits else None, quarantine=quarantine)

    def _links(self) -> list[MilterLink]:
        return [MilterLink(one, health, self._ours) for one, health in self._settings]


def _findings(name: str, heard: Heard) -> list[Finding]:
    found = []
    if heard.down:
        found.append(finding("filter.down", name=name))
    elif heard.refusal is not None:
        found.append(finding("milter.refused", name=name))
    if heard.discard:
        found.append(finding("milter.discarded", name=name))
    if heard.quarantine is not None:
        found.append(finding("milter.quarantined", name=name, reason=heard.quarantine))
    if heard.edits is not None:
        found.append(finding("milter.changed", name=name))
    return found


def _after(told: Told, edits: Edits) -> Told:
    """What the next milter is told."""
    header = edited(told.header, edits.fields) if edits.fields else told.header
    if edits.body is not None:
        return Told(header, edits.body, 0, told.queue_id)
    return Told(header, told.octets, told.body_start, told.queue_id)
