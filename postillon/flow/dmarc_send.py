"""The daily aggregate reports (RFC 7489 §7.2): made of what was counted, and mailed to whom the domain's record names."""

from __future__ import annotations

import asyncio
import gzip
import re
from dataclasses import dataclass

from ..log import Log
from ..mailauth.aggregate import Feedback, Row, write
from ..mailauth.dmarc_record import MAX_RECORD, DnsTrouble, fetch, walk
from ..mailauth.names import canonical
from ..message import build
from ..model.address import Address, AddressError
from ..seams import Clock, Database, Resolver
from ..storage.ids import IdSource
from ..storage.store import tallies
from ..storage.store.tallies import Kind
from .dmarc_count import DAY, decode_seen
from .own_mail import OwnMail

MAX_ROWS = 10_000
MAX_TARGETS = 10
"""Addresses of one record that are written to."""
GIVE_UP_DAYS = 3
"""So long a report waits for DNS."""
_URI = re.compile(r"mailto:([^!?\s]+)(?:!(\d{1,12})([kmgt]?))?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
log = Log("dmarc")


@dataclass(frozen=True, slots=True)
class Target:
    address: Address
    limit: int | None = None
    """Octets of the largest report that it takes."""


def targets(uris: str) -> list[Target]:
    """The mail addresses in a record's `rua`; what is no `mailto:` is left out (RFC 7489 §6.2)."""
    found: dict[str, Target] = {}
    for text in uris.split(",", MAX_TARGETS)[:MAX_TARGETS]:
        matched = _URI.fullmatch(text.strip())
        if matched is None:
            continue
        try:
            address = Address.parse(_unquoted(matched[1]))
        except AddressError:
            continue
        limit = int(matched[2]) * _UNITS[matched[3].lower()] if matched[2] else None
        found.setdefault(address.key, Target(address, limit))
    return list(found.values())


def _unquoted(text: str) -> str:
    """RFC 7489 §6.3: comma and exclamation mark are percent-encoded there."""
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), text)


@dataclass(frozen=True, slots=True)
class DmarcSendSettings:
    hostname: str
    organization: str
    """Who reports; our host name where nothing else was said."""
    sender: Address
    """Whose name stands in From, and who may be asked about a report."""


class DmarcSender:
    """`send_due` mails what was counted on the days before today."""

    def __init__(
        self, *, side: Database, resolver: Resolver, mail: OwnMail, clock: Clock, ids: IdSource, settings: DmarcSendSettings
    ) -> None:
        self._side = side
        self._resolver = resolver
        self._mail = mail
        self._clock = clock
        self._ids = ids
        self._settings = settings

    async def send_due(self, *, with_today: bool = False) -> int:
        """Send the reports that are due; returns how many. Raises Refusal."""
        today, sent = self._clock.now() // DAY + with_today, 0
        for day, domain in await self._side.read(lambda tx: tallies.domains(tx, Kind.DMARC_SEEN, today)):
            try:
                sent += await self._send(day, domain)
            except DnsTrouble as trouble:
                if day + GIVE_UP_DAYS >= today:
                    log.info("report waits for DNS", domain=domain, reason=str(trouble))
                    continue
                log.warning("report given up", domain=domain, reason=str(trouble))
            await self._side.write(lambda tx, day=day, domain=domain: tallies.remove(tx, Kind.DMARC_SEEN, day, domain))  # type: ignore[misc]
        return sent

    async def _send(self, day: int, domain: str) -> int:
        """The report of one day to one domain. Raises DnsTrouble."""
        record = await fetch(self._resolver, domain)
        wanted = targets(record.reports) if record is not None else []
        allowed = [target for target in wanted if await self._is_allowed(domain, target.address.domain)]
        if not allowed:
            return 0
        feedback = await self._feedback(day, domain)
        if feedback is None:
            return 0
        octets = await asyncio.to_thread(lambda: gzip.compress(write(feedback), mtime=0))
        fits = [target for target in allowed if target.limit is None or len(octets) <= target.limit]
        for target in allowed:
            if target not in fits:
                log.warning("report too large", domain=domain, recipient=target.address, size=len(octets), limit=target.limit)
        if not fits:
            return 0
        to = [target.address for target in fits]
        is_sent = await self._mail.send(self._message(feedback, octets, to), to, f"a report about DMARC of {domain}")
        log.info(
            "report sent" if is_sent else "nobody takes the report",
            domain=domain,
            recipients=len(to),
            rows=len(feedback.rows),
            size=len(octets),
            report=feedback.report_id,
        )
        return int(is_sent)

    async def _is_allowed(self, domain: str, where: str) -> bool:
        """RFC 7489 §7.1: whoever is of another organization must say that it wants to hear of *domain*. Raises DnsTrouble."""
        if canonical(where) is None:
            return False
        ours, theirs = await walk(self._resolver, domain), await walk(self._resolver, where)
        if ours.organization == theirs.organization:
            return True
        name = f"{domain}._report._dmarc.{where}"
        answer = await self._resolver.txt(name)
        if answer.is_temporary:
            raise DnsTrouble(f"DNS: {answer.status.value} for {name}")
        is_wanted = any(
            text[:MAX_RECORD].partition(";")[0].replace(" ", "") == "v=DMARC1" for text in map(str, answer.records[:50])
        )
        if not is_wanted:
            log.info("report not wanted there", domain=domain, recipient=where, reason=f"no record at {name}")
        return is_wanted

    async def _feedback(self, day: int, domain: str) -> Feedback | None:
        found = await self._side.read(lambda tx: tallies.of_domain(tx, Kind.DMARC_SEEN, day, domain, MAX_ROWS))
        seen = await asyncio.to_thread(lambda: [(decode_seen(one.facts), one.count) for one in found])
        if not seen:
            return None
        rows = tuple(
            Row(
                source=one.source,
                count=count,
                disposition=one.disposition,
                dkim=one.dkim,
                spf=one.spf,
                header_from=one.header_from,
                envelope_from=one.envelope_from,
                reasons=one.reasons,
                dkim_results=one.dkim_results,
                spf_results=one.spf_results,
            )
            for one, count in seen
        )
        settings = self._settings
        return Feedback(
            organization=settings.organization,
            email=str(settings.sender),
            report_id=f"{self._ids.next():x}.{day}@{settings.hostname}",
            begin=day * DAY,
            end=(day + 1) * DAY - 1,
            published=max(seen, key=lambda one: one[1])[0].published,
            rows=rows,
        )

    def _message(self, feedback: Feedback, octets: bytes, to: list[Address]) -> bytes:
        """RFC 7489 §7.2.1.1: the file's and the subject's form."""
        settings, domain = self._settings, feedback.published.domain
        stem = f"{settings.hostname}!{domain}!{feedback.begin}!{feedback.end}!{feedback.report_id.partition('@')[0]}"
        words = (
            f"This is a DMARC aggregate report about mail in the name of {domain}\n"
            f"that came to {settings.hostname}. It is made for programs; the domain's\n"
            "DMARC record asks for it (rua).\n"
        )
        subject = f"Report Domain: {domain} Submitter: {settings.hostname} Report-ID: <{feedback.report_id}>"
        header = [
            build.addresses("From", [("", settings.sender)]),
            build.addresses("To", [("", address) for address in to]),
            build.text("Subject", subject),
            build.date("Date", self._clock.now()),
            build.message_id("Message-ID", [f"{feedback.report_id.partition('@')[0]}.dmarc@{settings.hostname}"]),
            build.raw("Auto-Submitted", b"auto-generated"),
            build.raw("MIME-Version", b"1.0"),
        ]
        parts = [build.text_part(words), build.attachment(octets, "application/gzip", f"{stem}.xml.gz")]
        return b"".join(header) + build.multipart("mixed", f"=report.{self._ids.next():x}", parts)
