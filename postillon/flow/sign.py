"""DKIM signatures on what we originate: the one place, and the last before the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..mailauth.content import Content
from ..mailauth.dkim_sign import SigningKey, sign
from ..mailauth.evaluate import authors
from ..model.plan import Body
from .authenticate import KeysOf, body_chunks


class Signer:
    """Signs as the domain of From. *keys* must not block for long: it is asked on the event loop."""

    def __init__(self, keys: KeysOf) -> None:
        self._keys = keys

    async def fields(self, header: bytes, body: Body, body_start: int, now: int) -> bytes:
        """DKIM-Signature fields for the message of *header* and what stands in *body* from *body_start* on; maybe none."""
        # RFC 6376 §3.5, `d=`: ours is the domain that people see, so that DMARC holds. Its owner was checked before.
        domains = authors(Content(header, lambda: ())).domains
        keys = self._nearest(domains[0]) if domains else ()
        if not keys:
            return b""
        return await asyncio.to_thread(sign, header, body_chunks(body, body_start), keys, now)

    def _nearest(self, domain: str) -> Sequence[SigningKey]:
        """The keys of *domain*, or of one above it: our host's reports are signed by the domain that it is of."""
        while "." in domain:
            if keys := self._keys(domain):
                return keys
            domain = domain.partition(".")[2]
        return ()
