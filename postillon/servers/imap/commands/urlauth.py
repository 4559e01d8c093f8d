"""GENURLAUTH, URLFETCH, RESETKEY (RFC 4467 §7), with decoded octets and structures (URLAUTH=BINARY, RFC 5524)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....message.imap_text import bodystructure
from ....message.part import decode_structure
from ....model.errors import NotFound, Refusal
from ....protocols.imap.events import Command
from ....protocols.imap.extension_commands import GenUrlAuth, ResetKey, UrlFetch, UrlWanted
from ....protocols.imap.extension_responses import fetched_url, fetched_url_parts, generated_urls, no_url
from ....protocols.imap.response_codes import URLMECH, bad_url
from ....protocols.imap.urls import BadUrl, MessageUrl, parse
from .. import pieces
from ..answers import BadCommand, No
from ..dialogue import Hangup
from ..url_octets import Located, decoded, is_decodable, octets
from ..urlauth import MECHANISM
from .mailboxes import find

if TYPE_CHECKING:
    from ..session import Session

MAX_URLS = 500
"""In one command: each is a message looked up."""


async def genurlauth(session: Session, command: Command, request: GenUrlAuth) -> bytes | None:
    if len(request.urls) > MAX_URLS:
        raise No("Too many URLs", b"LIMIT")
    signed = []
    for text, mechanism in request.urls:
        if mechanism != MECHANISM:
            raise No("Mechanism is not supported", URLMECH)
        try:
            url = _unsigned(text)
            mailbox = await find(session, url.mailbox or "")
            signed.append(await session.server.urls.sign(url, session.owner, mailbox))
        except (BadUrl, NotFound) as error:
            raise No(f"The URL cannot be signed: {error}", bad_url(text)) from error
    session.dialogue.write(generated_urls(signed))
    return None


def _unsigned(text: bytes) -> MessageUrl:
    try:
        url = parse(text)
    except BadUrl as error:
        raise BadCommand(f"That is no URL of a message: {error}") from error  # RFC 4467 §7: BAD for invalid arguments
    if url.access is None or url.access.mechanism or url.mailbox is None:
        raise BadCommand("The URL must end with ;URLAUTH= and who may use it")
    return url


async def resetkey(session: Session, command: Command, request: ResetKey) -> bytes | None:
    if request.mechanisms and MECHANISM not in request.mechanisms:
        raise No("Mechanism is not supported", URLMECH)
    mailbox = await find(session, request.mailbox) if request.mailbox else None
    where = mailbox.id if mailbox is not None else None
    await session.store.reset_urlauth_keys(session.principal, session.owner.id, where)
    return b"[%b] All URLs are void" % URLMECH


async def urlfetch(session: Session, command: Command, request: UrlFetch) -> bytes | None:
    if len(request.urls) > MAX_URLS:
        raise No("Too many URLs", b"LIMIT")
    for wanted in request.urls:
        await _answer(session, wanted)
        await session.dialogue.breathe()
    return None


async def _answer(session: Session, wanted: UrlWanted) -> None:
    try:
        located = await session.server.urls.open(wanted.url, session.owner)
    except BadUrl as error:
        # RFC 4467 §7: NIL whatever is wrong, so that nothing can be found out.
        session.log.debug("URL not opened", reason=str(error))
        session.dialogue.write(no_url(wanted.url))
        return
    try:
        await _tell(session, wanted, located)
    except Refusal as error:
        raise Hangup from error  # its response has begun: nothing else could be understood now


async def _tell(session: Session, wanted: UrlWanted, located: Located) -> None:
    if not wanted.parameters:
        session.dialogue.write(fetched_url(wanted.url, located.size))
        await pieces.send(session, octets(session.store, located))
    else:
        session.dialogue.write(fetched_url_parts(wanted.url))
        for parameter in wanted.parameters:
            session.dialogue.write(b" (%b " % parameter.encode())
            if parameter == "BODYPARTSTRUCTURE":
                session.dialogue.write(_structure(located))
            elif parameter == "BODY":
                session.dialogue.write(b"{%d}\r\n" % located.size)
                await pieces.send(session, octets(session.store, located))
            else:
                await _send_decoded(session, located)
            session.dialogue.write(b")")
    session.dialogue.write(b"\r\n")


def _structure(located: Located) -> bytes:
    """RFC 5524 §3: of the part that the URL names."""
    return bodystructure(located.part or decode_structure(located.email.structure), True)


async def _send_decoded(session: Session, located: Located) -> None:
    """RFC 5524 §3: without the transfer encoding; NIL where that is not known. Decoded twice: the size stands first."""
    if not is_decodable(located):
        session.dialogue.write(b"NIL")
        return
    size = await pieces.size_of(decoded(session.store, located))
    session.dialogue.write(b"~{%d}\r\n" % size)
    await pieces.send(session, decoded(session.store, located))
