"""Whether the programs that look into mail answer: milters, ClamAV, rspamd. For `postillon check`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from ..config import Config
from ..net.service import ServiceAddress, open_service
from ..protocols.clamd import PING
from ..protocols.milter import MilterEngine
from ..protocols.milter_answers import MilterError

TIME_S = 5.0
_RSPAMD = b"GET /ping HTTP/1.0\r\n\r\n"


async def silent_services(config: Config) -> list[str]:
    """A line for each that is configured and does not answer as it should."""
    found = await asyncio.gather(*(_trouble(*one) for one in _wanted(config)))
    return [line for line in found if line]


def _wanted(config: Config) -> Iterator[tuple[str, str, bytes, bytes]]:
    """(setting, address, what to say, how the answer begins or where it has this)."""
    for name, milter in config.milters.items():
        yield f"milters.{name}", milter.address, MilterEngine().hello(), b""
    if config.clamav.address:
        yield "clamav", config.clamav.address, PING, b"PONG"
    if config.rspamd.address:
        yield "rspamd", config.rspamd.address, _RSPAMD, b"pong"


async def _trouble(name: str, address: str, words: bytes, expected: bytes) -> str:
    place = ServiceAddress.parse(address)
    try:
        answer = await _answer(place, words)
    except TimeoutError:
        return f"`{name}.address`: nobody answers at {place}"
    except OSError as error:
        return f"`{name}.address`: {place}: {error.strerror or error}"
    if expected and expected not in answer:
        return f"`{name}.address`: what answers at {place} is something else"
    return "" if expected or _is_milter(answer) else f"`{name}.address`: what answers at {place} is no milter"


async def _answer(place: ServiceAddress, words: bytes) -> bytes:
    async with asyncio.timeout(TIME_S):
        stream = await open_service(place, TIME_S)
        try:
            await stream.send(words)
            answer = await stream.receive() or b""
            while words is _RSPAMD and (more := await stream.receive()) and len(answer) < 4096:
                answer += more
            return answer
        finally:
            stream.abort()


def _is_milter(answer: bytes) -> bool:
    engine = MilterEngine()
    engine.hello()
    try:
        return bool(list(engine.receive(answer)))
    except MilterError:
        return False
