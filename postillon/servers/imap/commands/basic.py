"""CAPABILITY, NOOP, CHECK, LOGOUT, ID, STARTTLS, ENABLE (RFC 9051 §6.1, §6.2.1, §6.3.1; RFC 2971, RFC 5161)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....net.stream import InjectedPlaintext
from ....protocols.imap import responses
from ....protocols.imap.commands import Capability, Check, Enable, Id, Logout, Noop, StartTls
from ....protocols.imap.events import Command
from ..answers import BadCommand
from ..capability import ENABLEABLE, SPELLED
from ..dialogue import Hangup
from .rule import Silent

if TYPE_CHECKING:
    from ..session import Session


async def capability(session: Session, command: Command, request: Capability) -> bytes | None:
    session.dialogue.write(b"* CAPABILITY %b\r\n" % session.capabilities())
    return None


async def noop(session: Session, command: Command, request: Noop | Check) -> bytes | None:
    await session.tell(expunges=True, reread=True, asked=False)
    return None


async def logout(session: Session, command: Command, request: Logout) -> bytes | None:
    session.dialogue.write(b"* BYE Logging out\r\n")
    session.over = True
    session.unselect()
    return None


async def identify(session: Session, command: Command, request: Id) -> bytes | None:
    """RFC 2971. What the client says goes to the log, if anybody wants to know, and nowhere else."""
    if session.account is not None:
        session.log.debug("client", **{f"id_{at}": f"{name}={value}" for at, (name, value) in enumerate(request.fields[:8])})
    told: list[tuple[str, str | None]] = [("name", "Postillon"), ("support-url", None)]
    if session.server.settings.version and session.account is not None:
        told.insert(1, ("version", session.server.settings.version))
    session.dialogue.write(responses.identification(told))
    return None


async def starttls(session: Session, command: Command, request: StartTls) -> bytes | None:
    if session.client.tls is not None:
        session.dialogue.engine.resume()
        raise BadCommand("TLS is active already")
    if session.server.tls is None or session.dialogue.compression is not None:
        session.dialogue.engine.resume()
        raise BadCommand("STARTTLS is not offered")
    dialogue = session.dialogue
    await dialogue.flush()
    if dialogue.engine.pending:
        session.log.warning("plaintext after STARTTLS", peer=session.client.address, octets=dialogue.engine.pending)
        raise Hangup
    try:
        await session.stream.start_tls(
            session.server.tls.context(), server_side=True, reply=b"%b OK Begin TLS negotiation now\r\n" % command.tag
        )
    except InjectedPlaintext as error:
        session.log.warning("plaintext after STARTTLS", peer=session.client.address)
        raise Hangup from error
    except OSError as error:
        session.log.debug("handshake failed", peer=session.client.address, reason=str(error))
        raise Hangup from error
    session.restart()
    raise Silent


async def enable(session: Session, command: Command, request: Enable) -> bytes | None:
    """RFC 5161 §3.1: what is unknown, or on already, is not in the answer."""
    wanted = [name for name in request.capabilities if name in ENABLEABLE and name not in session.enabled | session.hidden]
    fresh = list(dict.fromkeys(wanted))
    session.enabled.update(fresh)
    if "QRESYNC" in fresh:
        session.enabled.add("CONDSTORE")  # RFC 7162 §3.2.3
    if "UIDONLY" in fresh and session.selected is not None:
        session.selected.by_uid = True
    if session.utf8:
        session.dialogue.engine.utf8 = True
    words = b"".join(b" " + SPELLED.get(name, name.encode()) for name in fresh)
    session.dialogue.write(b"* ENABLED%b\r\n" % words)
    return None
