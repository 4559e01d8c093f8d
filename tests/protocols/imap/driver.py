"""A small session for the tests: feeds the engine and gives every consent, so that a stream of octets becomes events."""

from __future__ import annotations

from collections.abc import Iterable

from postillon.protocols.imap.commands import Request
from postillon.protocols.imap.events import Command, Event, LiteralChunk, LiteralStart, ProtocolError
from postillon.protocols.imap.server import ServerEngine


def engine_after_login(utf8: bool = False) -> ServerEngine:
    engine = ServerEngine(authenticated=True)
    engine.utf8 = utf8
    return engine


def events_of(engine: ServerEngine, *pieces: bytes) -> list[Event]:
    """Events of all *pieces*; literals of APPEND are let in, their chunks joined (a split of the stream must not show)."""
    events: list[Event] = []
    for piece in pieces:
        for event in engine.receive(piece):
            if isinstance(event, LiteralChunk) and events and isinstance(events[-1], LiteralChunk):
                events[-1] = LiteralChunk(events[-1].data + event.data)
            else:
                events.append(event)
            if isinstance(event, LiteralStart):
                engine.literal_go()
    return events


def request(line: bytes, utf8: bool = False) -> Request:
    """What one command (without tag and CRLF) means, after login."""
    [command] = commands(b"t " + line + b"\r\n", utf8)
    return command.request


def commands(data: bytes, utf8: bool = False) -> list[Command]:
    """The commands in *data*; fails on any error event."""
    found: list[Command] = []
    for event in events_of(engine_after_login(utf8), data):
        assert not isinstance(event, ProtocolError), event
        if isinstance(event, Command):
            found.append(event)
    return found


def complaint(line: bytes, utf8: bool = False) -> bytes:
    """The answer to a broken command (without tag and CRLF); fails if it is not broken."""
    [event] = events_of(engine_after_login(utf8), b"t " + line + b"\r\n")
    assert isinstance(event, ProtocolError), event
    assert not event.close
    return event.response


def is_bad(lines: Iterable[bytes], utf8: bool = False) -> None:
    """Each of *lines* is answered with a tagged BAD."""
    for line in lines:
        response = complaint(line, utf8)
        assert response.startswith(b"t BAD ") and response.endswith(b"\r\n"), (line, response)
