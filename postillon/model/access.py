"""Rights on a mailbox, as bits, and the letters that stand for them (RFC 4314 §2.1)."""

from __future__ import annotations

from enum import IntFlag


class Rights(IntFlag):
    NONE = 0
    LOOKUP = 1
    """l: it is seen to exist."""
    READ = 2
    SEEN = 4
    """s: keep \\Seen."""
    WRITE = 8
    """w: change flags other than \\Seen and \\Deleted, and shared annotations."""
    INSERT = 16
    POST = 32
    """p: kept and shown; nothing in this server depends on it."""
    CREATE = 64
    """k: make mailboxes below."""
    DELETE = 128
    """x: delete or rename the mailbox itself."""
    MARK_DELETED = 256
    """t: change \\Deleted."""
    EXPUNGE = 512
    ADMINISTER = 1024


LETTERS = {
    "l": Rights.LOOKUP,
    "r": Rights.READ,
    "s": Rights.SEEN,
    "w": Rights.WRITE,
    "i": Rights.INSERT,
    "p": Rights.POST,
    "k": Rights.CREATE,
    "x": Rights.DELETE,
    "t": Rights.MARK_DELETED,
    "e": Rights.EXPUNGE,
    "a": Rights.ADMINISTER,
}
VIRTUAL = {"c": Rights.CREATE | Rights.DELETE, "d": Rights.MARK_DELETED | Rights.EXPUNGE}
"""RFC 4314 §2.1.1: what the letters of RFC 2086 stand for."""
ALL = Rights(sum(LETTERS.values()))
CHANGING = Rights.SEEN | Rights.WRITE | Rights.INSERT | Rights.MARK_DELETED | Rights.EXPUNGE
"""RFC 4314 §5.2: without any of these a mailbox is selected READ-ONLY."""
KNOWING = Rights.LOOKUP | Rights.READ | Rights.INSERT | Rights.CREATE | Rights.DELETE | Rights.ADMINISTER
"""RFC 4314 §4: with any of these one may ask for one's own rights."""
REMOVING = Rights.MARK_DELETED | Rights.EXPUNGE
"""RFC 4314 §4, RFC 6851 §4.5: to take a message away is to mark it and to expunge it."""
ANYONE = "anyone"


def letters(rights: Rights) -> str:
    """RFC 4314 §2.1.1: with `c` and `d` where any right is held that they stand for."""
    return "".join(letter for letter, right in (LETTERS | VIRTUAL).items() if rights & right)


def parse_rights(text: str) -> Rights:
    """Raises ValueError for a letter that is no right."""
    known, rights = LETTERS | VIRTUAL, Rights.NONE
    for letter in text:
        if letter not in known:
            raise ValueError(f"{letter!r} is not a right")
        rights |= known[letter]
    return rights
