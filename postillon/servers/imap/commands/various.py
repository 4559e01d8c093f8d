"""Small extensions of one command each: UNAUTHENTICATE (RFC 8437), LANGUAGE (RFC 5255 §3), UIDBATCHES."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....protocols.imap.commands import Unauthenticate
from ....protocols.imap.events import Command
from ....protocols.imap.extension_commands import Language, UidBatches
from ....protocols.imap.extension_responses import language as language_line
from ....protocols.imap.extension_responses import uid_batches
from ..answers import BadCommand, No
from .listing import NAMESPACE
from .rule import Silent

if TYPE_CHECKING:
    from ..session import Session

DEFAULT_LANGUAGE = "i-default"
LANGUAGES = ("en", DEFAULT_LANGUAGE)
"""What our texts are written in."""

SMALLEST_BATCH = 500
MAX_IN_BATCHES = 1_000_000


async def unauthenticate(session: Session, command: Command, request: Unauthenticate) -> bytes | None:
    if "UNAUTHENTICATE" in session.hidden:
        raise BadCommand("UNAUTHENTICATE is not offered")  # RFC 8437 §8: it can be switched off
    dialogue = session.dialogue
    session.log.debug("logged out, the connection stays")
    session.forget()
    compression, dialogue.compression = dialogue.compression, None
    words = b"OK [CAPABILITY %b] Nobody is logged in" % session.capabilities()
    if compression is not None:
        # RFC 8437 §4.1: compression ends behind the command, and behind our answer to it.
        dialogue.compression = compression
        session.tagged(command.tag, words)
        await dialogue.flush()
        dialogue.compression = None
        dialogue.engine.receive(compression.leave())
    else:
        session.tagged(command.tag, words)
    raise Silent


async def language(session: Session, command: Command, request: Language) -> bytes | None:
    if not request.ranges:
        session.dialogue.write(language_line(LANGUAGES))
        return None
    for wanted in request.ranges:
        found = _lookup(wanted)
        if found:
            session.dialogue.write(language_line([found]))
            if session.account is not None:
                session.dialogue.write(NAMESPACE)  # RFC 5255 §3.4: names of namespaces may differ
            return None
    raise No("None of these languages is spoken here", b"CANNOT")


def _lookup(wanted: str) -> str:
    """RFC 4647 §3.4: the range, then what is left of it without its last words. RFC 5255 §3.2: `default` is i-default."""
    words = wanted.lower().split("-")
    if words in (["*"], ["default"]):
        return DEFAULT_LANGUAGE if words == ["default"] else LANGUAGES[0]
    while words:
        if "-".join(words) in LANGUAGES:
            return "-".join(words)
        words.pop()
    return ""


async def uidbatches(session: Session, command: Command, request: UidBatches) -> bytes | None:
    """Ranges of uids with *size* messages each, the newest first; the last one may have fewer."""
    if request.size < SMALLEST_BATCH:
        raise No(f"A batch has at least {SMALLEST_BATCH} messages", b"TOOFEW")
    view = session.mailbox.view
    first, last = request.batches or (1, -(-view.exists // request.size))
    if (last - first + 1) * request.size > MAX_IN_BATCHES and request.batches is not None:
        raise No(f"At most {MAX_IN_BATCHES} messages can be cut into batches", b"TOOMANY")
    uids, batches = view.snapshot.uids, []
    for number in range(first, last + 1):
        high = view.exists - (number - 1) * request.size
        if high < 1:
            break
        low = max(high - request.size + 1, 1)
        batches.append((uids[view.slot_of(high)], uids[view.slot_of(low)]))
    session.dialogue.write(uid_batches(command.tag, batches))
    return None
