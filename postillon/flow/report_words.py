"""The part of a report that people read: what happened, whose turn it is, then what was said about each recipient. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..message.date import format_date
from ..message.dsn import Reported
from ..model.queue import Outcome, QueueEntry
from ..protocols.smtp.client import one_line

Lost = tuple[QueueEntry, Outcome]

# Status (its longest beginning that stands here) -> what happened, and whose turn it is to do what. `{domain}` is the
# recipient's, `{days}` how long we tried.
_WORDS = {
    "4.4.7": (
        "could not be delivered for {days}, and we have stopped trying",
        "Your address and message are probably fine, their server is not. Please ask the recipient by another way, or send it"
        " again later.",
    ),
    "5.1.1": ("was not delivered: there is no such address", "Please check the part before the @ and send it again."),
    "5.1.10": ("was not delivered: {domain} takes no mail", "Please ask the recipient for another address."),
    "5.1.2": ("was not delivered: the domain {domain} does not exist", "Please check the part after the @ and send it again."),
    "5.2.1": ("was not delivered: the mailbox is closed", "Please ask the recipient for another address."),
    "5.2.2": ("was not delivered: the mailbox is full", "The recipient has to make room; then please send it again."),
    "5.3.4": ("was not delivered: it is too large for their server", "Please send it again in smaller pieces, or as a link."),
    "5.4.4": ("was not delivered: {domain} has no mail server", "Please check the part after the @ and send it again."),
    "5.4.6": ("was not delivered: it would go round in a circle", "The administrator of {domain} has to put that right."),
    "5.6": ("was not delivered: their server cannot take this kind of message", "Please send it again as plain text."),
    "5.7": (
        "was refused by their server's rules",
        "Their words below say why; if they do not help, please forward this report to your administrator.",
    ),
    "5": (
        "was refused by their server",
        "Their words below say why. If it is a mistake in the address, please correct it and send the message again.",
    ),
}


def _case(status: str) -> str:
    """The longest beginning of *status*, by whole numbers, that has words."""
    while status and status not in _WORDS:
        status = status.rpartition(".")[0]
    return status or "5"


def explanation(lost: Sequence[Lost], hostname: str) -> str:
    """The part for people: first what happened and whose turn it is, then what was said about each recipient."""
    cases: dict[tuple[str, str], list[Lost]] = {}
    for entry, outcome in lost:
        # One sentence for all recipients of whom the same is true.
        case = _case(outcome.status)
        domain = entry.recipient.address.domain if "{domain}" in "".join(_WORDS[case]) else ""
        cases.setdefault((case, domain), []).append((entry, outcome))
    lines = [line for (case, domain), concerned in cases.items() for line in _paragraph(case, domain, concerned)]
    return _signed(lines, hostname, lost[0][0].made_at)


def delay_words(late: Sequence[Lost], hostname: str, retry_until: int) -> str:
    """What a sender reads about recipients whom we have not reached so far."""
    whom = _whom([str(entry.recipient.address) for entry, _ in late])
    first = (
        f"Your message to {whom} has not arrived yet. You need do nothing: we keep trying until"
        f" {format_date(retry_until, 0)}, and tell you if we have to give up."
    )
    return _signed([first, "", *_each(late), ""], hostname, late[0][0].made_at)


_SUCCESS = {
    "delivered": "Your message to {whom} was delivered.",
    "expanded": "Your message to {whom} was delivered to a list of people, none of whom will confirm it.",
    "relayed": "Your message to {whom} was handed on to a server that does not confirm deliveries; it has taken it.",
}


def success_words(reported: Sequence[Reported], hostname: str, made_at: int) -> str:
    """What a sender reads who wanted to hear of success."""
    lines = []
    for action, words in _SUCCESS.items():
        concerned = [one for one in reported if one.action == action]
        if concerned:
            names = [str(one.recipient.address) for one in concerned]
            lines += [words.format(whom=_whom(names)), "", *(f"  {one.recipient.address}" for one in concerned), ""]
    return _signed(lines, hostname, made_at)


def _signed(lines: Sequence[str], hostname: str, made_at: int) -> str:
    taken = f"This is the mail system at {hostname}. It took your message on {format_date(made_at, 0)}."
    return "\n".join([*lines, taken, "Attached: details for the technician, and the message or its header."]) + "\n"


def _whom(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} recipients"


def _each(concerned: Sequence[Lost]) -> list[str]:
    return [line for entry, outcome in concerned for line in (f"  {entry.recipient.address}", f"    {_said(outcome)}")]


def _paragraph(case: str, domain: str, lost: Sequence[Lost]) -> list[str]:
    what, turn = _WORDS[case]
    values = {"domain": domain, "days": _days(lost[0][0])}
    whom = _whom([str(entry.recipient.address) for entry, _ in lost])
    return [f"Your message to {whom} {what.format(**values)}. {turn.format(**values)}", "", *_each(lost), ""]


def _said(outcome: Outcome) -> str:
    code = f"{outcome.code} " if outcome.code else ""
    who = f"{outcome.remote} said: " if outcome.remote and outcome.code else f"{outcome.remote}: " if outcome.remote else ""
    return one_line(f"{who}{code}{outcome.text} ({outcome.status})", 800)


def _days(entry: QueueEntry) -> str:
    hours = max(round((entry.expires - entry.made_at) / 3600), 1)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours" if hours > 1 else "an hour"
