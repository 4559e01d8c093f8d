"""The IMAP server: what the sessions of one worker share, and its settings. A connection is a `session.Session`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...directory.bans import Bans
from ...net.stream import Stream
from ...net.tls import ServerTls
from ...seams import Bus, Clock, Directory, SearchIndex
from ...storage.store import Store
from .answer_cache import AnswerCache
from .answers import Goodbye, condition
from .dialogue import Hangup
from .indexed import IndexedMailboxes
from .session import Session
from .snapshots import Snapshots
from .urlauth import UrlAuthority


@dataclass(frozen=True, slots=True)
class ImapSettings:
    """Times in seconds, sizes in octets."""

    name: str = "localhost"
    """Our host name, for the greeting."""
    version: str = ""
    """For ID."""
    plaintext_on_loopback: bool = False
    """Let clients on loopback addresses log in without TLS (developer mode)."""
    append_limit: int = 100 << 20
    login_timeout_s: float = 60
    """Silence before login."""
    login_total_s: float = 300
    """Everything before login."""
    idle_timeout_s: float = 1800
    """Silence after login (RFC 9051 §5.4: at least 30 minutes)."""
    poll_s: float = 30
    """How often IDLE looks by itself, should a wake be lost."""
    hidden: tuple[str, ...] = ()
    """Capabilities that no account is to see."""
    message_limit: int = 0
    """Messages that one command may deal with (RFC 9738); 0: any number."""
    save_limit: int = 100_000
    """Messages that one COPY or APPEND may store."""
    submitters: tuple[str, ...] = ()
    """Accounts that other submission servers log in with, to read what `submit+` URLs name (RFC 4467 §3)."""
    progress_s: float = 12
    """How often a client whose command takes long hears that it is under way (RFC 9585 §3: 10 to 15 seconds)."""
    reread_s: float = 1
    """How old the picture of a selected mailbox may be when a command ends."""

    @property
    def saves_at_once(self) -> int:
        return min(self.save_limit, self.message_limit or self.save_limit)


class ImapServer:
    """What the sessions of one worker share. One object serves both ports: a stream that comes with TLS has it already.

    *tls*: for STARTTLS; None: not offered. *session_id* makes ids for the log. The constructor does no work.
    """

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        bus: Bus,
        clock: Clock,
        session_id: Callable[[], str],
        tls: ServerTls | None = None,
        settings: ImapSettings | None = None,
        snapshots: Snapshots | None = None,
        index: SearchIndex | None = None,
        bans: Bans | None = None,
    ) -> None:
        self.store = store
        self.directory = directory
        self.bus = bus
        self.clock = clock
        self.session_id = session_id
        self.tls = tls
        self.settings = settings or ImapSettings()
        self.snapshots = snapshots or Snapshots(store=store)
        self.bans = bans
        self.answers = AnswerCache()
        self.urls = UrlAuthority(store, directory, clock, self.settings.name, self.settings.submitters)
        self.indexed = None if index is None else IndexedMailboxes(store, index)

    async def session(self, stream: Stream) -> None:
        """Serve one connection to its end. Never raises for what a client does."""
        session = Session(self, stream)
        try:
            await session.run()
        except Goodbye as bye:
            session.dialogue.write(b"* BYE %b\r\n" % condition(str(bye)))
        except Hangup:
            pass
        except Exception as error:
            session.log.error("session failed", exc=error)
            session.dialogue.write(b"* BYE [SERVERBUG] Internal error\r\n")
        finally:
            session.leave()
        await session.end()
