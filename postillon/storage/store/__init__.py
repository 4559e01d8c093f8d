"""The store: mail, queue, directory rows and locks as transactions over any `Database`."""

from .calls.core import Rope, owner_of
from .emails import CopyResult, FlagResult
from .filing import AppendItem
from .queue import Chosen
from .store import Store

__all__ = ["AppendItem", "Chosen", "CopyResult", "FlagResult", "Rope", "Store", "owner_of"]
