"""The part of a report that people read: what happened, whose turn it is, then what was said about each recipient. Pure.

Every function takes the language of who will read it; the sentences are `report_phrases`'.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..message.date import format_date
from ..message.dsn import Reported
from ..model.queue import Outcome, QueueEntry
from ..protocols.smtp.client import one_line
from .report_phrases import REMOVED, Phrases, phrases

Lost = tuple[QueueEntry, Outcome]


def _case(known: Phrases, outcome: Outcome) -> str:
    """The longest beginning of the status, by whole numbers, that has words."""
    status = outcome.status
    if status == "5.0.0" and not outcome.remote:  # another server's refusal names that server
        return REMOVED
    while status and status not in known.cases:
        status = status.rpartition(".")[0]
    return status or "5"


def explanation(lost: Sequence[Lost], hostname: str, language: str = "en") -> str:
    """The part for people: first what happened and whose turn it is, then what was said about each recipient."""
    known = phrases(language)
    cases: dict[tuple[str, str], list[Lost]] = {}
    for entry, outcome in lost:
        # One sentence for all recipients of whom the same is true.
        case = _case(known, outcome)
        domain = entry.recipient.address.domain if "{domain}" in "".join(known.cases[case]) else ""
        cases.setdefault((case, domain), []).append((entry, outcome))
    lines = [line for (case, domain), concerned in cases.items() for line in _paragraph(known, case, domain, concerned)]
    return _signed(known, lines, hostname, lost[0][0].made_at)


def delay_words(late: Sequence[Lost], hostname: str, retry_until: int, language: str = "en") -> str:
    """What a sender reads about recipients whom we have not reached so far."""
    known = phrases(language)
    whom = _whom(known, [str(entry.recipient.address) for entry, _ in late])
    first = known.late.format(whom=whom, until=_date(known, retry_until))
    return _signed(known, [first, "", *_each(known, late), ""], hostname, late[0][0].made_at)


def success_words(reported: Sequence[Reported], hostname: str, made_at: int, language: str = "en") -> str:
    """What a sender reads who wanted to hear of success."""
    known, lines = phrases(language), []
    for action, words in known.success.items():
        concerned = [one for one in reported if one.action == action]
        if concerned:
            names = [str(one.recipient.address) for one in concerned]
            lines += [words.format(whom=_whom(known, names)), "", *(f"  {name}" for name in names), ""]
    return _signed(known, lines, hostname, made_at)


def subject_words(action: str, subject: str, language: str = "en") -> str:
    """The subject of a report about a message whose subject was *subject*, decoded."""
    known = phrases(language)
    return known.subjects[action].format(subject=subject.strip() or known.no_subject)


def _signed(known: Phrases, lines: Sequence[str], hostname: str, made_at: int) -> str:
    taken = known.taken.format(host=hostname, date=_date(known, made_at))
    return "\n".join([*lines, taken, known.attached]) + "\n"


def _date(known: Phrases, at: int) -> str:
    if known.date is None:
        return format_date(at, 0)
    form, weekdays, months = known.date
    moment = time.gmtime(at)
    return form.format(
        weekday=weekdays[moment.tm_wday],
        day=moment.tm_mday,
        month=months[moment.tm_mon - 1],
        year=moment.tm_year,
        time=f"{moment.tm_hour:02}:{moment.tm_min:02}",
    )


def _whom(known: Phrases, names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else known.recipients.format(count=len(names))


def _each(known: Phrases, concerned: Sequence[Lost]) -> list[str]:
    return [line for entry, outcome in concerned for line in (f"  {entry.recipient.address}", f"    {_said(known, outcome)}")]


def _paragraph(known: Phrases, case: str, domain: str, lost: Sequence[Lost]) -> list[str]:
    what, turn = known.cases[case]
    values = {"domain": domain, "days": _days(known, lost[0][0])}
    whom = _whom(known, [str(entry.recipient.address) for entry, _ in lost])
    first = known.message.format(whom=whom, what=what.format(**values), turn=turn.format(**values))
    return [first, "", *_each(known, lost), ""]


def _said(known: Phrases, outcome: Outcome) -> str:
    code = f"{outcome.code} " if outcome.code else ""
    words = f"{code}{outcome.text} ({outcome.status})"
    if outcome.remote and outcome.code:
        words = known.said.format(who=outcome.remote, words=words)
    elif outcome.remote:
        words = f"{outcome.remote}: {words}"
    return one_line(words, 800)


def _days(known: Phrases, entry: QueueEntry) -> str:
    hours = max(round((entry.expires - entry.made_at) / 3600), 1)
    if hours >= 48:
        return known.days.format(count=hours // 24)
    return known.hours.format(count=hours) if hours > 1 else known.an_hour
