"""How a sender has behaved here before: its address, its domain, who signs for it, its network; by counts that fade.

Counts come from our own verdicts, and more from what people do with the mail (`workers/learner.py`). What only claims to be a
sender, without SPF or DKIM, has a reputation of its own.
"""

from __future__ import annotations

from ..model.verdict import NO_OPINION, Opinion, finding
from ..storage.knowledge import Reputation
from .examined import Examined
from .known import Acquaintance, is_proven, keys_of

LEAST = 3.0
"""Messages, faded, below which nothing is said."""
BAD = {"address": 2.5, "domain": 2.0, "signer": 1.5, "network": 1.5}
"""The most that can be said against one, when nearly all of its mail was bad."""
GOOD = {"address": -1.5, "domain": -1.0, "signer": -0.7, "network": -0.3}


class SenderReputation:
    name = "reputation"
    is_local = True

    def __init__(self, acquaintance: Acquaintance) -> None:
        self._acquaintance = acquaintance

    async def examine(self, examined: Examined) -> Opinion:
        known = await self._acquaintance.about(examined)
        is_sure = is_proven(examined)
        found = []
        for kind, key in keys_of(examined).items():
            one = known.reputations.get(key)
            score = 0.0 if one is None else weight(one, kind.split()[0], is_sure)
            if one is not None and score:
                found.append((score, kind.split()[0], one))
        if not found:
            return NO_OPINION
        # The worst and the best say it all: the four are no independent witnesses.
        worst, best = max(found, key=lambda each: each[0]), min(found, key=lambda each: each[0])
        told = [each for each, is_told in ((worst, worst[0] > 0), (best, best[0] < 0)) if is_told]
        return Opinion(
            tuple(
                finding(
                    f"reputation.{'bad' if score > 0 else 'good'}",
                    score,
                    what=kind,
                    who=_named(examined, kind),
                    good=round(one.good),
                    bad=round(one.bad),
                )
                for score, kind, one in told
            )
        )


def weight(one: Reputation, kind: str, is_sure: bool) -> float:
    """What the counts say: 0 where they say too little, or where they are mixed."""
    total = one.good + one.bad
    if total < LEAST:
        return 0.0
    share = one.bad / (total + 1)
    if share > 0.5:
        return round(BAD[kind] * (share - 0.5) * 2, 2)
    if share < 0.1 and (is_sure or kind not in ("address", "domain")):
        return round(GOOD[kind] * (1 - share * 10) * min(total / 10, 1), 2)
    return 0.0


def _named(examined: Examined, kind: str) -> str:
    if kind == "network":
        return examined.incoming.client.address
    if kind == "signer" and examined.verdict is not None:
        return next((one.domain for one in examined.verdict.dkim if one.result == "pass"), "")
    return examined.author if kind == "address" else examined.author_domain
