"""One answer for many recipients: the table of `flow/plan.py`, against what it says in words."""

from __future__ import annotations

from itertools import product

import pytest

from postillon.flow.plan import Fate, Fates, Vote, Wish, decide, decide_all
from postillon.model.address import Address
from postillon.model.envelope import Accepted, Recipient
from postillon.model.errors import Refusal
from postillon.model.ids import AccountId

SPAM = Vote(Wish.REFUSE_SPAM, Refusal("spam", status="5.7.1"))
GREY = Vote(Wish.REFUSE_SPAM, Refusal("not now", status="4.7.1"))
RULE = Vote(Wish.REFUSE_RULE, Refusal("no", status="5.7.1"))
FULL = Vote(Wish.LATER, Refusal("full", status="4.2.2"))
KEEP, JUNK, DISCARD, HOLD = Vote(Wish.FILE), Vote(Wish.JUNK), Vote(Wish.DISCARD), Vote(Wish.QUARANTINE)
ALL = {"deliver": KEEP, "junk": JUNK, "refuse": SPAM, "greylist": GREY, "over quota": FULL, "rule refuses": RULE}
ALL |= {"rule discards": DISCARD, "hold": HOLD}
ACCEPTED = {
    "deliver": Fate.FILE,
    "junk": Fate.JUNK,
    "refuse": Fate.JUNK,
    "greylist": Fate.JUNK,
    "over quota": Fate.QUEUE,
    "rule refuses": Fate.DISCARD,
    "rule discards": Fate.DISCARD,
    "hold": Fate.QUARANTINE,
}
"""What becomes of a recipient's copy once the message is accepted for another's sake."""
REFUSED = {"refuse": "5.7.1", "greylist": "4.7.1", "over quota": "4.2.2", "rule refuses": "5.7.1"}


@pytest.mark.parametrize("names", list(product(ALL, repeat=3)), ids=",".join)
def test_three_recipients_get_one_answer_and_each_a_fate(names: tuple[str, ...]):
    votes = [ALL[name] for name in names]
    if all(name in REFUSED for name in names):
        statuses = [REFUSED[name] for name in names]
        # Trying again may help one of them: only a temporary answer tells the sender so.
        expected = next((status for status in statuses if status.startswith("4")), statuses[0])
        with pytest.raises(Refusal) as caught:
            decide(votes)
        assert caught.value.status == expected
    else:
        assert list(decide(votes)) == [ACCEPTED[name] for name in names]


def accepted(*accounts: int, remote: str = "") -> Accepted:
    targets = (Address.parse(remote),) if remote else ()
    return Accepted(Recipient(Address.parse("list@example.test")), tuple(map(AccountId, accounts)), targets)


def test_accounts_behind_one_address_may_want_different_things():
    votes = {1: SPAM, 2: KEEP}
    fates = decide_all([accepted(1, 2)], lambda account: votes[account or 0])
    assert fates == Fates({AccountId(1): Fate.JUNK, AccountId(2): Fate.FILE})


def test_addresses_elsewhere_have_one_vote_together():
    fates = decide_all(
        [accepted(1, remote="x@far.test"), accepted(remote="y@far.test")], lambda account: SPAM if account else KEEP
    )
    assert fates.accounts == {AccountId(1): Fate.JUNK} and fates.remote is Fate.FILE
    with pytest.raises(Refusal):
        decide_all([accepted(remote="x@far.test")], lambda account: SPAM)


def test_an_account_that_two_recipients_lead_to_has_one_vote():
    with pytest.raises(Refusal):
        decide_all([accepted(1), accepted(1)], lambda account: SPAM)
    assert decide_all([accepted(1), accepted(1)], lambda account: KEEP).accounts == {AccountId(1): Fate.FILE}
