"""Mail from our own people: may this account use this sender, what is completed, what is left out. See RFC 6409 §6 and §8."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from ..filters.notebook import Notebook
from ..log import Log
from ..message.incoming import Incoming
from ..message.octets import Octets
from ..message.trace import return_path
from ..model.account import Account
from ..model.address import Address
from ..model.envelope import Accepted, Client, Envelope, Recipient
from ..model.errors import NotFound, NotPermitted, Refusal, SendingLimitReached
from ..model.ids import AccountId
from ..model.plan import Plan, Receipt
from ..seams import Clock, Directory, FindKind
from ..storage.ids import IdSource
from ..storage.store import Store
from . import accept, records, wishes
from .allowance import Allowance
from .complete import Completed, complete
from .convert import Converter
from .deliver import Copies, Deliverer, FlowSettings
from .outgoing import Outgoing
from .plan import filed_everywhere
from .receive import about, check_local, discarded, note_accepted, received_field
from .rules import NO_ORDERS, OUT, Orders, Rules
from .sign import Signer

log = Log("submit")


class Submitter:
    """The submission's mail path (`mail_path`). Every client here has authenticated."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        deliverer: Deliverer,
        clock: Clock,
        ids: IdSource,
        settings: FlowSettings,
        signer: Signer | None = None,
        allowance: Allowance | None = None,
        outgoing: Outgoing | None = None,
        rules: Rules | None = None,
        notebook: Notebook | None = None,
    ) -> None:
        self._rules = rules or Rules()
        self._store = store
        self._directory = directory
        self._deliverer = deliverer
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._signer = signer
        self._allowance = allowance
        self._outgoing = outgoing
        self._converter = Converter(store, signer, settings.max_size)
        self._notebook = notebook

    async def sender(self, client: Client, envelope: Envelope) -> None:
        """At MAIL: the null sender or an address of the account. Raises NotPermitted, SendingLimitReached."""
        wishes.check_hold(envelope, self._settings.longest_hold_s, self._clock.now())
        await self._store.check_space(envelope.size or 0)
        if self._allowance is not None:
            await self._allowance.check(_account(client))
        if envelope.sender is not None:
            await self._check_owned(_account(client), [envelope.sender], "Sender")

    async def recipient(self, client: Client, envelope: Envelope, recipient: Recipient | None) -> Accepted:
        """At RCPT: local or foreign. Raises Refusal."""
        if recipient is None:
            found = await self._directory.postmaster()
            account = await self._local_account(found.accounts)
            return Accepted(Recipient(Address.parse(account.name)), found.accounts, found.remote)
        recipient = self._rules.recipient(OUT, envelope.sender, recipient)
        if self._allowance is not None:
            await self._allowance.check_recipient(_account(client), recipient.address)
        found = await self._directory.find(recipient.address)
        if found.kind is FindKind.FOREIGN:
            self._settings.check_remote([recipient.address])
            return Accepted(recipient, remote=(recipient.address,))
        check_local(found, recipient, envelope.size or 0)
        self._settings.check_remote(found.remote)
        return Accepted(recipient, found.accounts, found.remote, found.detail)

    async def _local_account(self, accounts: tuple[AccountId, ...]) -> Account:
        if not accounts:
            raise NotFound("There is no postmaster here yet", status="5.1.1")
        return await self._directory.account(accounts[0])

    async def message(self, incoming: Incoming) -> Receipt:
        """After DATA: check From and Sender, complete the header, commit local copies and duties as one. Raises Refusal."""
        started = time.monotonic()
        client = incoming.client
        key = accept.accept_key(client.login or client.address, incoming.envelope, incoming.body)
        incoming = await self._converter.submitted(incoming)
        received = accept.header_octets(incoming.body)
        edited = await self._edited(incoming, received)
        if self._outgoing is not None:
            came = incoming
            incoming, edited = await self._outgoing.check(incoming, received, edited)
            if not incoming.accepted:
                return discarded(self._store, came, edited.header)
        orders = self._orders(incoming, edited.header)
        edited = replace(edited, header=orders.header(edited.header))
        envelope = orders.envelope(wishes.ranked(accept.with_tls_wish(incoming.envelope, edited.header), edited.header))
        fates = filed_everywhere(incoming.accepted)
        # What stands in the blob from the body on is the message's; its header is ours, written out in the rope.
        completed = Octets.of(edited.header, (edited.body_start, incoming.body.size))
        handed_on = completed.with_prefix(received_field(incoming, self._settings.hostname))
        filed = handed_on.with_prefix(return_path(envelope.sender))
        if self._signer is not None and (orders.bcc or any(one.remote for one in incoming.accepted)):
            handed_on = handed_on.with_prefix(
                await self._signer.fields(edited.header, incoming.body, edited.body_start, incoming.at)
            )
        copies = Copies(filed, handed_on)
        items = await self._deliverer.items(envelope, incoming.accepted, fates, copies, client.account, orders)
        prepared = await accept.prepared(incoming.body, edited.header, edited.body_start)
        plan = Plan(
            body=incoming.body,
            prepared=prepared,
            received=incoming.at,
            items=items,
            records=records.accepted(incoming, prepared.message_id),
            accept_key=key,
            along=await self._deliverer.reports(about(incoming, edited.header), incoming.accepted, fates, items),
            charge=self._allowance.charge(incoming, _account(client)) if self._allowance is not None else None,
        )
        receipt = await self._commit(plan)
        note_accepted(incoming, receipt, started)
        if self._notebook is not None:
            try:
                self._notebook.wrote(_account(client), incoming.envelope, edited.header)
            except Exception as error:  # the message is accepted: nothing that is only remembered may undo that
                log.error("recipients not noted", session=client.session, exc=error)
        return receipt

    def _orders(self, incoming: Incoming, header: bytes) -> Orders:
        if not self._rules.rules:
            return NO_ORDERS
        addresses = [recipient.address for recipient in incoming.envelope.recipients]
        return self._rules.orders(OUT, incoming.envelope.sender, addresses, header, incoming.body.size)

    async def _commit(self, plan: Plan) -> Receipt:
        """Accept it within what its account may send. Raises Refusal."""
        if self._allowance is None or plan.charge is None:
            return await self._store.commit(plan)
        try:
            receipt = await self._store.commit(plan)
        except SendingLimitReached as refusal:
            await self._allowance.refused(plan.charge.account, refusal)
            raise
        try:
            await self._allowance.accepted(plan.charge, receipt)
        except Exception as error:  # the message is accepted: a no now would make its sender send it twice
            log.error("account not watched", account=plan.charge.account, exc=error)
        return receipt

    async def retry(self, client: Client, option: str, node: str) -> int:
        """ETRN is for mail servers; mail programs are not offered it."""
        raise NotPermitted("Not for mail programs", status="5.7.1", code=459)

    def confirm(self, incoming: Incoming) -> None:
        """The client has heard our 250."""
        client = incoming.client
        self._store.confirm(accept.accept_key(client.login or client.address, incoming.envelope, incoming.body))

    async def unheard(self, incoming: Incoming) -> None:
        """The client may never have heard our 250: the same message again is no other one."""
        client = incoming.client
        await self._store.unheard(accept.accept_key(client.login or client.address, incoming.envelope, incoming.body))

    async def _edited(self, incoming: Incoming, header: bytes) -> Completed:
        accept.check_hops(header)
        account = _account(incoming.client)
        edited = complete(
            header,
            sender=incoming.envelope.sender or Address.parse((await self._directory.account(account)).name),
            at=incoming.at,
            message_id=f"{incoming.body.blob:x}.{self._ids.session()}@{self._settings.hostname}",
        )
        await self._check_owned(account, edited.authors, "From")
        return edited

    async def _check_owned(self, account: AccountId, addresses: Iterable[Address], what: str) -> None:
        for address in addresses:
            if not await self._directory.may_send_as(account, address):
                raise NotPermitted(f"{what} address <{address}> does not belong to the account that is logged in", status="5.7.1")


def _account(client: Client) -> AccountId:
    if client.account is None:
        raise Refusal("Authentication required", status="5.7.0", code=530)
    return client.account
