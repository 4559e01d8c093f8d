"""Complaints received (RFC 5965): whoever called our mail spam is not written to again by the account that sent it.

A complaint counts only if the message it is about is in our records as sent by that account to that address, and if its own
sender is who it says: who was never written to cannot know the Message-ID.
"""

from __future__ import annotations

import asyncio

from ..log import Log
from ..message import arf
from ..message.incoming import Incoming
from ..message.octets import Octets
from ..model.address import Address, AddressError
from ..model.record import Record, Stage
from ..seams import Clock, Directory, FindKind
from ..storage.store import Rope, Store, suppression
from .judgement import Judgement

log = Log("sending")

MAX_REPORT = 512 * 1024
"""Octets of a message that are looked at."""
SEARCH_S = 30 * 86400


class Complaints:
    def __init__(self, *, store: Store, directory: Directory, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock

    async def hear(self, incoming: Incoming, header: bytes, judged: Judgement) -> None:
        """After *incoming* was accepted: act on it if it is a complaint about mail of ours. Raises nothing."""
        if not arf.may_be_complaint(header) or incoming.body.size > MAX_REPORT or not _is_genuine(judged):
            return
        try:
            body = incoming.body
            data = body.data or await self._store.read_octets(Rope(Octets.whole(body.size), body.blob), 0, body.size)
            complaint = await asyncio.to_thread(arf.read, data)
            if complaint is not None:
                await self._act(complaint)
        except Exception as error:
            log.error("complaint not understood", exc=error, message=f"{incoming.body.blob:x}")

    async def _act(self, complaint: arf.Complaint) -> None:
        now = self._clock.now()
        found = await self._store.find_records(complaint.message_id, now - SEARCH_S, now, 5) if complaint.message_id else []
        for traced in found:
            for record in traced.records:
                recipient = _recipient(record, complaint.recipient)
                if recipient is not None:
                    await self._suppress(str(record.facts["login"]), recipient, complaint, now)
                    return
        log.info("complaint about nothing of ours", kind=complaint.kind, about=complaint.message_id or "-")

    async def _suppress(self, login: str, recipient: Address, complaint: arf.Complaint, now: int) -> None:
        sender = await self._directory.find(Address.parse(login))
        if sender.kind is not FindKind.LOCAL or not sender.accounts:
            return
        account, words = sender.accounts[0], f"{complaint.kind}, told by {complaint.reporter or 'its provider'}"
        cause = suppression.Cause.COMPLAINT
        await self._store.database.write(lambda tx: suppression.add(tx, account, recipient.key, now, cause, words))
        log.warning("complaint", account=login, recipient=recipient, kind=complaint.kind, about=complaint.message_id)


def _is_genuine(judged: Judgement) -> bool:
    """Its sender is who it says, as far as that can be known here."""
    verdict = judged.verdict
    if verdict is None:
        return True
    return verdict.spf.result.value == "pass" or any(one.result.value == "pass" for one in verdict.dkim)


def _recipient(record: Record, wanted: Address | None) -> Address | None:
    """The recipient that the complaint is about, if *record* is of a submission to it."""
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
