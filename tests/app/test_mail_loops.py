"""Servers that hand mail on to each other in a circle stop, and its sender learns why."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from .running import Dev, free_base

pytestmark = pytest.mark.real

RING = 3


def test_a_ring_of_forwarding_servers_ends_with_one_report(tmp_path: Path):
    bases = [free_base() for _ in range(RING)]
    with contextlib.ExitStack() as running:
        ring = []
        for number, base in enumerate(bases):
            following = (number + 1) % RING
            options = ["--domain", f"s{number}.test", "--account", f"alice@s{number}.test:secret secret", "--workers", "1"]
            options += ["--route", f"s{following}.test=127.0.0.1:{bases[following] + 25}", "--retry", "1", "-v"]
            # The report may go to the first server by the second one's route only; so the others know the way, too.
            options += [
                word
                for other in range(RING)
                if other not in (number, following)
                for word in ("--route", f"s{other}.test=127.0.0.1:{bases[other] + 25}")
            ]
            server = Dev(tmp_path / str(number), *options, base=base)
            running.callback(server.kill)
            ring.append(server)
        for number, server in enumerate(ring):
            done = server.command("alias", "add", f"loop@s{number}.test", f"loop@s{(number + 1) % RING}.test")
            assert done.returncode == 0, done.stderr
        ring[0].send("alice@s0.test", "loop@s0.test", "round and round")
        deadline = time.monotonic() + 90
        while True:
            found = ring[0].subjects("alice@s0.test")
            if found:
                break
            assert time.monotonic() < deadline, [server.log()[-1500:] for server in ring]
            time.sleep(0.2)
        handed_on = sum(server.log().count("result=delivered") for server in ring)
        assert handed_on <= 55, "each time one more Received field, and the way of the report"
        assert all(server.command("queue", "list", "--json").stdout.strip() == "[]" for server in ring)
        assert len(ring[0].subjects("alice@s0.test")) == 1
        assert "5.4.6" in "".join(server.log() for server in ring)
