"""What the servers ask of the mail path in a dialogue; `receive` and `submit` are one, and `listened` is one around them."""

from __future__ import annotations

from typing import Protocol

from ..message.incoming import Incoming
from ..model.envelope import Accepted, Client, Envelope, Recipient
from ..model.plan import Receipt


class MailPath(Protocol):
    """All raise Refusal to say no."""

    async def sender(self, client: Client, envelope: Envelope) -> None:
        """At MAIL; the envelope has no recipients yet."""
        ...

    async def recipient(self, client: Client, envelope: Envelope, recipient: Recipient | None) -> Accepted:
        """At RCPT; None is the bare `<Postmaster>`."""
        ...

    async def message(self, incoming: Incoming) -> Receipt:
        """After the message; durable when it returns."""
        ...

    async def retry(self, client: Client, option: str, node: str) -> int:
        """ETRN (RFC 1985): try at once what waits for the domain *node*, `@`: and for those below it; how many recipients."""
        ...

    def confirm(self, incoming: Incoming) -> None:
        """The client has gone on after our 250, so it has heard it: the same message again is another one (RFC 1047)."""
        ...

    async def unheard(self, incoming: Incoming) -> None:
        """The connection broke before that: the same message again is no other one."""
        ...
