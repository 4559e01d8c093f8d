"""One reading of all that is known about a message's sender and its recipients' choices. Works over a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...model.choice import Choice, Listed
from ...model.ids import AccountId
from ...seams import Tx
from . import choices, contacts, senders, tokens
from .contacts import Contact
from .senders import Reputation
from .tokens import Counts


@dataclass(frozen=True, slots=True)
class About:
    """The question. Addresses are canonical and in lower case."""

    accounts: tuple[AccountId, ...]
    patterns: tuple[str, ...] = ()
    """Entries of lists that would mean the sender."""
    author: str = ""
    """Empty: nobody is named in From."""
    name: int = 0
    """A hash of the author's display name, 0 if there is none."""
    senders: tuple[int, ...] = ()
    """Hashes of what the sender is known by."""


@dataclass(frozen=True, slots=True)
class Known:
    """The answer."""

    choices: Mapping[AccountId, Choice] = field(default_factory=dict)
    listed: Mapping[int, Mapping[str, Listed]] = field(default_factory=dict)
    """By account, 0 for everybody: which of the patterns its list has."""
    contacts: Mapping[AccountId, Contact] = field(default_factory=dict)
    """By account: what it knows of the author's address; 0: an address of somebody here."""
    domains: frozenset[AccountId] = frozenset()
    """Accounts that write to the author's domain."""
    namesakes: tuple[tuple[AccountId, Contact], ...] = ()
    """Contacts with the author's display name."""
    reputations: Mapping[int, Reputation] = field(default_factory=dict)
    learned: Mapping[int, Counts] = field(default_factory=dict)
    """By account, 0 for everybody: how many messages were learned from; without tokens."""


def about(tx: Tx, question: About, now: int) -> Known:
    accounts = question.accounts
    everybody = (0, *accounts)
    domain = question.author.rpartition("@")[2]
    return Known(
        choices.of(tx, accounts) if accounts else {},
        choices.matching(tx, everybody, question.patterns) if question.patterns else {},
        contacts.by_address(tx, everybody, question.author) if question.author else {},
        frozenset(account for account, _ in contacts.writes_to(tx, accounts, [domain])) if domain and accounts else frozenset(),
        tuple(contacts.by_name(tx, everybody, question.name)) if question.name else (),
        senders.read(tx, question.senders, now) if question.senders else {},
        tokens.learned(tx, everybody),
    )
