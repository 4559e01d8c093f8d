"""The supervisor: start, watch, replace, stop. One thread, no loop but its own, no database."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..config import SERVICES, Config
from ..log import Log
from . import certificates, privileges
from .child import Child
from .errors import StartError
from .lifeline import Spec, Wishes
from .sockets import Bound, bind, bind_unix

SILENT_S = 15.0
"""A worker that has told nothing for so long is killed."""
LOCK_S = 10.0
"""A worker that holds the write lock so long stops all mail; it is killed."""
START_S = 60.0
"""A worker that is not ready after so long is killed."""
GRACE_S = 4.0
"""Between asking workers to stop and killing them; with the rest of the stop under five seconds."""
SHORT_LIFE_S = 5.0
"""A worker that dies younger is started again with a growing delay."""
MAX_DELAY_S = 5.0
CERTIFICATE_S = 60.0
"""How often we look whether the certificate's files have changed."""
FAILURES = 5
"""So many workers that died before any was ever ready: it cannot work, give up."""

log = Log("supervisor")


@dataclass(frozen=True, slots=True)
class Commands:
    """What the children run, after the interpreter."""

    worker: tuple[str, ...] = ("-m", "postillon", "worker")
    prepare: tuple[str, ...] = ("-m", "postillon", "prepare")


@dataclass(slots=True)
class Slot:
    """A place for one worker, with the sockets that stay when the worker goes."""

    number: int
    listeners: tuple[tuple[str, socket.socket], ...]
    child: Child | None = None
    generation: int = 0
    short_lives: int = 0
    start_at: float = 0.0


class Supervisor:
    """`run` blocks until SIGTERM or SIGINT. *announce* is called once, with what the preparing child told, when all serve."""

    def __init__(
        self,
        config: Config,
        *,
        announce: Callable[[dict[str, Any]], None],
        wishes: Wishes | None = None,
        commands: Commands = Commands(),
    ) -> None:
        self._config = config
        self._announce = announce
        self._wishes = wishes
        self._commands = commands
        self._selector = selectors.DefaultSelector()
        self._slots: list[Slot] = []
        self._unix: dict[str, socket.socket] = {}
        self._stopping = False
        self._announced = False
        self._failures = 0
        self._instance = int(time.time())  # more than any server before can have counted to
        self._signals: list[int] = []
        self._published_at = time.monotonic()

    def run(self) -> int:
        """Serve; returns the exit status. Raises StartError, BindError, PrivilegeError before anything is served."""
        directory = self._claim_data()
        try:
            self._catch_signals()
            self._bind(directory)
            certificates.publish(self._config)
            for slot in self._slots:  # they load their modules while the database is being prepared
                self._spawn(slot)
            told = self._prepare()
            for slot in self._slots:
                self._send_spec(slot)
            return self._watch(told)
        finally:
            self._end()

    # -- start ------------------------------------------------------------------------------------------------------

    def _claim_data(self) -> Path:
        """Make the directory for sockets and take the lock that keeps a second server off the same data."""
        ids = privileges.identity(self._config.user, self._config.group)
        data = Path(self._config.data)
        directory = data / "run"
        try:
            for path in (data, directory):
                if not path.is_dir():
                    path.mkdir(mode=0o700, parents=True)
                    if ids:
                        os.chown(path, *ids)
            self._lock = os.open(directory / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if ids:
                os.fchown(self._lock, *ids)
        except OSError as error:
            raise StartError(f"data directory {data}: {error.strerror}") from error
        deadline = time.monotonic() + 2
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StartError(f"another Postillon serves {data} already") from None
                time.sleep(0.05)
            else:
                break
        os.truncate(self._lock, 0)
        os.write(self._lock, b"%d\n" % os.getpid())
        return directory

    def _bind(self, directory: Path) -> None:
        listen = self._config.listen
        ports = [(service, getattr(listen, service)) for service in SERVICES]
        wanted = [(service, address, port) for service, port in ports if port for address in listen.addresses]
        workers = self._config.workers or len(os.sched_getaffinity(0))
        bound = bind(wanted, workers)
        self._slots = [Slot(number, _listeners(bound, number)) for number in range(workers)]
        ids = privileges.identity(self._config.user, self._config.group)
        sendmail = self._config.sendmail_socket or str(directory / "sendmail.sock")
        os.makedirs(os.path.dirname(sendmail), mode=0o755, exist_ok=True)
        self._unix = {"admin": bind_unix(str(directory / "admin.sock"), 0o600), "sendmail": bind_unix(sendmail, 0o666)}
        if ids:
            os.chown(directory / "admin.sock", *ids)

    def _prepare(self) -> dict[str, Any]:
        """Run the preparing child to its end: migration, and what *wishes* asks for."""
        child = Child(self._commands.prepare, 0, 0, self._next_instance(), ())
        told: dict[str, Any] = {}
        child.send(replace(self._spec(child, Slot(0, ())), wishes=self._wishes))
        while (status := child.gone()) is None:
            for message in child.hear():
                told |= message
            if self._stop_asked():
                child.kill("stopping")
            time.sleep(0.01)
        for message in child.hear():
            told |= message
        child.close()
        if status != 0 and not self._stopping:
            raise StartError(str(told.get("error") or f"preparing the data directory ended with status {status}"))
        return told

    def _next_instance(self) -> int:
        self._instance += 1
        return self._instance

    def _spawn(self, slot: Slot) -> None:
        fds = [sock.fileno() for _, sock in slot.listeners] + [sock.fileno() for sock in self._unix.values()]
        slot.child = Child(self._commands.worker, slot.number, slot.generation, self._next_instance(), fds)
        self._selector.register(slot.child.line, selectors.EVENT_READ, slot)

    def _send_spec(self, slot: Slot) -> None:
        if slot.child is not None:
            slot.child.send(self._spec(slot.child, slot))
            slot.child.heard = time.monotonic()  # it could tell nothing before it had this

    def _spec(self, child: Child, slot: Slot) -> Spec:
        unix = {name: sock.fileno() for name, sock in self._unix.items()}
        return Spec(
            config=self._config,
            supervisor=os.getpid(),
            slot=child.slot,
            workers=len(self._slots),
            generation=child.generation,
            instance=child.instance,
            listeners=tuple((service, sock.fileno()) for service, sock in slot.listeners),
            admin=unix["admin"],
            sendmail=unix["sendmail"],
        )

    # -- watch ------------------------------------------------------------------------------------------------------

    def _watch(self, told: dict[str, Any]) -> int:
        last = time.monotonic()
        while not self._stop_asked():
            for key, _ in self._selector.select(self._patience()):
                if isinstance(key.data, Slot) and key.data.child is not None:
                    self._hear(key.data)
                elif key.data is None:
                    self._wake.recv(4096)
            now = time.monotonic()
            if now - last > 5:  # we were stopped ourselves (SIGSTOP, a suspended machine): silence proves nothing
                for slot in self._slots:
                    if slot.child:
                        slot.child.heard = now
            last = now
            self._reap(now)
            self._judge(now)
            if now - self._published_at > CERTIFICATE_S:
                self._publish_certificates()
            if self._failures >= FAILURES and not self._announced:
                log.error("workers cannot start", failures=self._failures)
                return 1
            if not self._announced and all(slot.child and slot.child.ready for slot in self._slots):
                self._announced = True
                log.info("serving", workers=len(self._slots), data=self._config.data)
                self._announce(told)
        return 0

    def _patience(self) -> float:
        now = time.monotonic()
        waits = [slot.start_at - now for slot in self._slots if slot.child is None]
        return max(0.0, min([1.0, *waits]))

    def _hear(self, slot: Slot) -> None:
        child = slot.child
        assert child is not None
        was_ready = child.ready
        if not child.hear() and child.gone() is not None:
            return
        if child.ready and not was_ready:
            log.debug("worker is ready", slot=slot.number, generation=slot.generation, pid=child.pid)

    def _reap(self, now: float) -> None:
        """Bury the dead; start those whose time has come."""
        for slot in self._slots:
            child = slot.child
            if child is not None and (status := child.gone()) is not None:
                self._bury(slot, child, status, now)
            if slot.child is None and slot.start_at <= now:
                self._spawn(slot)
                self._send_spec(slot)

    def _bury(self, slot: Slot, child: Child, status: int, now: float) -> None:
        child.hear()
        self._selector.unregister(child.line)
        child.close()
        slot.generation += 1
        slot.child = None
        self._failures += not child.ready
        lived = now - child.started
        slot.short_lives = slot.short_lives + 1 if lived < SHORT_LIFE_S else 0
        # The first death costs no delay: that is an accident. A series of them is a fault, and must not eat the processor.
        delay = 0.0 if slot.short_lives <= 1 else min(0.1 * 2**slot.short_lives, MAX_DELAY_S)
        slot.start_at = now + delay
        words = {"slot": slot.number, "pid": child.pid, "status": status, "lived_s": round(lived, 1), "delay_s": delay}
        log.warning("worker died, replaced", **words, **({"killed_for": child.killed_for} if child.killed_for else {}))

    def _judge(self, now: float) -> None:
        """Kill workers that hang: a holder of the write lock that hangs stops all mail."""
        for slot in self._slots:
            child = slot.child
            if child is None or child.killed_for:
                continue
            silence = now - child.heard
            if not child.ready and silence > START_S:
                child.kill("not ready")
            elif child.ready and silence > SILENT_S:
                child.kill("silent")
            elif child.lock_held_s > LOCK_S:
                child.kill("held the write lock")

    # -- signals and the end ----------------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        self._wake, writing = socket.socketpair()
        self._wake.setblocking(False)
        writing.setblocking(False)
        self._writing = writing  # kept alive; the interpreter writes into it when a signal arrives
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda number, frame: self._signals.append(number))
        self._selector.register(self._wake, selectors.EVENT_READ, None)

    def _stop_asked(self) -> bool:
        while self._signals:
            number = self._signals.pop(0)
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stopping = True
            elif number == signal.SIGHUP:
                self._reload()
        return self._stopping

    def _reload(self) -> None:
        log.info("reloading certificates")
        self._publish_certificates()
        for slot in self._slots:
            if slot.child is not None and slot.child.ready:
                slot.child.signal(signal.SIGHUP)

    def _publish_certificates(self) -> None:
        self._published_at = time.monotonic()
        try:
            if certificates.publish(self._config):
                log.info("certificate published", file=self._config.tls.certificate)
        except StartError as error:
            log.error("certificate not read again", reason=str(error))

    def _end(self) -> None:
        """Ask all workers to stop, wait, kill what is left."""
        children = [slot.child for slot in self._slots if slot.child is not None]
        for child in children:
            if child.ready:
                child.signal(signal.SIGTERM)
            else:
                child.kill("stopping")
        deadline = time.monotonic() + GRACE_S
        while any(child.gone() is None for child in children) and time.monotonic() < deadline:
            time.sleep(0.01)
        for child in children:
            if child.gone() is None:
                log.warning("worker did not stop in time", slot=child.slot, pid=child.pid)
                child.kill("did not stop")
                child.process.wait()
            child.close()
        for slot in self._slots:
            for _, sock in slot.listeners:
                sock.close()
        for sock in self._unix.values():
            sock.close()


def _listeners(bound: list[Bound], slot: int) -> tuple[tuple[str, socket.socket], ...]:
    return tuple((entry.service, entry.sockets[slot]) for entry in bound)
