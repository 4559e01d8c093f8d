"""NOTIFY (RFC 5465): news of any mailbox, at any time. What is meant and what changed is in `notifications`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....model.access import Rights
from ....model.errors import Refusal
from ....model.mail import Mailbox
from ....protocols.imap.events import Command
from ....protocols.imap.extension_commands import Notify, NotifyEvent
from ....protocols.imap.extension_responses import metadata_changed
from ....protocols.imap.responses import list_line
from ....storage.store.metadata import WHOLE_ACCOUNT
from ..answers import No
from ..named import MAX_FILTERS, Path
from ..notifications import METADATA, SUPPORTED, Interest, Picture, annotated, listed, moved, renamed, status_wanted
from .listing import all_names, attributes_of, status_line

if TYPE_CHECKING:
    from ..session import Session


async def notify(session: Session, command: Command, request: Notify) -> bytes | None:
    if len(request.groups) > MAX_FILTERS:
        raise No("Too many event groups", b"LIMIT")
    if any(group.events - SUPPORTED for group in request.groups):
        names = " ".join(sorted(event.value for event in SUPPORTED))
        raise No("Not all of these events are supported", b"BADEVENT (%b)" % names.encode())
    interest = Interest(request.groups)
    await session.tell(expunges=True, reread=True)  # RFC 5465 §3.1: an implicit NOOP
    session.dialogue.alarm.others = False
    picture = await look(session, interest)
    if request.status:
        for box in picture.boxes.values():
            wanted = status_wanted(interest.events(box.path, picture.subscribed), condstore=session.condstore)
            if wanted and _is_readable(box) and not _is_selected(session, box.id):
                session.dialogue.write(await status_line(session, box, wanted))
    session.interest, session.picture = interest, picture
    session.watch()
    session.dialogue.alarm.watching = bool(request.groups)
    return None


async def look(session: Session, interest: Interest) -> Picture:
    """The account's mailboxes, and those of others that it may see, as they are now."""
    store, who, account = session.store, session.principal, session.owner.id
    if not interest.wants_others:
        return Picture({}, frozenset())
    boxes = {box.id: box for box in await store.visible_mailboxes(who, account)}
    subscribed = frozenset(await store.subscriptions(who, account))
    entries: dict[int, dict[str, bytes]] = {}
    if interest.wants_metadata:
        for number, name, value in await store.all_metadata(who, account):
            entries.setdefault(number, {})[name] = value
        for box in boxes.values():
            if box.is_shared and _is_readable(box) and METADATA & interest.events(box.path, subscribed):
                entries[box.id] = await store.metadata(who, box.account, box.id)
    return Picture(dict(boxes.items()), subscribed, entries)


async def tell_others(session: Session) -> None:
    """Tell what changed in mailboxes that are not selected, as far as the client wants to know."""
    interest, old = session.interest, session.picture
    assert interest is not None and old is not None
    session.dialogue.alarm.others = False  # first clear, then read
    try:
        new = await look(session, interest)
    except Refusal as error:
        session.log.warning("mailboxes not read", status=error.status, detail=error.detail or error.text)
        return
    session.picture = new
    session.watch()
    for line in [*_names(session, interest, old, new), *_annotations(session, interest, old, new)]:
        session.dialogue.write(line)
    for number, box in new.boxes.items():
        before, events = old.boxes.get(number), interest.events(box.path, new.subscribed)
        if before is None or not _is_readable(box) or not events or _is_selected(session, number):
            continue
        if moved(before, box, events, condstore=session.condstore):
            wanted = status_wanted(events, condstore=session.condstore)
            session.dialogue.write(await status_line(session, box, wanted))


def _is_readable(box: Mailbox) -> bool:
    return box.selectable and bool(box.rights & Rights.READ)


def _is_selected(session: Session, mailbox: int) -> bool:
    return session.selected is not None and session.selected.loaded.mailbox == mailbox


def _names(session: Session, interest: Interest, old: Picture, new: Picture) -> list[bytes]:
    """Untagged LIST of mailboxes that were made, removed, renamed or (un)subscribed (RFC 5465 §5.4, §5.5)."""
    names = {name.path: name for name in all_names(new.boxes.values(), set(new.subscribed))}
    known = new.subscribed | old.subscribed

    def line(path: Path, old_name: Path | None = None) -> bytes:
        name = names.get(path)
        attributes = [b"\\NonExistent"] if name is None else attributes_of(name, subscribed=True)
        former = None if old_name is None else "/".join(old_name)
        return list_line(attributes, "/".join(path), utf8=session.utf8, old_name=former)

    lines = []
    for box, before in renamed(old, new):
        if NotifyEvent.MAILBOX_NAME in interest.events(box.path, known) | interest.events(before, known):
            lines.append(line(box.path, before))
    asked = [(path, NotifyEvent.MAILBOX_NAME) for path in listed(old, new)]
    asked += [(path, NotifyEvent.SUBSCRIPTION_CHANGE) for path in sorted(old.subscribed ^ new.subscribed)]
    lines += [line(path) for path, event in asked if event in interest.events(path, known)]
    return list(dict.fromkeys(lines))


def _annotations(session: Session, interest: Interest, old: Picture, new: Picture) -> list[bytes]:
    lines = []
    for number, entries in annotated(old, new):
        if number == WHOLE_ACCOUNT:
            path: Path = ()
            wanted = any(NotifyEvent.SERVER_METADATA_CHANGE in group.events for group in interest.groups)
        else:
            path = new.boxes[number].path
            wanted = NotifyEvent.MAILBOX_METADATA_CHANGE in interest.events(path, new.subscribed)
        if wanted:
            lines.append(metadata_changed("/".join(path), entries, session.utf8))
    return lines
