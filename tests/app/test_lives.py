from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from postillon.app.lives import Lives
from postillon.storage.store import owner_of

OTHER = """
import sys
from postillon.app.lives import Lives
lives = Lives(sys.argv[1])
lives.enter(1, int(sys.argv[2]))
print("entered", flush=True)
sys.stdin.read()
"""


def test_a_worker_lives_until_it_is_killed(tmp_path: Path):
    owner, later, lives = owner_of(1, 5), owner_of(1, 6), Lives(str(tmp_path))
    assert not lives(owner)
    words = [sys.executable, "-c", OTHER, str(tmp_path), str(owner)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"entered\n"
        assert lives(owner)
        assert not lives(later)
        other.kill()
        other.wait()
        assert not lives(owner)
    lives.enter(1, later)
    assert Lives(str(tmp_path))(later)
    assert [path.name for path in tmp_path.iterdir()] == ["alive.1.6"]
