"""INTERNALDATE and its kin as the server writes them (RFC 3501 §9 date-time)."""

from __future__ import annotations

import datetime
from functools import lru_cache

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
_LAST_DAY = datetime.date.max.toordinal()
_MINUTES = tuple(b" %02d:%02d:" % divmod(minute, 60) for minute in range(1440))


def date_time(at: int, zone: int = 0) -> bytes:
    """`"17-Jul-1996 02:44:25 -0700"`, quotes included. *at* is epoch seconds, *zone* minutes east of UTC.

    Times outside of the years 1 to 9999 are moved to the nearest that can be written.
    """
    days, seconds = divmod(at + zone * 60, 86400)
    return _day(days) + _MINUTES[seconds // 60] + _ends(zone)[seconds % 60]


@lru_cache(maxsize=1024)
def _day(days: int) -> bytes:
    day = datetime.date.fromordinal(min(max(days + _EPOCH_DAY, 1), _LAST_DAY))
    return b'"%2d-%b-%04d' % (day.day, _MONTHS[day.month - 1].encode("ascii"), day.year)


@lru_cache(maxsize=64)
def _ends(zone: int) -> tuple[bytes, ...]:
    sign = b"-" if zone < 0 else b"+"
    return tuple(b'%02d %b%02d%02d"' % (second, sign, *divmod(abs(zone), 60)) for second in range(60))
