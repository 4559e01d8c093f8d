"""Why a message was delivered, put into Junk, refused or put off: its records as a verdict with the evidence for it.

The sentences are those of the findings, in the language that is asked for; what was known then, DNS included, is what was written
down then. Nothing is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..filters.words import LANGUAGES, sentence
from ..model.errors import Refusal
from ..model.ids import AccountId
from ..model.printable import printable
from ..model.record import Record, Stage, Traced
from ..model.verdict import Finding
from .tools import Tools, operation

MAX_LOOKED_AT = 200
_KINDS = {"addresses": "A", "txt": "TXT", "mx": "MX", "ptr": "PTR", "tlsa": "TLSA"}
_VERDICTS = {
    "file": "delivered",
    "junk": "filed as junk",
    "quarantine": "held back",
    "refuse as spam": "not wanted",
}


@operation("why")
async def why(
    tools: Tools, name: str = "", sender: str = "", recipient: str = "", since: int = 0, limit: int = 5, language: str = "en"
) -> list[dict[str, Any]]:
    """The latest messages that *name* (a Message-ID, an id) names, or that went from *sender* to *recipient*."""
    wanted = name or sender or recipient
    if not wanted:
        raise Refusal("Say which message: its Message-ID, or from whom and to whom it was", status="5.5.4")
    if language not in LANGUAGES:
        raise Refusal(f"There are no sentences in {language!r}; known are {', '.join(LANGUAGES)}", status="5.5.4")
    found = await tools.store.find_records(wanted, since, tools.clock.now() + 1, MAX_LOOKED_AT)
    chosen = [one for one in found if _is_meant(one, sender, recipient)]
    latest = sorted(chosen, key=lambda one: -one.trail)[: max(limit, 1)]
    return [await _explained(tools, one, language) for one in latest]


def _is_meant(traced: Traced, sender: str, recipient: str) -> bool:
    senders = {str(record.facts["sender"]).lower() for record in traced.records if "sender" in record.facts}
    recipients = {str(one).lower() for record in traced.records for one in record.facts.get("recipients", ())}
    return (not sender or sender.lower() in senders) and (not recipient or recipient.lower() in recipients)


async def _explained(tools: Tools, traced: Traced, language: str) -> dict[str, Any]:
    facts = [record.facts for record in traced.records]
    judged = next((record.facts for record in traced.records if record.stage is Stage.JUDGED), {})
    evidence = [{"account": "", **one} for one in _evidence(judged.get("findings", ()), language)]
    verdicts = []
    for account, own, *wish in judged.get("personal", ()):
        name = await _name(tools, AccountId(account))
        evidence += [{"account": name, **one} for one in _evidence(own, language)]
        if wish:
            total = judged.get("score", 0) + sum(one[1] for one in own)
            verdicts.append(f"{name}: {_VERDICTS.get(wish[0], wish[0])}, score {total:.1f}")
    return {
        "message": f"{traced.trail:x}",
        "message_id": next((printable(one["message_id"]) for one in facts if "message_id" in one), ""),
        "at": traced.records[0].at if traced.records else 0,
        "sender": next((printable(one["sender"]) or "<>" for one in facts if "sender" in one), ""),
        "recipients": [printable(one) for one in next((each["recipients"] for each in facts if "recipients" in each), ())],
        "verdict": _verdict(traced.records, judged),
        "verdicts": verdicts,
        "evidence": sorted(evidence, key=lambda one: -abs(one["score"])),
        "authentication": list(_authentication(judged)),
        "dns": [
            f"{_KINDS.get(kind, printable(kind))} {printable(of)}: {printable(said)}" for kind, of, said in judged.get("dns", ())
        ],
    }


async def _name(tools: Tools, account: AccountId) -> str:
    try:
        return (await tools.directory.account(account)).name
    except Refusal:
        return "an account that is gone"


def _evidence(found: Iterable[Any], language: str) -> list[dict[str, Any]]:
    return [
        {
            "code": printable(code),
            "score": score,
            "words": printable(sentence(Finding(code, score, tuple(facts.items())), language)),
        }
        for code, score, facts in found
    ]


def _verdict(records: Iterable[Record], judged: Any) -> str:
    """What became of it, by what was written down last that decides."""
    stages = {record.stage: record.facts for record in records}
    refused = stages.get(Stage.REFUSED) or stages.get(Stage.GREYLISTED)
    if refused is not None and Stage.ACCEPTED not in stages:
        kind = "put off (greylisted)" if Stage.GREYLISTED in stages else "refused"
        answer = f"{refused.get('code', '')} {refused.get('status', '')} {printable(refused.get('reason', ''))}"
        return f"{kind} at {printable(refused.get('command', 'DATA'))}: {answer}"
    if Stage.ACCEPTED not in stages and not judged:
        return "nothing was decided"
    words = _VERDICTS.get(str(judged.get("wish", "file")), str(judged.get("wish")))
    if "score" in judged:
        words += f", score {judged['score']:.1f}"
        if judged.get("thresholds"):
            tag, junk, refuse = judged["thresholds"]
            words += f" (tagged from {tag:g}, junk from {junk:g}, refused from {refuse:g})"
    if judged.get("why"):
        words += f", because of {printable(judged['why'])}"
    return words


def _authentication(judged: Any) -> Iterable[str]:
    if "spf" not in judged:
        return
    yield f"SPF {printable(judged['spf'])}"
    for name in ("dkim", "dmarc"):
        for one in judged.get(name, ()) or ["none"]:
            yield f"{name.upper()} {printable(one)}"
    yield f"ARC {printable(judged.get('arc', 'none'))}"
    for one in judged.get("missing", ()):
        yield f"not judged: {printable(one)}"
