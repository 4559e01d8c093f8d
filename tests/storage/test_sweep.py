"""A body in the blob store whose commit never came is found and removed; no other."""

from __future__ import annotations

import os
from pathlib import Path

from postillon.model.account import Principal
from postillon.model.ids import BlobId
from postillon.storage.blobs.files import FileBlobs
from postillon.storage.blobs.sweep import AT_ONCE, GRACE_S, SPOOL_EVERY_S, SPOOL_GRACE_S, SpoolSweep, Sweep
from postillon.storage.ids import first_id_at
from postillon.storage.store import AppendItem

from .conftest import Office
from .test_store import PREPARED, inbox, spooled


async def files(directory: Path) -> int:
    return sum(1 for path in directory.rglob("*") if path.is_file())


async def left(blobs: FileBlobs, tmp_path: Path, blob: int, size: int = 10) -> None:
    """As a worker that dies between the rename and the commit leaves it."""
    path = tmp_path / "spool" / str(blob)
    path.write_bytes(b"x" * size)
    await blobs.put(BlobId(blob), str(path))


async def test_what_no_row_names_goes_after_a_week(office: Office, tmp_path: Path):
    directory = tmp_path / "blobs"
    blobs = FileBlobs(str(directory))
    sweep = Sweep(office.store, blobs, str(directory), office.clock)
    for number in range(AT_ONCE + 5):
        await left(blobs, tmp_path, first_id_at(office.clock.at) + number)
    while await sweep.step():
        pass
    assert await files(directory) == AT_ONCE + 5  # too young
    office.clock.at += GRACE_S + 3600
    steps = 0
    while await sweep.step():
        steps += 1
    assert (steps, await files(directory)) == (2, 0)


async def test_bodies_of_messages_stay(office: Office, tmp_path: Path):
    directory = tmp_path / "blobs"
    box = await inbox(office)
    item = AppendItem(await spooled(office.store, b"x" * 100_000), PREPARED, flags=0, received=5, zone=60)
    await office.store.append(Principal(office.alice), office.alice, box.id, [item])
    assert await files(directory) == 1
    office.clock.at += 10 * 365 * 86400
    sweep = Sweep(office.store, FileBlobs(str(directory)), str(directory), office.clock)
    while await sweep.step():
        pass
    assert await files(directory) == 1
    rows = await office.store.emails(Principal(office.alice), office.alice, box.id, [1])
    assert len(await office.store.read_octets(office.store.octets(rows[0]), 0, 10)) == 10


async def test_it_looks_once_a_day(office: Office, tmp_path: Path):
    directory = tmp_path / "blobs"
    blobs = FileBlobs(str(directory))
    await left(blobs, tmp_path, first_id_at(office.clock.at - 2 * GRACE_S))
    sweep = Sweep(office.store, blobs, str(directory), office.clock)
    assert await sweep.step() == 1
    assert await sweep.step() == 0
    await left(blobs, tmp_path, first_id_at(office.clock.at - 2 * GRACE_S))
    assert await sweep.step() == 0
    office.clock.at += 86400
    assert await sweep.step() == 1


async def test_what_nobody_has_touched_for_hours_goes_out_of_the_spool(office: Office, tmp_path: Path):
    """A message that was refused after a filter had changed it, or whose worker died while the others went on."""
    directory = tmp_path / "spool"
    for path in directory.iterdir():
        path.unlink()
    for name, age in (("a", SPOOL_GRACE_S + 1), ("b", SPOOL_GRACE_S - 10)):
        (directory / name).write_bytes(b"x")
        os.utime(directory / name, (office.clock.at - age,) * 2)
    sweep = SpoolSweep(str(directory), office.clock)
    assert await sweep.step() == 1 and [path.name for path in directory.iterdir()] == ["b"]
    office.clock.at += SPOOL_EVERY_S - 1
    assert await sweep.step() == 0
    office.clock.at += 1
    assert await sweep.step() == 1 and not list(directory.iterdir())
