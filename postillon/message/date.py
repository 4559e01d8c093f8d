"""Date and time of header fields (RFC 5322 §3.3, obsolete forms §4.3, and what else is seen)."""

from __future__ import annotations

import re

_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
_MONTH = {name: number for number, name in enumerate(_MONTHS, 1)}
_MONTH_NAMES = tuple(name.decode().capitalize() for name in _MONTHS)
_DAY_NAMES = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # 1 January 1970 was a Thursday

_ZONES = {b"ut": 0, b"gmt": 0, b"utc": 0, b"z": 0, b"est": -300, b"edt": -240, b"cst": -360, b"cdt": -300,
          b"mst": -420, b"mdt": -360, b"pst": -480, b"pdt": -420}  # fmt: skip

_DATE = re.compile(
    rb"[ \t]*+(?:[A-Za-z]++\.?,?[ \t]*+)?([0-9]{1,2})[ \t./-]++([A-Za-z]{3})[A-Za-z]*+[ \t.,/-]++([0-9]{2,4})[ \t,]++"
    rb"([0-9]{1,2})[:.]([0-9]{2})(?:[:.]([0-9]{2}))?(?:\.[0-9]++)?[ \t]*+"
    rb"(?:(?:GMT|UTC)?([+-][0-9]{4})|([+-][0-9]{2}):([0-9]{2})|([A-Za-z]++))?"
)
_ASCTIME = re.compile(
    rb"[ \t]*+(?:[A-Za-z]{3},?[ \t]++)?([A-Za-z]{3})[A-Za-z]*+[ \t]++([0-9]{1,2}),?[ \t]++"
    rb"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?[ \t]++(?:([A-Za-z]++)[ \t]++)?([0-9]{4})(?:[ \t]*+([+-][0-9]{4}))?"
)
_ISO = re.compile(
    rb"[ \t]*+([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]++)?)?[ \t]*+"
    rb"(?:([+-][0-9]{2}):?([0-9]{2})|[Zz])?"
)
_IN_COMMENT = re.compile(rb"\([^()]*+\)")
MAX_ZONE = 14 * 60 + 59
"""A larger offset is taken for garbage: UTC."""


def parse_date(value: bytes) -> tuple[int, int] | None:
    """(epoch seconds UTC, zone in minutes east) of an unfolded Date value; None if there is no date in it.

    A missing or unknown zone is UTC. Two-digit years follow RFC 5322 §4.3. A leap second becomes the next minute's first.
    """
    value = value[:200]
    if b"(" in value:
        value = _IN_COMMENT.sub(b" ", value)
    if match := _DATE.match(value):
        day, month, year, hour, minute, second, zone, zone_hours, zone_minutes, word = match.groups()
        offset = _zone(zone or (zone_hours + zone_minutes if zone_hours else None), word)
        return _moment(_year(year), _MONTH.get(month.lower(), 0), int(day), int(hour), int(minute), int(second or 0), offset)
    if match := _ASCTIME.match(value):
        month, day, hour, minute, second, word, year, zone = match.groups()
        return _moment(
            int(year), _MONTH.get(month.lower(), 0), int(day), int(hour), int(minute), int(second or 0), _zone(zone, word)
        )
    if match := _ISO.match(value):
        year, month, day, hour, minute, second, zone_hours, zone_minutes = match.groups()
        offset = _zone(zone_hours + zone_minutes if zone_hours else None, None)
        return _moment(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), offset)
    return None


def _year(digits: bytes) -> int:
    year = int(digits)
    if len(digits) >= 4:
        return year
    if len(digits) == 3:
        return 1900 + year
    return 2000 + year if year < 50 else 1900 + year


def _zone(digits: bytes | None, word: bytes | None) -> int:
    """Minutes east of Greenwich. Unknown words, military letters too, are UTC (RFC 5322 §4.3)."""
    if digits:
        minutes = int(digits[1:3]) * 60 + int(digits[3:5])
        return 0 if minutes > MAX_ZONE else -minutes if digits.startswith(b"-") else minutes
    return _ZONES.get(word.lower(), 0) if word else 0


def _moment(year: int, month: int, day: int, hour: int, minute: int, second: int, zone: int) -> tuple[int, int] | None:
    if not (1 <= month <= 12 and 1 <= day <= days_in_month(year, month) and hour <= 23 and minute <= 59 and second <= 60):
        return None
    return days_from_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone * 60, zone


def days_in_month(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def days_from_epoch(year: int, month: int, day: int) -> int:
    """Days from 1 January 1970 to a day of the Gregorian calendar, negative before."""
    # Years begin in March here, so that the leap day is the last one.
    year -= month <= 2
    in_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + in_year - 719468


def civil(days: int) -> tuple[int, int, int]:
    """(year, month, day) of a number of days since 1 January 1970."""
    days += 719468
    era, in_era = divmod(days, 146097)
    year = (in_era - in_era // 1460 + in_era // 36524 - in_era // 146096) // 365
    in_year = in_era - (365 * year + year // 4 - year // 100)
    month = (5 * in_year + 2) // 153
    day = in_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return era * 400 + year + (month <= 2), month, day


def format_date(epoch: int, zone: int = 0) -> str:
    """`Mon, 15 Jan 2024 08:00:00 +0100` (RFC 5322 §3.3)."""
    days, seconds = divmod(epoch + zone * 60, 86400)
    year, month, day = civil(days)
    sign, minutes = ("-", -zone) if zone < 0 else ("+", zone)
    return (
        f"{_DAY_NAMES[days % 7]}, {day} {_MONTH_NAMES[month - 1]} {year:04} "
        f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02} {sign}{minutes // 60:02}{minutes % 60:02}"
    )
