from __future__ import annotations

from postillon.model.ids import BlobId
from postillon.storage.recent import Recent


def test_the_oldest_go_when_there_is_no_room():
    recent = Recent(room=10)
    for n in range(4):
        recent.keep(BlobId(n), b"%d" % n * 4)
    assert [recent.get(BlobId(n)) for n in range(4)] == [None, None, b"2222", b"3333"]
    recent.keep(BlobId(9), b"x" * 11)
    assert recent.get(BlobId(9)) is None and recent.size == 8
