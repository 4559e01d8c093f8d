"""What is seen in the course of a day and is to be remembered, gathered here and written down every few seconds.

What a crash loses is a few seconds of counts, so no message waits for it. Bounded: what is too much is not noted.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..message.addresses import parse_addresses
from ..message.encoded_words import decode
from ..message.header import first
from ..model.envelope import Envelope
from ..model.ids import AccountId
from ..storage.knowledge import EVERYBODY, Heard, Knowledge, Met
from .examined import Examined, address_text
from .known import keys_of
from .shapes import name_hash, shapes, site

MOST = 5000
"""Entries that wait at the same time, of each kind."""
STEP = 500
"""Entries that are written at a time: mail waits no longer than that."""
MOST_RECIPIENTS = 100
"""Of one message; who writes to more is no friend of all of them."""
GOOD = 0.25
"""What a message without reproach adds: nobody has said that it was wanted."""


class Notebook:
    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._met: dict[tuple[AccountId, str], Met] = {}
        self._heard: dict[int, Heard] = {}
        self._domains: set[str] = set()

    def judged(self, examined: Examined, is_good: bool, is_bad: bool, filed: Iterable[AccountId]) -> None:
        """A message came: what was thought of it without its sender's reputation, and whose inbox it went to."""
        one = Heard(good=GOOD) if is_good else Heard(bad=1.0) if is_bad else Heard()
        for key in keys_of(examined).values():
            self._add(key, one)
        if examined.author:
            name = examined.author_name
            for account in filed:
                self._meet(Met(account, examined.author, name_hash(name), name, heard=1))

    def wrote(self, account: AccountId, envelope: Envelope, header: bytes) -> None:
        """*account* sends a message: its recipients are people it knows, and its own name is one that others may imitate."""
        authors = parse_addresses(first(header, b"from") or b"").addresses[:1]
        for one in authors:
            name = decode(one.name or b"")
            if name_hash(name):
                self._meet(Met(EVERYBODY, address_text(one), name_hash(name), name, wrote=1))
        if len(envelope.recipients) > MOST_RECIPIENTS:
            return
        names = {}
        for field in (b"to", b"cc"):
            for one in parse_addresses(first(header, field) or b"").addresses[:MOST_RECIPIENTS]:
                names[address_text(one)] = decode(one.name or b"")
        for recipient in envelope.recipients:
            address = recipient.address.key
            name = names.get(address, "")
            self._meet(Met(account, address, name_hash(name), name, wrote=1))
            if len(self._domains) < MOST:
                self._domains.add(site(recipient.address.domain))

    def _add(self, key: int, one: Heard) -> None:
        before = self._heard.get(key)
        if before is not None:
            self._heard[key] = Heard(before.good + one.good, before.bad + one.bad)
        elif len(self._heard) < MOST:
            self._heard[key] = one

    def _meet(self, one: Met) -> None:
        key = (one.account, one.address)
        before = self._met.get(key)
        if before is not None:
            named = one if one.name else before
            one = Met(*key, named.name, named.shown, before.wrote + one.wrote, before.heard + one.heard)
        elif len(self._met) >= MOST:
            return
        self._met[key] = one

    async def flush(self) -> int:
        """Write down what was gathered; how much it was. Raises Unavailable: then it is lost."""
        met, heard, domains = list(self._met.values()), self._heard, self._domains
        if not met and not heard:
            return 0
        self._met, self._heard, self._domains = {}, {}, set()
        shaped = [(shape, domain) for domain in domains if "." in domain for shape in shapes(domain)]
        keys = sorted(heard)
        for at in range(0, max(len(met), len(keys), len(shaped)), STEP):
            part = {key: heard[key] for key in keys[at : at + STEP]}
            await self._knowledge.note(met[at : at + STEP], part, shaped[at : at + STEP])
        return len(met) + len(heard)
