"""Notices: messages of the server itself to its postmaster and its accounts (RFC 3834: automatic, never answered)."""

from __future__ import annotations

from collections.abc import Sequence

from ..message import build
from ..model.address import Address
from ..model.ids import AccountId
from ..seams import Clock, Directory
from ..storage.ids import IdSource
from ..storage.store import Store
from .own_mail import OwnMail


class Notices:
    """*hostname* names us; *mail* carries them."""

    def __init__(self, *, store: Store, directory: Directory, mail: OwnMail, clock: Clock, ids: IdSource, hostname: str) -> None:
        self._store = store
        self._directory = directory
        self._mail = mail
        self._clock = clock
        self._ids = ids
        self._hostname = hostname

    async def operator(self, subject: str, text: str) -> None:
        """To the postmaster, wherever that leads. Raises Refusal."""
        found = await self._directory.postmaster()
        await self._send(found.accounts, found.remote, Address("postmaster", self._hostname), subject, text)

    async def account(self, account: AccountId, subject: str, text: str) -> None:
        """Into the inbox of *account*. Raises Refusal."""
        name = (await self._directory.account(account)).name
        await self._send((account,), (), Address.parse(name), subject, text)

    async def _send(self, accounts: Sequence[AccountId], away: Sequence[Address], to: Address, subject: str, text: str) -> None:
        plan = await self._mail.plan_to(self._octets(to, subject, text), accounts, away, (to,), f"a notice: {subject}")
        if plan is not None:
            await self._store.commit(plan)

    def _octets(self, to: Address, subject: str, text: str) -> bytes:
        return b"".join(
            [
                build.addresses("From", [("Postillon", Address("postmaster", self._hostname))]),
                build.addresses("To", [("", to)]),
                build.text("Subject", subject),
                build.date("Date", self._clock.now()),
                build.message_id("Message-ID", [f"{self._ids.next():x}.notice@{self._hostname}"]),
                build.raw("Auto-Submitted", b"auto-generated"),
                build.raw("MIME-Version", b"1.0"),
                build.text_part(text),
            ]
        )
