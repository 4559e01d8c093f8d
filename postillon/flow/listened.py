"""A mail path to which milters listen: what it accepts in the dialogue they hear, and may refuse. See `filters.milters`."""

from __future__ import annotations

from ..filters.milters import Milters
from ..model.envelope import Accepted, Client, Envelope, Recipient
from ..model.errors import Refusal
from .mail_path import MailPath


class Listened:
    """*path*, with the milters asked after it. What becomes of the message itself *path* asks them."""

    def __init__(self, path: MailPath, milters: Milters) -> None:
        self._path = path
        self._milters = milters
        self.confirm = path.confirm
        self.unheard = path.unheard
        self.message = path.message
        self.retry = path.retry

    async def sender(self, client: Client, envelope: Envelope) -> None:
        """At MAIL. Raises Refusal."""
        await self._path.sender(client, envelope)
        await self._milters.sender(client, envelope)

    async def recipient(self, client: Client, envelope: Envelope, recipient: Recipient | None) -> Accepted:
        """At RCPT. Raises Refusal, ours or a milter's."""
        try:
            accepted = await self._path.recipient(client, envelope, recipient)
        except Refusal as refusal:
            if recipient is not None:
                await self._milters.recipient(client, recipient, refusal)
            raise
        await self._milters.recipient(client, accepted.recipient)
        return accepted


def listened(path: MailPath, milters: Milters | None) -> MailPath:
    """*path*, with *milters* listening if there are any."""
    return path if milters is None else Listened(path, milters)
