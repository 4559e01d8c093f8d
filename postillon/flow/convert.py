"""Mail of our own people made fit for those who get it: at submission, or when a next hop takes less than what waits for it.

What others have written is never converted: their signatures would break. See decisions/0009.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from ..log import Log
from ..message.downgrade import Unconvertible, converted, has_long_line, without_signatures
from ..message.header import header_end
from ..message.incoming import Incoming
from ..model.errors import Refusal
from ..model.plan import Body
from ..model.queue import QueueEntry
from ..relay.session import Source
from ..storage.store import Store
from .authenticate import body_chunks
from .sign import Signer

log = Log("convert")

AT_ONCE = 1
"""Messages converted side by side: each is in memory as a whole, twice."""
_BLOCK = 1 << 20


class Converter:
    """Converts. *signer* signs anew what was signed before."""

    def __init__(self, store: Store, signer: Signer | None, max_size: int) -> None:
        self._store = store
        self._signer = signer
        self._max_size = max_size
        self._room = asyncio.Semaphore(AT_ONCE)

    async def submitted(self, incoming: Incoming) -> Incoming:
        """A submission without lines beyond 998 octets, and without binary if it is filed here. Raises Refusal.

        Binary mail that only goes elsewhere stays as it is: the next hop may take it.
        """
        is_binary = incoming.envelope.body == "BINARYMIME"
        if is_binary and not any(one.accounts for one in incoming.accepted):
            return replace(incoming, envelope=replace(incoming.envelope, ret="HDRS"))
        if not is_binary and not await _has_long_line(incoming.body):
            return incoming
        async with self._room:
            try:
                data = await asyncio.to_thread(lambda: converted(b"".join(body_chunks(incoming.body, 0)()), seven_bit=False))
            except Unconvertible as error:
                if not is_binary:
                    return incoming  # as most servers will take it
                raise Refusal(f"The message is binary and cannot be converted: {error}", status="5.6.3", code=554) from error
            body = await self._spooled(data)
        log.info("converted", message=f"{incoming.body.blob:x}", before=incoming.body.size, size=body.size)
        envelope = replace(incoming.envelope, body="8BITMIME" if is_binary else incoming.envelope.body)
        return replace(incoming, envelope=envelope, body=replace(body, blob=incoming.body.blob))

    async def _spooled(self, data: bytes) -> Body:
        spool = self._store.spool(self._max_size * 2)
        try:
            for at in range(0, len(data), _BLOCK):
                spool.write(data[at : at + _BLOCK])
            made: Body = await spool.finish()
        except BaseException:
            spool.discard()
            raise
        return made

    async def seven_bit(self, entry: QueueEntry, message: Source, now: int) -> Octets | None:
        """What waits as *entry* in 7-bit octets, signed anew; None if it is not ours or cannot be converted."""
        if entry.account is None:
            return None
        async with self._room:
            data = b"".join([await message.read(at, min(at + _BLOCK, message.size)) for at in range(0, message.size, _BLOCK)])
            try:
                data = await asyncio.to_thread(converted, data, seven_bit=True)
            except Unconvertible as error:
                log.info("not converted", queue=f"{entry.queue_id:x}", reason=str(error))
                return None
            end = header_end(data, 0, len(data))
            before, header = data[:end], without_signatures(data[:end])
            fields = b""
            if self._signer is not None and before != header:
                fields = await self._signer.fields(header, Body(entry.blob, len(data), b"", data), end, now)
        log.info("converted for the next hop", queue=f"{entry.queue_id:x}", size=len(data))
        return Octets(fields + header + data[end:])


async def _has_long_line(body: Body) -> bool:
    if body.data is not None:
        return has_long_line(body.data)
    return await asyncio.to_thread(_look, body)


def _look(body: Body) -> bool:
    held = b""
    for chunk in body_chunks(body, 0)():
        lines = held + chunk
        if has_long_line(lines):
            return True
        held = lines[lines.rfind(b"\n") + 1 :]
    return False


@dataclass(frozen=True, slots=True)
class Octets:
    """A message in memory, for a transport (`relay.session.Source`)."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    async def read(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]
