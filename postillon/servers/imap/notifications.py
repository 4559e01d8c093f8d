"""NOTIFY (RFC 5465): what a client wants to hear of mailboxes, and what changed between two looks at them. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from ...model.mail import OTHER_USERS, Mailbox
from ...protocols.imap.commands import StatusAttribute
from ...protocols.imap.extension_commands import EventGroup, NotifyEvent, Scope
from .named import Named, Path

Events = frozenset[NotifyEvent]

SELECTED = (Scope.SELECTED, Scope.SELECTED_DELAYED)
MESSAGES = frozenset((NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE))
METADATA = frozenset((NotifyEvent.MAILBOX_METADATA_CHANGE, NotifyEvent.SERVER_METADATA_CHANGE))
SUPPORTED = frozenset(NotifyEvent) - {NotifyEvent.ANNOTATION_CHANGE}


@dataclass(frozen=True, slots=True)
class Picture:
    """An account's mailboxes as last looked at."""

    boxes: dict[int, Mailbox]
    subscribed: frozenset[Path]
    metadata: dict[int, dict[str, bytes]] = field(default_factory=dict)
    """By mailbox id, 0 for the account; empty unless somebody wants to hear of it."""


@dataclass(frozen=True)
class Interest:
    """What NOTIFY SET asked for; NOTIFY NONE has no groups."""

    groups: tuple[EventGroup, ...] = ()

    @cached_property
    def _named(self) -> tuple[Named, ...]:
        """One for each group."""
        return tuple(Named(group.mailboxes) for group in self.groups)

    @property
    def selected(self) -> EventGroup | None:
        """The group for the selected mailbox. Without one nothing of it is told (RFC 5465 §3.1)."""
        return next((group for group in self.groups if group.mailboxes.scope in SELECTED), None)

    @property
    def is_delayed(self) -> bool:
        group = self.selected
        return group is not None and group.mailboxes.scope is Scope.SELECTED_DELAYED

    @property
    def wants_metadata(self) -> bool:
        return any(group.events & METADATA for group in self.groups)

    @property
    def wants_others(self) -> bool:
        return any(group.mailboxes.scope not in SELECTED and group.events for group in self.groups)

    def events(self, path: Path, subscribed: frozenset[Path]) -> Events:
        """What is wanted of the mailbox at *path*, which is not selected. Several groups may mean it."""
        found: set[NotifyEvent] = set()
        for group, named in zip(self.groups, self._named, strict=True):
            if path in named or _means(group.mailboxes.scope, path, subscribed):
                found |= group.events
        return frozenset(found)


def _means(scope: Scope, path: Path, subscribed: frozenset[Path]) -> bool:
    """For the scopes that name no mailboxes."""
    if scope in (Scope.PERSONAL, Scope.INBOXES):  # RFC 5465 §6.3: a rule may deliver anywhere
        return path[0] != OTHER_USERS
    return scope is Scope.SUBSCRIBED and path in subscribed


def status_wanted(events: Events, *, condstore: bool) -> tuple[StatusAttribute, ...]:
    """RFC 5465 §3.1, §5.1 to §5.3: what a STATUS has to tell of a mailbox with *events*; empty for none."""
    wanted: list[StatusAttribute] = []
    if events & MESSAGES:
        wanted += (StatusAttribute.MESSAGES, StatusAttribute.UIDNEXT, StatusAttribute.UIDVALIDITY)
    if NotifyEvent.FLAG_CHANGE in events:
        wanted.append(StatusAttribute.UNSEEN)
    if wanted and condstore:
        wanted.append(StatusAttribute.HIGHESTMODSEQ)
    return tuple(wanted)


def moved(old: Mailbox, new: Mailbox, events: Events, *, condstore: bool) -> bool:
    """Whether something happened in the mailbox that *events* ask for."""
    if old.uidvalidity != new.uidvalidity or (old.total, old.uidnext) != (new.total, new.uidnext):
        return bool(events & MESSAGES)
    if NotifyEvent.FLAG_CHANGE not in events:
        return False
    return old.unseen != new.unseen or (condstore and old.modseq != new.modseq)


def renamed(old: Picture, new: Picture) -> Iterator[tuple[Mailbox, Path]]:
    """(mailbox, its old path), without those that only went along with their parent (RFC 5465 §5.4)."""
    moves = {box.path: new.boxes[number].path for number, box in old.boxes.items() if number in new.boxes}
    for number, box in new.boxes.items():
        before = old.boxes.get(number)
        if before is None or before.path == box.path:
            continue
        same_name = before.path[-1] == box.path[-1]
        if same_name and len(box.path) > 1 and moves.get(before.path[:-1]) == box.path[:-1]:
            continue
        yield box, before.path


def listed(old: Picture, new: Picture) -> list[Path]:
    """Names that came or went, and their parents (RFC 5465 §5.4)."""
    was, now = {box.path for box in old.boxes.values()}, {box.path for box in new.boxes.values()}
    kept = old.boxes.keys() & new.boxes.keys()
    went = was - now - {old.boxes[number].path for number in kept}
    came = now - was - {new.boxes[number].path for number in kept}
    parents = {path[:-1] for path in went | came if len(path) > 1}
    return sorted(went | came | parents)


def annotated(old: Picture, new: Picture) -> Iterator[tuple[int, list[str]]]:
    """(mailbox id, names of the entries that changed or are gone)."""
    for number in sorted(old.metadata.keys() | new.metadata.keys()):
        before, after = old.metadata.get(number, {}), new.metadata.get(number, {})
        names = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
        if names and (not number or number in new.boxes):
            yield number, names
