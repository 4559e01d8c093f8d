"""The dialogues of `tests/dialogues/pop3` against a server over a real store.

`! messages 120 200`: messages of so many octets lie in the inbox. `C:` lines that follow each other are sent in one segment.
A `*` at the end (or in the middle) of an `S:` line stands for any text. `S. closed`: the server closes.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from .conftest import Caller, Office

FOLDER = Path(__file__).parents[2] / "dialogues" / "pop3"


def agrees(pattern: str, line: bytes) -> bool:
    wanted = ".*".join(re.escape(part) for part in pattern.split("*"))
    return re.fullmatch(wanted.encode(), line, re.DOTALL) is not None


def sized(number: int, size: int) -> bytes:
    head = b"Subject: message %d\r\n\r\n" % number
    return head + b"x" * (size - len(head) - 2) + b"\r\n"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
async def test_the_dialogue_goes_as_written(office: Office, path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    sizes = list(map(int, lines.pop(0).removeprefix("! messages").split()))
    if sizes:
        await office.deliver(*(sized(n, size) for n, size in enumerate(sizes, 1)))
    port = await office.listen()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    caller, segment = Caller(reader, writer), b""
    for line in lines:
        who, text = line[:2], line[3:]
        if who == "C:":
            segment += text.encode() + b"\r\n"
            continue
        caller.send(segment)
        segment = b""
        if who == "S.":
            assert await caller.is_closed()
        else:
            said = await caller.line()
            assert said.endswith(b"\r\n") and agrees(text, said[:-2]), f"{line!r}: {said!r}"
    await caller.hang_up()


def test_there_are_dialogues() -> None:
    assert len(list(FOLDER.glob("*.txt"))) >= 7
