"""URLs that let others read one message (RFC 4467): signed with the key of its mailbox, checked when they are used.

The one mechanism is INTERNAL: HMAC-SHA-256 over the URL up to the mechanism. BURL in submission opens them too.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass

from ...model.account import Account, AccountState, Principal
from ...model.address import Address, AddressError
from ...model.errors import NotFound, Refusal
from ...model.mail import Mailbox
from ...protocols.imap.urls import BadUrl, MessageUrl, parse
from ...seams import Clock, Directory, FindKind
from ...storage.store import Store
from .url_octets import Located, locate, octets

MECHANISM = "INTERNAL"


@dataclass(frozen=True, slots=True)
class UrlAuthority:
    """*host*: our name, in capitals or not; *submitters*: accounts that other submission servers log in with."""

    store: Store
    directory: Directory
    clock: Clock
    host: str
    submitters: tuple[str, ...] = ()

    async def sign(self, url: MessageUrl, owner: Account, mailbox: Mailbox) -> bytes:
        """*url* of a message in *mailbox*, with its token. Raises BadUrl if it is not the owner's or not ours."""
        assert url.access is not None
        if url.host != self.host.lower() or _canonical(url.user) != owner.name:
            raise BadUrl("it must name this server, and you")
        key = await self.store.make_urlauth_key(Principal(owner.id), mailbox.account, mailbox.id)
        return b"%b:internal:%b" % (url.access.rump, self._token(key, url.access.rump).hex().encode())

    async def open(self, text: bytes, reader: Account) -> Located:
        """What *text* names, if *reader* may use it over IMAP. Raises BadUrl, whose words are not for the reader."""
        url = parse(text)
        if url.access is None or not self._may_read(url.access.who, reader):
            raise BadUrl("the access identifier names somebody else")
        return await self._open(url)

    async def submit(self, text: bytes, sender: str) -> AsyncIterator[bytes]:
        """The octets of what *text* names, for a message that *sender* submits here (RFC 4468 §3). Raises Refusal.

        Only URLs of the sender's own mail are opened.
        """
        try:
            url = parse(text)
            if _canonical(url.user) != sender or url.access is None or not _is_for(url.access.who, sender):
                raise BadUrl("it is not the sender's own")
            return octets(self.store, await self._open(url))
        except BadUrl as error:
            raise Refusal("The URL cannot be opened", status="5.6.6", code=554, detail=str(error)) from error

    def _may_read(self, who: str, reader: Account) -> bool:
        """RFC 4467 §3: who is logged in may use `authuser`."""
        word, _, name = who.partition("+")
        if word == "submit":
            return reader.name in map(_canonical, self.submitters)
        return word in ("anonymous", "authuser") or _canonical(name) == reader.name

    async def _open(self, url: MessageUrl) -> Located:
        assert url.access is not None
        if url.host != self.host.lower():
            raise BadUrl("another server's")
        if url.expires is not None and self.clock.now() >= url.expires:
            raise BadUrl("expired")
        if url.access.mechanism != MECHANISM or url.mailbox is None:
            raise BadUrl("no such mechanism")
        owner = Principal((await self._owner(_canonical(url.user))).id)
        assert owner.account is not None
        try:
            mailbox = await self.store.find_mailbox(owner, owner.account, tuple(url.mailbox.split("/")))
        except NotFound as error:
            raise BadUrl("no such mailbox") from error
        key = await self.store.urlauth_key(owner, mailbox.account, mailbox.id)
        # The comparison takes its time also where there is no key.
        is_genuine = hmac.compare_digest(self._token(key or b"", url.access.rump), url.access.token)
        if not is_genuine or key is None:
            raise BadUrl("the token is wrong")
        return await locate(self.store, owner, mailbox, url)

    async def _owner(self, name: str) -> Account:
        """The account with the login name *name*; who an alias leads to is not meant."""
        try:
            found = await self.directory.find(Address.parse(name))
            if found.kind is FindKind.LOCAL and len(found.accounts) == 1:
                account = await self.directory.account(found.accounts[0])
                if account.name == name and account.state is AccountState.ACTIVE:
                    return account
        except (AddressError, Refusal) as error:
            raise BadUrl("no such user") from error
        raise BadUrl("no such user")

    @staticmethod
    def _token(key: bytes, rump: bytes) -> bytes:
        return hmac.digest(key, rump, "sha256")


def _is_for(who: str, sender: str) -> bool:
    """RFC 4467 §3: the access identifier *who* lets the server read it to submit it for *sender*."""
    word, _, name = who.partition("+")
    return word in ("authuser", "anonymous") or _canonical(name) == sender


def _canonical(name: str) -> str:
    try:
        return Address.parse(name).key
    except AddressError:
        return name
