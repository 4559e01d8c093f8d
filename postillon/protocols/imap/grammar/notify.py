"""NOTIFY (RFC 5465) and ESEARCH over several mailboxes (RFC 7377)."""

from __future__ import annotations

from ..commands import SearchReturn
from ..extension_commands import CancelUpdate, EventGroup, MailboxFilter, Notify, NotifyEvent, Scope, SearchMailboxes
from ..fetch_attributes import FetchAttribute
from .fetch import attribute
from .reader import Bad, No, Reader
from .results import returns
from .search import program_with_charset

_SCOPES = {scope.value.encode("ascii"): scope for scope in Scope}
_NAMED = (Scope.SUBTREE, Scope.SUBTREE_ONE, Scope.MAILBOXES)
_SELECTED = (Scope.SELECTED, Scope.SELECTED_DELAYED)
_EVENTS = {event.value.upper().encode("ascii"): event for event in NotifyEvent}
_MESSAGE_EVENTS = frozenset(
    (NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE, NotifyEvent.FLAG_CHANGE, NotifyEvent.ANNOTATION_CHANGE)
)
_NEW_AND_GONE = frozenset((NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE))


def notify(reader: Reader) -> Notify:
    reader.space()
    word = reader.word("NONE or SET")
    if word == b"NONE":
        return Notify()
    if word != b"SET":
        raise Bad("NONE or SET expected")
    reader.space()
    status = not reader.data.startswith(b"(", reader.pos)
    if status:
        if reader.word("STATUS") != b"STATUS":
            raise Bad("STATUS expected")
        reader.space()
    groups = [_group(reader)]
    while reader.skip(b" "):
        groups.append(_group(reader))
    if sum(group.mailboxes.scope in _SELECTED for group in groups) > 1:
        raise Bad("SELECTED can be given once")  # RFC 5465 §6.1
    return Notify(tuple(groups), status)


def _group(reader: Reader) -> EventGroup:
    reader.expect(b"(")
    mailboxes = _filter(reader)
    reader.space()
    if not reader.skip(b"("):
        if reader.word("NONE or list of events") != b"NONE":
            raise Bad("NONE or list of events expected")
        reader.expect(b")")
        return EventGroup(mailboxes, frozenset())
    selected = mailboxes.scope in _SELECTED
    events: set[NotifyEvent] = set()
    attributes: tuple[FetchAttribute, ...] = ()
    while not events or not reader.skip(b")"):
        if events:
            reader.space()
        event = _EVENTS.get(reader.word("event"))
        if event is None:
            known = b" ".join(event.value.encode("ascii") for event in NotifyEvent)
            raise No(b"BADEVENT (%b)" % known, "there is no such event")  # RFC 5465 §5
        events.add(event)
        if event is NotifyEvent.MESSAGE_NEW and reader.skip(b" ("):
            attributes = _attributes(reader)
    reader.expect(b")")
    _check(frozenset(events), selected, bool(attributes))
    return EventGroup(mailboxes, frozenset(events), attributes)


def _check(events: frozenset[NotifyEvent], selected: bool, attributes: bool) -> None:
    """RFC 5465 §5: what may stand with what."""
    if selected and not events <= _MESSAGE_EVENTS:
        raise Bad("only message events are allowed for the selected mailbox")
    if attributes and not selected:
        raise Bad("attributes are allowed for the selected mailbox only")
    given = events & _MESSAGE_EVENTS
    if given and not given >= _NEW_AND_GONE:
        raise Bad("MessageNew and MessageExpunge go together, and with all other message events")


def _attributes(reader: Reader) -> tuple[FetchAttribute, ...]:
    found = [attribute(reader)]
    while not reader.skip(b")"):
        reader.space()
        found.append(attribute(reader))
    return tuple(dict.fromkeys(found))


def _filter(reader: Reader) -> MailboxFilter:
    """RFC 5465 §8 filter-mailboxes, with RFC 7377's SUBTREE-ONE."""
    scope = _SCOPES.get(reader.word("which mailboxes"))
    if scope is None:
        raise Bad("there is no such way to name mailboxes")
    if scope not in _NAMED:
        return MailboxFilter(scope)
    reader.space()
    if not reader.skip(b"("):
        return MailboxFilter(scope, (reader.mailbox(),))
    names = [reader.mailbox()]
    while not reader.skip(b")"):
        reader.space()
        names.append(reader.mailbox())
    return MailboxFilter(scope, tuple(dict.fromkeys(names)))


def esearch(reader: Reader) -> SearchMailboxes:
    reader.space()
    sources: tuple[MailboxFilter, ...] = (MailboxFilter(Scope.SELECTED),)
    if reader.data[reader.pos : reader.pos + 4].upper() == b"IN (":
        reader.pos += 4
        sources = _sources(reader)
        reader.space()
    wanted = returns(reader) or SearchReturn(all=True)
    return SearchMailboxes(program_with_charset(reader), sources, wanted)


def _sources(reader: Reader) -> tuple[MailboxFilter, ...]:
    found = [_filter(reader)]
    while not reader.skip(b")"):
        reader.space()
        found.append(_filter(reader))
    if any(source.scope is Scope.SELECTED_DELAYED for source in found):
        raise Bad("SELECTED-DELAYED is for NOTIFY")
    return tuple(dict.fromkeys(found))


def cancelupdate(reader: Reader) -> CancelUpdate:
    """RFC 5267 §4.3.6."""
    tags: list[bytes] = []
    while not tags or not reader.at_end():
        reader.space()
        tags.append(reader.string())
    return CancelUpdate(tuple(tags))


PARSERS = {b"NOTIFY": notify, b"ESEARCH": esearch, b"CANCELUPDATE": cancelupdate}
