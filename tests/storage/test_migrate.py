"""Schema steps: each runs once, in whatever order they come to exist."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from postillon.storage.db.migrate import migrate, steps
from postillon.storage.db.sqlite import SqliteDatabase


def package(folder: Path, **modules: str) -> ModuleType:
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").touch()
    for name, statement in modules.items():
        (folder / f"{name}.py").write_text(f"STATEMENTS = ({statement!r},)\n")
    found = ModuleType(folder.name)
    found.__path__ = [str(folder)]
    return found


async def test_a_step_that_came_later_than_its_number_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    database = SqliteDatabase(str(tmp_path / "mail.db"), lambda topics: None).open()
    early = package(tmp_path / "early", step_0001="CREATE TABLE one (x INT)", step_0003_third="CREATE TABLE three (x INT)")
    assert await migrate(database, 1, early) == [1, 3]
    late = package(
        tmp_path / "late",
        step_0001="CREATE TABLE one (x INT)",
        step_0002_second="CREATE TABLE two (x INT)",
        step_0003_third="CREATE TABLE three (x INT)",
    )
    assert [number for number, _ in steps(late)] == [1, 2, 3]
    assert await migrate(database, 2, late) == [2]
    assert await migrate(database, 3, late) == []
    older = package(tmp_path / "older", step_0001="CREATE TABLE one (x INT)")
    with pytest.raises(ValueError, match="at schema step 3"):
        await migrate(database, 4, older)
    await database.close()
