"""A supervisor over workers that do next to nothing, so that its own duties can be tested.

As `trivial_server.py DATA PORT WORKERS` it is the supervisor; as `… worker` and `… prepare` it is its children.
A worker answers each connection with one line, `slot generation pid`; the line `die` kills it, `hang` stops its heartbeat.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time

from postillon.config import Config, Listen
from postillon.supervisor import run
from postillon.supervisor.lifeline import Lifeline
from postillon.supervisor.privileges import confine


def supervise(data: str, port: int, workers: int) -> int:
    here = os.path.abspath(__file__)
    config = Config(hostname="mx.example.test", data=data, workers=workers, listen=_only_smtp(port))
    run.SILENT_S = 2.0
    run.LOCK_S = 1.0
    commands = run.Commands(worker=(here, "worker"), prepare=(here, "prepare"))
    return run.Supervisor(config, announce=lambda told: print(json.dumps(told), flush=True), commands=commands).run()


def _only_smtp(port: int) -> Listen:
    return Listen(("127.0.0.1",), port, 0, 0, 0, 0, 0, 0)


def prepare() -> int:
    line = Lifeline()
    spec = line.spec()
    if os.path.exists(os.path.join(spec.config.data, "broken")):
        line.tell(error="the data is from a newer program")
        return 1
    line.tell(prepared=spec.slot)
    return 0


async def work() -> None:
    line = Lifeline()
    spec = line.spec()
    confine(spec.supervisor)
    if os.path.exists(os.path.join(spec.config.data, "sick")):
        os._exit(3)
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    lock_held_s = 0.0

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal lock_held_s
        writer.write(f"{spec.slot} {spec.generation} {os.getpid()} {spec.instance}\n".encode())
        asked = await reader.readline()
        if asked == b"die\n":
            os._exit(9)
        if asked == b"hang\n":
            time.sleep(60)  # noqa: ASYNC251
        if asked == b"lock\n":
            lock_held_s = 11.0
        writer.close()

    await asyncio.start_server(session, sock=socket.socket(fileno=spec.listeners[0][1]))
    line.tell(ready=True)
    beat = loop.create_task(line.beat(lambda: lock_held_s))
    await stopping.wait()
    beat.cancel()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        asyncio.run(work())
    elif sys.argv[1] == "prepare":
        sys.exit(prepare())
    else:
        sys.exit(supervise(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
