"""Complaints (RFC 5965) and failure reports (RFC 3464) received: whom an account had better not write to again.

Either counts only if the message it is about is in our records as sent by an account to that address: who was never written to
cannot know the Message-ID. A complaint's own sender must be who it says, a failure report has the null sender.
"""

from __future__ import annotations

import asyncio

from ..log import Log
from ..message import arf, bounced
from ..message.incoming import Incoming
from ..message.octets import Octets
from ..model.address import Address, AddressError
from ..model.record import Record, Stage
from ..relay.replies import Cause, cause_of
from ..seams import Clock, Directory, FindKind
from ..storage.store import Rope, Store, suppression
from .judgement import Judgement

log = Log("sending")

MAX_REPORT = 512 * 1024
"""Octets of a message that are looked at."""
SEARCH_S = 30 * 86400

Told = tuple[str, Address | None, suppression.Cause, str]
"""What a report tells: the Message-ID, the address (None: not told), what became of it there, in which words."""


class Complaints:
    def __init__(self, *, store: Store, directory: Directory, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock

    async def hear(self, incoming: Incoming, header: bytes, judged: Judgement) -> None:
        """After *incoming* was accepted: act on it if it is a report about mail of ours. Raises nothing."""
        is_complaint = arf.may_be_complaint(header) and _is_genuine(judged)
        is_bounce = incoming.envelope.sender is None and bounced.may_be_bounce(header)
        if not (is_complaint or is_bounce) or incoming.body.size > MAX_REPORT:
            return
        try:
            body = incoming.body
            data = body.data or await self._store.read_octets(Rope(Octets.whole(body.size), body.blob), 0, body.size)
            for told in await asyncio.to_thread(_complaint if is_complaint else _bounce, data):
                await self._act(*told)
        except Exception as error:
            log.error("report not understood", exc=error, message=f"{incoming.body.blob:x}")

    async def _act(self, message_id: str, address: Address | None, cause: suppression.Cause, words: str) -> None:
        now = self._clock.now()
        found = await self._store.find_records(message_id, now - SEARCH_S, now, 5) if message_id else []
        for traced in found:
            for record in traced.records:
                recipient = _recipient(record, address)
                if recipient is not None:
                    await self._suppress(str(record.facts["login"]), recipient, cause, words)
                    return
        log.info("report about nothing of ours", kind=cause.name.lower(), about=message_id or "-")

    async def _suppress(self, login: str, recipient: Address, cause: suppression.Cause, words: str) -> None:
        sender = await self._directory.find(Address.parse(login))
        if sender.kind is not FindKind.LOCAL or not sender.accounts:
            return
        account, now = sender.accounts[0], self._clock.now()
        await self._store.database.write(lambda tx: suppression.add(tx, account, recipient.key, now, cause, words))
        log.warning("recipient suppressed", account=login, recipient=recipient, cause=cause.name.lower(), words=words)


def _complaint(message: bytes) -> list[Told]:
    found = arf.read(message)
    if found is None:
        return []
    words = f"{found.kind}, told by {found.reporter or 'its provider'}"
    return [(found.message_id, found.recipient, suppression.Cause.COMPLAINT, words)]


def _bounce(message: bytes) -> list[Told]:
    """Only addresses that do not exist: whatever else was wrong may be right again tomorrow."""
    found = bounced.read(message)
    if found is None:
        return []
    return [
        (found.message_id, one.recipient, suppression.Cause.BOUNCE, f"{one.status} {one.words}")
        for one in found.failed
        if one.status.startswith("5.") and cause_of(one.status, one.words) is Cause.BAD_ADDRESS
    ]


def _is_genuine(judged: Judgement) -> bool:
    """Its sender is who it says, as far as that can be known here."""
    verdict = judged.verdict
    if verdict is None:
        return True
    return verdict.spf.result.value == "pass" or any(one.result.value == "pass" for one in verdict.dkim)


def _recipient(record: Record, wanted: Address | None) -> Address | None:
    """The recipient that the report is about, if *record* is of a submission to it."""
    facts = record.facts
    if record.stage is not Stage.ACCEPTED or not facts.get("login"):
        return None
    try:
        addresses = [Address.parse(text) for text in facts.get("recipients", ())]
    except AddressError:
        return None
    if wanted is None:
        return addresses[0] if len(addresses) == 1 else None
    return next((address for address in addresses if address.key == wanted.key), None)
