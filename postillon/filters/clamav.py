"""The opinion of a virus scanner: ClamAV's daemon, over its own protocol (`protocols.clamd`)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ..message.header import Buffer
from ..model.errors import Refusal
from ..model.verdict import NO_OPINION, Opinion, finding
from ..net.service import ServiceAddress, open_service
from ..net.stream import Stream
from ..protocols import clamd
from .attachments import Action
from .examined import Examined
from .outside import Health, WhenDown

_CHUNK = 1 << 16
_GUESSES = ("Heuristics.", "PUA.", "PhishTank.", "Sanesecurity.Junk.", "Sanesecurity.Spam.")
"""What begins so is no virus for certain: it only scores."""


@dataclass(frozen=True, slots=True)
class ClamAvSettings:
    address: ServiceAddress
    when_down: WhenDown = WhenDown.CONTINUE
    found: Action = Action.REFUSE
    """What is done about mail with a virus."""
    time_s: float = 20.0
    max_size: int = 25 << 20
    """Octets of a message that is scanned; larger ones are not, with a finding. The scanner has a limit of its own."""


class ClamAv:
    name = "clamav"
    is_local = False

    def __init__(self, settings: ClamAvSettings) -> None:
        self._settings = settings
        self._health = Health(self.name, settings.when_down)

    async def examine(self, examined: Examined) -> Opinion:
        octets = examined.octets
        if len(octets) > self._settings.max_size:
            return Opinion((finding("virus.too_large", size=len(octets)),))
        if self._health.rests:
            return self._health.opinion()
        try:
            async with asyncio.timeout(self._settings.time_s):
                scanned = await self._scan(octets)
        except clamd.TooLarge:
            return Opinion((finding("virus.too_large", size=len(octets)),))
        except (OSError, clamd.ClamdError) as error:
            self._health.failed(error)
            return self._health.opinion()
        self._health.answered()
        return self._opinion(scanned.signature) if scanned.signature else NO_OPINION

    async def _scan(self, octets: Buffer) -> clamd.Scanned:
        stream = await open_service(self._settings.address, self._settings.time_s)
        try:
            stream.write(clamd.START)
            for at in range(0, len(octets), _CHUNK):
                stream.write(clamd.chunk(bytes(octets[at : at + _CHUNK])))
                await stream.drain()
                if stream.unread:  # it has had enough
                    break
            stream.write(clamd.END)
            return clamd.answer(await _line(stream))
        except ConnectionError as error:
            # Beyond its limit it says so and closes at once, and what it said is lost with what was still under way.
            if len(octets) > _CHUNK and await self._is_alive():
                raise clamd.TooLarge("it closed the connection in the middle") from error
            raise
        finally:
            stream.abort()

    async def _is_alive(self) -> bool:
        stream = await open_service(self._settings.address, self._settings.time_s)
        try:
            stream.write(clamd.PING)
            return await _line(stream) == b"PONG"
        finally:
            stream.abort()

    def _opinion(self, signature: str) -> Opinion:
        if signature.startswith(_GUESSES):
            return Opinion((finding("virus.suspected", 4.0, name=signature),))
        found = (finding("virus.found", 10.0, name=signature),)
        action = self._settings.found
        if action is Action.REFUSE:
            shown = "".join(char if " " <= char <= "~" else "?" for char in signature)
            return Opinion(found, Refusal(f"The message contains a virus: {shown}", status="5.7.1", detail="clamav"))
        return Opinion(found, junk=action is Action.JUNK, quarantine=action is Action.QUARANTINE)


async def _line(stream: Stream) -> bytes:
    """What comes before a NUL. Raises ConnectionError, ClamdError."""
    data = b""
    while b"\0" not in data:
        piece = await stream.receive()
        if not piece:
            raise ConnectionResetError("it closed the connection")
        data += piece
        if len(data) > clamd.MAX_ANSWER:
            raise clamd.ClamdError("an answer without an end")
    return data.partition(b"\0")[0]
