"""Response codes, without their brackets (RFC 3501 §7.1, RFC 5530, and the extensions'). Words without arguments are
constants; those with arguments are functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from .responses import astring, string
from .sequence import format_in_order, format_set

ALREADYEXISTS = b"ALREADYEXISTS"
AUTHENTICATIONFAILED = b"AUTHENTICATIONFAILED"
CANNOT = b"CANNOT"
CLOSED = b"CLOSED"
COMPRESSIONACTIVE = b"COMPRESSIONACTIVE"
EXPUNGEISSUED = b"EXPUNGEISSUED"
HASCHILDREN = b"HASCHILDREN"
INUSE = b"INUSE"
LIMIT = b"LIMIT"
NONEXISTENT = b"NONEXISTENT"
NOPERM = b"NOPERM"
OVERQUOTA = b"OVERQUOTA"
PRIVACYREQUIRED = b"PRIVACYREQUIRED"
SERVERBUG = b"SERVERBUG"
TOOBIG = b"TOOBIG"
TOOMANY = b"TOOMANY"
TRYCREATE = b"TRYCREATE"
UIDREQUIRED = b"UIDREQUIRED"
UNAVAILABLE = b"UNAVAILABLE"
UNKNOWN_CTE = b"UNKNOWN-CTE"
URLMECH = b"URLMECH INTERNAL"
"""RFC 4467 §8: the only mechanism there is."""
USEATTR = b"USEATTR"


def append_uid(uidvalidity: int, uids: Sequence[int]) -> bytes:
    """RFC 4315 §3: *uids* ascending (several for MULTIAPPEND)."""
    return b"APPENDUID %d %b" % (uidvalidity, format_set(uids))


def copy_uid(uidvalidity: int, pairs: Sequence[tuple[int, int]]) -> bytes:
    """RFC 4315 §3: (uid from, uid to). Runs are written as ranges only as far as both sides run together."""
    ordered = sorted(pairs)
    ascending = all(one[1] < two[1] for one, two in pairwise(ordered))
    source = format_set([one for one, _ in ordered])
    if ascending:
        return b"COPYUID %d %b %b" % (uidvalidity, source, format_set([two for _, two in ordered]))
    return b"COPYUID %d %b %b" % (uidvalidity, source, format_in_order([two for _, two in ordered]))


def bad_url(url: bytes) -> bytes:
    """RFC 4469 §4: what a CATENATE could not read. Only printable ASCII without brackets is kept of it."""
    return b"BADURL %b" % astring(bytes(octet for octet in url if 0x20 < octet < 0x7F and octet not in b'[]"\\'))


def capability(names: Iterable[str]) -> bytes:
    return b"CAPABILITY " + " ".join(names).encode("ascii")


def bad_charset(names: Iterable[bytes]) -> bytes:
    return b"BADCHARSET (%b)" % b" ".join(names)


def highest_modseq(modseq: int) -> bytes:
    return b"HIGHESTMODSEQ %d" % modseq


def in_progress(tag: bytes, done: int | None = None, goal: int | None = None) -> bytes:
    """RFC 9585 §3."""
    numbers = b" ".join(b"NIL" if number is None else b"%d" % number for number in (done, goal))
    return b"INPROGRESS (%b %b)" % (string(tag), numbers)


def mailbox_id(identifier: bytes) -> bytes:
    """RFC 8474 §4."""
    return b"MAILBOXID (%b)" % identifier


def message_limit(limit: int, last: int | None = None) -> bytes:
    """RFC 9738 §3.1: only *limit* messages were dealt with; *last* is the lowest uid among them."""
    return b"MESSAGELIMIT %d" % limit if last is None else b"MESSAGELIMIT %d %d" % (limit, last)


def metadata_long_entries(size: int) -> bytes:
    """RFC 5464 §4.2.1: the largest value that was left out because of MAXSIZE."""
    return b"METADATA LONGENTRIES %d" % size


def metadata_max_size(size: int) -> bytes:
    """RFC 5464 §4.3."""
    return b"METADATA MAXSIZE %d" % size


def modified(numbers: bytes) -> bytes:
    """RFC 7162 §3.1.3: *numbers* from `sequence.format_set`."""
    return b"MODIFIED %b" % numbers


def no_update(tag: bytes) -> bytes:
    """RFC 5267 §4.3.1: this search cannot be kept up to date."""
    return b"NOUPDATE %b" % string(tag)


def permanent_flags(flags: Iterable[bytes]) -> bytes:
    return b"PERMANENTFLAGS (%b)" % b" ".join(flags)


def uidnext(uid: int) -> bytes:
    return b"UIDNEXT %d" % uid


def uidvalidity(value: int) -> bytes:
    return b"UIDVALIDITY %d" % value


def unseen(number: int) -> bytes:
    """RFC 3501 §7.1: the first unseen message; not part of IMAP4rev2."""
    return b"UNSEEN %d" % number
