"""Search keys that a row of `store.email_sizes` answers: dates, sizes, ids (RFC 9051 §6.4.4, RFC 5032, RFC 8474, RFC 8514)."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from typing import Any

from ...message.date import parse_date
from ...message.prepare import unpack_overview
from ...model.mail import Email
from ...protocols.imap import search_keys as keys
from ...protocols.imap.search_keys import Moment, SearchKey, Side
from .objectid import number_of

Row = Sequence[Any]
"""(uid, received, zone, size, saved, sent, email id, thread id)."""


def row_test(key: SearchKey, now: int) -> Callable[[Row], bool]:
    if isinstance(key, keys.Dated):
        side, day = key.side, day_number(key.day)
        if key.moment is Moment.SAVED:
            return lambda row: on_side(side, day_of(row[4], 0), day)
        return lambda row: on_side(side, day_of(row[1], row[2]), day)
    if isinstance(key, keys.Larger):
        larger = key.size
        return lambda row: bool(row[3] > larger)
    if isinstance(key, keys.Smaller):
        smaller = key.size
        return lambda row: bool(row[3] < smaller)
    if isinstance(key, keys.Younger):
        after = now - key.seconds
        return lambda row: bool(row[1] >= after)
    if isinstance(key, keys.Older):
        before = now - key.seconds
        return lambda row: bool(row[1] <= before)
    if isinstance(key, keys.HasEmailId):
        email = number_of(key.id, b"E")
        return lambda row: row[6] == email
    assert isinstance(key, keys.HasThreadId)
    thread = number_of(key.id, b"T")
    return lambda row: row[7] == thread


def on_side(side: Side, day: int, of: int) -> bool:
    if side is Side.ON:
        return day == of
    return day < of if side is Side.BEFORE else day >= of


_EPOCH = datetime.date(1970, 1, 1).toordinal()


def day_number(day: datetime.date) -> int:
    return day.toordinal() - _EPOCH


def day_of(at: int, zone: int) -> int:
    """Days since 1970-01-01 where clocks are *zone* minutes ahead."""
    return (at + zone * 60) // 86400


_ENVELOPE_DATE = re.compile(rb'\("((?:[^"\\]|\\.)*)"')


def written_day(email: Email) -> int:
    """The day of the Date field as it stands there."""
    written = _ENVELOPE_DATE.match(unpack_overview(email.overview)[0])
    moment = parse_date(written[1]) if written else None
    return day_of(*moment) if moment else -1
