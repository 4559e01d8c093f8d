"""What is thought of a message: mail authentication and all filters, within one time limit, become a vote for each recipient.

Each filter gives an `Opinion`. Its findings' scores are added up; the sum meets the recipient's thresholds (tag, junk, refuse).
A wish that a filter or DMARC states outright counts whatever the sum is, and the strictest wish wins. A filter that fails or is
late leaves a finding; no fault in here loses a message or keeps it waiting beyond the limit.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..filters.examined import Examined
from ..filters.notebook import Notebook
from ..filters.words import sentence
from ..log import Log
from ..mailauth import authres
from ..mailauth.content import Content
from ..mailauth.evaluate import Verdict
from ..message.header import header_end
from ..message.incoming import Incoming
from ..message.part import Part
from ..model.choice import Choice
from ..model.errors import Refusal
from ..model.ids import AccountId
from ..model.plan import Body
from ..model.verdict import NO_OPINION, Edits, Finding, Opinion, Thresholds, finding
from ..seams import Filter
from . import accept, spam_fields
from .authenticate import Authenticated, Authenticator, body_chunks
from .plan import Vote, Wish

log = Log("judge")

Choices = Callable[[Examined], Awaitable[Mapping[AccountId, Choice]]]
"""What the recipients of a message have chosen, those who have."""

_STRICTNESS = (Wish.FILE, Wish.JUNK, Wish.QUARANTINE, Wish.REFUSE_SPAM)


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    thresholds: Thresholds = Thresholds()
    scores: Mapping[str, float] = field(default_factory=dict)
    """Scores of findings by code, where the administrator wants others than the filter gives."""
    time_s: float = 10.0
    """For one filter."""
    times: Mapping[str, float] = field(default_factory=dict)
    """The same by name, for filters that have another time."""
    total_s: float = 30.0
    """For all of it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is thought of one message."""

    votes: Mapping[AccountId | None, Vote] = field(default_factory=dict)
    """Of accounts whose vote differs from that of all others, which is None's."""
    elsewhere: Vote | None = None
    """Of addresses elsewhere; None: as that of all others."""
    results_field: bytes = b""
    """Authentication-Results, to be put before the message."""
    header: bytes | None = None
    """The header section without fields that claim to be our results; None: as it was received."""
    filed_header: bytes | None = None
    """The same for what is filed: without others' X-Spam fields, too."""
    spam_fields: bytes = b""
    """Our X-Spam fields, for what is filed."""
    personal_fields: Mapping[AccountId, bytes] = field(default_factory=dict)
    """Those of accounts with findings or thresholds of their own."""
    verdict: Verdict | None = None
    scanned: tuple[Body, Part] | None = None
    """The MIME tree that the checks have read, and of which body it is."""
    findings: tuple[Finding, ...] = ()
    personal: Mapping[AccountId, tuple[Finding, ...]] = field(default_factory=dict)
    """Findings that hold for one account only, besides *findings*."""
    score: float = 0.0
    """The sum of *findings*."""
    thresholds: Thresholds | None = None
    """What the sum met, for accounts without thresholds of their own."""
    why: str = ""
    """What decided where the scores did not, in a few words."""
    edits: tuple[Edits, ...] = ()
    against: tuple[Finding, ...] = ()
    """Of *findings* those of filters that want it held back."""

    def vote(self, account: AccountId | None) -> Vote:
        """What *account* wants, or (None) what holds for addresses elsewhere."""
        if account is None and self.elsewhere is not None:
            return self.elsewhere
        return self.votes.get(account) or self.votes.get(None) or Vote(Wish.FILE)


UNJUDGED = Judgement()


class Judge:
    """Judges messages at the MX. *hostname* is our authserv-id."""

    def __init__(
        self,
        *,
        authenticator: Authenticator | None,
        hostname: str,
        filters: Sequence[Filter[Examined]] = (),
        settings: JudgeSettings | None = None,
        choices: Choices | None = None,
        notebook: Notebook | None = None,
    ) -> None:
        """*filters* in the order in which their findings are told. *choices* of accounts, *notebook* of what is remembered."""
        self._authenticator = authenticator
        self._hostname = hostname
        self._filters = tuple(filters)
        self._settings = settings or JudgeSettings()
        self._choices = choices
        self._notebook = notebook

    async def judge(self, incoming: Incoming, header: bytes) -> Judgement:
        """All checks of *incoming*, whose header section is *header*. Takes `total_s` at most, and raises nothing."""
        examined = Examined(incoming, header, await _content(incoming, header))
        known, opinions = await self._examine(examined)
        chosen = await self._chosen(examined)
        judged = self._judgement(examined, known, opinions, chosen)
        _note(incoming, known, judged)
        if self._notebook is not None:
            try:
                _remember(self._notebook, examined, judged, self._settings.thresholds)
            except Exception as error:  # only remembered: no reason to keep the message waiting
                log.error("judgement not noted", session=incoming.client.session, exc=error)
        return judged

    async def _chosen(self, examined: Examined) -> Mapping[AccountId, Choice]:
        try:
            return await self._choices(examined) if self._choices and examined.accounts else {}
        except Refusal as refusal:  # the store is busy: judged as configured
            log.warning("choices unknown", session=examined.incoming.client.session, status=refusal.status)
            return {}

    async def seal(self, incoming: Incoming, header: bytes, judged: Judgement) -> bytes:
        """ARC fields for what is handed on, see `Authenticator.seal`."""
        if self._authenticator is None or judged.verdict is None:
            return b""
        return await self._authenticator.seal(incoming, header, judged.header, judged.verdict)

    # --- asking ------------------------------------------------------------------------------------------------------

    async def _examine(self, examined: Examined) -> tuple[Authenticated | None, list[Opinion]]:
        """What authentication found, and the opinions in the filters' order."""
        opinions: dict[str, Opinion] = {}
        remote = [one for one in self._filters if not one.is_local]
        known = None
        if self._filters:
            await examined.prepare()
        try:
            async with asyncio.timeout(self._settings.total_s):
                tasks = [asyncio.create_task(self._ask(one, examined, opinions)) for one in remote]
                try:
                    known = await self._authenticate(examined, opinions)
                    await self._ask_local([one for one in self._filters if one.is_local], examined, opinions)
                    if tasks:
                        await asyncio.wait(tasks)
                finally:
                    for task in tasks:
                        task.cancel()
        except TimeoutError:
            log.warning("judging late", session=examined.incoming.client.session, seconds=self._settings.total_s)
        found = [opinions.get(one.name) or Opinion((finding("filter.late", filter=one.name),)) for one in self._filters]
        return known, [*found, opinions[""]] if "" in opinions else found

    async def _authenticate(self, examined: Examined, opinions: dict[str, Opinion]) -> Authenticated | None:
        known = None
        try:
            if self._authenticator is not None:
                known = await self._authenticator.authenticate(examined.incoming, examined.content)
        except Exception as error:  # whatever it is, it is our fault, and no reason to refuse the message
            log.error("authentication failed", session=examined.incoming.client.session, exc=error)
            opinions[""] = Opinion((finding("authentication.failed"),))
        finally:
            examined.authentication_ended(known.verdict if known else None)
        return known

    async def _ask_local(self, filters: Sequence[Filter[Examined]], examined: Examined, opinions: dict[str, Opinion]) -> None:
        """One after the other, within the time of one: a limit for each would cost more than most of them."""
        waiting = iter(filters)
        present: Filter[Examined] | None = None
        while True:
            try:
                async with asyncio.timeout(self._settings.time_s):
                    for present in waiting:
                        opinions[present.name] = await self._opinion(present, examined)
                    return
            except TimeoutError:
                assert present is not None
                opinions[present.name] = self._late(present, examined, self._settings.time_s)

    async def _ask(self, one: Filter[Examined], examined: Examined, opinions: dict[str, Opinion]) -> None:
        seconds = self._settings.times.get(one.name, self._settings.time_s)
        try:
            async with asyncio.timeout(seconds):
                opinions[one.name] = await self._opinion(one, examined)
        except TimeoutError:
            opinions[one.name] = self._late(one, examined, seconds)

    async def _opinion(self, one: Filter[Examined], examined: Examined) -> Opinion:
        try:
            return await one.examine(examined)
        except Exception as error:  # an administrator's code, or a bug of ours: the message goes on
            log.error("filter failed", session=examined.incoming.client.session, filter=one.name, exc=error)
            return Opinion((finding("filter.failed", filter=one.name),))

    def _late(self, one: Filter[Examined], examined: Examined, seconds: float) -> Opinion:
        log.warning("filter late", session=examined.incoming.client.session, filter=one.name, seconds=seconds)
        return Opinion((finding("filter.late", filter=one.name),))

    # --- adding up ---------------------------------------------------------------------------------------------------

    def _judgement(
        self,
        examined: Examined,
        known: Authenticated | None,
        opinions: Sequence[Opinion],
        chosen: Mapping[AccountId, Choice],
    ) -> Judgement:
        findings = tuple(self._weighed(found) for opinion in opinions for found in opinion.findings)
        personal: dict[AccountId, tuple[Finding, ...]] = {}
        for opinion in opinions:
            for account, own in opinion.personal:
                personal[account] = (*personal.get(account, ()), *map(self._weighed, own))
        proven = known.vote if known else Vote(Wish.FILE)
        base = _strictest([proven, *(_stated(opinion) for opinion in opinions)])
        bases = {account: _own_base(proven, opinions, account) for opinion in opinions for account, _ in opinion.stated}
        common = self._settings.thresholds
        votes: dict[AccountId | None, Vote] = {None: _vote(base, findings, common)}
        elsewhere = _vote(bases.pop(None, base), findings, common)
        fields: dict[AccountId, bytes] = {}
        for account in examined.accounts if personal or chosen or bases else ():
            limits = chosen[account].over(common) if account in chosen else common
            if account in personal or account in bases or limits != common:
                all_found = (*findings, *personal.get(account, ()))
                votes[account] = vote = _vote(bases.get(account, base), all_found, limits)
                fields[account] = _fields(all_found, limits, vote)
        content = examined.content
        header = authres.without_forged(examined.header, content.named(b"authentication-results"), self._hostname)
        return Judgement(
            votes=votes,
            elsewhere=elsewhere,
            results_field=known.field if known else b"",
            header=header,
            filed_header=_filed_header(content, header),
            # A single account that has fields of its own leaves nobody to get the common ones.
            spam_fields=b"" if fields and len(examined.accounts) == 1 else _fields(findings, common, votes[None]),
            personal_fields=fields,
            verdict=known.verdict if known else None,
            scanned=_scanned(examined),
            findings=findings,
            personal=personal,
            score=_sum(findings),
            thresholds=common if self._filters else None,
            why=known.why if known else "",
            edits=tuple(opinion.edits for opinion in opinions if opinion.edits is not None),
            against=tuple(one for opinion in opinions if _holds(opinion) for one in opinion.findings),
        )

    def _weighed(self, one: Finding) -> Finding:
        score = self._settings.scores.get(one.code, one.score)
        if not math.isfinite(score):  # no other finding would count beside it
            score = 0.0
        return one if score == one.score else replace(one, score=score)


async def _content(incoming: Incoming, header: bytes) -> Content:
    def make() -> Content:
        return Content(header, body_chunks(incoming.body, len(header)), is_large=incoming.body.data is None)

    return make() if len(header) <= accept.PREPARE_ON_LOOP else await asyncio.to_thread(make)


def _scanned(examined: Examined) -> tuple[Body, Part] | None:
    """What is stored beside the message need not read its structure again, if a check has; and if all agree where it begins."""
    header = examined.header
    if not examined.is_scanned or header_end(header, 0, len(header)) != len(header):
        return None
    return examined.incoming.body, examined.structure


def _filed_header(content: Content, header: bytes | None) -> bytes | None:
    """What is left of the header in what is filed; *header* is it without false results, None where there are none."""
    if not any(name.startswith(spam_fields.OURS) for name in content.by_name):
        return header
    if header is None:
        return spam_fields.without_ours(content.header, content.fields)
    return spam_fields.without_ours(header, Content(header, lambda: ()).fields)


def _sum(findings: Iterable[Finding]) -> float:
    return round(sum(one.score for one in findings), 2)


def _stated(opinion: Opinion) -> Vote:
    """What a filter wants outright."""
    if opinion is NO_OPINION:
        return Vote(Wish.FILE)
    if opinion.refusal is not None:
        return Vote(Wish.REFUSE_SPAM, opinion.refusal)
    return Vote(Wish.QUARANTINE if opinion.quarantine else Wish.JUNK if opinion.junk else Wish.FILE)


def _holds(opinion: Opinion) -> bool:
    return opinion.quarantine or any(wish.quarantine for _, wish in opinion.stated)


def _own_base(proven: Vote, opinions: Sequence[Opinion], account: AccountId | None) -> Vote:
    """What is stated outright for one account, of which some opinions speak by its name."""
    own = [[wish for name, wish in opinion.stated if name == account] or [opinion] for opinion in opinions]
    return _strictest([proven, *(_stated(wish) for wishes in own for wish in wishes)])


def _strictest(votes: Iterable[Vote]) -> Vote:
    return max(votes, key=lambda vote: _STRICTNESS.index(vote.wish))


def _vote(base: Vote, findings: Sequence[Finding], thresholds: Thresholds) -> Vote:
    """*base* is what was stated outright, the sum of the scores may make it stricter."""
    score = _sum(findings)
    wish = wish_of(score, thresholds)
    return _strictest([base, Vote(wish, _refusal(findings, score) if wish is Wish.REFUSE_SPAM else None)])


def wish_of(score: float, thresholds: Thresholds) -> Wish:
    """What the sum of the scores alone says."""
    if score >= thresholds.refuse:
        return Wish.REFUSE_SPAM
    return Wish.JUNK if score >= thresholds.junk else Wish.FILE


def _refusal(findings: Sequence[Finding], score: float) -> Refusal:
    """In words that help an honest sender, whose mail this may be."""
    worst = sorted((one for one in findings if one.score > 0), key=lambda one: -one.score)[:2]
    reasons = "; ".join(sentence(one) for one in worst)
    return Refusal(f"The message looks like unwanted mail: {reasons}", status="5.7.1", detail=f"score {score:.1f}")


def _fields(findings: Sequence[Finding], thresholds: Thresholds, vote: Vote) -> bytes:
    return spam_fields.write(findings, _sum(findings), thresholds, vote.wish is not Wish.FILE)


def _remember(notebook: Notebook, examined: Examined, judged: Judgement, thresholds: Thresholds) -> None:
    """For the sender's reputation, which must not feed on itself: without what reputation and lists said."""
    score = _sum(one for one in judged.findings if not one.code.startswith(("reputation.", "lists.")))
    is_refused = judged.vote(None).wish is Wish.REFUSE_SPAM
    filed = [account for account in examined.accounts if judged.vote(account).wish is Wish.FILE]
    notebook.judged(examined, score < thresholds.tag and not is_refused, score >= thresholds.junk or is_refused, filed)


def _note(incoming: Incoming, known: Authenticated | None, judged: Judgement) -> None:
    """The stage's line in the log."""
    words: dict[str, object] = {}
    if known is not None:
        verdict = known.verdict
        words = {
            "spf": verdict.spf.result.value,
            "dkim": ",".join(f"{one.result.value}:{one.domain}" for one in verdict.dkim) or "none",
            "dmarc": ",".join(f"{one.result.value}:{one.domain}" for one in verdict.dmarc) or "none",
            "arc": verdict.arc.result.value,
            "why": known.why or "-",
        }
        if verdict.findings:
            words["missing"] = "; ".join(verdict.findings)
    log.info(
        "message judged",
        session=incoming.client.session,
        message=accept.message_name(incoming),
        **words,
        wish=judged.vote(None).wish.value,
        score=judged.score,
        findings=",".join(one.code for one in judged.findings) or "-",
        **({"personal": len(judged.personal)} if judged.personal else {}),
    )
