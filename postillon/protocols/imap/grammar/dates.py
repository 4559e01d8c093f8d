"""Dates in commands (RFC 3501 §9 date, date-time). Only arithmetic; nobody asks a clock here."""

from __future__ import annotations

import datetime
import re

from .reader import Bad, Reader

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name.upper().encode("ascii"): number for number, name in enumerate(MONTHS, 1)}
_EPOCH = datetime.datetime(1970, 1, 1)
_DATE = re.compile(rb'("?)([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\1')
_DATE_TIME = re.compile(
    rb'"[ ]?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-5][0-9])"'
)


def date(reader: Reader) -> datetime.date:
    """`1-Feb-1994`, with or without quotes."""
    found = reader.take(_DATE, "date")
    try:
        return datetime.date(int(found[4]), _month(found[3]), int(found[2]))
    except ValueError as error:
        raise Bad("there is no such date") from error


def date_time(reader: Reader) -> tuple[int, int]:
    """`"17-Jul-1996 02:44:25 -0700"` as (epoch seconds, zone in minutes). A leap second counts as the one before."""
    found = reader.take(_DATE_TIME, "date and time")
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    zone = (int(zone_hours) * 60 + int(zone_minutes)) * (-1 if sign == b"-" else 1)
    try:
        local = datetime.datetime(int(year), _month(month), int(day), int(hour), int(minute), min(int(second), 59))
    except ValueError as error:
        raise Bad("there is no such date or time") from error
    if int(second) > 60 or abs(zone) >= 24 * 60:
        raise Bad("there is no such time or zone")
    since = local - _EPOCH
    return since.days * 86400 + since.seconds - zone * 60, zone


def _month(name: bytes) -> int:
    number = _MONTH_NUMBERS.get(name.upper())
    if number is None:
        raise Bad("there is no such month")
    return number
