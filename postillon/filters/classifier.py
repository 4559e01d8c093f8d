"""What a message's words say, by what was learned from others': Robinson's estimate for each token, Fisher's method for all.

A token that was in b of B bad and in g of G good messages has p = (b/B) / (b/B + g/G), drawn towards 0.5 where it was seen
seldom. Of all that say something the product is compared with what chance would give (chi-squared), for good and for bad; the
difference is the verdict, 0 to 1. So one word decides nothing, and words that were never seen say nothing.

What an account learned counts beside what is shared, and more: then its verdict may differ from everybody's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from ..model.ids import AccountId
from ..model.verdict import NO_OPINION, Finding, Opinion, finding
from ..storage.knowledge import EVERYBODY, Counts
from .examined import Examined
from .known import Acquaintance
from .tokens import tokens

LEAST = 10
"""Messages of each kind that must have been learned before anything is said."""
STRENGTH = 0.45
"""How much the assumption that a token says nothing weighs, in messages (Robinson's s)."""
TELLING = 0.1
"""How far from 0.5 a token's p must be to count."""
OWN_WEIGHT = 5
"""An account's own word counts as much as so many of everybody's."""
MOST_BAD, MOST_GOOD = 5.0, -3.5


class Classifier:
    name = "classifier"
    is_local = True

    def __init__(self, acquaintance: Acquaintance) -> None:
        self._acquaintance = acquaintance

    async def examine(self, examined: Examined) -> Opinion:
        owners = (EVERYBODY, *examined.accounts)
        if not can_tell((await self._acquaintance.about(examined)).learned):
            return NO_OPINION  # as long as too little was learned: to make tokens costs more than all of this
        wanted = tokens(examined)
        learned = await self._acquaintance.knowledge.tokens(owners, wanted)
        shared = learned.get(EVERYBODY, Counts())
        common = judged(probability(wanted, [(shared, 1)]))
        personal: list[tuple[AccountId, tuple[Finding, ...]]] = []
        for account in examined.accounts:
            own = learned.get(account)
            if own is not None:
                score = judged(probability(wanted, [(shared, 1), (own, OWN_WEIGHT)])) - common
                if abs(score) >= 0.1:
                    code = "classifier.own_bad" if score > 0 else "classifier.own_good"
                    personal.append((account, (finding(code, round(score, 2)),)))
        code = "classifier.bad" if common > 0 else "classifier.good"
        return Opinion((finding(code, round(common, 2)),) if abs(common) >= 0.1 else (), personal=tuple(personal))


def can_tell(learned: Mapping[int, Counts]) -> bool:
    """Whether enough was learned for a verdict, by everybody or by one account with everybody."""
    if not learned:
        return False
    shared = learned.get(EVERYBODY, Counts())
    own = [counts for owner, counts in learned.items() if owner != EVERYBODY]
    sums = [(shared.good + counts.good * OWN_WEIGHT, shared.bad + counts.bad * OWN_WEIGHT) for counts in (Counts(), *own)]
    return any(goods >= LEAST and bads >= LEAST for goods, bads in sums)


def judged(probability: float) -> float:
    """The score of a verdict: hardly anything in the middle."""
    certainty = 2 * probability - 1
    return certainty**3 * (MOST_BAD if certainty > 0 else -MOST_GOOD)


def probability(wanted: Iterable[int], learned: Sequence[tuple[Counts, int]]) -> float:
    """The verdict on a message with these tokens, 0 (good) to 1 (bad), 0.5 where nothing can be said.

    *learned*: counts, and how often each of them counts.
    """
    goods = sum(counts.good * times for counts, times in learned)
    bads = sum(counts.bad * times for counts, times in learned)
    if goods < LEAST or bads < LEAST:
        return 0.5
    tokens = learned[0][0].tokens if len(learned) == 1 and learned[0][1] == 1 else _together(learned)
    telling = []
    for token in wanted:
        good, bad = tokens.get(token, (0, 0))
        if good or bad:
            bad_share, good_share = bad / bads, good / goods
            p = (STRENGTH * 0.5 + (good + bad) * bad_share / (bad_share + good_share)) / (STRENGTH + good + bad)
            if not -TELLING < p - 0.5 < TELLING:
                telling.append(p)
    if not telling:
        return 0.5
    # How likely tokens are to be so bad, or so good, by chance alone.
    bad_by_chance = chi_squared(-2 * sum([math.log(1 - p) for p in telling]), len(telling))
    good_by_chance = chi_squared(-2 * sum(map(math.log, telling)), len(telling))
    return (1 + good_by_chance - bad_by_chance) / 2


def _together(learned: Sequence[tuple[Counts, int]]) -> dict[int, tuple[int, int]]:
    """The counts of tokens, each owner's as often as it counts."""
    found: dict[int, tuple[int, int]] = {}
    for counts, times in learned:
        for token, (good, bad) in counts.tokens.items():
            before = found.get(token, (0, 0))
            found[token] = (before[0] + good * times, before[1] + bad * times)
    return found


def chi_squared(value: float, pairs: int) -> float:
    """The chance that a chi-squared variable with 2 * *pairs* degrees of freedom is at least *value*."""
    half = value / 2
    # exp(-half) may be too small for a float; the sum is then made in logarithms.
    if half > 700:
        logs = [at * math.log(half) - math.lgamma(at + 1) - half for at in range(pairs)]
        return min(sum(math.exp(one) for one in logs), 1.0)
    term = total = math.exp(-half)
    for at in range(1, pairs):
        term *= half / at
        total += term
    return min(total, 1.0)
