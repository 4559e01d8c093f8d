"""An IMAP session from greeting to BYE (RFC 3501, RFC 9051). What all sessions share is in `service`.

The loop: an event of the engine leads through `commands.TABLE` to the function that answers it; then the client hears what
changed in its mailbox, then the tagged line. What a command may do in which state is in that table too.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from ...directory.bans import Offence
from ...directory.login import has_binding, mechanisms
from ...log import Log
from ...model.account import Account, AccountState, Principal
from ...model.envelope import Client
from ...model.errors import NotFound, Refusal
from ...model.ids import AccountId
from ...model.mail import Mailbox
from ...net.networks import is_loopback
from ...net.stream import Stream
from ...protocols.imap import responses
from ...protocols.imap.events import AppendStart, Command, Event, ProtocolError
from ...protocols.imap.extension_commands import NotifyEvent
from ...protocols.imap.response_codes import UIDREQUIRED
from ...protocols.imap.server import ServerEngine
from . import capability, commands, message_limit
from .answers import BadCommand, Goodbye, No, translate
from .dialogue import Dialogue, Hangup
from .notifications import Interest, Picture
from .numbers import uses_numbers
from .progress import Progress, is_long
from .selected import Selected
from .wakes import Wakes

if TYPE_CHECKING:
    from .service import ImapServer

log = Log("imap")

GONE_OR_FORBIDDEN = "The selected mailbox is gone, or you may not read it any more"
NOBODY = Principal(AccountId(0))
"""Who has not logged in. (Without an account it would be the server itself.)"""


class Session:
    """The state of one connection."""

    def __init__(self, server: ImapServer, stream: Stream) -> None:
        self.server = server
        self.store = server.store
        self.dialogue = Dialogue(stream, ServerEngine())
        name = server.session_id()
        self.client = Client(
            address=stream.peer, port=stream.peer_port, tls=stream.tls, session=name, local_port=stream.local_port
        )
        self.log = log.bind(session=name)
        self.account: Account | None = None
        self.principal = NOBODY
        self.selected: Selected | None = None
        self.enabled: set[str] = set()
        self.hidden: frozenset[str] = frozenset()
        """Capabilities that this account is not to see."""
        self.interest: Interest | None = None
        """What NOTIFY asked for; None: it was never used."""
        self.picture: Picture | None = None
        """What is known of mailboxes for that."""
        self.limited: int | None = None
        """The lowest uid that the present command dealt with, if it was cut off by the limit."""
        self.failures = 0
        """Logins that failed."""
        self.over = False
        """LOGOUT was answered, or the engine wants the connection closed."""
        self._wakes = Wakes(server.bus, self.dialogue.alarm)
        self._started = self.now()

    # -- facts

    @staticmethod
    def now() -> float:
        """Seconds on the loop's clock."""
        return asyncio.get_running_loop().time()

    @property
    def stream(self) -> Stream:
        return self.dialogue.stream

    @property
    def owner(self) -> Account:
        """The account, in states where there must be one."""
        assert self.account is not None, "not logged in"
        return self.account

    @property
    def mailbox(self) -> Selected:
        """The selected mailbox, in states where there must be one."""
        assert self.selected is not None, "no mailbox is selected"
        return self.selected

    @property
    def rev2(self) -> bool:
        return "IMAP4REV2" in self.enabled

    @property
    def utf8(self) -> bool:
        """Mailbox names go out as UTF-8 (RFC 9051 §5.1, RFC 9755)."""
        return self.rev2 or "UTF8=ACCEPT" in self.enabled

    @property
    def condstore(self) -> bool:
        return "CONDSTORE" in self.enabled

    @property
    def qresync(self) -> bool:
        return "QRESYNC" in self.enabled

    @property
    def uidonly(self) -> bool:
        """Messages have no sequence numbers for this client (RFC 9586)."""
        return "UIDONLY" in self.enabled

    def mechanisms(self) -> tuple[str, ...]:
        """SASL mechanisms that may be used now."""
        plaintext = self.server.settings.plaintext_on_loopback and is_loopback(self.stream.peer)
        return mechanisms(
            self.client,
            plaintext,
            has_binding(self.stream.channel_binding),
            tokens=self.server.directory.tokens is not None,
            certified=bool(self.stream.verified_addresses()),
        )

    def capabilities(self) -> bytes:
        """The words, without `CAPABILITY`."""
        if self.account is not None:
            words = capability.after_login(
                append_limit=self.server.settings.append_limit,
                message_limit=self.server.settings.message_limit,
                save_limit=self.server.settings.save_limit,
                compressed=self.dialogue.compression is not None,
                hidden=self.hidden,
            )
        else:
            starttls = self.server.tls is not None and self.client.tls is None and self.dialogue.compression is None
            words = capability.before_login(mechanisms=self.mechanisms(), starttls=starttls)
        return b" ".join(words)

    def mailbox_name(self, path: tuple[str, ...]) -> bytes:
        """A mailbox name ready to send."""
        return responses.mailbox("/".join(path), self.utf8)

    # -- the loop

    async def run(self) -> None:
        self.log.debug("connected", peer=self.client.address, tls=self.client.tls is not None)
        self.dialogue.write(b"* OK [CAPABILITY %b] %b ready\r\n" % (self.capabilities(), self.server.settings.name.encode()))
        while not self.over:
            event = await self._next()
            if self.dialogue.alarm.accounts:
                await self.check_account()
            if event is not None:
                await self.answer(event)
            elif self.stream.stopping:
                raise Goodbye("Server is shutting down")

    async def _next(self) -> Event | None:
        """The next event; None if the alarm rang for something else than news."""
        dialogue, alarm, settings = self.dialogue, self.dialogue.alarm, self.server.settings
        if self.interest is None:
            return await dialogue.next(self.patience(), alarm)
        until = self.now() + self.patience()
        while True:
            await self.tell_interest()
            event = await dialogue.next(self.patience(), alarm, wake_after_s=settings.poll_s)
            if event is not None or alarm.accounts or self.stream.stopping:
                return event
            if not alarm.news:
                alarm.set(news=True)  # look by ourselves, should a wake be lost
            if self.now() >= until:
                raise Goodbye("Idle for too long")

    async def tell_interest(self) -> None:
        """Between commands: what NOTIFY asked for (RFC 5465)."""
        if self.interest is None:
            return
        if not self.interest.wants_others:
            self.dialogue.alarm.others = False
        elif self.dialogue.alarm.others:
            await commands.notify.tell_others(self)  # clears it before it looks: what happens meanwhile rings again
        await self.tell(expunges=not self.interest.is_delayed, asked=False)

    def patience(self) -> float:
        settings = self.server.settings
        if self.account is not None:
            return settings.idle_timeout_s
        left = self._started + settings.login_total_s - self.now()
        if left <= 0:
            raise Goodbye("Too long without a login")
        return min(settings.login_timeout_s, left)

    async def answer(self, event: Event) -> None:
        if isinstance(event, Command):
            await self._command(event)
        elif isinstance(event, AppendStart):
            await self._tagged(event, commands.append.append_start(self, event), expunges=True)
        elif isinstance(event, ProtocolError):
            self.broken(event)
        else:
            raise RuntimeError(f"unexpected {type(event).__name__}")

    def broken(self, event: ProtocolError) -> None:
        """The engine's own verdict goes out as it is."""
        self.dialogue.write(event.response)
        self.over |= event.close
        if self.server.bans is not None and self.account is None:
            self.server.bans.note(self.client.address, Offence.PROTOCOL)

    async def _command(self, command: Command) -> None:
        rule = commands.TABLE.get(type(command.request))
        if rule is None:
            self.bad(command, "is not supported")
        elif not rule.allowed(self):
            self.bad(command, "is not allowed now")
        elif self.uidonly and uses_numbers(command.request):
            self.bad(command, "needs uids", UIDREQUIRED)
        else:
            is_shared = self.selected is not None and self.selected.mailbox.is_shared
            if rule.where is commands.Where.SELECTED and (self.dialogue.alarm.news or is_shared):
                # What arrived a moment ago is to be found; EXISTS may come at any time, EXPUNGE may not (RFC 9051 §7.5.1).
                # And who may not read any more reads nothing, not even what is in memory.
                await self.tell(expunges=False, reread=is_shared, asked=False)
            progress = Progress(self.dialogue, command.tag, self.server.settings.progress_s) if is_long(command.request) else None
            try:
                await self._tagged(command, rule.run(self, command, command.request), expunges=rule.expunges(command.request))
            finally:
                if progress is not None:
                    progress.end()

    def bad(self, command: Command, text: str, code: bytes = b"") -> None:
        self.dialogue.engine.resume()
        self.broken(self.dialogue.engine.bad(command.tag, f"{command.name} {text}", code))

    async def _tagged(self, command: Command | AppendStart, answer: commands.Answer, *, expunges: bool) -> None:
        """Run *answer*; its words, or those of what it raised, close the command after the news."""
        try:
            done = b"OK " + (await answer or b"%b completed" % command.name.encode())
        except (Goodbye, Hangup, asyncio.CancelledError):
            raise
        except commands.Silent:
            return
        except Exception as error:
            done = translate(error)
            if isinstance(error, Refusal):
                self.log.debug("refused", command=command.name, status=error.status, detail=error.detail or error.text)
            elif not isinstance(error, BadCommand | No):
                self.log.error("command failed", exc=error, command=command.name)
        await self.tell(expunges=expunges, asked=False)
        self.tagged(command.tag, done if self.limited is None else message_limit.tell(self, done))

    def tagged(self, tag: bytes, words: bytes) -> None:
        self.dialogue.write(b"%b %b\r\n" % (tag, words))

    # -- news

    async def tell(self, *, expunges: bool, reread: bool = False, asked: bool = True) -> None:
        """Tell what changed in the selected mailbox. The store is asked if somebody woke us, or *reread*, or now and then.

        *asked* False: this is no answer to what the client did itself, so NOTIFY decides what it wants to hear.
        """
        selected, alarm = self.selected, self.dialogue.alarm
        if selected is None:
            alarm.news = False  # nobody to tell
            return
        now = self.now()
        if reread or alarm.news or now - selected.read_at >= self.server.settings.reread_s:
            alarm.news = False  # first clear, then read: what happens meanwhile wakes us again
            try:
                there = await selected.refresh(now)
            except Refusal as error:
                # The command itself is done. What is new can be told later.
                self.log.warning("news not read", status=error.status, detail=error.detail or error.text)
                there, selected.read_at = True, float("-inf")
            if not there:
                raise Goodbye("The selected mailbox was deleted" if not selected.mailbox.is_shared else GONE_OR_FORBIDDEN)
        wanted = self.interest.selected if self.interest is not None else None
        if self.interest is not None and not (wanted is not None and wanted.events) and not asked:
            return  # RFC 5465 §3.1: it wants to hear nothing
        flags = self.interest is None or asked or (wanted is not None and NotifyEvent.FLAG_CHANGE in wanted.events)
        seen = selected.view.seen
        if selected.contexts.by_tag:
            await commands.search.tell_updates(self, selected)
        for line in selected.news(expunges=expunges, modseq=self.condstore, by_uid=self.qresync or self.uidonly, flags=flags):
            self.dialogue.write(line)
        if selected.contexts.by_tag and selected.view.seen > seen:
            await commands.search.tell_updates(self, selected, since=seen)
        if wanted is not None and wanted.attributes and selected.view.seen > seen:
            # RFC 5465 §5.2: EXISTS, then what the client wants to know of each.
            await commands.fetch.send(self, selected, selected.view.slots_between(seen, selected.view.seen), wanted.attributes)

    # -- coming and going

    async def enter(self, account: Account) -> None:
        """Logged in."""
        own = await self.store.account_setting(account.id, capability.SETTING) or {}
        self.hidden = capability.hidden_from(self.server.settings.hidden, own)
        self.account = account
        self.principal = Principal(account.id)
        self.client = replace(self.client, account=account.id, login=account.name)
        self.log = self.log.bind(account=account.name)
        self._wakes.begin(account.id)
        self.dialogue.engine.authenticated = True
        self.log.debug("logged in", peer=self.client.address)

    def watch(self, *opening: Mailbox) -> None:
        """Hear of what happens in the accounts of others whose mailboxes are selected, about to be, or asked for by NOTIFY."""
        boxes = [
            *opening,
            *([self.selected.mailbox] if self.selected else []),
            *(self.picture.boxes.values() if self.picture else []),
        ]
        self._wakes.watch({box.account for box in boxes if box.is_shared})

    async def check_account(self) -> None:
        """Accounts changed: is ours still welcome? Raises Goodbye."""
        self.dialogue.alarm.accounts = False
        if self.account is None:
            return
        try:
            account = await self.server.directory.account(self.account.id)
        except NotFound:
            raise Goodbye("The account was removed") from None
        except Refusal:
            return  # the directory cannot say now; it will wake us again
        if account.state is not AccountState.ACTIVE:
            raise Goodbye("The account is suspended")

    def forget(self) -> None:
        """RFC 8437: as if nobody had logged in yet. TLS stays."""
        self.leave()
        self.dialogue.alarm.clear()
        self.account, self.principal, self.hidden = None, NOBODY, frozenset()
        self.client = replace(self.client, account=None, login="")
        self.log = log.bind(session=self.client.session)
        self.enabled.clear()
        self.interest = self.picture = None
        self.dialogue.alarm.watching = False
        self._started = self.now()
        self.dialogue.engine.authenticated = self.dialogue.engine.utf8 = False

    def restart(self) -> None:
        """TLS is there: everything from the beginning (RFC 9051 §6.2.1), but no second greeting."""
        self.dialogue.engine = ServerEngine()
        self.client = replace(self.client, tls=self.stream.tls)
        self.enabled.clear()

    def unselect(self) -> None:
        if self.selected is not None:
            self.selected.view.close()
            self.selected = None
            if self._wakes.watched:
                self.watch()

    def leave(self) -> None:
        """Give back what the session held."""
        self.unselect()
        self._wakes.end()

    async def end(self) -> None:
        try:
            await self.dialogue.flush()
        except Hangup:
            self.stream.abort()
            return
        await self.stream.close()
        self.log.debug("closed")
