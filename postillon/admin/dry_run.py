"""What would change: stored mail under a filter's file, recent verdicts under other thresholds. Nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..config.settings import CHECKS
from ..filters.own import OwnFilter, OwnFilterError
from ..filters.stored import MOST, examined_again
from ..filters.words import SENTENCES
from ..flow.judgement import wish_of
from ..flow.plan import Wish
from ..message.encoded_words import decode
from ..model.account import SERVER, Account
from ..model.errors import Refusal
from ..model.ids import AccountId
from ..model.mail import Email, Mailbox
from ..model.printable import printable
from ..model.record import Record, Stage
from ..model.verdict import Opinion, Thresholds
from ..storage.ids import first_id_at
from ..storage.knowledge import Knowledge
from .tools import Tools, operation

SECONDS = 45.0
"""A command waits for a minute."""
MOST_TOLD = 500
ROLES = ("inbox", "junk")

Changed = dict[str, Any]


def _thresholds(values: Mapping[str, float]) -> Thresholds:
    found = Thresholds(**values)
    if not found.tag <= found.junk <= found.refuse:
        raise Refusal("`tag`, `junk` and `refuse` must not become smaller in this order", status="5.5.4")
    return found


# --- a filter's file over stored mail ------------------------------------------------------------------------------------


@operation("filter.test")
async def filter_test(
    tools: Tools, path: str, hostname: str, thresholds: dict[str, float], address: str = "", count: int = 200
) -> dict[str, Any]:
    """Ask the file at *path* about the latest *count* messages in INBOX and Junk of each account; what would change."""
    limits, own, until = _thresholds(thresholds), OwnFilter(path, time_s=10.0), time.monotonic() + SECONDS
    accounts = [await tools.directory.find_account(address)] if address else await tools.directory.accounts(None)
    result: dict[str, Any] = {"looked_at": 0, "found": 0, "failed": 0, "changed": [], "is_complete": True}
    try:
        for account in accounts:
            choice = await Knowledge(tools.store.database, tools.clock).choice(account.id)
            for box in await tools.store.mailboxes(SERVER, account.id):
                if box.role in ROLES:
                    await _test_mailbox(tools, own, account, box, choice.over(limits), hostname, count, until, result)
            if time.monotonic() > until:
                result["is_complete"] = False
                break
    finally:
        await own.close()
    return result


async def _test_mailbox(
    tools: Tools,
    own: OwnFilter,
    account: Account,
    box: Mailbox,
    limits: Thresholds,
    hostname: str,
    count: int,
    until: float,
    result: dict[str, Any],
) -> None:
    rows = await tools.store.snapshot(SERVER, account.id, box.id, max(box.uidnext - 1 - count, 0), count)
    uids = [row[0] for row in rows]
    for at in range(0, len(uids), 50):
        for email in await tools.store.emails(SERVER, account.id, box.id, uids[at : at + 50]):
            if time.monotonic() > until:
                return
            await _test_email(tools, own, account, email, "/".join(box.path), limits, hostname, result)


async def _test_email(
    tools: Tools,
    own: OwnFilter,
    account: Account,
    email: Email,
    box: str,
    limits: Thresholds,
    hostname: str,
    result: dict[str, Any],
) -> None:
    rope = tools.store.octets(email)
    octets = await tools.store.read_octets(rope, 0, min(rope.size, MOST))
    examined = examined_again(octets, hostname, (account.id,), account.name, email.received)
    result["looked_at"] += 1
    try:
        opinion = await own.ask(examined)
    except OwnFilterError as error:
        result["failed"] += 1
        result.setdefault("error", printable(str(error).strip().splitlines()[-1]))
        return
    if opinion == Opinion():
        return
    result["found"] += 1
    before = _score(examined.first(b"x-spam-score"))
    after = before + sum(one.score for one in opinion.findings)
    old, new = wish_of(before, limits), _strictest(wish_of(after, limits), opinion)
    if old is not new and len(result["changed"]) < MOST_TOLD:
        result["changed"].append(
            {
                "account": account.name,
                "mailbox": box,
                "subject": printable(decode(examined.first(b"subject") or b"")[:80]),
                "before": old.value,
                "after": new.value,
                "score": round(after, 2),
                "findings": [f"{one.code}={one.score:+g}" for one in opinion.findings],
            }
        )


def _score(value: bytes | None) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return 0.0


def _strictest(by_score: Wish, opinion: Opinion) -> Wish:
    if opinion.refusal is not None:
        return Wish.REFUSE_SPAM
    return Wish.JUNK if opinion.junk and by_score is Wish.FILE else by_score


BEGINNINGS = {
    "attachments": ("attachment", "mime"),
    "blocklists": ("dnsbl", "rhsbl", "hashbl", "dnswl"),
    "clamav": ("virus",),
}
"""How the codes of a check's findings begin, where they do not begin with its name."""


# --- other thresholds over recent verdicts --------------------------------------------------------------------------------


@operation("policy.dry_run")
async def policy_dry_run(
    tools: Tools,
    thresholds: dict[str, float],
    scores: dict[str, float] | None = None,
    off: list[str] | None = None,
    days: float = 7,
) -> dict[str, Any]:
    """The verdicts of the last *days* that would differ with other *thresholds*, *scores* of findings, or checks *off*."""
    known = {*CHECKS, *(code.partition(".")[0] for code in SENTENCES), *SENTENCES}
    for one in off or ():
        if one not in known and not one.startswith("own."):
            raise Refusal(f"{one!r} is no check and no finding; checks are {', '.join(CHECKS)}", status="5.5.4")
    limits, until = _thresholds(thresholds), time.monotonic() + SECONDS
    after = first_id_at(tools.clock.now() - int(days * 86400))
    result: dict[str, Any] = {"looked_at": 0, "changed": [], "is_complete": True}
    while rows := await tools.store.records_since(after):
        after = rows[-1][0]
        for _, traced in rows:
            judged = next((one for one in traced.records if one.stage is Stage.JUDGED), None)
            if judged is not None and "thresholds" in judged.facts:
                result["looked_at"] += 1
                context = {key: value for one in traced.records for key, value in one.facts.items()}
                for change in await _changes(tools, judged, limits, scores or {}, tuple(off or ())):
                    result["changed"].append(_told(f"{traced.trail:x}", judged.at, context, change))
        if len(result["changed"]) >= MOST_TOLD or time.monotonic() > until:
            result["is_complete"] = False
            break
    return result


def _told(message: str, at: int, context: Mapping[str, Any], change: Changed) -> Changed:
    return {
        "at": time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at)),
        "message": message,
        "sender": printable(context.get("sender", "")) or "<>",
        "recipients": [printable(one) for one in context.get("recipients", ())][:10],
        **change,
    }


async def _changes(
    tools: Tools, judged: Record, limits: Thresholds, scores: Mapping[str, float], off: tuple[str, ...]
) -> list[Changed]:
    facts = judged.facts
    was = Thresholds(*facts["thresholds"])
    common = list(facts.get("findings", ()))
    found = []
    voters: list[tuple[int, list[Any], str]] = [(0, [], str(facts.get("wish", "file")))]
    voters += [(account, own, wish[0]) for account, own, *wish in facts.get("personal", ()) if wish]
    for account, own, wish in voters:
        choice = await Knowledge(tools.store.database, tools.clock).choice(AccountId(account)) if account else None
        before_limits, after_limits = (choice.over(was), choice.over(limits)) if choice else (was, limits)
        findings = [*common, *own]
        before = round(sum(score for _, score, _ in findings), 2)
        after = round(sum(_weighed(code, score, scores, off) for code, score, _ in findings), 2)
        new = _new_wish(wish, wish_of(before, before_limits), wish_of(after, after_limits))
        if new != wish:
            found.append(
                {
                    "account": await _name(tools, account),
                    "before": wish,
                    "after": new,
                    "score_before": before,
                    "score_after": after,
                }
            )
    return found


async def _name(tools: Tools, account: int) -> str:
    if not account:
        return "everybody else"
    try:
        return (await tools.directory.account(AccountId(account))).name
    except Refusal:
        return "an account that is gone"


def _weighed(code: str, score: float, scores: Mapping[str, float], off: tuple[str, ...]) -> float:
    if any(code.startswith(f"{beginning}.") for one in off for beginning in BEGINNINGS.get(one, (one,))) or code in off:
        return 0.0
    return scores.get(code, score)


def _new_wish(wish: str, by_score: Wish, by_new_score: Wish) -> str:
    """What was stated outright (by DMARC, a virus) stands; only what the score alone had said may change."""
    strictness = [one.value for one in (Wish.FILE, Wish.JUNK, Wish.QUARANTINE, Wish.REFUSE_SPAM)]
    if wish not in strictness:
        return wish
    stated = wish if wish != by_score.value else Wish.FILE.value
    return max(stated, by_new_score.value, key=strictness.index)
