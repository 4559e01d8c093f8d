"""POP3 sessions over real sockets and a real store; clients are poplib and octets."""

from __future__ import annotations

import asyncio
import base64
import poplib
import ssl

import pytest

from postillon.model.account import SERVER
from postillon.model.mail import DELETED, SEEN
from postillon.net.stream import Stream, connect
from postillon.net.tls import client_context
from postillon.protocols.scram import ScramClient

from .conftest import HELLO, PASSWORD, Caller, Office, blocking, message

CLEAR = {"plaintext_on_loopback": False}


def context(office: Office) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(office.ca))


# --- logging in -----------------------------------------------------------------------------------------------------------


async def test_poplib_fetches_over_implicit_tls_and_deletes_at_quit(office: Office) -> None:
    await office.deliver(HELLO, message(2))
    port = await office.listen(implicit=True)

    def fetch() -> list[bytes]:
        box = poplib.POP3_SSL("localhost", port, context=context(office))
        assert "STLS" not in box.capa()
        box.user("alice@example.test")
        box.pass_(PASSWORD)
        assert box.stat() == (2, len(HELLO) + len(message(2)))
        assert box.list()[1] == [b"1 %d" % len(HELLO), b"2 %d" % len(message(2))]
        lines: list[bytes] = box.retr(1)[1]
        box.dele(1)
        box.quit()
        return lines

    assert b"\r\n".join(await blocking(fetch)) + b"\r\n" == HELLO
    assert await office.uids() == [2]


async def test_without_tls_nobody_logs_in_and_nothing_is_offered(office: Office) -> None:
    port = await office.listen(office.another(**CLEAR))
    caller = await Caller.dial(port)
    caller.send(b"CAPA\r\n")
    assert (await caller.line()).startswith(b"+OK")
    offered = await caller.lines()
    assert b"STLS\r\n" in offered
    assert b"USER\r\n" not in offered and not any(line.startswith(b"SASL") for line in offered)
    for command in (b"USER alice@example.test", b"AUTH PLAIN", b"AUTH SCRAM-SHA-256", b"AUTH"):
        assert await caller.ask(command) == b"-ERR Use STLS first\r\n"
    assert await caller.ask(b"PASS " + PASSWORD.encode()) == b"-ERR USER comes first\r\n"
    await caller.hang_up()


async def test_stls_then_login(office: Office) -> None:
    port = await office.listen(office.another(**CLEAR))

    def fetch() -> tuple[int, dict[str, list[str]]]:
        box = poplib.POP3("localhost", port)
        box.stls(context(office))
        capabilities = box.capa()
        box.user("alice@example.test")
        box.pass_(PASSWORD)
        count = box.stat()[0]
        box.quit()
        return count, capabilities

    count, capabilities = await blocking(fetch)
    assert count == 0
    assert "USER" in capabilities and "STLS" not in capabilities
    assert "SCRAM-SHA-256" in capabilities["SASL"]


@pytest.mark.parametrize("apart", [False, True], ids=["one segment", "two segments"])
async def test_what_follows_stls_in_clear_is_never_obeyed(office: Office, apart: bool) -> None:
    port = await office.listen()
    caller = await Caller.dial(port)
    injected = b"USER alice@example.test\r\nPASS tanstaaf\r\n"
    caller.send(b"STLS\r\n" if apart else b"STLS\r\n" + injected)
    if apart:
        assert await caller.line() == b"+OK Begin TLS\r\n"
        caller.send(injected)
    async with asyncio.timeout(10):
        rest = await caller.reader.read()
    assert not any(line.startswith((b"+OK 0", b"+OK\r")) for line in rest.splitlines(True))
    await caller.hang_up()


async def test_user_before_stls_is_forgotten_after_it(office: Office) -> None:
    port = await office.listen()
    caller = await Caller.dial(port)
    assert await caller.ask(b"USER alice@example.test") == b"+OK\r\n"
    assert (await caller.ask(b"STLS")).startswith(b"+OK")
    await caller.writer.start_tls(context(office), server_hostname="localhost")
    assert await caller.ask(b"PASS " + PASSWORD.encode()) == b"-ERR USER comes first\r\n"
    assert await caller.ask(b"STLS") == b"-ERR TLS is not available\r\n"
    await caller.hang_up()


async def test_a_wrong_password_too_often_ends_the_connection(office: Office) -> None:
    caller = await Caller.dial(await office.listen(office.another(login_attempts=3)))
    for _ in range(3):
        assert await caller.ask(b"USER alice@example.test") == b"+OK\r\n"
        assert await caller.ask(b"PASS wrong") == b"-ERR [AUTH] Authentication failed\r\n"
    assert await caller.is_closed()


async def test_pipelined_login_and_commands_are_answered_in_order(office: Office) -> None:
    await office.deliver(HELLO)
    caller = await Caller.dial(await office.listen())
    caller.send(b"USER alice@example.test\r\nPASS tanstaaf\r\nSTAT\r\nRETR 1\r\nRETR 2\r\nDELE 1\r\nQUIT\r\n")
    assert [await caller.line() for _ in range(3)] == [
        b"+OK\r\n",
        b"+OK 1 messages (%d octets)\r\n" % len(HELLO),
        b"+OK 1 %d\r\n" % len(HELLO),
    ]
    assert await caller.line() == b"+OK %d octets\r\n" % len(HELLO)
    assert b"".join(await caller.lines()) == HELLO
    assert await caller.line() == b"-ERR No such message\r\n"
    assert (await caller.line()).startswith(b"+OK")
    assert await caller.line() == b"+OK Bye\r\n"
    assert await caller.is_closed()
    assert await office.uids() == []


async def test_each_of_pipelined_retrs_is_answered_when_one_cannot_be_read(office: Office) -> None:
    await office.deliver(*(message(number, 100_000) for number in (1, 2, 3)))
    (broken,) = [blob for blob in office.folder.glob("blobs/**/*") if blob.is_file() and b"message 2\r\n" in blob.read_bytes()]
    broken.unlink()
    caller = await (await Caller.dial(await office.listen())).login()
    caller.send(b"RETR 1\r\nRETR 2\r\nRETR 3\r\nNOOP\r\n")
    assert (await caller.line()).startswith(b"+OK")
    assert b"".join(await caller.lines()) == message(1, 100_000)
    assert (await caller.line()).startswith(b"-ERR")
    assert (await caller.line()).startswith(b"+OK")
    assert b"".join(await caller.lines()) == message(3, 100_000)
    assert (await caller.line()).startswith(b"+OK")


async def test_pipelined_after_a_wrong_password_does_nothing(office: Office) -> None:
    await office.deliver(HELLO)
    caller = await Caller.dial(await office.listen())
    caller.send(b"USER alice@example.test\r\nPASS wrong\r\nDELE 1\r\nQUIT\r\n")
    assert [(await caller.line())[:4] for _ in range(4)] == [b"+OK\r", b"-ERR", b"-ERR", b"+OK "]
    assert await office.uids() == [1]


# --- the lock -------------------------------------------------------------------------------------------------------------


async def test_a_maildrop_has_one_session_over_all_workers(office: Office) -> None:
    first = await (await Caller.dial(await office.listen())).login()
    for server in (office.server, office.another(slot=1)):
        other = await Caller.dial(await office.listen(server))
        await other.ask(b"USER alice@example.test")
        assert (await other.ask(b"PASS tanstaaf")).startswith(b"-ERR [IN-USE] ")
        await other.hang_up()
    assert (await first.ask(b"QUIT")).startswith(b"+OK")
    again = await (await Caller.dial(await office.listen(office.another(slot=1)))).login()
    await again.hang_up()


async def test_the_lock_goes_with_the_connection_and_with_the_worker(office: Office) -> None:
    port = await office.listen()
    for _ in range(3):
        caller = await (await Caller.dial(port)).login()
        await caller.hang_up()
        await office.until_free()
    dead = office.another(slot=2, generation=1).store
    assert await dead.lock(f"pop3/{office.alice.id}")
    await office.another(slot=2, generation=2).store.void_former()
    await (await (await Caller.dial(port)).login()).hang_up()


async def test_a_second_login_may_follow_quit_at_once(office: Office) -> None:
    port = await office.listen()
    for _ in range(20):
        caller = await (await Caller.dial(port)).login()
        assert await caller.ask(b"QUIT") == b"+OK Bye\r\n"


# --- messages -------------------------------------------------------------------------------------------------------------


async def test_a_message_expunged_meanwhile_is_refused_and_never_another(office: Office) -> None:
    await office.deliver(*(message(n) for n in range(1, 6)))
    caller = await (await Caller.dial(await office.listen())).login()
    caller.send(b"RETR 1\r\n")
    assert (await caller.line()).startswith(b"+OK")
    await caller.lines()  # the rows behind it have been read ahead by now
    await office.store.store_flags(SERVER, office.alice.id, office.inbox, [2, 3], "add", DELETED)
    await office.store.expunge(SERVER, office.alice.id, office.inbox, None)
    await office.deliver(message(6))
    gone = b"-ERR Message has been removed meanwhile\r\n"
    assert await caller.ask(b"RETR 2") == gone
    assert await caller.ask(b"TOP 3 0") == gone
    caller.send(b"RETR 1\r\nRETR 2\r\nRETR 4\r\nRETR 3\r\nRETR 5\r\nSTAT\r\n")
    for number in (1, 2, 4, 3, 5):
        said = await caller.line()
        if number in (2, 3):
            assert said == gone
        else:
            assert said.startswith(b"+OK")
            assert b"".join(await caller.lines()) == message(number)
    assert (await caller.line()).startswith(b"+OK 5 ")
    assert await caller.ask(b"RETR 6") == b"-ERR No such message\r\n"
    for number in (2, 4):
        assert (await caller.ask(b"DELE %d" % number)).startswith(b"+OK")
    assert await caller.ask(b"QUIT") == b"+OK Bye\r\n"
    assert await office.uids() == [1, 5, 6]


async def test_unique_ids_are_the_same_in_every_session(office: Office) -> None:
    await office.deliver(message(1), message(2), message(3))
    port = await office.listen()
    seen: list[dict[bytes, bytes]] = []
    for _ in range(2):
        caller = await (await Caller.dial(port)).login()
        assert (await caller.ask(b"UIDL")).startswith(b"+OK")
        rows = [line.split() for line in await caller.lines()]
        seen.append({unique: number for number, unique in rows})
        assert (await caller.ask(b"UIDL 2")).split()[1:] == rows[1]
        assert all(len(unique) <= 70 and unique.isascii() for _, unique in rows)
        await caller.ask(b"DELE 1")
        await caller.ask(b"QUIT")
    assert list(seen[1]) == list(seen[0])[1:]
    assert list(seen[1].values()) == [b"1", b"2"]


async def test_without_quit_nothing_is_removed(office: Office) -> None:
    await office.deliver(message(1))
    port = await office.listen()
    caller = await (await Caller.dial(port)).login()
    assert (await caller.ask(b"DELE 1")).startswith(b"+OK")
    await caller.hang_up()
    await office.until_free()
    assert await office.uids() == [1]


async def test_a_large_message_comes_through_octet_by_octet(office: Office) -> None:
    lines = [b"%d." % n + b"." * (n % 80) for n in range(150_000)]
    large = b"Subject: large\r\n\r\n" + b"\r\n".join([b"." * (n % 4) + line for n, line in enumerate(lines)]) + b"\r\n"
    await office.deliver(large, message(2))
    caller = await (await Caller.dial(await office.listen())).login()
    caller.send(b"RETR 1\r\nRETR 2\r\nTOP 1 2\r\n")
    assert await caller.line() == b"+OK %d octets\r\n" % len(large)
    assert b"".join(await caller.lines()) == large
    await caller.line()
    assert b"".join(await caller.lines()) == message(2)
    await caller.line()
    assert b"".join(await caller.lines()) == b"Subject: large\r\n\r\n0.\r\n.1..\r\n"
    await caller.hang_up()


async def test_a_reader_that_does_not_read_costs_no_memory(office: Office) -> None:
    await office.deliver(message(1, 8 << 20))
    caller = await (await Caller.dial(await office.listen())).login()
    caller.send(b"RETR 1\r\n" * 40)
    (stream,) = office.listeners[0]._connections.values()
    assert stream is not None and stream._transport is not None
    for _ in range(50):
        await asyncio.sleep(0.01)
        assert stream._transport.get_write_buffer_size() < 2 << 20
    caller.writer.transport.abort()


async def test_octets_beyond_ascii_and_odd_ends_come_through(office: Office) -> None:
    odd = [
        "Subject: Grüße\r\n\r\nnaïve ☃\r\n".encode(),
        b"Subject: no end\r\n\r\nlast line",
        b"Subject: only a header\r\n",
        b"\r\nonly a body\r\n",
        b"Subject: bytes\r\n\r\n" + bytes(set(range(256)) - {10, 13}) + b"\r\n",
    ]
    await office.deliver(*odd)
    caller = await (await Caller.dial(await office.listen())).login()
    for number, octets in enumerate(odd, 1):
        assert await caller.ask(b"RETR %d" % number) == b"+OK %d octets\r\n" % len(octets)
        assert b"".join(await caller.lines()) == (octets if octets.endswith(b"\r\n") else octets + b"\r\n")
    await caller.hang_up()


async def test_many_messages_are_listed_and_removed(office: Office) -> None:
    for _ in range(9):
        await office.deliver(*[message(1)] * 500)
    caller = await (await Caller.dial(await office.listen())).login()
    for command in (b"LIST", b"UIDL"):
        assert await caller.ask(command) == b"+OK 4500 messages\r\n"
        assert len(await caller.lines()) == 4500
    caller.send(b"".join(b"DELE %d\r\n" % n for n in range(1, 4500)))
    for _ in range(4499):
        assert (await caller.line()).startswith(b"+OK")
    assert await caller.ask(b"STAT") == b"+OK 1 %d\r\n" % len(message(1))
    assert await caller.ask(b"QUIT") == b"+OK Bye\r\n"
    assert await office.uids() == [4500]


async def test_reading_changes_no_flags(office: Office) -> None:
    await office.deliver(message(1))
    caller = await (await Caller.dial(await office.listen())).login()
    await caller.ask(b"RETR 1")
    await caller.lines()
    await caller.ask(b"QUIT")
    ((_, flags, _),) = await office.store.snapshot(SERVER, office.alice.id, office.inbox, 0)
    assert not flags & SEEN


# --- how a session ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["suspend", "remove_account"])
async def test_an_account_that_is_closed_loses_its_session_at_once(office: Office, how: str) -> None:
    await office.deliver(message(1))
    caller = await (await Caller.dial(await office.listen())).login()
    assert (await caller.ask(b"DELE 1")).startswith(b"+OK")
    await getattr(office.directory, how)("alice@example.test")
    assert await caller.line() == b"-ERR [AUTH] The account is closed\r\n"
    assert await caller.is_closed()
    if how == "suspend":
        assert await office.uids() == [1]


async def test_mail_that_arrives_does_not_disturb_the_session(office: Office) -> None:
    caller = await (await Caller.dial(await office.listen())).login()
    await office.deliver(message(1))
    await office.deliver(message(2))
    assert await caller.ask(b"STAT") == b"+OK 0 0\r\n"
    await caller.hang_up()


async def test_silence_ends_the_session_without_a_word_and_removes_nothing(office: Office) -> None:
    await office.deliver(message(1))
    port = await office.listen(office.another(login_timeout_s=0.1, idle_timeout_s=0.3))
    caller = await Caller.dial(port)
    assert await caller.is_closed()
    caller = await (await Caller.dial(port)).login()
    assert (await caller.ask(b"DELE 1")).startswith(b"+OK")
    assert await caller.is_closed()
    assert await office.uids() == [1]


async def test_drops_of_octets_do_not_keep_a_stranger_connected(office: Office) -> None:
    caller = await Caller.dial(await office.listen(office.another(login_total_s=0.4)))

    async def drip() -> None:
        while True:
            caller.send(b"x")
            await asyncio.sleep(0.02)

    dripping = asyncio.ensure_future(drip())
    async with asyncio.timeout(5):
        assert await caller.is_closed()
    dripping.cancel()
    await caller.hang_up()


async def test_a_server_that_stops_says_so_and_gives_the_lock_back(office: Office) -> None:
    port = await office.listen()
    inside = await (await Caller.dial(port)).login()
    outside = await Caller.dial(port)
    await office.listeners[0].close(grace_s=3)
    for caller in (inside, outside):
        assert (await caller.line()).startswith(b"-ERR [SYS/TEMP] ")
        assert await caller.is_closed()
    assert await office.store.lock(f"pop3/{office.alice.id}")


async def test_a_store_that_cannot_answers_temporarily_and_the_connection_lives(office: Office) -> None:
    await office.deliver(message(1))
    caller = await (await Caller.dial(await office.listen())).login()
    await office.database.write(lambda tx: tx.run("UPDATE blob SET place = 1, body = NULL"))
    assert (await caller.ask(b"RETR 1")).startswith(b"-ERR [SYS/TEMP] ")
    assert await caller.ask(b"NOOP") == b"+OK\r\n"
    await caller.hang_up()


async def test_two_sessions_never_see_each_other(office: Office) -> None:
    await office.directory.create_account("bob@example.test", PASSWORD)
    await office.deliver(message(1))
    port = await office.listen()
    alice = await (await Caller.dial(port)).login()
    bob = await Caller.dial(port)
    bob.send(b"USER bob@example.test\r\nPASS tanstaaf\r\nLIST\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
    assert [await bob.line() for _ in range(4)] == [b"+OK\r\n", b"+OK 0 messages (0 octets)\r\n", b"+OK 0 messages\r\n", b".\r\n"]
    assert [(await bob.line())[:4] for _ in range(3)] == [b"-ERR", b"-ERR", b"+OK "]
    assert (await alice.ask(b"STAT")).startswith(b"+OK 1 ")
    await alice.hang_up()


# --- SASL over the wire ---------------------------------------------------------------------------------------------------


class Wire:
    """A client over our own `Stream`, which knows its channel binding."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.buffer = b""

    async def line(self) -> bytes:
        while b"\n" not in self.buffer:
            data = await self.stream.receive(timeout_s=10)
            assert data, "the server closed"
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    async def scram(self, client: ScramClient, break_at: int = -1) -> bytes:
        """Log in; the server's last line. Hangs up instead of sending response number *break_at*."""
        initial = base64.b64encode(client.initial())
        self.stream.write(b"AUTH " + client.mechanism.encode() + b" " + initial + b"\r\n")
        step = 0
        while (said := await self.line()).startswith(b"+ "):
            if step == break_at:
                self.stream.abort()
                return b""
            step += 1
            self.stream.write(base64.b64encode(client.respond(base64.b64decode(said[2:]))) + b"\r\n")
        return said


async def dial(office: Office) -> Wire:
    """Connected over STLS."""
    wire = Wire(await connect("127.0.0.1", await office.listen(), timeout_s=5))
    await wire.line()
    wire.stream.write(b"STLS\r\n")
    await wire.line()
    context = client_context(verify=True, ca_file=str(office.ca))
    await wire.stream.start_tls(context, server_side=False, server_hostname="localhost")
    return wire


NAME = "alice@example.test"


async def test_scram_binds_to_the_tls_connection(office: Office) -> None:
    wire = await dial(office)
    wire.stream.write(b"CAPA\r\n")
    capabilities = [await wire.line()]
    while capabilities[-1] != b".\r\n":
        capabilities.append(await wire.line())
    binding = wire.stream.channel_binding("tls-exporter")
    if binding is None:
        assert not any(b"-PLUS" in line for line in capabilities), "offered and not to be had"
        return
    assert any(b"SCRAM-SHA-256-PLUS" in line for line in capabilities)
    for mechanism in ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"):
        wire = await dial(office)
        binding = wire.stream.channel_binding("tls-exporter")
        assert binding is not None
        forged = ScramClient(mechanism, NAME, PASSWORD, b"nonce", binding=("tls-exporter", bytes(32)))
        assert (await wire.scram(forged)).startswith(b"-ERR ")
        downgraded = ScramClient("SCRAM-SHA-256", NAME, PASSWORD, b"nonce", flag=b"y")
        assert b"does support channel binding" in await wire.scram(downgraded)
        client = ScramClient(mechanism, NAME, PASSWORD, b"nonce", binding=("tls-exporter", binding))
        assert (await wire.scram(client)).startswith(b"+OK 0 messages")
        assert client.is_complete
        wire.stream.abort()
        await office.until_free()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
async def test_scram_logs_in_and_refuses_over_the_wire(office: Office, mechanism: str) -> None:
    wire = await dial(office)
    for name, password in ((NAME, "wrong"), ("nobody@example.test", PASSWORD)):
        said = await wire.scram(ScramClient(mechanism, name, password, b"nonce"))
        assert said == b"-ERR [AUTH] Authentication failed\r\n"
    assert (await wire.scram(ScramClient(mechanism, NAME, PASSWORD, b"nonce"))).startswith(b"+OK")
    wire.stream.abort()


async def test_a_login_broken_off_at_any_step_leaves_nothing(office: Office) -> None:
    for break_at in (0, 1):
        wire = await dial(office)
        assert await wire.scram(ScramClient("SCRAM-SHA-256", NAME, PASSWORD, b"nonce"), break_at) == b""
    port = await office.listen()
    whole = b"USER alice@example.test\r\nPASS tanstaaf\r\n"
    for cut in range(0, len(whole) - 1, 3):
        caller = await Caller.dial(port)
        caller.send(whole[:cut])
        caller.writer.transport.abort()
    await (await (await Caller.dial(port)).login()).hang_up()
