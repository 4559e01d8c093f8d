"""The store's tests' office serves here too."""

from ..storage.conftest import office as office
