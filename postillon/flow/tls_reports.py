"""TLS reports (RFC 8460): ours to the domains that ask for them, once a day, and others' about us, as they come by mail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..log import Log
from ..message import tlsrpt
from ..message.report_parts import ReportPart
from ..message.tlsrpt import BadTlsReport, TlsReport
from ..model.address import Address, AddressError
from ..model.errors import Refusal
from ..model.plan import Plan
from ..net.http_client import HttpError
from ..relay.tls_outcomes import TlsOutcomes
from ..seams import Clock, Directory, Resolver
from ..storage.ids import IdSource
from ..storage.store import Store
from .own_mail import OwnMail

log = Log("reports")

KEEP_DAYS = 3
"""How long a report is tried that cannot be handed over (§5.6 asks for a day)."""
KEEP_RECEIVED_S = 400 * 86400
MEDIA_TYPE = "application/tlsrpt+gzip"

Post = Callable[[str, bytes, str], Awaitable[None]]
"""POST octets of a media type to an `https:` URI. Raises HttpError."""
Domains = Callable[[], Awaitable[Sequence[str]]]
"""Our domains."""


@dataclass(frozen=True, slots=True)
class TlsReportSettings:
    hostname: str
    """Our name."""
    sends: bool = True
    organization: str = ""
    """Who reports; empty: the domain that reports are of."""
    sender: str = ""
    """The address in From; empty: postmaster there."""


class TlsReports:
    """Sends and takes reports. *outcomes*: where sessions are counted; *post*: for `https:` destinations."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        domains: Domains,
        resolver: Resolver,
        mail: OwnMail,
        clock: Clock,
        ids: IdSource,
        settings: TlsReportSettings,
        post: Post,
        outcomes: TlsOutcomes,
    ) -> None:
        self._outcomes = outcomes
        self._store = store
        self._directory = directory
        self._domains = domains
        self._resolver = resolver
        self._mail = mail
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._post = post

    # --- ours --------------------------------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Write down what is still in memory. Raises Refusal; it waits for the next time then."""
        counted = self._outcomes.take()
        if not counted:
            return
        try:
            await self._store.add_tls_sessions(counted)
        except Exception:
            self._outcomes.give_back(counted)
            raise

    async def send_due(self, *, with_today: bool = False) -> int:
        """Report what was counted until yesterday, or also today; how many reports went out."""
        if not self._settings.sends:
            return 0
        now_day, sent = tlsrpt.day_of(self._clock.now()), 0
        for day, domain in await self._store.tls_due(now_day + (1 if with_today else 0)):
            try:
                sent += await self._send(day, domain, now_day)
            except Refusal as refusal:
                log.warning("TLS report not made", domain=domain, reason=refusal.detail or refusal.text)
        return sent

    async def _send(self, day: int, domain: str, now_day: int) -> int:
        answer = await self._resolver.txt(f"_smtp._tls.{domain}")
        if answer.is_temporary and day > now_day - KEEP_DAYS:
            return 0  # another time
        wanted = tlsrpt.wanted_at(tuple(map(str, answer.records)))
        if not wanted:
            await self._store.tls_reported(day, domain, ())
            return 0
        submitter = await self._submitter()
        report = tlsrpt.report_of(
            day,
            await self._store.tls_sessions(day, domain),
            organization=self._settings.organization or submitter,
            contact=f"postmaster@{submitter}",
            report_id=f"{day}.{self._ids.next():x}@{submitter}",
            until=self._clock.now(),
        )
        plans = [plan for uri in wanted if (plan := await self._by_mail(report, domain, submitter, uri)) is not None]
        handed = [uri for uri in wanted if uri.lower().startswith("https:") and await self._by_post(report, domain, uri)]
        if not plans and not handed and day > now_day - KEEP_DAYS:
            return 0
        await self._store.tls_reported(day, domain, plans)
        log.info("TLS report", domain=domain, day=day, to=" ".join(wanted)[:500], sent=len(plans) + len(handed))
        return 1 if plans or handed else 0

    async def _submitter(self) -> str:
        """The domain that our reports are of: our host's, if it is ours, so that it is signed and can be answered."""
        name = self._settings.hostname
        domains = await self._domains()
        above = [domain for domain in domains if name == domain or name.endswith(f".{domain}")]
        return max(above, key=len) if above else domains[0] if domains else name

    async def _by_mail(self, report: TlsReport, domain: str, submitter: str, uri: str) -> Plan | None:
        try:
            to = Address.parse(tlsrpt.mail_address(uri))
        except AddressError:
            return None
        octets = await asyncio.to_thread(
            tlsrpt.mail,
            report,
            domain=domain,
            submitter=submitter,
            sender=Address.parse(self._settings.sender) if self._settings.sender else Address("postmaster", submitter),
            to=to,
            at=self._clock.now(),
            name=f"{self._ids.next():x}.tlsrpt",
        )
        return await self._mail.plan(octets, [to], f"a report about TLS towards {domain}", tls_optional=True)

    async def _by_post(self, report: TlsReport, domain: str, uri: str) -> bool:
        try:
            await self._post(uri, await asyncio.to_thread(tlsrpt.compressed, report), MEDIA_TYPE)
        except HttpError as error:
            log.warning("TLS report not taken", domain=domain, host=urlsplit(uri).hostname or "", reason=str(error))
            return False
        return True

    # --- others' -----------------------------------------------------------------------------------------------------

    async def take(self, part: ReportPart, reporter: str) -> bool:
        """`report_inbox.Read`. Raises BadTlsReport."""
        if not part.octets.lstrip().startswith(b"{"):
            return False
        report = await asyncio.to_thread(tlsrpt.decode, part.octets)
        ours = [domain for domain in await self._domains() if any(one.domain == domain for one in report.policies)]
        if not ours:
            raise BadTlsReport("it is about no domain of ours")
        now = self._clock.now()
        kept = await self._store.keep_tls_report(report, ours, min(report.stop, now))
        for domain in ours if kept else ():
            own = [one for one in report.policies if one.domain == domain]
            failed = sum(one.failed for one in own)
            tell = log.warning if failed else log.info
            tell(
                "TLS reported",
                domain=domain,
                by=report.organization,
                reporter=reporter,
                successes=sum(one.successes for one in own),
                failures=failed,
            )
        return True

    async def prune(self) -> int:
        """A step of the janitor's."""
        return await self._store.prune_tls_reports(self._clock.now() - KEEP_RECEIVED_S)
