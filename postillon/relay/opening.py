"""The beginning of a conversation: connecting, greeting, STARTTLS and login (RFC 5321 §3.1, §3.2; RFC 2033, 3207, 4954)."""

from __future__ import annotations

import errno
from dataclasses import replace

from ..log import Log
from ..message.tlsrpt import Failure
from ..model.queue import OutcomeKind
from ..net.socks import connect_through
from ..net.stream import Stream, connect
from ..protocols.smtp import client as smtp
from .conversation import Conversation, Trouble, why
from .hop import Hop, Timeouts
from .outcome import deferred, of_reply
from .session import Session
from .tls_outcomes import TlsOutcomes
from .tls_policy import ClientContexts, TlsMode

log = Log("relay")

_UNROUTED = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
NO_STARTTLS = "starttls-not-supported"


async def open_session(
    hop: Hop, hostname: str, contexts: ClientContexts, timeouts: Timeouts, outcomes: TlsOutcomes | None = None
) -> Session:
    """A session with *hop*, ready for mail. Where TLS is only wished for and fails, once more with less. Raises Trouble.

    *outcomes*: what becomes of TLS is counted there, a session once.
    """
    mode, is_counted = hop.tls, False
    while True:
        try:
            talk = await open_once(replace(hop, tls=mode), hostname, contexts, timeouts)
            if not is_counted:
                _count(outcomes, hop, None if talk.is_encrypted else Failure(NO_STARTTLS, hop.name, hop.address, talk.source))
            return Session(hop, talk)
        except Trouble as trouble:
            if trouble.result and not is_counted:
                is_counted = True
                _count(outcomes, hop, Failure(trouble.result, hop.name, hop.address, trouble.source, trouble.reason))
            if not trouble.is_tls or mode.weaker is None:
                raise
            log.info("TLS failed, going on with less", host=hop.remote, mode=mode.value, reason=trouble.outcome.text)
            mode = mode.weaker


def _count(outcomes: TlsOutcomes | None, hop: Hop, failure: Failure | None) -> None:
    if outcomes is not None and hop.policy is not None:
        outcomes.note(hop.domain, hop.policy, failure)


async def open_once(hop: Hop, hostname: str, contexts: ClientContexts, timeouts: Timeouts) -> Conversation:
    """A conversation that has greeted, with as much TLS as *hop* says. Raises Trouble."""
    try:
        stream = await _connected(hop, timeouts.connect_s)
    except TimeoutError:
        raise Trouble(deferred("4.4.1", f"no connection within {timeouts.connect_s:.0f} seconds", remote=hop.remote)) from None
    except OSError as error:
        raise _unconnected(hop, error) from error
    talk = Conversation(hop, stream, timeouts)
    try:
        await _greet(talk, hop.origin.name if hop.origin is not None and hop.origin.name else hostname, contexts)
    except BaseException:
        talk.abort()
        raise
    return talk


async def _connected(hop: Hop, timeout_s: float) -> Stream:
    """Raises OSError."""
    if hop.proxy is not None:
        return await connect_through(hop.proxy, hop.address, hop.port, timeout_s=timeout_s)
    local = hop.origin.address if hop.origin is not None else None
    return await connect(hop.address, hop.port, timeout_s=timeout_s, local_address=local)


def _unconnected(hop: Hop, error: OSError) -> Trouble:
    if hop.origin is not None and error.errno == errno.EADDRNOTAVAIL:
        log.error("source address is not on this machine", address=hop.origin.address)
        return Trouble(deferred("4.3.5", f"our source address {hop.origin.address} is not on this machine", remote=hop.remote))
    trouble = Trouble(deferred("4.4.1", f"no connection: {why(error)}", remote=hop.remote))
    if hop.proxy is None and error.errno in _UNROUTED:
        kind = "IPv6" if ":" in hop.address else "IPv4"
        trouble = Trouble(deferred("4.4.1", f"this machine has no way to {kind} addresses", remote=hop.remote))
        trouble.is_unrouted = True
    return trouble


async def _greet(talk: Conversation, hostname: str, contexts: ClientContexts) -> None:
    """Greeting, EHLO, TLS and login as the hop asks for. Raises Trouble."""
    mode = talk.hop.tls
    if mode is TlsMode.IMPLICIT:
        await talk.start_tls(contexts)
    greeting = await talk.reply(talk.timeouts.greeting_s)
    if greeting.kind != 2:
        raise talk.trouble(of_reply(greeting, talk.hop.remote))
    await _hello(talk, hostname)
    if mode not in (TlsMode.NONE, TlsMode.IMPLICIT) and await _start_tls(talk, contexts):
        await _hello(talk, hostname)
    if talk.hop.login:
        await _login(talk)


async def _hello(talk: Conversation, hostname: str) -> None:
    lmtp = talk.hop.lmtp
    reply = await talk.ask(smtp.lhlo(hostname) if lmtp else smtp.ehlo(hostname), talk.timeouts.command_s)
    if reply.kind == 2:
        talk.offered = smtp.Extensions.of(reply)
        return
    if reply.kind == 5 and not lmtp:
        # RFC 5321 §3.2: a server that does not know EHLO gets HELO.
        talk.offered = smtp.Extensions()
        reply = await talk.ask(smtp.helo(hostname), talk.timeouts.command_s)
    if reply.kind != 2:
        said = of_reply(reply, talk.hop.remote)
        # That a server speaks LMTP is our own setting's claim: if it is wrong, the mail waits.
        raise talk.trouble(replace(said, kind=OutcomeKind.DEFERRED, status="4.5.0") if lmtp else said)


async def _start_tls(talk: Conversation, contexts: ClientContexts) -> bool:
    is_required = talk.hop.tls.is_mandatory
    if not talk.offered.starttls:
        if is_required:
            outcome = deferred("4.7.4", "it does not offer STARTTLS, which we require", remote=talk.hop.remote)
            raise talk.tls_trouble(outcome, NO_STARTTLS, is_tls=False)
        return False
    reply = await talk.ask(smtp.STARTTLS, talk.timeouts.command_s)
    if reply.kind != 2:
        if is_required:
            outcome = replace(of_reply(reply, talk.hop.remote), kind=OutcomeKind.DEFERRED, status="4.7.4")
            raise talk.tls_trouble(outcome, NO_STARTTLS, "refused", is_tls=False)
        return False
    if not talk.is_usable:
        # RFC 3207 §4.2, CVE-2011-0411 and its kin: somebody speaks in clear what we would believe to be under TLS.
        outcome = deferred("4.7.5", "octets in clear after the reply to STARTTLS", remote=talk.hop.remote)
        raise talk.tls_trouble(outcome, "validation-failure", "plaintext after STARTTLS", is_tls=False)
    await talk.start_tls(contexts)
    return True


async def _login(talk: Conversation) -> None:
    """RFC 4954. A login that fails is our own setting's fault: the mail waits."""
    hop, wait = talk.hop, talk.timeouts.command_s
    if "PLAIN" in talk.offered.auth:
        reply = await talk.ask(smtp.auth_plain(hop.login, hop.password), wait)
    elif "LOGIN" in talk.offered.auth:
        reply = await talk.ask(smtp.AUTH_LOGIN, wait)
        for answer in (hop.login, hop.password):
            if reply.code == 334:
                reply = await talk.ask(smtp.auth_response(answer), wait)
    else:
        raise talk.trouble(deferred("4.7.0", "it offers neither AUTH PLAIN nor LOGIN", remote=hop.remote))
    if reply.code != 235:
        log.warning("login at the next hop failed", host=hop.name, login=hop.login, code=reply.code)
        said = of_reply(reply, hop.remote)
        raise talk.trouble(deferred("4.7.8", f"it refused our login: {said.text}", remote=hop.remote, code=reply.code))
