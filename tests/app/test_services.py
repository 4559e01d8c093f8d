"""`postillon check` tells which milters and scanners do not answer."""

from __future__ import annotations

import socket
import threading

import pytest

from postillon.app.services import silent_services
from postillon.config import parse

from ..peers.milter import CONTINUE, Milter


def config(text: str):  # type: ignore[no-untyped-def]
    return parse(f'hostname = "mail.example.org"\ndata = "/var/lib/postillon"\n{text}')


async def test_a_milter_that_answers_is_no_trouble():
    with Milter(lambda heard, command, data: CONTINUE) as milter:
        assert await silent_services(config(f'[milters.one]\naddress = "{milter.address}"\n')) == []


async def test_nobody_there(tmp_path):  # type: ignore[no-untyped-def]
    text = f'[clamav]\naddress = "unix:{tmp_path}/none"\n[rspamd]\naddress = "127.0.0.1:1"\n'
    assert await silent_services(config(text)) == [
        f"`clamav.address`: unix:{tmp_path}/none: No such file or directory",
        "`rspamd.address`: 127.0.0.1:1: Connect call failed ('127.0.0.1', 1)",
    ]


@pytest.mark.parametrize(
    ("kind", "words"), [("clamav", "something else"), ("rspamd", "something else"), ("milters.a", "no milter")]
)
async def test_somebody_else_is_there(kind: str, words: str):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(100)
                peer.sendall(b"220 hello\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        (line,) = await silent_services(config(f'[{kind}]\naddress = "{place}"\n'))
        thread.join(10)
    assert line == f"`{kind}.address`: what answers at {place} is {words}"
