"""The supervisor over trivial workers: replacing, queueing, killing what hangs, and a quick end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.real
SERVER = str(Path(__file__).with_name("trivial_server.py"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    def __init__(self, data: Path, workers: int = 2, port: int | None = None) -> None:
        self.port = port or free_port()
        root = str(Path(__file__).resolve().parents[2])
        self.process = subprocess.Popen(
            [sys.executable, SERVER, str(data), str(self.port), str(workers)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": root},
            text=True,
        )

    def started(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        told: dict[str, object] = json.loads(line)
        return told

    def ask(self, what: str = "") -> tuple[int, int, int, int]:
        """(slot, generation, pid, instance) of whoever answers."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            file = sock.makefile("r")
            slot, generation, pid, instance = map(int, file.readline().split())
            sock.sendall(what.encode() + b"\n")
            file.readline()
            return slot, generation, pid, instance

    def end(self) -> tuple[int, float]:
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(10)
        return status, time.monotonic() - began


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    running.started()
    yield running
    running.process.kill()
    running.process.communicate()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path(f"/proc/{pid}/stat").read_text().split(") ")[1].startswith("Z")


def wait_for(condition, limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_connections_are_spread_over_all_workers(server: Server):
    assert {server.ask()[0] for _ in range(60)} == {0, 1}


def test_what_the_preparing_child_tells_is_announced(tmp_path: Path):
    server = Server(tmp_path)
    assert server.started()["prepared"] == 0
    assert server.end()[0] == 0


def test_while_a_worker_is_replaced_every_connection_is_answered(server: Server):
    victim = server.ask()
    os.kill(victim[2], signal.SIGKILL)
    answers = [server.ask() for _ in range(60)]
    replaced = [answer for answer in answers if answer[0] == victim[0]]
    assert {answer[0] for answer in answers} == {0, 1}
    assert {answer[1] for answer in replaced} == {1}
    assert {answer[1] for answer in answers if answer[0] != victim[0]} == {0}


def test_no_two_workers_ever_have_the_same_instance(server: Server):
    before = {answer[0]: answer for answer in (server.ask() for _ in range(40))}
    os.kill(before[0][2], signal.SIGKILL)
    successor = next(answer for answer in iter(server.ask, None) if answer[0] == 0)
    assert len({before[0][3], before[1][3], successor[3]}) == 3


def test_a_worker_that_hangs_is_killed_and_replaced(server: Server):
    victim = server.ask()[2]
    asked_at = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        pid = int(sock.makefile("r").readline().split()[2])
        sock.sendall(b"hang\n")
        wait_for(lambda: not alive(pid))
    assert time.monotonic() - asked_at < 8
    assert victim is not None


def test_a_worker_that_keeps_the_write_lock_is_killed(server: Server):
    pid = server.ask("lock")[2]
    wait_for(lambda: not alive(pid))


def test_sigterm_ends_everything_within_five_seconds(server: Server):
    pids = {server.ask()[2] for _ in range(40)}
    status, took = server.end()
    assert status == 0
    assert took < 5
    assert not any(alive(pid) for pid in pids)


def test_workers_die_with_their_supervisor(server: Server):
    pids = {server.ask()[2] for _ in range(40)}
    server.process.kill()
    wait_for(lambda: not any(alive(pid) for pid in pids))


def test_after_kill_9_the_same_data_and_port_serve_again(tmp_path: Path):
    first = Server(tmp_path)
    first.started()
    first.process.kill()
    second = Server(tmp_path, port=first.port)
    assert second.started()["prepared"] == 0
    assert second.end()[0] == 0


def test_a_second_server_on_the_same_data_is_refused(server: Server, tmp_path: Path):
    second = Server(tmp_path)
    _, errors = second.process.communicate(timeout=20)
    assert second.process.returncode != 0
    assert "serves" in errors


def test_a_port_in_use_is_told(server: Server, tmp_path: Path):
    second = Server(tmp_path / "other", port=server.port)
    _, errors = second.process.communicate(timeout=20)
    assert second.process.returncode != 0
    assert f"127.0.0.1:{server.port} is in use" in errors


def test_when_preparing_fails_nothing_is_served(tmp_path: Path):
    (tmp_path / "broken").touch()
    server = Server(tmp_path)
    out, errors = server.process.communicate(timeout=20)
    assert (out, server.process.returncode != 0) == ("", True)
    assert "newer program" in errors


def test_workers_that_cannot_start_end_the_server(tmp_path: Path):
    (tmp_path / "sick").touch()
    server = Server(tmp_path)
    server.process.communicate(timeout=20)
    assert server.process.returncode == 1
