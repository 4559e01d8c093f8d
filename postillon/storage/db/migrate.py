"""Schema steps: numbered, forward only, each recorded in the transaction that makes it.

One process runs them before any worker starts. A step is a module `step_NNNN` or `step_NNNN_WORD` with
STATEMENTS, in the words of `dialect`.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from ...seams import Database, Tx
from . import schema as mail_schema
from .dialect import ddl


def steps(package: ModuleType) -> list[tuple[int, tuple[str, ...]]]:
    """(number, statements) of each step of *package*, in order."""
    found = []
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("step_"):
            step = importlib.import_module(f"{package.__name__}.{module.name}")
            found.append((int(module.name.split("_")[1]), step.STATEMENTS))
    return sorted(found)


async def migrate(database: Database, now: int, package: ModuleType = mail_schema) -> list[int]:
    """Run the steps that *database* lacks; returns their numbers. Raises ValueError if the data is from a newer program."""
    known = steps(package)

    def existing(tx: Tx) -> set[int]:
        tx.run(ddl(tx.dialect, "CREATE TABLE IF NOT EXISTS schema_step (step INT NOT NULL PRIMARY KEY, at INT NOT NULL)"))
        return {int(row[0]) for row in tx.all("SELECT step FROM schema_step")}

    made = await database.write(existing)
    at = max(made, default=0)
    if at > known[-1][0]:
        raise ValueError(f"the data directory is at schema step {at}, this program knows {known[-1][0]}: start a newer Postillon")
    done = []
    for number, statements in known:
        if number in made:  # steps that were made side by side may come in another order than their numbers
            continue

        def apply(tx: Tx, number: int = number, statements: tuple[str, ...] = statements) -> None:
            for statement in statements:
                tx.run(ddl(tx.dialect, statement))
            tx.run("INSERT INTO schema_step (step, at) VALUES (?, ?)", number, now)

        await database.write(apply)
        done.append(number)
    return done
