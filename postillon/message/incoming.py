"""A message on its way in, with all that is known about it: what filters examine and `flow` receives."""

from __future__ import annotations

from dataclasses import dataclass

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
