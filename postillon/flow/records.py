"""The records of a message's way, as the parts that decide write them: what was known at a stage, in facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..message.incoming import Incoming
from ..model.address import Address
from ..model.envelope import Client
from ..model.errors import Greylisted, Refusal
from ..model.queue import Outcome, OutcomeKind, QueueEntry
from ..model.record import Record, Stage
from .judgement import UNJUDGED, Judgement

_OUTCOMES = {
    OutcomeKind.DELIVERED: Stage.DELIVERED,
    OutcomeKind.DEFERRED: Stage.DEFERRED,
    OutcomeKind.FAILED: Stage.FAILED,
}


def connection(client: Client) -> dict[str, Any]:
    """Who is on the other end, and how."""
    facts: dict[str, Any] = {"peer": client.address, "hello": client.hello, "port": client.local_port, "session": client.session}
    if client.tls is not None:
        facts["tls"] = f"{client.tls.version} {client.tls.cipher}"
    if client.login:
        facts["login"] = client.login
    if client.reverse_name:
        facts["reverse_name"] = client.reverse_name
    return facts


def accepted(incoming: Incoming, message_id: bytes, *judged: Record) -> tuple[Record, ...]:
    """What is written down about *incoming* when it is accepted; *judged*: what had been found before."""
    envelope = incoming.envelope
    facts = connection(incoming.client)
    facts["sender"] = "" if envelope.sender is None else str(envelope.sender)
    facts["recipients"] = [str(recipient.address) for recipient in envelope.recipients]
    facts["size"] = incoming.body.size
    if message_id:
        facts["message_id"] = message_id.decode("utf-8", "replace")
    if envelope.require_tls:
        facts["require_tls"] = True
    return (Record(Stage.ACCEPTED, incoming.at, facts), *judged)


def judgement(incoming: Incoming, judged: Judgement, message_id: bytes = b"") -> tuple[Record, ...]:
    """What mail authentication and the filters found, and what follows for most recipients; none if nobody judged.

    *message_id*: by which a refused message is found, of which nothing else names it.
    """
    if judged is UNJUDGED:
        return ()
    facts: dict[str, Any] = {"wish": judged.vote(None).wish.value}
    if message_id:
        facts["message_id"] = message_id.decode("utf-8", "replace")
    verdict = judged.verdict
    if verdict is not None:
        facts["spf"] = verdict.spf.result.value
        facts["dkim"] = [f"{one.result.value} {one.domain}" for one in verdict.dkim]
        facts["dmarc"] = [f"{one.result.value} {one.domain}" for one in verdict.dmarc]
        facts["arc"] = verdict.arc.result.value
        if verdict.findings:
            facts["missing"] = list(verdict.findings)
        if verdict.heard:
            facts["dns"] = [(one.kind, one.name, one.said) for one in verdict.heard]
    if judged.why:
        facts["why"] = judged.why
    if judged.thresholds is not None:
        facts["thresholds"] = [judged.thresholds.tag, judged.thresholds.junk, judged.thresholds.refuse]
    if judged.findings:
        facts["score"] = judged.score
        facts["findings"] = [(one.code, one.score, dict(one.facts)) for one in judged.findings]
    for account, own in judged.personal.items():
        told = [(one.code, one.score, dict(one.facts)) for one in own]
        facts.setdefault("personal", []).append((account, told, judged.vote(account).wish.value))
    return (Record(Stage.JUDGED, incoming.at, facts),)


def refused(
    client: Client, refusal: Refusal, at: int, command: str, sender: Address | None = None, recipients: Sequence[Address] = ()
) -> Record:
    """The record of a no in the dialogue, at *command* (`MAIL`, `RCPT`, `DATA`, or `connection`)."""
    facts = connection(client)
    facts |= {"command": command, "code": refusal.code, "status": refusal.status, "reason": refusal.text}
    if refusal.detail:
        facts["detail"] = refusal.detail
    if command not in ("connection", "EHLO"):
        facts["sender"] = str(sender or "")
    if recipients:
        facts["recipients"] = [str(recipient) for recipient in recipients]
    return Record(Stage.GREYLISTED if isinstance(refusal, Greylisted) else Stage.REFUSED, at, facts)


def attempt(entry: QueueEntry, outcome: Outcome, next_try: int | None, at: int) -> Record:
    """What became of an attempt at one recipient."""
    facts: dict[str, Any] = {
        "queue": f"{entry.queue_id:x}",
        "recipient": str(entry.recipient.address),
        "attempt": entry.attempts + 1,
        "status": outcome.status,
        "answer": outcome.text,
    }
    if outcome.code:
        facts["code"] = outcome.code
    if outcome.remote:
        facts["host"] = outcome.remote
    if outcome.security:
        facts["security"] = outcome.security
    if next_try is not None:
        facts["next_try"] = next_try
    return Record(_OUTCOMES[outcome.kind], at, facts)


def report_made(about: str, to: Address, at: int) -> tuple[Record, ...]:
    """For a report to *to* that we made about the message *about* (its id)."""
    return (Record(Stage.ACCEPTED, at, {"report_about": about, "sender": "", "recipients": [str(to)]}),)
