"""Moments as people read and type them. What is shown is UTC and says so by a Z, as the log does."""

from __future__ import annotations

import calendar
import re
import time

import click

_UNITS = {"m": 60, "h": 3600, "d": 86400}
_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


def told(at: int) -> str:
    """Epoch seconds like `2026-11-23 14:30:00Z`."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))


def moment(text: str) -> int:
    """Epoch seconds: `3h`, `2d`, `30m` before now, or `2026-11-23`, `2026-11-23 14:30` in local time; in UTC with a Z behind."""
    ago = re.fullmatch(r"(\d{1,6})([mhd])", text.strip())
    if ago is not None:
        return int(time.time()) - int(ago[1]) * _UNITS[ago[2]]
    date = text.strip()
    for form in _FORMS:
        try:
            found = time.strptime(date.removesuffix("Z"), form)
            return calendar.timegm(found) if date.endswith("Z") else int(time.mktime(found))
        except (ValueError, OverflowError):
            continue
    raise click.UsageError(f'{text!r} is no time: "3h", "2d", "2026-11-23", "2026-11-23 14:30" and "2026-11-23 14:30Z" are')
