"""A message's records as sentences for the operator: what happened at each stage, what was decided, and why. Pure.

Facts may hold a remote's words: whatever cannot be printed is shown as `\\x..`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ..filters.words import sentence as finding_sentence
from ..model.printable import printable
from ..model.record import Record, Stage
from ..model.verdict import Finding
from ..storage.store.bans import FOREVER

MAX_NAMED = 10
"""Of a list, in a sentence; the others are counted."""

Facts = Mapping[str, Any]


def sentence(record: Record) -> str:
    """One stage in words."""
    return _SENTENCES[record.stage](record.facts)


def _address(value: object) -> str:
    return f"<{printable(value)}>"


def _list(values: object, show: Callable[[object], str] = printable) -> str:
    found = list(values) if isinstance(values, list | tuple) else [values]
    shown = ", ".join(map(show, found[:MAX_NAMED]))
    return shown if len(found) <= MAX_NAMED else f"{shown} and {len(found) - MAX_NAMED} more"


def _moment(value: object) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(int(str(value))))


def _from(facts: Facts) -> str:
    """The connection."""
    if "peer" not in facts:
        return ""
    words = [f"from {printable(facts['peer'])}"]
    if facts.get("reverse_name"):
        words.append(f"({printable(facts['reverse_name'])})")
    told = [f"EHLO {printable(facts['hello'])}"] if facts.get("hello") else []
    told.append(printable(facts["tls"]) if facts.get("tls") else "in clear")
    if facts.get("port"):
        told.append(f"port {facts['port']}")
    words.append(f"({', '.join(told)})")
    if facts.get("login"):
        words.append(f"logged in as {printable(facts['login'])}")
    return " ".join(words)


def _envelope(facts: Facts) -> str:
    words = ""
    if "sender" in facts:
        words += f", sender {_address(facts['sender'])}"
    if facts.get("recipients"):
        words += f", to {_list(facts['recipients'], _address)}"
    return words


def _accepted(facts: Facts) -> str:
    if "made_here" in facts:
        return f"made here: {printable(facts['made_here'])}, to {_list(facts.get('recipients', ()), _address)}"
    if "report_about" in facts:
        return f"a report made here about message {facts['report_about']}, to {_list(facts.get('recipients', ()), _address)}"
    size = f", {facts['size']} octets" if "size" in facts else ""
    demand = ", TLS required on its whole way" if facts.get("require_tls") else ""
    return f"accepted {_from(facts)}{_envelope(facts)}{size}{demand}"


def _refused(facts: Facts) -> str:
    command = facts.get("command", "")
    where = "the connection" if command == "connection" else f"{printable(command)}"
    detail = f" ({printable(facts['detail'])})" if facts.get("detail") else ""
    answer = f"{facts.get('code', '')} {facts.get('status', '')} {printable(facts.get('reason', ''))}{detail}"
    kind = "put off" if str(facts.get("status", "")).startswith("4") else "refused"
    return f"{kind} at {where}, {_from(facts)}{_envelope(facts)}: {answer}"


def _banned(facts: Facts) -> str:
    peer, until = printable(facts.get("peer", "")), int(str(facts.get("until", 0)))
    how_long = "for ever" if until >= FOREVER else f"until {_moment(until)}"
    return f"{peer} was banned {how_long}: {printable(facts.get('reason', ''))}; `postillon ban remove` lets it in again"


def _judged(facts: Facts) -> str:
    parts = []
    if "spf" in facts:
        parts += [
            f"SPF {facts['spf']}",
            f"DKIM {_list(facts['dkim']) or 'none'}",
            f"DMARC {_list(facts['dmarc']) or 'none'}",
            f"ARC {facts['arc']}",
        ]
    if "score" in facts:
        parts.append(f"score {facts['score']}")
    words = "; ".join(parts)
    why = f" ({printable(facts['why'])})" if facts.get("why") else ""
    reasons = _findings(facts.get("findings", ()))
    missing = f"; could not be judged: {_list(facts['missing'])}" if facts.get("missing") else ""
    return f"judged: {words or 'nothing found'}; decision: {facts.get('wish', 'file')}{why}{reasons}{missing}"


def _findings(found: object) -> str:
    if not isinstance(found, list | tuple) or not found:
        return ""
    told = [
        f"{score:+g} {printable(finding_sentence(Finding(code, score, tuple(facts.items()))))} [{code}]"
        for code, score, facts in found
    ]
    return f"; {'; '.join(told[: 2 * MAX_NAMED])}"


def _filed(facts: Facts) -> str:
    where = facts.get("mailbox_name") or facts.get("mailbox")
    return (
        f"filed in {printable(where)} of {printable(facts.get('account_name') or facts.get('account'))}, UID {facts.get('uid')}"
    )


def _queued(facts: Facts) -> str:
    return f"queued as {facts.get('queue')} for {_list(facts.get('recipients', ()), _address)}"


def _by(facts: Facts) -> str:
    host = f" by {printable(facts['host'])}" if facts.get("host") else ""
    tls = f" ({printable(facts['security'])})" if facts.get("security") else ""
    via = f" through {printable(facts['via'])}" if facts.get("via") else ""
    return f"{host}{tls}{via}"


def _said(facts: Facts) -> str:
    code = f"{facts['code']} " if facts.get("code") else ""
    return f"{code}{facts.get('status', '')} {printable(facts.get('answer', ''))}"


def _delivered(facts: Facts) -> str:
    return f"{_address(facts.get('recipient'))} taken{_by(facts)} at attempt {facts.get('attempt')}: {_said(facts)}"


def _deferred(facts: Facts) -> str:
    again = f"; next try {_moment(facts['next_try'])}" if facts.get("next_try") else ""
    return f"{_address(facts.get('recipient'))} put off{_by(facts)} at attempt {facts.get('attempt')}: {_said(facts)}{again}"


def _failed(facts: Facts) -> str:
    return f"{_address(facts.get('recipient'))} failed for good{_by(facts)} at attempt {facts.get('attempt')}: {_said(facts)}"


def _reported(facts: Facts) -> str:
    return f"its sender was told by message {facts.get('report')}"


def _withheld(facts: Facts) -> str:
    return f"its sender was not told: {printable(facts.get('why', ''))}"


def _quarantined(facts: Facts) -> str:
    return f"kept in quarantine for {_list(facts.get('recipients', ()))}: {printable(facts.get('reason', ''))}"


def _from_quarantine(words: str) -> Callable[[Facts], str]:
    """What an operator did with mail that waits, in the queue or in the quarantine."""
    in_queue = _operator(words)

    def told(facts: Facts) -> str:
        return f"{words} from the quarantine for {_list(facts.get('recipients', ()))}" if "hold" in facts else in_queue(facts)

    return told


def _operator(done: str) -> Callable[[Facts], str]:
    def words(facts: Facts) -> str:
        more = f" {printable(facts['detail'])}" if facts.get("detail") else ""
        who = f" <{printable(facts['recipient'])}>" if facts.get("recipient") else ""
        return f"{done}{who}{more}"

    return words


_SENTENCES: dict[Stage, Callable[[Facts], str]] = {
    Stage.REFUSED: _refused,
    Stage.GREYLISTED: _refused,
    Stage.BANNED: _banned,
    Stage.ACCEPTED: _accepted,
    Stage.REPEATED: lambda facts: "the same message came again, since our answer had been lost; nothing was done again",
    Stage.JUDGED: _judged,
    Stage.FILED: _filed,
    Stage.QUEUED: _queued,
    Stage.DELIVERED: _delivered,
    Stage.DEFERRED: _deferred,
    Stage.FAILED: _failed,
    Stage.REPORTED: _reported,
    Stage.WITHHELD: _withheld,
    Stage.QUARANTINED: _quarantined,
    Stage.HELD: _operator("held"),
    Stage.RELEASED: _from_quarantine("released"),
    Stage.REROUTED: _operator("rerouted"),
    Stage.RESCHEDULED: _operator("rescheduled"),
    Stage.DROPPED: _from_quarantine("dropped"),
}
