"""What becomes of a message that has many recipients and one answer. Pure.

Each recipient has a *vote*: for an address here every account that it leads to, for addresses elsewhere all of them together.

DATA has one answer for all recipients (RFC 5321 §3.3), so: the message is refused only if every recipient refuses it; in a
mixed result a refusal as spam becomes the junk mailbox, and a refusal by a rule of the recipient becomes a discard. What can
be told at RCPT (unknown, over quota, greylisted) was told there and never comes here.

| every vote                  | answer                   |
|-----------------------------|--------------------------|
| wants it (inbox, junk)      | 250                      |
| refuses it                  | the first refusal; a temporary one if any is temporary |
| mixed, refused as spam      | 250, filed as junk there |
| mixed, held back            | 250, in quarantine there |
| mixed, refused by a rule    | 250, discarded there     |
| mixed, cannot be filed now  | 250, queued to be filed  |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from ..model.envelope import Accepted
from ..model.errors import Refusal
from ..model.ids import AccountId


class Wish(Enum):
    """What is wanted for one recipient, before the others are heard."""

    FILE = "file"
    JUNK = "junk"
    QUARANTINE = "quarantine"
    REFUSE_SPAM = "refuse as spam"
    REFUSE_RULE = "refuse by rule"
    DISCARD = "discard"
    LATER = "later"
    """Cannot be filed at the moment."""


class Fate(Enum):
    """What is done for one recipient once the message is accepted."""

    FILE = "file"
    JUNK = "junk"
    QUARANTINE = "quarantine"
    DISCARD = "discard"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Vote:
    """What is wanted for one recipient."""

    wish: Wish
    refusal: Refusal | None = None
    """The words, for REFUSE_SPAM, REFUSE_RULE and LATER."""


_MIXED = {
    Wish.FILE: Fate.FILE,
    Wish.JUNK: Fate.JUNK,
    Wish.QUARANTINE: Fate.QUARANTINE,
    Wish.REFUSE_SPAM: Fate.JUNK,
    Wish.REFUSE_RULE: Fate.DISCARD,
    Wish.DISCARD: Fate.DISCARD,
    Wish.LATER: Fate.QUEUE,
}
_NO = {Wish.REFUSE_SPAM, Wish.REFUSE_RULE, Wish.LATER}


def decide(votes: Sequence[Vote]) -> tuple[Fate, ...]:
    """A fate for each vote, or raises the Refusal that answers for all of them."""
    refusals = [vote.refusal or Refusal("The message is refused", status="5.7.1") for vote in votes if vote.wish in _NO]
    if votes and len(refusals) == len(votes):
        raise next((refusal for refusal in refusals if refusal.is_temporary), refusals[0])
    return tuple(_MIXED[vote.wish] for vote in votes)


@dataclass(frozen=True, slots=True)
class Fates:
    """What is done for each account, and for the addresses elsewhere (*remote*)."""

    accounts: Mapping[AccountId, Fate]
    remote: Fate = Fate.FILE

    @property
    def holds_back(self) -> bool:
        """Somebody's copy goes into the quarantine."""
        return self.remote is Fate.QUARANTINE or Fate.QUARANTINE in self.accounts.values()

    def of(self, one: Accepted) -> Fate:
        """Of a recipient: that of the first account that it leads to, if any."""
        return self.accounts[one.accounts[0]] if one.accounts else self.remote


def decide_all(accepted: Sequence[Accepted], vote: Callable[[AccountId | None], Vote]) -> Fates:
    """The fates of a message. *vote* says what an account wants; None are the addresses elsewhere. Raises Refusal."""
    accounts = list(dict.fromkeys(account for one in accepted for account in one.accounts))
    has_remote = any(one.remote or not one.accounts for one in accepted)
    found = decide([vote(account) for account in (*accounts, None)[: len(accounts) + has_remote]])
    return Fates(dict(zip(accounts, found, strict=False)), found[-1] if has_remote else Fate.FILE)


def filed_everywhere(accepted: Sequence[Accepted]) -> Fates:
    """Everybody gets it, without a judgement."""
    return Fates({account: Fate.FILE for one in accepted for account in one.accounts})
