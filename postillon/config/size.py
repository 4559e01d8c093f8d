"""How many octets, as the file says it."""

from __future__ import annotations

import re

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Size(int):
    """Octets; in the file a number, or text with a binary unit: `"50M"`, `"2 GiB"`."""

    @classmethod
    def parse(cls, value: object) -> Size:
        """Raises ValueError with words for the administrator."""
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError('a size is a number of octets or text like "50M"')
        if isinstance(value, int):
            amount = value
        else:
            matched = re.fullmatch(r"\s*(\d+)\s*([KMGT]?)(?:i?B)?\s*", value, re.IGNORECASE)
            if matched is None:
                raise ValueError('a size is a number of octets or text like "50M"')
            amount = int(matched[1]) * _UNITS[matched[2].upper()]
        if amount < 0:
            raise ValueError("a size cannot be negative")
        return cls(amount)
