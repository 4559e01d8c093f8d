"""One connection: bytes in, bytes out, back-pressure both ways, TLS before or in the middle (STARTTLS).

A protocol object of our own on asyncio's or uvloop's transports, since asyncio's StreamReader costs a multiple. One task
receives; a receive is over at the first chunk, so one wake-up serves all pipelined commands of a segment. Framing (lines,
literals, dots) is the business of the engines in `postillon.protocols`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import math
import socket
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from ..model.envelope import Tls
from .binding import channel_binding
from .certificates import addresses_of
from .peer import PeerCredentials, credentials, endpoint, has_arrived
from .tls import SHUTDOWN_S, check_alpn, cut_buffers, shown_chain

if TYPE_CHECKING:
    from ..protocols.proxy import Endpoints
    from ..seams import Waker

SLICE = 64 * 1024
"""The most octets that one receive returns."""
READ_HIGH, READ_LOW = 256 * 1024, 64 * 1024
"""Unread octets at which we stop reading from the socket, and start again."""
WRITE_HIGH, WRITE_LOW = 128 * 1024, 32 * 1024
"""Unsent octets at which drain begins to wait, and ends."""
FLUSH_S = 30.0
"""How long close waits for a peer that is slow to take what was written."""
TALKING_S = 0.1
"""A TLS peer from which something comes in so many seconds after the end is still talking."""
DISCARD_MAX = 16 * 1024 * 1024
"""Octets that close reads and drops from a peer that goes on sending."""


class InjectedPlaintext(ConnectionError):
    """Octets followed STARTTLS (or its reply) before the handshake: somebody in the middle tries to be heard under TLS."""


class Stream(asyncio.Protocol):
    """A connection. Made by `connect` or a `Listener`; the methods of asyncio.Protocol are for the loop only."""

    __slots__ = (
        "_closing",
        "_deadline",
        "_discarded",
        "_drainers",
        "_ended",
        "_ended_waiter",
        "_loop",
        "_lost",
        "_lost_waiter",
        "_nudged",
        "_read_paused",
        "_receiver",
        "_timer",
        "_transport",
        "_unanswered",
        "_unread",
        "_wakeable",
        "_write_paused",
        "ended_well",
        "local",
        "local_port",
        "peer",
        "peer_port",
        "stopping",
        "tls",
    )

    def __init__(self) -> None:
        self.peer = ""
        """Address of the other end as text, IPv4-mapped ones as IPv4; `unix` on a Unix socket."""
        self.peer_port = 0
        self.local = ""
        self.local_port = 0
        self.tls: Tls | None = None
        self.stopping = False
        """The listener shuts down: finish the command, say goodbye and return."""
        self.ended_well = False
        """They closed, and by then all that we wrote had arrived there (not so after a reset)."""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unread: bytes | bytearray = b""
        self._receiver: asyncio.Future[None] | None = None
        self._drainers: list[asyncio.Future[None]] | None = None
        self._lost_waiter: asyncio.Future[None] | None = None
        self._ended_waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = math.inf
        self._discarded = 0
        self._ended = self._lost = self._closing = False
        self._read_paused = self._write_paused = False
        self._wakeable = self._nudged = self._unanswered = False

    # Receiving

    @property
    def unread(self) -> int:
        """Octets that have arrived and were not yet received."""
        return len(self._unread)

    async def receive(self, waker: Waker | None = None, timeout_s: float | None = None) -> bytes | None:
        """All octets that have arrived, at most 64 KiB; b"" once they closed (or reset), after everything was received.

        With a *waker*: None as soon as it is set and nothing is there to receive (we do not clear it), and once when the
        listener begins to stop. Nothing is lost by a wake or a cancellation: the next receive gets the octets.
        Raises TimeoutError after *timeout_s* seconds without an octet. One receive at a time.
        """
        if self._unread:
            return self._take()
        if self._ended:
            return b""
        if waker is not None and self._woken_before(waker):
            return None
        if self._receiver is not None:
            raise RuntimeError("another task is receiving")
        if self._unanswered:
            self._acknowledge()
        self._receiver = receiver = self._loop.create_future()
        self._wakeable = waker is not None
        try:
            if waker is not None:
                waker.on_set(self._wake)
            if timeout_s is not None:
                self._arm(timeout_s)
            await receiver
        finally:
            self._receiver = None
            self._deadline = math.inf
            if waker is not None:
                waker.on_set(None)
        if self._unread:
            return self._take()
        if self._ended:
            return b""
        self._nudged = False
        return None

    def push_back(self, data: bytes) -> None:
        """Let the next receive begin with *data*, which was received too early."""
        if data:
            self._unread = bytearray(data + bytes(self._unread)) if self._unread else data

    def _acknowledge(self) -> None:
        """What came needs more before we can answer, so nothing of ours carries its acknowledgement. A client that wrote in
        two pieces (imaplib's APPEND) holds the second back until that comes (Nagle), and the kernel holds it back for 40 ms.
        """
        self._unanswered = False
        sock = self._transport.get_extra_info("socket") if self._transport is not None else None
        if sock is not None and sock.family != socket.AF_UNIX and hasattr(socket, "TCP_QUICKACK"):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _woken_before(self, waker: Waker) -> bool:
        nudged, self._nudged = self._nudged, False
        return nudged or waker.is_set()

    def _take(self) -> bytes:
        self._unanswered = True
        unread = self._unread
        if len(unread) <= SLICE:
            self._unread = b""
            data = bytes(unread)
        else:
            if isinstance(unread, bytes):
                self._unread = unread = bytearray(unread)
            data = bytes(unread[:SLICE])
            del unread[:SLICE]
        if self._read_paused and len(self._unread) <= READ_LOW:
            self._resume_reading()
        return data

    def _wake(self) -> None:
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)

    def stop(self) -> None:
        """Set `stopping` and end a receive that has a waker with None, once. For the listener."""
        if not self.stopping:
            self.stopping = self._nudged = True
            if self._wakeable:
                self._wake()

    def _arm(self, timeout_s: float) -> None:
        # One timer a connection, moved only when it would ring too late: a timer for each command would cost more than
        # the command. One that rings too early just sets itself again.
        self._deadline = self._loop.time() + timeout_s
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._receiver is None or self._receiver.done() or self._deadline == math.inf:
            return
        if self._deadline > self._loop.time() + 0.002:  # loops round to milliseconds
            self._timer = self._loop.call_at(self._deadline, self._ring)
        else:
            self._receiver.set_exception(TimeoutError("nothing was received in time"))

    # Sending

    def write(self, data: bytes | Sequence[bytes]) -> None:
        """Send *data* soon; after the connection ended it is dropped silently.

        Never waits, so `drain` after each 64 KiB or so: what one write holds is in memory, and TLS counts only the next one.
        """
        transport = self._transport
        if transport is None or self._closing or transport.is_closing():
            return
        self._unanswered = self.ended_well = False
        if isinstance(data, bytes | bytearray | memoryview):
            transport.write(data)
        elif self.tls is not None or sum(map(len, data)) <= SLICE:
            # One TLS record, or one system call, instead of many small ones; the copy costs less.
            transport.write(b"".join(data))
        else:
            transport.writelines(data)

    async def drain(self, timeout_s: float = 300) -> None:
        """Wait until the peer has taken enough of what was written. Raises TimeoutError, or ConnectionError if it is gone."""
        if self._lost or self._closing:
            raise ConnectionResetError("the connection is closed")
        if not self._write_paused:
            return
        drainer: asyncio.Future[None] = self._loop.create_future()
        if self._drainers is None:
            self._drainers = []
        self._drainers.append(drainer)
        async with asyncio.timeout(timeout_s):
            await drainer

    async def send(self, data: bytes | Sequence[bytes]) -> None:
        """`write` and `drain`."""
        self.write(data)
        await self.drain()

    # TLS

    async def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        timeout_s: float = 30,
        reply: bytes = b"",
    ) -> None:
        """Shake hands on the running connection. *reply* is written first (`220 …`), with no chance to read in between.

        *server_hostname* is sent as SNI and, if the context says so, checked against the certificate. Octets that arrived
        before and were not received are an attack (or a broken peer): the connection is aborted and InjectedPlaintext
        raised. Otherwise raises TimeoutError, ssl.SSLError or another OSError; the connection is gone then.
        """
        transport = self._transport
        if transport is None or self._closing or transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        if self._unread:
            count = len(self._unread)
            self.abort()
            raise InjectedPlaintext(f"{count} octets of plaintext before the handshake")
        if reply:
            transport.write(reply)
        cut_buffers()
        try:
            async with asyncio.timeout(timeout_s):
                secured = await self._loop.start_tls(
                    transport,
                    self,
                    context,
                    server_side=server_side,
                    server_hostname=server_hostname,
                    ssl_handshake_timeout=timeout_s + 5,
                    ssl_shutdown_timeout=SHUTDOWN_S,
                )
            if secured is None:  # both loops return that when the peer hung up
                raise ConnectionResetError("the peer closed the connection in the handshake")
            self._attach(secured)
            check_alpn(self._ssl_object())
        except BaseException:
            # In a handshake the loop does not tell us of the end.
            transport.abort()
            self.connection_lost(None)
            raise

    def peer_certificate(self) -> bytes | None:
        """The peer's certificate, DER, verified or not."""
        tls = self._ssl_object()
        return None if tls is None else tls.getpeercert(True)

    def verified_addresses(self) -> tuple[str, ...]:
        """The e-mail addresses of the certificate that the client proved; none where it was not asked for one."""
        tls = self._ssl_object()
        if tls is None or tls.context.verify_mode is ssl.CERT_NONE or not tls.server_side:
            return ()
        return addresses_of(tls.getpeercert(True))

    def peer_chain(self) -> tuple[bytes, ...]:
        """The certificates that the peer has shown, DER, its own first, verified or not."""
        tls = self._ssl_object()
        return () if tls is None else shown_chain(tls)

    def channel_binding(self, kind: str) -> bytes | None:
        """`tls-exporter` (RFC 9266), `tls-server-end-point`, `tls-unique` (RFC 5929); None where not sound or not to be had."""
        tls = self._ssl_object()
        return None if tls is None else channel_binding(tls, kind)

    def _ssl_object(self) -> ssl.SSLObject | None:
        if self._transport is None:
            return None
        return cast("ssl.SSLObject | None", self._transport.get_extra_info("ssl_object"))

    def peer_credentials(self) -> PeerCredentials:
        """Whose process is at the other end of a Unix socket (SO_PEERCRED). Raises OSError on other connections."""
        if self._transport is None:
            raise ConnectionResetError("the connection is closed")
        return credentials(self._transport.get_extra_info("socket"))

    # The end

    async def close(self, linger_s: float = 2.0) -> None:
        """Send what was written, then close. The last reply is not lost to a reset when the peer is still sending.

        For that we half-close and drop what comes until the peer closes too, for at most *linger_s* seconds (30 while
        the peer has not taken all that was written), then abort.
        """
        transport = self._transport
        if transport is None or self._lost:
            return
        self._closing = True
        self._discarded, self._unread = len(self._unread), b""
        try:
            if self._read_paused:
                self._resume_reading()
            if self.tls is not None:
                await self._close_tls(transport, linger_s)
            elif self._ended or not transport.can_write_eof():
                transport.close()
                await self.until_lost(FLUSH_S)
            else:
                transport.write_eof()
                await self.until_lost(max(linger_s, FLUSH_S) if transport.get_write_buffer_size() else linger_s)
        except OSError:
            pass
        finally:
            self.abort()

    async def _close_tls(self, transport: asyncio.Transport, linger_s: float) -> None:
        # TLS has no half-close, and the loops reset a connection on which something arrives after our close_notify. So
        # whoever is still talking is listened to for a while first.
        if not self._ended:
            if not self._discarded:
                await self.until_lost(TALKING_S)
            if self._discarded:
                await self.until_lost(linger_s)
        transport.close()
        await self.until_lost(SHUTDOWN_S)

    async def until_lost(self, timeout_s: float) -> None:
        """Wait for the connection's end, at most *timeout_s* seconds."""
        if self._lost:
            return
        if self._lost_waiter is None:
            self._lost_waiter = self._loop.create_future()
        await asyncio.wait([self._lost_waiter], timeout=timeout_s)

    async def until_ended(self, timeout_s: float) -> None:
        """Wait until they have closed, at most *timeout_s* seconds; what arrives meanwhile is received later."""
        if self._ended:
            return
        if self._ended_waiter is None:
            self._ended_waiter = self._loop.create_future()
        await asyncio.wait([self._ended_waiter], timeout=timeout_s)

    def _tell_ended(self) -> None:
        if self._ended_waiter is not None and not self._ended_waiter.done():
            self._ended_waiter.set_result(None)

    def finish(self) -> None:
        """Close without waiting: what was written is sent in the background."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection now, with all that was not yet sent."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol, called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._attach(cast(asyncio.Transport, transport))
        self.peer, self.peer_port = endpoint(transport.get_extra_info("peername"))
        self.local, self.local_port = endpoint(transport.get_extra_info("sockname"))

    def introduce(self, endpoints: Endpoints) -> None:
        """A trusted proxy has said who is connected: to everybody who asks, it is as if they were connected to us."""
        self.peer, self.peer_port = endpoints.source, endpoints.source_port
        if endpoints.destination:
            self.local, self.local_port = endpoints.destination, endpoints.destination_port

    def _attach(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._read_paused = self._write_paused = False
        transport.set_write_buffer_limits(WRITE_HIGH, WRITE_LOW)
        tls = self._ssl_object()
        if tls is not None:
            cipher = tls.cipher()
            self.tls = Tls(tls.version() or "", cipher[0] if cipher else "", cipher[2] if cipher else 0)
        elif hasattr(transport, "max_size"):
            transport.max_size = SLICE  # asyncio allocates this much for each read

    def data_received(self, data: bytes) -> None:
        if self._closing:
            self._discarded += len(data)
            if self._discarded > DISCARD_MAX:
                self.abort()
            return
        if not self._unread:
            self._unread = data
        else:
            if isinstance(self._unread, bytes):
                self._unread = bytearray(self._unread)
            self._unread += data
        if len(self._unread) > READ_HIGH and not self._read_paused and self._transport is not None:
            self._read_paused = True
            self._transport.pause_reading()
        self._wake()

    def _resume_reading(self) -> None:
        self._read_paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        self._ended = True
        self._tell_ended()
        self.ended_well = self._transport is not None and has_arrived(self._transport)
        self._wake()
        # Who half-closes a plain connection still gets its answers. TLS has no such thing.
        return self.tls is None and not self._closing

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = self._ended = True
        self._tell_ended()
        self.ended_well &= exc is None
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()
        self._release(ConnectionResetError("the peer closed the connection"))
        if self._lost_waiter is not None and not self._lost_waiter.done():
            self._lost_waiter.set_result(None)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._release(None)

    def _release(self, error: Exception | None) -> None:
        drainers, self._drainers = self._drainers or (), None
        for drainer in drainers:
            if drainer.done():
                continue
            if error is None:
                drainer.set_result(None)
            else:
                drainer.set_exception(error)


async def connect(address: str, port: int, *, timeout_s: float, local_address: str | None = None) -> Stream:
    """Connect to the IP *address* (never a name: names are the resolver's) over TCP, from *local_address* if given.

    Raises OSError, of which TimeoutError is one.
    """
    ipaddress.ip_address(address)
    local = (local_address, 0) if local_address else None
    async with asyncio.timeout(timeout_s):
        _, stream = await asyncio.get_running_loop().create_connection(Stream, address, port, local_addr=local)
    return stream
