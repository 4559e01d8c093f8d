"""What only trusted clients may say: XCLIENT and XFORWARD (Postfix' protocols), ETRN (RFC 1985)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...protocols.smtp.events import Etrn, XClient, XForward
from ...protocols.smtp.reply import Reply
from .service import OK

if TYPE_CHECKING:
    from .session import Session

QUEUE_RUN = Reply(250, "Queuing started", "2.0.0")
NOTHING_WAITS = Reply(251, "Nothing waits for that node", "2.0.0")
NO_QUEUE = Reply(458, "Unable to queue messages for that node", "4.3.0")


async def etrn(session: Session, event: Etrn) -> None:
    session.patience.junk()
    if event.option == "#":
        return session.answer(NO_QUEUE)
    found = await session.grant(session.server.path.retry(session.client, event.option, event.node), "ETRN", node=event.node)
    if isinstance(found, Reply):
        return session.answer(found, session.counts(found))
    session.answer(QUEUE_RUN if found else NOTHING_WAITS)


async def xclient(session: Session, event: XClient) -> None:
    """From here on the client is another one, and all begins with a greeting."""
    session.patience.junk()
    session.forget()
    client, told = session.client, event.attributes
    session.client = replace(
        client,
        address=told.get("ADDR") or client.address,
        port=int(told.get("PORT") or client.port),
        reverse_name=told.get("NAME", client.reverse_name),
        hello=told.get("HELO", ""),
        esmtp=told.get("PROTO", "ESMTP").upper() != "SMTP",
        local_port=int(told.get("DESTPORT") or client.local_port),
    )
    if "LOGIN" in told:
        await session.logged_in_as(told["LOGIN"])
    session.log.info(
        "speaks for another", peer=session.stream.peer, client=session.client.address, login=session.client.login or "-"
    )
    session.turn_away_banned()
    session.engine.accepted(event)
    session.answer(session.greeting)


async def xforward(session: Session, event: XForward) -> None:
    """Where the next message came from before, for its line in the log."""
    session.patience.junk()
    session.forwarded |= {name: value for name, value in event.attributes.items() if value}
    session.answer(OK)
