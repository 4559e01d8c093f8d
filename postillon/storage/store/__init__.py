"""The store: mail, queue, directory rows and locks as transactions over any `Database`."""

from .emails import CopyResult, FlagResult
from .filing import AppendItem
from .store import Rope, Store, owner_of

__all__ = ["AppendItem", "CopyResult", "FlagResult", "Rope", "Store", "owner_of"]
