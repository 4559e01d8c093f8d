"""What the supervisor binds."""

import socket

import pytest

from postillon.supervisor.sockets import BindError, bind, free, resolve


def free_port() -> int:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_wildcard_is_both_families_and_each_slot_has_its_own_socket():
    port = free_port()
    bound = bind([("smtp", "*", port)], slots=3)
    try:
        assert [len(entry.sockets) for entry in bound] == [3, 3]
        assert {sock.family for entry in bound for sock in entry.sockets} == {socket.AF_INET, socket.AF_INET6}
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, port), timeout=5).close()
    finally:
        for entry in bound:
            for sock in entry.sockets:
                sock.close()


def test_a_port_that_another_program_has_is_told_even_if_it_would_share():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BindError, match=f"imap: 127.0.0.1:{port} is in use"):
            bind([("imap", "127.0.0.1", port)], slots=1, patience_s=0)
        assert len(free([("imap", "127.0.0.1", port), ("pop3", "127.0.0.1", 0)])) == 1


@pytest.mark.parametrize("name", ["example.org", "", "1.2.3", "127.0.0.1/8"])
def test_names_are_not_looked_up(name: str):
    with pytest.raises(BindError):
        resolve(name)
