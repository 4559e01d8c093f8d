"""To write a check, copy this file, name the copy after what it looks at, and give its findings sentences in `words.py`.

Then add it to `KINDS` in `app/filters.py` and `CHECKS` in `config/settings.py` (its name there is its name in `filters.off`), and
tell it in docs/protection.md.
"""

from __future__ import annotations

from ..model.verdict import NO_OPINION, Opinion, finding
from .examined import Examined


class Skeleton:
    """Finds messages whose subject is shouted. What it uses (store, resolver, settings) it is given here, by name."""

    name = "skeleton"
    is_local = True
    """It asks nobody but our own store: such checks run one after the other, once it is known who sent the message. False: it
    waits for others (DNS, another server), so it runs beside mail authentication and must not need its verdict."""

    def __init__(self, *, score: float = 0.5) -> None:
        self._score = score

    async def examine(self, examined: Examined) -> Opinion:
        subject = examined.subject
        if len(subject) < 10 or not subject.isupper():
            return NO_OPINION
        return Opinion((finding("skeleton.shouted", self._score, subject=subject),))
