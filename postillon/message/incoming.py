"""A message on its way in, with all that is known about it: what filters examine and `flow` receives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..model.envelope import Accepted, Client, Envelope
from ..model.plan import Body


@dataclass(frozen=True, slots=True)
class Incoming:
    client: Client
    envelope: Envelope
    accepted: tuple[Accepted, ...]
    """Runs parallel to the envelope's recipients."""
    body: Body
    at: int
    """When the message was complete, epoch seconds."""

    def to(self, accepted: Sequence[Accepted]) -> Incoming:
        """The same message for *accepted* alone."""
        envelope = replace(self.envelope, recipients=tuple(one.recipient for one in accepted))
        return replace(self, envelope=envelope, accepted=tuple(accepted))
