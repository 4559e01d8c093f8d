"""A worker process: waits for its spec, gives up root, serves every role on one event loop until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from .. import log as logs
from ..bus.local import LocalBus
from ..log import Log
from ..model.errors import Refusal
from ..net import exporter
from ..storage.store import Store, owner_of
from ..supervisor.lifeline import Lifeline, Spec
from ..supervisor.privileges import confine, drop
from .data import Layout, Opened, opened
from .lives import Lives
from .office import Office, compose

GRACE_S = 2.0
"""For commands under way when we are told to stop."""
CONFIRM_S = 0.5
TELL_S = 1
RECORD_S = 1.0
MAX_DIRECTORY = 90
"""Octets; a Unix socket's address holds 107."""

log = Log("worker")


def worker() -> int:
    """The worker's main function; its exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor tells us when to stop
    line = Lifeline()
    exporter.check()  # it starts the interpreter, which the user that we become may not be able to read
    spec = line.spec()
    os.umask(0o077)
    logs.configure(level=logs.LEVELS[spec.config.logging.level])
    _raise_file_limit()
    if spec.config.development is None:
        importlib.import_module("postillon.net.dns")  # while we may still read the program
    drop(spec.config.user, spec.config.group)
    confine(spec.supervisor)
    _tune()
    with asyncio.Runner(loop_factory=_loop_factory(spec.config.loop)) as runner:
        runner.run(_serve(spec, line))
    logs.flush()
    return 0


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _thread_died(ended: threading.ExceptHookArgs) -> None:
    """Without one of its threads a worker would hang silently; a new worker is better."""
    log.error("thread died, so does this worker", exc=ended.exc_value, thread=ended.thread.name if ended.thread else "")
    logs.flush()
    os._exit(70)


def _tune() -> None:
    threading.excepthook = _thread_died
    sys.setswitchinterval(0.001)  # the loop must get its turn soon while a database thread computes
    gc.collect()
    gc.freeze()  # modules stay for ever: no need to look through them again
    gc.set_threshold(20_000, 20, 50)


def _loop_factory(wanted: str) -> type[asyncio.AbstractEventLoop] | None:
    if wanted != "asyncio":
        try:
            import uvloop
        except ImportError:
            if wanted == "uvloop":
                raise
        else:
            loop: type[asyncio.AbstractEventLoop] = uvloop.Loop
            return loop
    return None


async def _serve(spec: Spec, line: Lifeline) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set if number == signal.SIGTERM else _noted)
    lives = Lives(Layout(Path(spec.config.data)).run)
    bus = LocalBus(_short(Layout(Path(spec.config.data)).run), spec.slot).open()
    try:
        async with opened(
            spec.config,
            instance=spec.instance,
            slot=spec.slot,
            workers=spec.workers,
            bus=bus,
            checkpoints=spec.slot == 0,  # they have one owner
        ) as data:
            lives.enter(spec.slot, owner_of(spec.slot, spec.instance))
            await data.store.void_former()
            await _run(spec, line, data, lives, stopping)
            await data.store.flush_confirmed()
            await data.store.flush_notes()
    finally:
        await bus.close()


def _short(directory: str) -> str:
    """A name for *directory* that leaves room in a Unix socket's address, valid while this process lives."""
    if len(os.fsencode(directory)) <= MAX_DIRECTORY:
        return directory
    return f"/proc/self/fd/{os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)}"


def _noted() -> None:
    """SIGHUP: certificates are read again when their files change; there is nothing to do."""


async def _run(spec: Spec, line: Lifeline, data: Opened, lives: Lives, stopping: asyncio.Event) -> None:
    office = compose(spec, data)
    listeners = [(service, socket.socket(fileno=fd)) for service, fd in spec.listeners]
    unix = {"admin": socket.socket(fileno=spec.admin), "sendmail": socket.socket(fileno=spec.sendmail)}
    async with asyncio.TaskGroup() as tasks:
        await office.open(listeners, unix)
        running = [tasks.create_task(office.queue.run()), tasks.create_task(office.janitor.run())]
        running.append(tasks.create_task(office.learner.run()))
        if office.indexer is not None:
            running.append(tasks.create_task(office.indexer.run()))
        running += [tasks.create_task(_note_confirmed(data.store)), tasks.create_task(_write_records(data.store))]
        running += [tasks.create_task(office.bans.run()), tasks.create_task(office.reporter.run())]
        running.append(tasks.create_task(line.beat(lambda: _lock_held_s(data))))
        running.append(tasks.create_task(_tell(lives, office)))
        line.tell(ready=True)
        log.debug("worker serves", slot=spec.slot, generation=spec.generation, pid=os.getpid())
        await stopping.wait()
        await _stop(office, running)


async def _note_confirmed(store: Store) -> None:
    """Which answers were heard is written down soon, so that a worker that dies leaves few in doubt; idle, it costs nothing."""
    while True:
        await asyncio.sleep(CONFIRM_S)
        with contextlib.suppress(Refusal):
            await store.flush_confirmed()


async def _write_records(store: Store) -> None:
    """What was noted is written a second later at most, much at once."""
    while True:
        await asyncio.sleep(RECORD_S)
        with contextlib.suppress(Refusal):
            await store.flush_notes()


async def _tell(lives: Lives, office: Office) -> None:
    """What this worker is at, for `postillon status` on whichever worker answers."""
    while True:
        lives.note(office.connections())
        await asyncio.sleep(TELL_S)


def _lock_held_s(data: Opened) -> float:
    since = data.database.writing_since
    return time.monotonic() - since if since else 0.0


async def _stop(office: Office, running: list[asyncio.Task[None]]) -> None:
    """Accept nothing more, let commands and attempts under way end, then drop the rest: all of it is durable."""
    office.queue.stop()
    await office.close(GRACE_S)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await asyncio.shield(running[0])
    for task in running:
        task.cancel()
