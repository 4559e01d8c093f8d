"""Mailboxes, subscriptions, annotations, rights, and keys of URLs that open a message."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from ....model.access import Rights
from ....model.account import Principal
from ....model.errors import NotFound, NotPermitted, Refusal
from ....model.ids import AccountId, MailboxId
from ....model.mail import OTHER_USERS, Mailbox
from ....seams import Tx
from .. import acl, email_changes, emails, mailboxes, metadata, names, urlauth
from ..acl import Change
from ..emails import STEP
from ..mailboxes import Path
from ..rights import allowed, rights_of
from .core import Core, _check


class Mailboxes(Core):
    """Mailboxes, subscriptions, annotations, rights, and keys of URLs that open a message."""

    async def mailboxes(self, principal: Principal, account: AccountId) -> list[Mailbox]:
        """All of the account's own, placeholders included, INBOX first, then by path."""
        _check(principal, account)
        return await self.database.read(lambda tx: mailboxes.rows(tx, account))

    async def visible_mailboxes(self, principal: Principal, account: AccountId) -> list[Mailbox]:
        """The account's own, and those of others that it may see."""
        _check(principal, account)
        return await self.database.read(lambda tx: [*mailboxes.rows(tx, account), *acl.visible(tx, account)])

    async def mailbox(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> Mailbox:
        """One mailbox by id, to read it. Raises NotFound, NotPermitted."""
        return await self.database.peek(lambda tx: names.row(tx, principal, account, mailbox, Rights.READ))

    async def find_mailbox(self, principal: Principal, account: AccountId, path: Path, needed: Rights = Rights.READ) -> Mailbox:
        """One mailbox by its exact path (INBOX in any case); placeholders too. Raises NotFound.

        Another's, by the name that it has for who asks: raises NotPermitted without the rights *needed*. If those are none, it
        is enough to have any that lets one ask for one's own (RFC 4314 §4).
        """
        _check(principal, account)

        def work(tx: Tx) -> Mailbox:
            owner, rest = names.place(tx, account, path)
            mailbox = mailboxes.lookup(tx, owner, mailboxes.canonical(rest))
            if mailbox is None:
                raise NotFound("No such mailbox")
            return names.row(tx, principal, owner, mailbox, needed)

        return await self.database.peek(work)

    async def _owner_of(self, account: AccountId, path: Path) -> tuple[AccountId, Path]:
        """Whose mailbox *account* calls *path*, and what it is to its owner. Raises NotFound."""
        if path[:1] != (OTHER_USERS,):
            return account, path
        return await self.database.peek(lambda tx: names.place(tx, account, path))

    async def create_mailbox(self, principal: Principal, account: AccountId, path: Path, role: str = "") -> Mailbox:
        """Make it and the parents it lacks. Raises AlreadyExists, LimitReached, NotPermitted."""
        _check(principal, account)
        try:
            owner, path = await self._owner_of(account, path)
        except NotFound:
            raise NotPermitted(names.NOT_THERE) from None
        new, now = self.new_ids(len(path)), self._clock.now()

        def work(tx: Tx) -> Mailbox:
            names.judge_new(tx, principal, owner, path)
            if role and owner != account:
                raise NotPermitted("What a mailbox is for is its owner's to say")
            mailbox = mailboxes.create(tx, owner, path, role, new, now)
            rights = rights_of(tx, principal, owner, mailbox)
            box = mailboxes.row(tx, owner, mailbox)
            return box if owner == account else acl.as_seen(tx, box, account, rights)

        return await self.database.write(work, (owner,))

    async def delete_mailbox(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> None:
        """With children its name stays as a placeholder. Raises NotFound, NotPermitted, HasChildren."""
        placeholder, now = self._ids.next(), self._clock.now()

        def work(tx: Tx) -> None:
            mailboxes.delete(tx, account, mailbox, placeholder, now)

        await self._write(allowed(principal, account, mailbox, Rights.DELETE, work), (account,))

    async def rename_mailbox(self, principal: Principal, account: AccountId, mailbox: MailboxId, path: Path) -> None:
        """The tree moves along; of INBOX the messages move and it stays (RFC 9051 §6.3.6). Raises AlreadyExists, NotFound,
        NotPermitted; Refusal where another account's tree begins.
        """
        asked = principal.account or account
        try:
            owner, path = await self._owner_of(asked, path)
        except NotFound:
            owner = None
        new, now = self.new_ids(len(path)), self._clock.now()

        def work(tx: Tx) -> None:
            box = mailboxes.row(tx, account, mailbox)
            if owner != account:
                raise Refusal("A mailbox cannot be moved to another account")
            names.judge_new(tx, principal, account, path)
            if box.path != ("INBOX",):
                mailboxes.rename(tx, account, mailbox, path, new, now)
                return
            if not principal.may(account):
                raise NotPermitted("The INBOX of another user cannot be renamed")
            target = mailboxes.create(tx, account, path, "", new, now)
            while rows := emails.snapshot(tx, account, mailbox, 0, STEP):
                email_changes.move(tx, account, mailbox, [row[0] for row in rows], target, now)

        await self.database.write(allowed(principal, account, mailbox, Rights.DELETE, work), (account,), heavy=True)

    async def deleted_size(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> int:
        """Octets of the messages marked \\Deleted."""
        return await self._look(principal, account, mailbox, lambda tx: email_changes.deleted_size(tx, account, mailbox))

    async def metadata(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> dict[str, bytes]:
        """Annotations by name, the viewer's own and the shared ones. *mailbox* 0: of the whole account."""
        viewer = principal.account or account
        return await self._look(principal, account, mailbox, lambda tx: metadata.entries(tx, account, mailbox, viewer))

    async def all_metadata(self, principal: Principal, account: AccountId) -> list[tuple[int, str, bytes]]:
        """(mailbox id or 0, name, value) of all annotations."""
        _check(principal, account)
        viewer = principal.account or account
        return await self.database.read(lambda tx: metadata.of_account(tx, account, viewer))

    async def set_metadata(
        self, principal: Principal, account: AccountId, mailbox: MailboxId, values: Sequence[tuple[str, bytes | None]]
    ) -> None:
        """Set annotations, remove those whose value is None; all or none. Raises TooLarge, LimitReached, NotFound.

        RFC 5464 §3.3: private ones are for who may read the mailbox, shared ones for who may also change what all see.
        """
        viewer = principal.account or account
        shared = any(not entry.startswith("/private/") for entry, _ in values)
        needed = Rights.READ | Rights.WRITE if shared else Rights.READ

        def work(tx: Tx) -> None:
            metadata.change(tx, account, mailbox, viewer, values)

        await self.database.write(allowed(principal, account, mailbox, needed, work), (account,))

    async def subscribe(self, principal: Principal, account: AccountId, path: Path, on: bool) -> None:
        _check(principal, account)
        await self.database.write(lambda tx: mailboxes.subscribe(tx, account, path, on), (account,))

    async def subscriptions(self, principal: Principal, account: AccountId) -> set[Path]:
        """Subscribed names, whether or not there is such a mailbox."""
        _check(principal, account)
        return await self.database.read(lambda tx: mailboxes.subscriptions(tx, account))

    async def acl(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> list[tuple[str, Rights]]:
        """(identifier, rights), the owner first. Raises NotFound, NotPermitted."""
        work = allowed(principal, account, mailbox, Rights.ADMINISTER, lambda tx: acl.entries(tx, account, mailbox))
        return await self.database.read(work)

    async def set_acl(
        self,
        principal: Principal,
        account: AccountId,
        mailbox: MailboxId,
        identifier: str,
        operation: Change,
        rights: Rights,
    ) -> None:
        """Give, take or set the rights of *identifier*. Whom it concerns is woken. Raises as `acl.change`."""

        def work(tx: Tx) -> None:
            acl.change(tx, account, mailbox, identifier, operation, rights)

        await self.database.write(allowed(principal, account, mailbox, Rights.ADMINISTER, work), (account,))

    async def check_identifier(self, principal: Principal, account: AccountId, mailbox: MailboxId, identifier: str) -> bool:
        """Whether *identifier* is the owner. Raises Refusal if it is nobody, NotFound, NotPermitted."""

        def work(tx: Tx) -> bool:
            return acl.grantee_of(tx, identifier)[0] == account

        return await self.database.peek(allowed(principal, account, mailbox, Rights.ADMINISTER, work))

    async def urlauth_key(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> bytes | None:
        """What URLs to messages of *mailbox* are signed with (RFC 4467 §2.4); None: none were made."""
        _check(principal, account)
        return await self.database.peek(lambda tx: urlauth.key(tx, account, mailbox))

    async def make_urlauth_key(self, principal: Principal, account: AccountId, mailbox: MailboxId) -> bytes:
        """The same, made now if there is none."""
        _check(principal, account)
        fresh = secrets.token_bytes(urlauth.KEY_SIZE)
        return await self.database.write(lambda tx: urlauth.make_key(tx, account, mailbox, fresh))

    async def reset_urlauth_keys(self, principal: Principal, account: AccountId, mailbox: MailboxId | None) -> None:
        """Make all URLs to messages of *mailbox* void; None: of all mailboxes."""
        _check(principal, account)
        await self.database.write(lambda tx: urlauth.reset(tx, account, mailbox))
