"""What leaves our own people is looked at, too: the same checks of content, and milters, before it is signed.

Nobody's score counts here: a filter that refuses or would hold the message back is told to the account that sends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ..filters.examined import Examined
from ..filters.milter import Told
from ..filters.milters import Milters
from ..filters.words import sentence
from ..log import Log
from ..mailauth.content import Content
from ..message.edited import edited, together
from ..message.incoming import Incoming
from ..model.errors import Refusal
from ..model.verdict import NO_OPINION, Edits, Opinion
from ..seams import Filter
from . import accept
from .authenticate import body_chunks
from .complete import Completed
from .edits import Editor

log = Log("outgoing")

TIME_S = 25.0


class Outgoing:
    """*filters* examine the message as it was received, one after the other; then *milters* hear it as completed."""

    def __init__(self, *, filters: Sequence[Filter[Examined]], milters: Milters | None, editor: Editor) -> None:
        self._filters = filters
        self.milters = milters
        self._editor = editor

    async def check(self, incoming: Incoming, received: bytes, completed: Completed) -> tuple[Incoming, Completed]:
        """The message as it goes on. *received* is the header section as it came. Raises Refusal."""
        examined = Examined(incoming, received, Content(received, body_chunks(incoming.body, len(received))))
        if self._filters:
            await examined.prepare()
        edits = [edit for one in self._filters if (edit := await self._ask(one, examined))]
        if self.milters is not None:
            told = Told(completed.header, examined.octets, completed.body_start, accept.message_name(incoming))
            opinion = await self.milters.message(incoming.client, incoming.envelope, told)
            if edit := _allowed(opinion, "milter", incoming):
                edits.append(edit)
        if not edits:
            return incoming, completed
        whole = together(edits)
        changed = await self._editor.body(await self._editor.envelope(incoming, whole), received, whole)
        return changed, replace(completed, header=edited(completed.header, whole.fields))

    async def _ask(self, one: Filter[Examined], examined: Examined) -> Edits | None:
        opinion = NO_OPINION
        try:
            async with asyncio.timeout(TIME_S):
                opinion = await one.examine(examined)
        except Exception as error:  # a bug of ours or of an administrator's code: the message goes on
            log.error("filter failed", session=examined.incoming.client.session, filter=one.name, exc=error)
        return _allowed(opinion, one.name, examined.incoming)


def _allowed(opinion: Opinion, name: str, incoming: Incoming) -> Edits | None:
    """What *opinion* wants changed. Raises Refusal where it wants the message stopped."""
    if opinion.findings:
        log.info(
            "message checked",
            session=incoming.client.session,
            message=accept.message_name(incoming),
            filter=name,
            findings=",".join(one.code for one in opinion.findings),
        )
    if opinion.refusal is not None:
        raise opinion.refusal
    if opinion.quarantine:
        reasons = "; ".join(sentence(one) for one in opinion.findings) or name
        raise Refusal(f"The message is not sent: {reasons}"[:400], status="5.7.1", detail=name)
    return opinion.edits
