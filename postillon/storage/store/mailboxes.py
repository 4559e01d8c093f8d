"""Mailboxes: a tree of names per account (RFC 9051 §6.3, RFC 8621 §2). Works: plain functions over a transaction."""

from __future__ import annotations

from ...model.errors import AlreadyExists, HasChildren, LimitReached, NotFound, NotPermitted, Refusal
from ...model.ids import AccountId, MailboxId, ModSeq, Uid
from ...model.mail import OTHER_USERS, Mailbox
from ...seams import Tx

MAX_MAILBOXES = 10_000
MAX_DEPTH = 20
MAX_NAME = 255  # octets of one level
REAP_EMAIL, REAP_MAILBOX, REAP_FILE, REAP_VIEWER, REAP_KNOWLEDGE = 1, 2, 3, 4, 5
GONE_PLACEMENT, GONE_MAILBOX = 1, 2

ANYONE_ID = -1
"""In the place of an account: everybody who has logged in."""
MAX_SHARED, MAX_PUBLIC = 1000, 100
"""Mailboxes of an account that may be shared with one other, and with anyone."""

Path = tuple[str, ...]

_COLUMNS = "mailbox_id, parent_id, name, role, selectable, uidvalidity, uidnext, modseq, total, unseen, deleted, size"

DEFAULTS = (
    ("INBOX", "inbox"),
    ("Drafts", "drafts"),
    ("Sent", "sent"),
    ("Archive", "archive"),
    ("Junk", "junk"),
    ("Trash", "trash"),
)


def canonical(path: Path) -> Path:
    """INBOX in any case is INBOX, also as a parent (RFC 9051 §5.1). Raises Refusal for names that nobody may have."""
    if not path or len(path) > MAX_DEPTH:
        raise Refusal("Mailbox name is empty or too deep")
    if path[0] == OTHER_USERS:
        raise Refusal("That name is for the mailboxes of other users")
    for name in path:
        if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME:
            raise Refusal("A level of the mailbox name is empty or too long")
        if "/" in name or any(ch < " " or ch == "\x7f" or "\ud800" <= ch <= "\udfff" for ch in name):
            raise Refusal("Mailbox name has a control character")
    return ("INBOX", *path[1:]) if path[0].upper() == "INBOX" else path


def rows(tx: Tx, account: AccountId) -> list[Mailbox]:
    """All mailboxes of the account, placeholders included, in the order of their paths."""
    found = tx.all(f"SELECT {_COLUMNS} FROM mailbox WHERE account_id = ?", account)
    names = {row[0]: (row[1], bytes(row[2]).decode()) for row in found}
    subscribed = subscriptions(tx, account)

    def path_of(mailbox: int) -> Path:
        parent, name = names[mailbox]
        return (*path_of(parent), name) if parent else (name,)

    boxes = [_mailbox(account, row, path_of(row[0]), subscribed) for row in found]
    return sorted(boxes, key=lambda box: (box.path[0] != "INBOX", box.path))


def _mailbox(account: AccountId, row: tuple[int | bytes, ...], path: Path, subscribed: set[Path]) -> Mailbox:
    (mailbox_id, _, _, role, selectable, uidvalidity, uidnext, modseq, total, unseen, deleted, size) = row
    assert isinstance(role, bytes)
    return Mailbox(
        account=account,
        id=MailboxId(int(mailbox_id)),
        path=path,
        role=role.decode(),
        subscribed=path in subscribed,
        selectable=bool(selectable),
        uidvalidity=int(uidvalidity),
        uidnext=Uid(int(uidnext)),
        modseq=ModSeq(int(modseq)),
        total=int(total),
        unseen=int(unseen),
        deleted=int(deleted),
        size=int(size),
    )


def row(tx: Tx, account: AccountId, mailbox: MailboxId) -> Mailbox:
    """One mailbox, its path worked out from its parents. Raises NotFound."""
    found = tx.one(f"SELECT {_COLUMNS} FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, mailbox)
    if found is None:
        raise NotFound("No such mailbox")
    path: Path = (bytes(found[2]).decode(),)
    parent = found[1]
    while parent:
        above = tx.one("SELECT parent_id, name FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, parent)
        assert above is not None, "a mailbox without its parent"
        path = (bytes(above[1]).decode(), *path)
        parent = above[0]
    return _mailbox(account, found, path, {path} if is_subscribed(tx, account, path) else set())


def is_subscribed(tx: Tx, account: AccountId, path: Path) -> bool:
    return tx.one("SELECT 1 FROM subscription WHERE account_id = ? AND path = ?", account, _joined(path)) is not None


def _joined(path: Path) -> bytes:
    return "/".join(path).encode()


def lookup(tx: Tx, account: AccountId, path: Path) -> MailboxId | None:
    """The id of the mailbox at *path*, placeholder or not."""
    at = 0
    for name in path:
        found = tx.one(
            "SELECT mailbox_id FROM mailbox WHERE account_id = ? AND parent_id = ? AND name = ?", account, at, name.encode()
        )
        if found is None:
            return None
        at = found[0]
    return MailboxId(at)


def find(tx: Tx, account: AccountId, path: Path) -> Mailbox:
    """Raises NotFound for what is not there or only a placeholder."""
    mailbox = lookup(tx, account, canonical(path))
    if mailbox is None:
        raise NotFound("No such mailbox")
    return row(tx, account, mailbox)


def uidvalidity(tx: Tx, account: AccountId, now: int) -> int:
    """A new UIDVALIDITY: greater than any before in this account, also after a restored backup (RFC 9051 §2.3.1.1)."""
    found = tx.one(
        "UPDATE account_state SET uidvalidity_next = CASE WHEN uidvalidity_next >= ? THEN uidvalidity_next + 1 ELSE ? END"
        " WHERE account_id = ? RETURNING uidvalidity_next",
        now,
        now,
        account,
    )
    assert found is not None, "an account without its state row"
    return int(found[0]) & 0xFFFFFFFF


def create(tx: Tx, account: AccountId, path: Path, role: str, new_ids: tuple[int, ...], now: int) -> MailboxId:
    """Make the mailbox and the parents it lacks. *new_ids*: an id for each level. Raises AlreadyExists."""
    path = canonical(path)
    parent = 0
    for level, name in enumerate(path):
        last = level == len(path) - 1
        found = tx.one(
            "SELECT mailbox_id, selectable FROM mailbox WHERE account_id = ? AND parent_id = ? AND name = ?",
            account,
            parent,
            name.encode(),
        )
        if found is None:
            parent = _insert(tx, account, new_ids[level], parent, name, role if last else "", now)
        elif last and found[1]:
            raise AlreadyExists("Mailbox exists already")
        elif last:
            parent = found[0]
            tx.run(
                "UPDATE mailbox SET selectable = 1, uidvalidity = ?, role = ?, modseq = ?"
                " WHERE account_id = ? AND mailbox_id = ?",
                uidvalidity(tx, account, now),
                role.encode(),
                tx.modseq(account),
                account,
                parent,
            )
        else:
            parent = found[0]
    return MailboxId(parent)


def _insert(tx: Tx, account: AccountId, mailbox: int, parent: int, name: str, role: str, now: int) -> int:
    count = tx.one("SELECT count(*) FROM mailbox WHERE account_id = ?", account)
    if count is not None and count[0] >= MAX_MAILBOXES:
        raise LimitReached(f"An account may have {MAX_MAILBOXES} mailboxes")
    modseq = tx.modseq(account)
    if role and tx.one("SELECT 1 FROM mailbox WHERE account_id = ? AND role = ?", account, role.encode()):
        role = ""  # RFC 8621 §2: a role belongs to one mailbox
    tx.run(
        "INSERT INTO mailbox (account_id, mailbox_id, parent_id, name, role, selectable, uidvalidity, uidnext, created,"
        " meta_modseq, modseq) VALUES (?, ?, ?, ?, ?, 1, ?, 1, ?, ?, ?)",
        account,
        mailbox,
        parent,
        name.encode(),
        role.encode(),
        uidvalidity(tx, account, now),
        now,
        modseq,
        modseq,
    )
    if parent:
        _inherit(tx, account, mailbox, parent)
    return mailbox


def _inherit(tx: Tx, account: AccountId, mailbox: int, parent: int) -> None:
    """RFC 4314 §2 leaves it to us: what is made below a shared mailbox is shared with the same people.

    As far as there is room; what is denied is denied.
    """
    rows = tx.all("SELECT grantee_id, granted, denied FROM acl WHERE account_id = ? AND mailbox_id = ?", account, parent)
    tx.many(
        "INSERT INTO acl (account_id, mailbox_id, grantee_id, granted, denied) VALUES (?, ?, ?, ?, ?)",
        [(account, mailbox, *row) for row in rows if row[2] or shared_with(tx, account, row[0]) < most_shared(row[0])],
    )


def shared_with(tx: Tx, account: AccountId, grantee: int) -> int:
    """How many mailboxes of the account name *grantee* in their lists."""
    row = tx.one("SELECT count(*) FROM acl WHERE grantee_id = ? AND account_id = ?", grantee, account)
    return int(row[0]) if row else 0


def most_shared(grantee: int) -> int:
    """Nobody's list of mailboxes is to be filled up by others."""
    return MAX_PUBLIC if grantee == ANYONE_ID else MAX_SHARED


def delete(tx: Tx, account: AccountId, mailbox: MailboxId, placeholder: int, now: int) -> None:
    """Remove the mailbox and what lies in it. Raises NotPermitted, HasChildren.

    With children its name stays as a placeholder of its own, with the id *placeholder* (RFC 9051 §6.3.5). The messages are
    out of sight at once; the janitor removes them in steps.
    """
    box = row(tx, account, mailbox)
    if box.path == ("INBOX",):
        raise NotPermitted("INBOX cannot be deleted")
    modseq = tx.modseq(account)
    parent = tx.one("SELECT parent_id FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, mailbox)
    has_children = tx.one("SELECT 1 FROM mailbox WHERE account_id = ? AND parent_id = ? LIMIT 1", account, mailbox) is not None
    assert parent is not None
    if has_children and not box.selectable:
        raise HasChildren("Mailbox has children and cannot be deleted")
    tx.run("UPDATE account_state SET used = used - ? WHERE account_id = ?", box.size, account)
    tx.run("DELETE FROM mailbox WHERE account_id = ? AND mailbox_id = ?", account, mailbox)
    tx.run("DELETE FROM acl WHERE account_id = ? AND mailbox_id = ?", account, mailbox)
    if has_children:
        _insert(tx, account, placeholder, parent[0], box.path[-1], "", now)
        tx.run("UPDATE mailbox SET selectable = 0 WHERE account_id = ? AND mailbox_id = ?", account, placeholder)
        tx.run("UPDATE mailbox SET parent_id = ? WHERE account_id = ? AND parent_id = ?", placeholder, account, mailbox)
    tx.run("INSERT INTO reap (at, kind, account_id, object) VALUES (?, ?, ?, ?)", now, REAP_MAILBOX, account, mailbox)
    tx.run(
        "INSERT INTO gone (account_id, mailbox_id, modseq, kind, object, email_id, at) VALUES (?, ?, ?, ?, ?, 0, ?)",
        account,
        mailbox,
        modseq,
        GONE_MAILBOX,
        mailbox,
        now,
    )


def rename(tx: Tx, account: AccountId, mailbox: MailboxId, path: Path, new_ids: tuple[int, ...], now: int) -> None:
    """Move the mailbox with its tree to *path*, making missing parents. INBOX is the caller's case. Raises AlreadyExists."""
    path = canonical(path)
    box = row(tx, account, mailbox)
    if path[: len(box.path)] == box.path:
        raise Refusal("A mailbox cannot be moved below itself") if path != box.path else AlreadyExists("Mailbox exists already")
    if lookup(tx, account, path) is not None:
        raise AlreadyExists("Mailbox exists already")
    parent = 0
    if len(path) > 1:
        found = lookup(tx, account, path[:-1])
        parent = found if found is not None else create(tx, account, path[:-1], "", new_ids, now)
    modseq = tx.modseq(account)
    tx.run(
        "UPDATE mailbox SET parent_id = ?, name = ?, meta_modseq = ? WHERE account_id = ? AND mailbox_id = ?",
        parent,
        path[-1].encode(),
        modseq,
        account,
        mailbox,
    )


def subscriptions(tx: Tx, account: AccountId) -> set[Path]:
    found = tx.all("SELECT path FROM subscription WHERE account_id = ?", account)
    return {tuple(bytes(row[0]).decode().split("/")) for row in found}


def subscribe(tx: Tx, account: AccountId, path: Path, on: bool) -> None:
    """RFC 9051 §6.3.7: a name may be subscribed whether or not there is such a mailbox."""
    other = path[:2] if path[0] == OTHER_USERS and len(path) > 2 else ()
    joined = _joined((*other, *canonical(path[len(other) :])))
    tx.modseq(account)
    if on:
        tx.run("INSERT INTO subscription (account_id, path) VALUES (?, ?) ON CONFLICT DO NOTHING", account, joined)
    else:
        tx.run("DELETE FROM subscription WHERE account_id = ? AND path = ?", account, joined)


def make_defaults(tx: Tx, account: AccountId, new_ids: tuple[int, ...], now: int) -> None:
    """The mailboxes that a new account has: INBOX, Drafts, Sent, Archive, Junk, Trash, all subscribed. Six ids."""
    for (name, role), mailbox in zip(DEFAULTS, new_ids, strict=True):
        create(tx, account, (name,), role, (mailbox,), now)
        subscribe(tx, account, (name,), True)
