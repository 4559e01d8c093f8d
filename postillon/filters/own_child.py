"""The process in which the administrator's own filter runs: `python -I -m postillon.filters.own_child FILE`.

It reads messages from its standard input and writes opinions to its standard output, each as a length and that many octets. What
the filter prints goes nowhere; what it raises is told. It ends when its input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pickle
import resource
import runpy
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

import msgspec

from ..mailauth.content import Content
from ..model.verdict import Opinion
from .examined import Examined

MEMORY = 2 << 30
"""Octets of address space that the filter may have."""
MOST_FINDINGS = 50
PR_SET_PDEATHSIG = 1
_LENGTH = struct.Struct("!I")


def told(opinion: object) -> dict[str, Any]:
    """An opinion for the pipe. Raises TypeError for what is none."""
    if not isinstance(opinion, Opinion):
        raise TypeError(f"examine() must return an Opinion, not {type(opinion).__name__}")
    refusal = opinion.refusal
    return {
        "findings": [(str(one.code), float(one.score), [(str(k), str(v)) for k, v in one.facts]) for one in opinion.findings][
            :MOST_FINDINGS
        ],
        "refusal": None if refusal is None else (str(refusal.text), str(refusal.status)),
        "junk": bool(opinion.junk),
        "quarantine": bool(opinion.quarantine),
    }


def load(path: str) -> Callable[[Examined], Opinion]:
    """The function `examine` of the file. Raises whatever the file raises, and AttributeError if it has none."""
    function = runpy.run_path(path, run_name="postillon_own_filter").get("examine")
    if not callable(function):
        raise AttributeError(f"{path} has no function examine(incoming)")
    return function  # type: ignore[no-any-return]


async def answer(examine: Callable[[Examined], Opinion], question: bytes) -> dict[str, Any]:
    # Only the server writes to this pipe, so what comes may be unpickled.
    incoming, header, verdict = pickle.loads(question)
    chunks = b"" if incoming.body.data is None else incoming.body.data[len(header) :]
    examined = Examined(incoming, header, Content(header, lambda: [chunks]))
    examined.authentication_ended(verdict)
    try:
        return told(examine(examined))
    except Exception:
        return {"error": traceback.format_exc(limit=-3)[-2000:]}


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(_LENGTH.size)
    return stream.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else None


async def _serve(path: str, questions: BinaryIO, answers: BinaryIO) -> None:
    try:
        examine = load(path)
    except BaseException:
        failure = traceback.format_exc(limit=-3)[-2000:]
        examine = None
    while (question := _read(questions)) is not None:
        reply = {"error": failure} if examine is None else await answer(examine, question)
        octets = msgspec.msgpack.encode(reply)
        answers.write(_LENGTH.pack(len(octets)) + octets)
        answers.flush()


def _die_with_parent() -> None:
    """A filter that hangs reads nothing, so it would not see that its worker is gone."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    _die_with_parent()
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asyncio.run(_serve(sys.argv[1], questions, answers))


if __name__ == "__main__":
    main()
