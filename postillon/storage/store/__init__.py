"""The store: mail, queue, directory rows and locks as transactions over any `Database`."""

from .calls.core import Rope, owner_of
from .email_changes import CopyResult, FlagResult
from .filing import AppendItem
from .queue_orders import Chosen
from .store import Store

__all__ = ["AppendItem", "Chosen", "CopyResult", "FlagResult", "Rope", "Store", "owner_of"]
