"""LIST with all its options, LSUB, NAMESPACE, STATUS (RFC 9051 §6.3.9 to §6.3.11; RFC 5258, 5819, 6154, 8438, 3501 §6.3.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....model.access import Rights, letters
from ....model.mail import OTHER_USERS, Mailbox
from ....protocols.imap.commands import List, Lsub, Namespace, Status, StatusAttribute
from ....protocols.imap.events import Command
from ....protocols.imap.extension_responses import metadata as metadata_line
from ....protocols.imap.extension_responses import my_rights
from ..answers import BadCommand
from ..glob import Glob
from ..objectid import mailbox_id
from .mailboxes import find
from .metadata import check_names

if TYPE_CHECKING:
    from ..session import Session

Path = tuple[str, ...]
Matches = Callable[[Path], bool]

NAMESPACE = b'* NAMESPACE (("" "/")) (("%b/" "/")) NIL\r\n' % OTHER_USERS.encode()

MAX_PATTERNS = 200
STEP = 100
"""Names that are matched in one go, if there is one pattern."""


def patterns(request: List) -> list[Matches]:
    """Raises BadCommand."""
    if len(request.patterns) > MAX_PATTERNS:
        raise BadCommand("Too many patterns")
    return [pattern(request.reference, text) for text in request.patterns]


def pattern(reference: str, text: str) -> Matches:
    """RFC 9051 §6.3.9: `*` stands for anything, `%` for anything within a level. Raises BadCommand."""
    try:
        exact, any_case = Glob(reference + text), Glob((reference + text).upper())
    except ValueError as error:
        raise BadCommand(str(error)) from None

    def matches(path: Path) -> bool:
        # RFC 9051 §5.1: INBOX is INBOX in any case, and so are patterns that mean it.
        return (any_case if path == ("INBOX",) else exact).matches("/".join(path))

    return matches


@dataclass(frozen=True, slots=True)
class Name:
    """A line of LIST before it is chosen: a mailbox, a placeholder, only a subscription, or only a level above what others
    share.
    """

    path: Path
    mailbox: Mailbox | None
    subscribed: bool
    has_children: bool
    is_level: bool = False

    @property
    def use(self) -> bytes:
        """RFC 6154 §2 attribute, or nothing."""
        role = self.mailbox.role if self.mailbox is not None else ""
        return b"\\" + role.capitalize().encode() if role not in ("", "inbox") else b""


def all_names(boxes: Iterable[Mailbox], subscribed: set[Path]) -> list[Name]:
    """Every name there is, INBOX first."""
    by_path: dict[Path, Mailbox | None] = {box.path: box for box in boxes}
    parents = _above(by_path)
    levels = parents - by_path.keys()
    for path in subscribed | levels:
        by_path.setdefault(path, None)
    ordered = sorted(by_path, key=lambda path: (path[0] != "INBOX", path))
    return [Name(path, by_path[path], path in subscribed, path in parents, path in levels) for path in ordered]


async def list_(session: Session, command: Command, request: List) -> bytes | None:
    if not request.extended and request.patterns == ("",):
        # RFC 9051 §6.3.9: an empty pattern asks for the separator.
        session.dialogue.write(b'* LIST (\\Noselect) "/" ""\r\n')
        return None
    check_names(request.return_metadata)
    wanted = patterns(request)
    boxes = await session.store.visible_mailboxes(session.principal, session.owner.id)
    subscribed = await session.store.subscriptions(session.principal, session.owner.id)
    names = all_names(boxes, subscribed)
    chosen = {name.path for name in names if _selected(name, request)}
    above = _above(chosen) if request.recursive_match else set()
    step = max(1, STEP // len(wanted))
    for at, name in enumerate(names):
        if at % step == step - 1:
            await session.dialogue.breathe()
        if not any(matches(name.path) for matches in wanted):
            continue
        if name.path in chosen or name.path in above:
            session.dialogue.write(_line(session, name, request, child_info=name.path in above))
            if name.mailbox is not None:
                await _besides(session, name.mailbox, request)
    return None


async def _besides(session: Session, mailbox: Mailbox, request: List) -> None:
    """What was to be returned along with the line (RFC 5819, RFC 8440, RFC 9590), as far as there is a right to it."""
    may_read = bool(mailbox.rights & Rights.READ)
    if request.return_status and mailbox.selectable and may_read:
        session.dialogue.write(await status_line(session, mailbox, request.return_status))
    if request.return_myrights:
        session.dialogue.write(my_rights("/".join(mailbox.path), letters(mailbox.rights), session.utf8))
    if request.return_metadata and may_read:
        await _annotations(session, mailbox, request.return_metadata)


async def _annotations(session: Session, mailbox: Mailbox, entries: tuple[str, ...]) -> None:
    """RFC 9590 §3."""
    found = await session.store.metadata(session.principal, mailbox.account, mailbox.id)
    values = [(entry, found.get(entry)) for entry in entries]
    session.dialogue.write(metadata_line("/".join(mailbox.path), values, session.utf8))


def _selected(name: Name, request: List) -> bool:
    if request.select_subscribed and not name.subscribed:
        return False
    if request.select_special_use and not name.use:
        return False
    return name.mailbox is not None or name.is_level or request.select_subscribed


def _line(session: Session, name: Name, request: List, *, child_info: bool) -> bytes:
    attributes = attributes_of(name, subscribed=request.select_subscribed or request.return_subscribed)
    extended = b' ("CHILDINFO" ("SUBSCRIBED"))' if child_info and request.select_subscribed else b""
    return b'* LIST (%b) "/" %b%b\r\n' % (b" ".join(attributes), session.mailbox_name(name.path), extended)


def attributes_of(name: Name, *, subscribed: bool) -> list[bytes]:
    """*subscribed*: whether to tell that it is."""
    attributes = []
    if name.is_level:
        attributes.append(b"\\Noselect")
    elif name.mailbox is None:
        attributes.append(b"\\NonExistent")
    elif not name.mailbox.selectable:
        attributes.append(b"\\Noselect")
    if name.mailbox is not None or name.is_level:
        attributes.append(b"\\HasChildren" if name.has_children else b"\\HasNoChildren")
    if name.subscribed and subscribed:
        attributes.append(b"\\Subscribed")
    if name.use:
        attributes.append(name.use)
    return attributes


async def lsub(session: Session, command: Command, request: Lsub) -> bytes | None:
    """RFC 3501 §6.3.9. Parents of what is subscribed show as \\Noselect where `%` stops above it."""
    matches = pattern(request.reference, request.pattern)
    subscribed = await session.store.subscriptions(session.principal, session.owner.id)
    shown: list[Path] = []
    for at, path in enumerate(subscribed):
        if at % STEP == STEP - 1:
            await session.dialogue.breathe()
        if matches(path):
            shown.append(path)
    levels = _above(subscribed) - _above(shown) - subscribed if "%" in request.pattern else set()
    for path in sorted([*shown, *filter(matches, levels)], key=lambda path: (path[0] != "INBOX", path)):
        attribute = b"\\Noselect" if path in levels else b""
        session.dialogue.write(b'* LSUB (%b) "/" %b\r\n' % (attribute, session.mailbox_name(path)))
    return None


def _above(paths: Iterable[Path]) -> set[Path]:
    """The levels above *paths*."""
    return {path[:level] for path in paths for level in range(1, len(path))}


async def namespace(session: Session, command: Command, request: Namespace) -> bytes | None:
    session.dialogue.write(NAMESPACE)
    return None


async def status(session: Session, command: Command, request: Status) -> bytes | None:
    mailbox = await find(session, request.mailbox)
    if StatusAttribute.HIGHESTMODSEQ in request.attributes:
        session.enabled.add("CONDSTORE")  # RFC 7162 §3.1: asking for it enables it
    session.dialogue.write(await status_line(session, mailbox, request.attributes))
    return None


_VALUES: dict[StatusAttribute, Callable[[Mailbox], bytes]] = {
    StatusAttribute.MESSAGES: lambda box: b"%d" % box.total,
    StatusAttribute.RECENT: lambda box: b"0",
    StatusAttribute.UIDNEXT: lambda box: b"%d" % box.uidnext,
    StatusAttribute.UIDVALIDITY: lambda box: b"%d" % box.uidvalidity,
    StatusAttribute.UNSEEN: lambda box: b"%d" % box.unseen,
    StatusAttribute.DELETED: lambda box: b"%d" % box.deleted,
    StatusAttribute.SIZE: lambda box: b"%d" % box.size,
    StatusAttribute.HIGHESTMODSEQ: lambda box: b"%d" % box.modseq,
    StatusAttribute.MAILBOXID: lambda box: b"(%b)" % mailbox_id(box.id),
}


async def status_line(session: Session, mailbox: Mailbox, attributes: Iterable[StatusAttribute]) -> bytes:
    """RFC 9051 §7.3.4, from the mailbox row alone, but for DELETED-STORAGE. Raises BadCommand for what we do not offer."""
    values = []
    for attribute in attributes:
        if attribute is StatusAttribute.APPENDLIMIT:
            value = b"%d" % session.server.settings.append_limit
        elif attribute is StatusAttribute.DELETED_STORAGE:
            # RFC 9208 §4.1.4. Looked at only where there is something to look at.
            store, account = session.store, mailbox.account
            size = await store.deleted_size(session.principal, account, mailbox.id) if mailbox.deleted else 0
            value = b"%d" % size
        elif attribute in _VALUES:
            value = _VALUES[attribute](mailbox)
        else:
            raise BadCommand("Status attribute is not supported")
        values.append(attribute.value + b" " + value)
    return b"* STATUS %b (%b)\r\n" % (session.mailbox_name(mailbox.path), b" ".join(values))
