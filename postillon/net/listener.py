"""Listening sockets, and the tasks that serve their connections.

The supervisor makes sockets with `bind`; each worker serves its own with `serve`. A connection is judged by its address
(`ConnectionLimits`) before anything is spent on it, TLS included.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable

from ..log import Log
from ..protocols.proxy import Endpoints, ProxyError
from .limits import NOBODY, ConnectionLimits
from .peer import endpoint
from .proxied import Proxies, read_header
from .stream import SLICE, Stream
from .tls import HANDSHAKE_S, SHUTDOWN_S, ServerTls, check_alpn, cut_buffers

log = Log("net")

Session = Callable[[Stream], Awaitable[None]]
Admission = Callable[[str], str]
"""Of an address: why it may not come in, in words that it may hear; empty: it may."""
Refuse = Callable[[str], bytes]
"""Such words in the clothes of a protocol."""

TOO_MANY = "Too many connections"
BACKLOG = 1024
ACCEPTS = 32
"""Connections taken in one turn of the loop, so that a flood of them does not starve the others."""
PAUSE_S = 1.0
"""How long we accept nothing after file descriptors ran out; the kernel keeps who waits."""
FAREWELL_S = 1.0
"""After the grace: how long the last words of cancelled sessions may take."""
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def bind(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A listening TCP socket on the IP address *host* (`0.0.0.0`, `::` for all; IPv6 never takes IPv4), *port* 0 for any.

    *reuse_port*: more sockets may be bound to the same port, and the kernel spreads connections over them. Raises OSError.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _keep_alive(sock)
        sock.bind((host, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _keep_alive(sock: socket.socket) -> None:
    """Accepted connections inherit it, like TCP_NODELAY: an IDLE client that vanished is noticed after about nine minutes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 240), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class _Visit:
    """Who is counted for a connection, and through which *proxy* it comes, if it does."""

    __slots__ = ("address", "is_counted", "proxy")

    def __init__(self, address: str, proxy: str) -> None:
        self.address = address
        self.proxy = proxy
        self.is_counted = True


class Listener:
    """Serves one listening socket. Made by `serve`."""

    def __init__(
        self,
        sock: socket.socket,
        session: Session,
        *,
        tls: ServerTls | None,
        limits: ConnectionLimits | None,
        tasks: asyncio.TaskGroup | None,
        refuse: Refuse | None,
        admission: Admission | None,
        handshake_s: float,
        proxies: Proxies | None = None,
    ) -> None:
        self._sock = sock
        self._proxies = proxies
        self._session = session
        self._tls = tls
        self._limits = limits
        self._tasks = tasks
        self._refuse = refuse
        self._admission = admission
        self._handshake_s = handshake_s
        self._loop = asyncio.get_running_loop()
        self._connections: dict[asyncio.Task[None], Stream | None] = {}
        self._resume: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def port(self) -> int:
        """The bound TCP port."""
        return int(self._sock.getsockname()[1])

    @property
    def sessions(self) -> int:
        """Connections being served now."""
        return len(self._connections)

    def start(self) -> None:
        """Begin to accept."""
        self._sock.setblocking(False)
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                connection, name = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                    return
                log.warning("accept failed", reason=str(error))
                return
            self._admit(connection, name[0] if isinstance(name, tuple) else "")

    def _pause(self, error: OSError) -> None:
        log.warning("accepting pauses", reason=str(error), sessions=self.sessions)
        self._loop.remove_reader(self._sock)
        self._resume = self._loop.call_later(PAUSE_S, self._unpause)

    def _unpause(self) -> None:
        self._resume = None
        if not self._closed:
            self._loop.add_reader(self._sock, self._accept)

    def _admit(self, connection: socket.socket, address: str) -> None:
        address = address.partition("%")[0]
        is_proxied = self._proxies is not None and address in self._proxies.trusted
        if self._proxies is not None and self._proxies.required and not is_proxied:
            log.info("connection refused", peer=address, reason="it is no trusted proxy")
            connection.close()
            return
        visit = _Visit(NOBODY if is_proxied else address, address if is_proxied else "")
        if not self._may_enter(connection, visit.address):
            return
        make = self._loop.create_task if self._tasks is None else self._tasks.create_task
        try:
            task = make(self._serve(connection, visit))
        except RuntimeError:  # the task group is shutting down
            connection.close()
            self._leave(visit)
            return
        self._connections[task] = None
        task.add_done_callback(lambda task: self._ended(task, visit, connection))

    def _may_enter(self, connection: socket.socket, address: str) -> bool:
        words = self._admission(address) if self._admission is not None and address != NOBODY else ""
        reason = words or (self._limits.enter(address) if self._limits is not None else "")
        if not reason:
            return True
        log.debug("connection refused", peer=address, reason=reason)
        self._turn_away(connection, words or TOO_MANY)
        return False

    def _turn_away(self, connection: socket.socket, words: str) -> None:
        """Say the protocol's words, if it speaks in the clear, and close. Never waits."""
        with connection:
            if self._refuse is not None and self._tls is None:
                try:
                    connection.setblocking(False)
                    connection.send(self._refuse(words))
                    connection.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

    def _ended(self, task: asyncio.Task[None], visit: _Visit, connection: socket.socket) -> None:
        if self._connections.pop(task, None) is None:
            connection.close()  # it never became a stream, perhaps never ran
        self._leave(visit)

    def _leave(self, visit: _Visit) -> None:
        if self._limits is not None and visit.is_counted:
            self._limits.leave(visit.address)

    async def _introduced(self, connection: socket.socket, visit: _Visit) -> Endpoints | None:
        """Who comes through the proxy: from here on the limits count the client. None: not served."""
        try:
            connection.setblocking(False)
            endpoints = await read_header(connection) or Endpoints(*endpoint(connection.getpeername()), "", 0)
        except (ProxyError, OSError) as error:
            log.info("connection refused", peer=visit.proxy, reason=str(error) or "no PROXY header in time")
            with contextlib.suppress(OSError):
                connection.recv(SLICE)  # what nobody reads would make the end a reset
            return None
        self._leave(visit)
        visit.address, visit.is_counted = endpoints.source, False
        visit.is_counted = self._may_enter(connection, visit.address)
        return endpoints if visit.is_counted else None

    async def _serve(self, connection: socket.socket, visit: _Visit) -> None:
        """A connection from its first octet to its last. Raises nothing but CancelledError."""
        endpoints = await self._introduced(connection, visit) if visit.proxy else None
        if visit.proxy and endpoints is None:
            return
        stream = await self._open(connection)
        if stream is None:
            return
        if endpoints is not None:
            stream.introduce(endpoints)
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = stream
        if self._closed:
            stream.stop()
        try:
            await self._session(stream)
        except (ConnectionError, TimeoutError, ssl.SSLError) as error:  # their end of the line; other OSErrors are ours
            log.debug("connection broke", peer=stream.peer, reason=str(error) or type(error).__name__)
            stream.abort()
        except asyncio.CancelledError:
            stream.finish()
            raise
        except Exception as error:
            log.error("session failed", exc=error, peer=stream.peer, port=stream.local_port)
        await stream.close()

    async def _open(self, connection: socket.socket) -> Stream | None:
        """The stream, after the handshake if TLS comes first; None if that failed."""
        stream = Stream()  # uvloop returns another protocol than the one we gave it
        try:
            connection.setblocking(False)
            if self._tls is None:
                await self._loop.connect_accepted_socket(lambda: stream, connection)
                return stream
            cut_buffers()
            async with asyncio.timeout(self._handshake_s):
                transport, _ = await self._loop.connect_accepted_socket(
                    lambda: stream,
                    connection,
                    ssl=self._tls.context(),
                    ssl_handshake_timeout=self._handshake_s + 5,
                    ssl_shutdown_timeout=SHUTDOWN_S,
                )
            try:
                check_alpn(transport.get_extra_info("ssl_object"))
            except ssl.SSLError:
                stream.abort()
                raise
            return stream
        except ssl.SSLError as error:
            log.debug("handshake failed", reason=error.reason or str(error))
        except OSError as error:
            log.debug("connection not opened", reason=str(error) or type(error).__name__)
        return None

    async def close(self, grace_s: float = 0) -> None:
        """Stop accepting, tell the sessions (`Stream.stopping`), wait *grace_s* for them, cancel those that are left."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._sock)
            if self._resume is not None:
                self._resume.cancel()
            self._sock.close()
            for stream in self._connections.values():
                if stream is not None:
                    stream.stop()
        if self._connections and grace_s > 0:
            await asyncio.wait(list(self._connections), timeout=grace_s)
        streams = [stream for stream in self._connections.values() if stream is not None]
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await _farewell(streams)


async def _farewell(streams: list[Stream]) -> None:
    """Let what cancelled sessions wrote last go out, for a moment, then cut."""
    async with asyncio.TaskGroup() as group:
        for stream in streams:
            group.create_task(stream.until_lost(FAREWELL_S))
    for stream in streams:
        stream.abort()


async def serve(
    sock: socket.socket,
    session: Session,
    *,
    tls: ServerTls | None = None,
    limits: ConnectionLimits | None = None,
    tasks: asyncio.TaskGroup | None = None,
    refuse: Refuse | None = None,
    admission: Admission | None = None,
    handshake_s: float = HANDSHAKE_S,
    proxies: Proxies | None = None,
) -> Listener:
    """Accept on *sock* (from `bind`) and run *session* for each connection, in *tasks* if given; closes the stream after it.

    *tls*: TLS comes first (implicit TLS). *refuse* makes what a client hears that *limits* or *admission* do not let in
    (`421 …`), only in the clear. *proxies*: whose connections begin with a PROXY header.
    Errors of a session are logged and end that connection only. Raises OSError if *tls* has no usable certificate.
    """
    if tls is not None:
        tls.context()
    listener = Listener(
        sock,
        session,
        tls=tls,
        limits=limits,
        tasks=tasks,
        refuse=refuse,
        admission=admission,
        handshake_s=handshake_s,
        proxies=proxies,
    )
    listener.start()
    return listener
