"""A private PostgreSQL server: the other kind of `Database`. Runs as the user `postgres` where the tests run as root."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .processes import open_to_servers, run, start_daemon


def programs() -> Path | None:
    """Where initdb and pg_ctl are (Debian keeps them out of the PATH), newest version first; None if not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]), reverse=True)
    return found[0].parent if found else None


@dataclass
class Postgresql:
    """Start with `start`, end with `stop`; connect with `conninfo` and a dbname."""

    directory: Path
    port: int

    @property
    def conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postillon"

    def start(self) -> Postgresql:
        self.directory.mkdir(parents=True, exist_ok=True)
        open_to_servers(self.directory)
        if os.geteuid() == 0:
            run(["chown", "postgres", str(self.directory)])
        found = self._run("initdb", "-D", str(self.directory / "data"), "-A", "trust", "-U", "postillon", "-E", "UTF8")
        if found:
            raise RuntimeError(f"initdb fails: {found}")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.directory} -c max_connections=200"
        arguments = self._arguments(
            "pg_ctl", "-D", str(self.directory / "data"), "-o", options, "-l", str(self.directory / "log"), "-w", "start"
        )
        start_daemon(arguments, self.directory.parent / f"{self.directory.name}.output", cwd="/")
        return self

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-m", "immediate", "stop")

    def _arguments(self, program: str, *arguments: str) -> list[str]:
        folder = programs()
        assert folder is not None, "PostgreSQL is not installed"
        command = [str(folder / program), *arguments]
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command] if os.geteuid() == 0 else command

    def _run(self, program: str, *arguments: str) -> str:
        found = run(self._arguments(program, *arguments), cwd="/")
        return "" if found.returncode == 0 else found.stderr + found.stdout
