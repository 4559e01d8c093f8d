"""Octets on their way in."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from postillon.model.errors import Unavailable
from postillon.model.ids import BlobId
from postillon.storage.spool import INLINE_LIMIT, Spool


def test_without_a_descriptor_for_its_file_a_large_message_is_refused_for_now(tmp_path: Path):
    spool = Spool(str(tmp_path), BlobId(1), 10**7)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        with pytest.raises(Unavailable):
            spool.write(b"x" * (INLINE_LIMIT + 1))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    spool.discard()
    assert os.listdir(tmp_path) == []
