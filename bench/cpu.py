"""CPU time of a server: its process tree, the dead included."""

from __future__ import annotations

import os
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def descendants(root: int) -> list[int]:
    """*root* and all below it."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (stat := _stat(int(name))) is not None:
            children.setdefault(int(stat[1]), []).append(int(name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(*roots: int) -> float:
    """User and system time of the trees under *roots*, with that of children that have ended and were waited for."""
    ticks = 0
    for root in roots:
        for pid in descendants(root):
            if (stat := _stat(pid)) is not None:
                ticks += sum(map(int, stat[11:15]))
    return ticks / TICK


def memory_octets(*roots: int) -> int:
    """Proportional set size of the trees under *roots*."""
    total = 0
    for root in roots:
        for pid in descendants(root):
            try:
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return total
