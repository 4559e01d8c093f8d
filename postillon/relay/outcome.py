"""Outcomes from what happened: their reply, or our own finding. The only place that makes them on the sending side."""

from __future__ import annotations

from ..model.queue import Outcome, OutcomeKind
from ..protocols.smtp.client import one_line, words
from ..protocols.smtp.reply import Reply


def deferred(status: str, text: str, *, remote: str = "", code: int = 0) -> Outcome:
    return Outcome(OutcomeKind.DEFERRED, status, one_line(text), remote, code)


def failed(status: str, text: str, *, remote: str = "", code: int = 0) -> Outcome:
    return Outcome(OutcomeKind.FAILED, status, one_line(text), remote, code)


_KINDS = {2: OutcomeKind.DELIVERED, 4: OutcomeKind.DEFERRED, 5: OutcomeKind.FAILED}


def of_reply(reply: Reply, remote: str) -> Outcome:
    """2yz delivered, 5yz failed, all others deferred: a 3yz out of place is their confusion, and time may heal it."""
    kind = _KINDS.get(reply.code // 100, OutcomeKind.DEFERRED)
    status = reply.status or {OutcomeKind.DELIVERED: "2.0.0", OutcomeKind.FAILED: "5.0.0"}.get(kind, "4.0.0")
    return Outcome(kind, status, words(reply), remote, reply.code)


def is_trouble(outcome: Outcome) -> bool:
    """The hop itself was the problem (nobody answered, or 421), not this message or recipient."""
    if outcome.kind is not OutcomeKind.DEFERRED:
        return False
    # RFC 3463 §3.5, §3.8: network and routing, security (TLS that fails). Our own trouble is 4.3.x.
    return outcome.code == 421 or (outcome.code == 0 and outcome.status.startswith(("4.4.", "4.5.", "4.7.")))


class Undeliverable(Exception):
    """There is no way to a destination now; *outcome* says whether there may be one later."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome
