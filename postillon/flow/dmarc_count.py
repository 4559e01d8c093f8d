"""What came here in whose name: counted for the daily reports that the domains' owners ask for (DMARC's `rua`).

A message costs a dictionary's step; what was counted is written down twice a minute.
"""

from __future__ import annotations

import re

import msgspec

from ..log import Log
from ..mailauth.aggregate import DkimResult, Published, SpfResult
from ..mailauth.dmarc import Dmarc
from ..mailauth.dmarc_record import Policy, Record
from ..mailauth.evaluate import Verdict
from ..mailauth.result import Result
from ..message.incoming import Incoming
from ..seams import Clock, Database
from ..storage.store import tallies
from ..storage.store.tallies import Kind, Tally
from .judgement import Judgement

DAY = 86_400
MAX_ROWS = 10_000
"""Different rows of one domain in a day, on each worker; more are not counted, since whoever forges may vary each message."""
MAX_DAY = 100_000
"""The same for all domains."""
MAX_DOMAINS = 10_000
_REPORT = re.compile(rb"^subject:[ \t]*(?:\r\n[ \t]+)?report domain:", re.IGNORECASE | re.MULTILINE)
log = Log("dmarc")


class Seen(msgspec.Struct, array_like=True, frozen=True):
    """A row of a report without its count, as it is stored."""

    source: str
    disposition: str
    dkim: bool
    spf: bool
    header_from: str
    envelope_from: str
    reasons: tuple[tuple[str, str], ...]
    dkim_results: tuple[DkimResult, ...]
    spf_results: tuple[SpfResult, ...]
    published: Published


_encode = msgspec.msgpack.Encoder().encode
decode_seen = msgspec.msgpack.Decoder(Seen).decode


class DmarcCounter:
    """Counts messages by all that a report tells of them. *side* is the side database."""

    def __init__(self, side: Database, clock: Clock) -> None:
        self._side = side
        self._clock = clock
        self._counted: dict[tuple[int, str, bytes], int] = {}
        self._day = 0
        self._rows: set[int] = set()
        """Hashes of the day's rows."""
        self._domains: dict[str, int] = {}
        """How many of them each domain has."""

    def note(self, incoming: Incoming, judged: Judgement, header: bytes) -> None:
        """Count the message once for each author's domain that wants reports; *header* is its header section."""
        verdict = judged.verdict
        if verdict is None:
            return
        for one in verdict.dmarc:
            # What DNS could not tell is nobody's failure. Reports about reports would go to and fro for ever.
            if one.record is None or not one.record.reports or one.result is Result.TEMPERROR or _REPORT.search(header):
                continue
            facts = _encode(_seen(incoming, verdict, one, one.record, judged.why))
            key = (incoming.at // DAY, one.record.domain, facts)
            if self._has_room(key):
                self._counted[key] = self._counted.get(key, 0) + 1

    def _has_room(self, key: tuple[int, str, bytes]) -> bool:
        day, domain, _ = key
        if day != self._day:
            self._day, self._rows, self._domains = day, set(), {}
        mark = hash(key)
        if mark in self._rows:
            return True
        rows = self._domains.get(domain, 0)
        if rows >= MAX_ROWS or len(self._rows) >= MAX_DAY or (not rows and len(self._domains) >= MAX_DOMAINS):
            return False
        self._rows.add(mark)
        self._domains[domain] = rows + 1
        return True

    async def flush(self) -> None:
        """Write down what was counted. Raises Refusal."""
        counted, self._counted = self._counted, {}
        if counted:
            found = [Tally(day, domain, facts, count) for (day, domain, facts), count in counted.items()]
            await self._side.write(lambda tx: tallies.add(tx, Kind.DMARC_SEEN, found), heavy=len(found) > 100)


def _seen(incoming: Incoming, verdict: Verdict, one: Dmarc, record: Record, why: str) -> Seen:
    disposition, reasons = _done(one, why)
    sender = incoming.envelope.sender
    spf = verdict.spf
    return Seen(
        source=incoming.client.address,
        disposition=disposition.word,
        dkim="dkim" in one.aligned,
        spf="spf" in one.aligned,
        header_from=one.domain,
        envelope_from=sender.domain if sender else "",
        reasons=reasons,
        dkim_results=tuple(DkimResult(each.domain, each.result.value, each.selector) for each in verdict.dkim if each.domain),
        # RFC 7489 appendix C: there is always one.
        spf_results=(SpfResult(spf.domain or incoming.client.hello, spf.result.value, "helo" if spf.is_helo else "mfrom"),),
        published=_published(record),
    )


def _done(one: Dmarc, why: str) -> tuple[Policy, tuple[tuple[str, str], ...]]:
    """The disposition, and the reasons where it is not what the policy says (RFC 7489 §7.2, RFC 9990)."""
    if one.result is not Result.FAIL:
        return Policy.NONE, ()
    if why.startswith("vouched for by"):
        return Policy.NONE, (("trusted_forwarder", why),)
    if why == "not enforced":
        return Policy.NONE, (("local_policy", "policies are not enforced here"),)
    if one.applied < one.policy:
        is_testing = one.record is not None and one.record.is_testing
        return one.applied, (("policy_test_mode" if is_testing else "sampled_out", ""),)
    return one.applied, ()


def _published(record: Record) -> Published:
    return Published(
        domain=record.domain,
        p=record.policy.word,
        sp=record.subdomains.word,
        np=record.absent.word if record.absent is not record.subdomains else "",
        adkim="s" if record.dkim_strict else "r",
        aspf="s" if record.spf_strict else "r",
        pct=record.percent,
        testing=record.is_testing,
    )
