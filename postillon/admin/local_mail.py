"""Mail from local programs (cron, scripts): `postillon sendmail` on a Unix socket, with the sender's identity from the kernel.

A user `www` sends as `www@DOMAIN`, where DOMAIN is our host name if that is a domain of ours, else the domain of ours above it,
else the first. If that address leads to an account, the message is that account's; otherwise the postmaster's, who also gets
what is sent to local user names that have no address. Root and the server's own user may send as anybody.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..directory.local import LocalDirectory
from ..flow.submit import Submitter
from ..log import Log
from ..message.addresses import Group, parse_addresses
from ..message.header import fields, header_end, unfold
from ..message.incoming import Incoming
from ..model.address import Address, AddressError
from ..model.envelope import Accepted, Client, Envelope, Recipient
from ..model.errors import NotFound, Refusal, Unavailable
from ..model.ids import AccountId
from ..model.plan import Body
from ..net.stream import Stream
from ..seams import Clock, Directory, FindKind
from ..storage.spool import Spool
from ..storage.store import Store
from .wire import refusal, result

MAX_QUESTION = 1 << 20
TIMEOUT_S = 60.0
MAX_HEADER = 1 << 20

log = Log("sendmail")


@dataclass(frozen=True, slots=True)
class Sender:
    """A local user as a sender of mail."""

    user: str
    address: Address
    account: AccountId
    is_trusted: bool


class _AsUser:
    """The directory as seen by one local user's submission: `may_send_as` knows the user's own address too."""

    def __init__(self, directory: LocalDirectory, sender: Sender) -> None:
        self._directory = directory
        self._sender = sender

    async def may_send_as(self, account: AccountId, address: Address) -> bool:
        if self._sender.is_trusted or address.key == self._sender.address.key:
            return True
        return self._sender.user != "" and await self._owned(account, address)

    async def _owned(self, account: AccountId, address: Address) -> bool:
        # What the postmaster owns is not for every local user to use.
        found = await self._directory.find(self._sender.address)
        return account in found.accounts and await self._directory.may_send_as(account, address)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._directory, name)


class LocalMail:
    """Serves the sendmail socket. *submitter* makes a mail path over the directory it is given."""

    def __init__(
        self,
        *,
        store: Store,
        directory: LocalDirectory,
        clock: Clock,
        session_id: Callable[[], str],
        submitter: Callable[[Directory], Submitter],
        hostname: str,
        max_size: int,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._session_id = session_id
        self._submitter = submitter
        self._hostname = hostname
        self._max_size = max_size

    async def session(self, stream: Stream) -> None:
        """One message: a line of JSON, then so many octets as it says. One answer."""
        try:
            uid = stream.peer_credentials().uid
            asked, rest = await _question(stream)
            spool = self._store.spool(self._max_size)
            try:
                body = await _body(stream, spool, rest, int(asked["size"]))
                await stream.send(result(await self._submit(uid, asked, body)))
            finally:
                spool.discard()
        except Refusal as error:
            await stream.send(refusal(error))
        except (ValueError, KeyError, TypeError) as error:
            await stream.send(refusal(Refusal(f"The question was not understood: {error}", status="5.5.4")))

    async def _submit(self, uid: int, asked: dict[str, Any], body: Body) -> dict[str, Any]:
        sender = await self._sender(uid)
        flow = self._submitter(cast("Directory", _AsUser(self._directory, sender)))
        envelope_sender = await self._address(asked["sender"], sender) if asked.get("sender") else sender.address
        envelope = Envelope(None if asked.get("sender") == "<>" else envelope_sender, body="8BITMIME", size=body.size)
        client = Client("127.0.0.1", hello="localhost", account=sender.account, login=sender.user, session=self._session_id())
        await flow.sender(client, envelope)
        wanted = list(asked["recipients"])
        if asked.get("from_header"):
            wanted += named_in(_header(body))
        if not wanted:
            raise Refusal("No recipients", status="5.5.4")
        accepted = [await self._accept(flow, client, envelope, text, sender) for text in dict.fromkeys(wanted)]
        complete = Envelope(
            envelope.sender,
            tuple(one.recipient for one in accepted),
            "8BITMIME",
            any(not one.recipient.address.is_ascii for one in accepted),
        )
        incoming = Incoming(client, complete, tuple(accepted), body, self._clock.now())
        await flow.message(incoming)
        flow.confirm(incoming)  # cron says the same every day
        log.info("local mail accepted", session=client.session, uid=uid, user=sender.user, recipients=len(accepted))
        return {"recipients": len(accepted)}

    async def _accept(self, flow: Submitter, client: Client, envelope: Envelope, text: str, sender: Sender) -> Accepted:
        address = await self._address(text, sender)
        try:
            return await flow.recipient(client, envelope, Recipient(address))
        except NotFound:
            if "@" in text or not _is_user(text):
                raise
            return await flow.recipient(client, envelope, None)  # mail to a local user without an address

    async def _address(self, text: str, sender: Sender) -> Address:
        """Bare names are at our domain. Raises Refusal."""
        if text == "<>":
            return sender.address
        try:
            return Address.parse(text if "@" in text else f"{text}@{sender.address.domain}")
        except AddressError as error:
            raise Refusal(f"{text!r} is not an address: {error}", status="5.1.3") from error

    async def _sender(self, uid: int) -> Sender:
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:
            user = f"uid{uid}"
        address = Address(user, await self._domain())
        found = await self._directory.find(address)
        if found.kind is not FindKind.LOCAL or not found.accounts:
            found = await self._directory.postmaster()
        if not found.accounts:
            raise Unavailable("There is no account here yet that could answer for local mail")
        return Sender(user, address, found.accounts[0], uid in (0, os.geteuid()))

    async def _domain(self) -> str:
        if await self._directory.is_local_domain(self._hostname):
            return self._hostname
        domains = await self._directory.domains()
        above = [view.name for view in domains if self._hostname.endswith(f".{view.name}")]
        if not domains:
            raise Unavailable("There is no domain here yet")
        return max(above, key=len) if above else domains[0].name


async def _body(stream: Stream, spool: Spool, rest: bytes, size: int) -> Body:
    """The message's *size* octets, of which *rest* has come. Raises Refusal."""
    spool.write(rest[:size])
    while spool.size < size:
        data = await stream.receive(timeout_s=TIMEOUT_S)
        if not data:
            raise Unavailable("The message broke off")
        spool.write(data[: size - spool.size])
    return await spool.finish()


async def _question(stream: Stream) -> tuple[dict[str, Any], bytes]:
    """The line of JSON, and what came after it. Raises Refusal, ValueError."""
    received = bytearray()
    while (end := received.find(b"\n")) < 0:
        data = await stream.receive(timeout_s=TIMEOUT_S)
        if not data or len(received) > MAX_QUESTION:
            raise Refusal("The question broke off", status="5.5.4")
        received += data
    return json.loads(received[:end])["arguments"], bytes(received[end + 1 :])


def _header(body: Body) -> bytes:
    if body.data is not None:
        data = body.data
    else:
        with open(body.path, "rb") as file:
            data = file.read(MAX_HEADER)
    return data[: header_end(data, 0, len(data))]


def named_in(header: bytes) -> list[str]:
    """The recipients that To, Cc and Bcc name; their Resent- forms instead where there are any (RFC 5322 §3.6.6)."""
    found = [(field.name.lower(), field.value) for field in fields(header)]
    plain = (b"to", b"cc", b"bcc")
    names: Sequence[bytes] = plain
    if any(name == b"resent-" + other for name, _ in found for other in plain):
        names = [b"resent-" + name for name in plain]
    listed: list[str] = []
    for name, value in found:
        if name in names:
            for entry in parse_addresses(unfold(value)).entries:
                listed += map(_bare, entry.members if isinstance(entry, Group) else (entry,))
    return listed


def _bare(entry: Any) -> str:
    """`local@domain`, or only the local part of an address that has no domain (`root`)."""
    local, domain = entry.local.decode("utf-8", "replace"), entry.domain.decode("utf-8", "replace")
    return f"{local}@{domain}" if domain else local


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
