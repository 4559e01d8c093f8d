"""The store: every question about mail, asked with a `Principal`, answered from one `Database`.

One concrete class, not a seam; its methods are in `calls`, by kind. Each method is one or a few transactions; what they do is in
the modules beside this one, as plain functions over a transaction. What a method changed is durable when it returns.
"""

from __future__ import annotations

from .calls.changing import Changing
from .calls.queueing import Queueing
from .calls.upkeep import Upkeep


class Store(Changing, Queueing, Upkeep):
    """All of it; see the bases for the methods."""
