"""How many messages one command may touch (RFC 9738): MESSAGELIMIT for nearly all of them, or SAVELIMIT for COPY and APPEND.

What is limited in part deals with the messages of the highest uids and says how far it came; what is atomic is refused.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from ...protocols.imap.response_codes import message_limit
from ...protocols.imap.search_keys import And, Numbers, SearchKey, Uids
from ...protocols.imap.sequence import MAX_NUMBER, SavedResult, SequenceSet
from .answers import No

if TYPE_CHECKING:
    from .session import Session


def cut(session: Session, slots: array[int]) -> array[int]:
    """Those of ascending *slots* that the command deals with; the tagged answer tells of it."""
    limit = session.server.settings.message_limit
    if not limit or len(slots) <= limit:
        return slots
    kept = slots[-limit:]
    session.limited = session.mailbox.view.snapshot.uids[kept[0]]
    return kept


def check(session: Session, count: int) -> None:
    """For FETCH with PARTIAL. Raises No if *count* messages are too many for one command."""
    limit = session.server.settings.message_limit
    if limit and count > limit:
        raise No(f"One command may deal with {limit} messages", message_limit(limit))


def check_saved(session: Session, count: int, uids: list[int] | None = None) -> None:
    """For COPY and APPEND, which are atomic (RFC 9738 §3.1): raises No if *count* messages are too many.

    *uids*: those asked for, ascending; the answer says which of them could be done first.
    """
    limit = session.server.settings.saves_at_once
    if count > limit:
        raise No(f"One command may store {limit} messages", message_limit(limit, uids[-limit] if uids else None))


def narrowed(session: Session, key: SearchKey) -> SearchKey:
    """*key* over no more messages than the limit: those of the highest uids that the numbers in it allow."""
    limit = session.server.settings.message_limit
    candidates = _candidates(session, key) if limit else None
    if candidates is None or len(candidates) <= limit:
        return key
    return And((Uids(SequenceSet(((session.mailbox.view.snapshot.uids[cut(session, candidates)[0]], MAX_NUMBER),))), key))


def check_search(session: Session, key: SearchKey) -> None:
    """For SORT and THREAD, which make no sense in part (RFC 9738 §3.3). Raises No."""
    limit = session.server.settings.message_limit
    if limit and len(_candidates(session, key)) > limit:
        raise No(f"One command may deal with {limit} messages: UIDAFTER and UIDBEFORE say which", message_limit(limit))


def _candidates(session: Session, key: SearchKey) -> array[int]:
    """The messages that a search has to look at: what the numbers that must all hold allow."""
    selected, view = session.mailbox, session.mailbox.view
    slots = view.all_slots()
    for part in key.keys if isinstance(key, And) else (key,):
        if isinstance(part, Uids | Numbers):
            if isinstance(part.numbers, SavedResult):
                allowed = set(selected.slots(part.numbers, uid=True))
            elif isinstance(part, Uids):
                allowed = set(view.slots_of_uids(part.numbers.resolve(view.last_uid)))
            else:
                allowed = set(view.slots_of(part.numbers.resolve(view.exists)))
            slots = array("I", [slot for slot in slots if slot in allowed])
    return slots


def tell(session: Session, answer: bytes) -> bytes:
    """The tagged answer with what the limit cut off, or after an untagged NO if it has a code already (RFC 9738 §3.1)."""
    lowest, session.limited = session.limited, None
    if lowest is None:
        return answer
    limit = session.server.settings.message_limit
    code = message_limit(limit, lowest)
    if answer.startswith(b"OK ") and not answer.startswith(b"OK ["):
        return b"OK [%b] %b, for the last %d messages" % (code, answer[3:], limit)
    session.dialogue.write(b"* NO [%b] Only the last %d messages were dealt with\r\n" % (code, limit))
    return answer
