"""STORE and UID STORE (RFC 9051 §6.4.6), with UNCHANGEDSINCE (RFC 7162 §3.1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ....model.mail import SYSTEM_FLAGS
from ....protocols.imap.commands import Store
from ....protocols.imap.events import Command
from ....protocols.imap.response_codes import modified
from ....protocols.imap.sequence import format_set
from ....storage.store import FlagResult
from ..answers import No
from ..message_limit import cut
from ..selected import Selected

if TYPE_CHECKING:
    from ..session import Session

SLICE = 2000


def flags_and_keywords(flags: tuple[bytes, ...]) -> tuple[int, tuple[bytes, ...]]:
    """The bits of system flags, and the keywords among *flags*."""
    bits = 0
    keywords = []
    for flag in flags:
        if flag in SYSTEM_FLAGS:
            bits |= SYSTEM_FLAGS[flag]
        elif not flag.startswith(b"\\"):
            keywords.append(flag)
        elif flag.lower() != b"\\recent":  # RFC 3501 §2.3.2: no client can alter it, and we have none
            raise No("There is no such system flag", b"CANNOT")
    return bits, tuple(keywords)


async def store(session: Session, command: Command, request: Store) -> bytes | None:
    selected = session.mailbox
    if selected.read_only:
        raise No("Mailbox was opened read-only", b"CANNOT")
    if request.unchanged_since is not None:
        session.enabled.add("CONDSTORE")  # RFC 7162 §3.1
    bits, keywords = flags_and_keywords(request.flags)
    slots = cut(session, selected.slots(request.numbers, uid=request.uid))
    box, failed, missing = selected.loaded, [], False
    for at in range(0, len(slots), SLICE):
        part = slots[at : at + SLICE]
        result = await session.store.store_flags(
            box.principal,
            box.account,
            box.mailbox,
            selected.uids(part),
            request.operation,
            bits,
            keywords,
            request.unchanged_since,
        )
        await selected.learn(result.changed)
        failed += result.failed
        _answer(session, selected, request, list(part), result)
        missing = missing or any(selected.view.is_expunged(slot) for slot in part)
        await session.dialogue.breathe()
    if failed:
        # RFC 7162 §3.1.3: the client hears what the flags are now, and which messages they are: uids for UID STORE.
        await session.tell(expunges=request.uid, reread=True)
        numbers = failed if request.uid else [selected.view.number_of(slot) for slot in _slots(selected, failed)]
        return b"[%b] Conditional STORE failed for some" % modified(format_set(sorted(numbers)))
    if missing and not request.uid and not request.silent:  # RFC 2180 §4.2.1: who wants no answer has got all it asked for
        raise No("Some of the messages were expunged", b"EXPUNGEISSUED")
    return None


def _slots(selected: Selected, uids: Sequence[int]) -> list[int]:
    return [slot for uid in uids if (slot := selected.view.slot_of_uid(uid)) is not None]


def _answer(session: Session, selected: Selected, request: Store, slots: list[int], result: FlagResult) -> None:
    """Untagged FETCH for *slots*.

    RFC 9051 §6.4.6: the new value of the flags, also where it was the same before, unless .SILENT was asked for. RFC 7162
    §3.1: a client that knows of mod-sequences hears each new one, silent or not.
    """
    if not request.silent:
        failed = set(_slots(selected, result.failed))
        told = [slot for slot in slots if slot not in failed]
        session.dialogue.write(b"".join(selected.fetch_flags(told, modseq=session.condstore)))
    elif session.condstore:
        changed = _slots(selected, [uid for uid, _, _ in result.changed])
        session.dialogue.write(b"".join(selected.fetch_flags(sorted(changed), modseq=True, flags=False)))
