"""AUTHENTICATE and LOGIN (RFC 9051 §6.2.2, §6.2.3; RFC 4959). All mechanisms live in `directory.login`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....directory.login import login as sasl_login
from ....directory.login import login_with_password
from ....model.account import Account
from ....model.errors import AuthenticationFailed
from ....protocols.imap.commands import Authenticate, Login
from ....protocols.imap.events import AuthResponse, Command, ProtocolError
from ..answers import No
from .rule import Silent

if TYPE_CHECKING:
    from ..session import Session

MAX_FAILURES = 10
"""Failed logins on one connection before we hang up."""


async def authenticate(session: Session, command: Command, request: Authenticate) -> bytes | None:
    if request.mechanism not in session.mechanisms():
        raise _not_offered(session)

    async def ask(challenge: bytes) -> bytes | None:
        session.dialogue.write(session.dialogue.engine.challenge(challenge))
        event = await session.dialogue.next(session.patience())
        if isinstance(event, ProtocolError):
            session.broken(event)
            raise Silent
        assert isinstance(event, AuthResponse)
        return event.data

    try:
        account = await sasl_login(
            session.server.directory,
            request.mechanism,
            request.initial,
            ask,
            session.client,
            session.stream.channel_binding,
            session.stream.verified_addresses(),
        )
    except AuthenticationFailed:
        _count_failure(session)
        raise
    return await _welcome(session, account)


async def login(session: Session, command: Command, request: Login) -> bytes | None:
    if not session.mechanisms():
        raise _not_offered(session)
    try:
        account = await login_with_password(session.server.directory, request.name, request.password, session.client)
    except AuthenticationFailed:
        _count_failure(session)
        raise
    return await _welcome(session, account)


def _not_offered(session: Session) -> No:
    if session.mechanisms():
        return No("Mechanism is not offered", b"CANNOT")
    return No("Log in over TLS only", b"PRIVACYREQUIRED")  # RFC 5530 §3


def _count_failure(session: Session) -> None:
    session.failures += 1
    session.over |= session.failures >= MAX_FAILURES


async def _welcome(session: Session, account: Account) -> bytes:
    await session.enter(account)
    return b"[CAPABILITY %b] Logged in" % session.capabilities()
