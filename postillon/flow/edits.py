"""What filters change about a message on its way in: sender, recipients and body. (Header fields: `message.edited`.)

The octets received are kept as long as mail authentication needs them; a new body makes another blob of the same name.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ..log import Log
from ..message.incoming import Incoming
from ..model.address import Address, AddressError
from ..model.envelope import Accepted, Recipient
from ..model.errors import Refusal
from ..model.plan import Body
from ..model.verdict import Edits
from ..seams import Directory, FindKind
from ..storage.store import Store
from .deliver import FlowSettings

log = Log("edits")

MAX_ADDED = 1000
"""Recipients that filters may add to one message."""
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Editor:
    """Applies edits. What cannot be done (an address that is none, or leads nowhere) is logged and left out."""

    def __init__(self, *, store: Store, directory: Directory, settings: FlowSettings) -> None:
        self._store = store
        self._directory = directory
        self._settings = settings

    async def envelope(self, incoming: Incoming, edits: Edits) -> Incoming:
        """*incoming* with the sender and the recipients that *edits* want. Recipients may be none at all then."""
        envelope, accepted = incoming.envelope, incoming.accepted
        if edits.sender is not None:
            envelope = replace(envelope, sender=_sender(edits.sender, envelope.sender))
        gone = {address.key for text in edits.removed if (address := _parsed(text))}
        accepted = tuple(one for one in accepted if one.recipient.address.key not in gone)
        known = {one.recipient.address.key for one in accepted}
        for text in edits.added[:MAX_ADDED]:
            added = _parsed(text)
            if added is not None and added.key not in known:
                known.add(added.key)
                accepted += await self._found(added)
        return replace(
            incoming, envelope=replace(envelope, recipients=tuple(one.recipient for one in accepted)), accepted=accepted
        )

    async def _found(self, address: Address) -> tuple[Accepted, ...]:
        try:
            found = await self._directory.find(address)
            remote = (address,) if found.kind is FindKind.FOREIGN else found.remote
            self._settings.check_remote(remote)
        except Refusal as refusal:
            log.warning("recipient not added", recipient=address, reason=refusal.detail or refusal.text)
            return ()
        if found.kind is FindKind.UNKNOWN:
            log.warning("recipient not added", recipient=address, reason="it leads nowhere")
            return ()
        return (Accepted(Recipient(address), found.accounts, remote, found.detail),)

    async def body(self, incoming: Incoming, header: bytes, edits: Edits) -> Incoming:
        """*incoming* with the new body, if there is one, after the header section *header* as it was received.

        Line ends become CRLF: a bare one could end the message for the next server. Raises Refusal: too large, disk full.
        """
        if edits.body is None:
            return incoming
        body = _LINE_END.sub(b"\r\n", edits.body)
        spool = self._store.spool(self._settings.max_size + len(header))
        try:
            spool.write(header)
            for at in range(0, len(body), 1 << 16):
                spool.write(body[at : at + (1 << 16)])
            if body and not body.endswith(b"\r\n"):
                spool.write(b"\r\n")
            made: Body = await spool.finish()
        except BaseException:
            spool.discard()
            raise
        return replace(incoming, body=replace(made, blob=incoming.body.blob))


def _parsed(text: str) -> Address | None:
    try:
        return Address.parse(text)
    except AddressError as error:
        log.warning("no address", text=text[:200], reason=str(error))
        return None


def _sender(text: str, before: Address | None) -> Address | None:
    if not text:
        return None
    return _parsed(text) or before
