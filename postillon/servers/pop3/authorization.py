"""What a client may say before login: capabilities, STLS, USER and PASS, AUTH, UTF8 and LANG (which stays afterwards)."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ...directory.login import has_binding, login, login_with_password, mechanisms
from ...model.account import Account
from ...model.errors import AuthenticationDelayed, AuthenticationFailed
from ...net.networks import is_loopback
from ...net.stream import InjectedPlaintext
from ...protocols import sasl
from ...protocols.pop3 import LANGUAGES, AuthResponse, Command, ServerEngine, capabilities, err, listing, ok
from ...protocols.sasl import SaslError
from .words import Hangup, reply_to

if TYPE_CHECKING:
    from .session import Session

TLS_FIRST = "Use STLS first"
NO_TLS = "TLS is not available"


def offered(session: Session) -> tuple[str, ...]:
    """Mechanisms that may be used now; none on a connection that must be encrypted first."""
    settings = session.server.settings
    in_clear = settings.plaintext_on_loopback and is_loopback(session.stream.peer)
    tokens = session.server.directory.tokens is not None
    return mechanisms(session.client, in_clear, has_binding(session.stream.channel_binding), tokens=tokens)


async def capa(session: Session, command: Command) -> None:
    names = offered(session)
    lines = capabilities(
        session.engine.state,
        names,
        user_allowed=bool(names),
        tls_offered=session.server.tls is not None and session.client.tls is None,
        implementation=session.server.settings.product,
    )
    session.say(listing("Capabilities follow", lines))


async def stls(session: Session, command: Command) -> None:
    """RFC 2595 §4."""
    tls = session.server.tls
    if tls is None or session.client.tls is not None:
        session.engine.refused(command)
        session.say(err(NO_TLS))
        return
    if session.engine.pending:
        session.log.info("plaintext behind STLS", octets=session.engine.pending)
        raise Hangup  # injected, or a client that does not wait: neither is listened to
    try:
        context = tls.context()
    except OSError as error:
        session.log.error("no usable certificate", reason=str(error))
        session.engine.refused(command)
        session.say(err(NO_TLS, "SYS/TEMP"))
        return
    await session.flush()
    try:
        await session.stream.start_tls(context, server_side=True, reply=ok("Begin TLS"))
    except (InjectedPlaintext, ssl.SSLError, TimeoutError) as error:
        session.log.debug("handshake failed", reason=str(error) or type(error).__name__)
        raise Hangup from None
    session.engine = ServerEngine()  # nothing from before counts any more
    session.name = b""
    session.client = replace(session.client, tls=session.stream.tls)


async def user(session: Session, command: Command) -> None:
    if not offered(session):
        session.say(err(TLS_FIRST))
        return
    session.name = command.text
    session.engine.accepted(command)
    session.say(ok())  # whether or not there is such a name


async def password(session: Session, command: Command) -> None:
    name, session.name = session.name, b""
    await _login(session, command, lambda: login_with_password(session.server.directory, name, command.text, session.client))


async def auth(session: Session, command: Command) -> None:
    """RFC 5034 §4."""
    names, mechanism = offered(session), command.text.decode("ascii", "replace")
    if not names:
        session.say(err(TLS_FIRST))
    elif not mechanism:
        session.say(listing("Mechanisms follow", [name.encode() for name in names]))
    elif mechanism not in names:
        session.say(err("Mechanism is not supported"))
    else:
        try:
            initial = sasl.decode_response(command.initial) if command.initial is not None else None
        except SaslError as error:
            session.say(err(str(error)))
            return

        async def ask(challenge: bytes) -> bytes | None:
            session.say(session.engine.challenge(challenge))
            event = await session.next_event()
            if isinstance(event, AuthResponse):
                return sasl.decode_response(event.line)
            raise SaslError("response is too long")  # the engine yields nothing else here

        binding, directory = session.stream.channel_binding, session.server.directory
        await _login(session, command, lambda: login(directory, mechanism, initial, ask, session.client, binding))


async def _login(session: Session, command: Command, work: Callable[[], Awaitable[Account]]) -> None:
    await session.flush()  # a failure takes its time; what came before must not wait for it
    try:
        account = await work()
    except (AuthenticationFailed, AuthenticationDelayed) as refusal:
        session.failures += 1
        if session.failures >= session.server.settings.login_attempts:
            raise Hangup(reply_to(refusal)) from None
        raise
    await session.open(account)
    session.engine.accepted(command)
    drop = session.maildrop
    session.log.info("login", account=account.name, messages=len(drop), tls=session.client.tls is not None)
    session.say(ok(f"{len(drop)} messages ({drop.octets} octets)"))


async def utf8(session: Session, command: Command) -> None:
    # RFC 6856 §2.1. Messages go out as they are in either mode: no client gains by a refusal or a rewritten header.
    session.say(ok("UTF8 enabled"))


async def lang(session: Session, command: Command) -> None:
    """RFC 6856 §3: everything is English."""
    if not command.text:
        session.say(listing("Languages follow", [tag + b" " + name for tag, name in LANGUAGES.items()]))
    elif command.text in (*LANGUAGES, b"*"):
        session.say(ok(("en" if command.text == b"*" else command.text.decode()) + " is the language"))
    else:
        session.say(err("Language is not known"))
