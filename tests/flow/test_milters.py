"""Milters over the wire: what they hear at MX and at submission, and what becomes of what they want."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from postillon.filters.milter import MilterSettings, Told
from postillon.filters.milters import Milters
from postillon.filters.outside import WhenDown
from postillon.flow.edits import Editor
from postillon.flow.judgement import Judge, JudgeSettings
from postillon.flow.listened import listened
from postillon.flow.outgoing import Outgoing
from postillon.flow.receive import Receiver
from postillon.flow.submit import Submitter
from postillon.message.incoming import Incoming
from postillon.model.address import Address
from postillon.model.envelope import Client, Envelope, Recipient, Tls
from postillon.model.errors import Refusal
from postillon.model.plan import Receipt
from postillon.model.record import Stage
from postillon.net.service import ServiceAddress
from postillon.storage.ids import IdSource
from tests.kinds import TableResolver

from ..peers.milter import CONTINUE, Heard, Milter, Packet, Script, index
from .conftest import SETTINGS, STRANGER, Office

TEXT = b"From: Joe <joe@sender.test>\r\nSubject: Hello\r\nX-Gone: 1\r\nX-Gone: 2\r\n\r\nFirst line.\r\nSecond.\r\n"


def quiet(heard: Heard, command: bytes, data: bytes) -> Iterable[Packet]:
    return CONTINUE


def saying(when: bytes, *answers: Packet) -> Script:
    """Answers to one command, and goes on at all others."""
    return lambda heard, command, data: list(answers) if command == when else CONTINUE


def settings(*milters: Milter, **more: object) -> list[MilterSettings]:
    return [
        MilterSettings(f"m{number}", ServiceAddress.parse(one.address), **more)  # type: ignore[arg-type]
        for number, one in enumerate(milters)
    ]


class Journey:
    """An SMTP session by hand: the dialogue through the milters, then the message."""

    def __init__(self, office: Office, wanted: list[MilterSettings], *, submits: bool = False, seconds: float = 5) -> None:
        service = "submission" if submits else "smtp"
        self.office = office
        self.milters = Milters(wanted, hostname="mail.example.test", version="1", service=service, seconds=seconds)
        self.client = replace(office.client, mechanism="PLAIN") if submits else STRANGER
        self.path = listened(self._submitter() if submits else self._receiver(), self.milters)

    def _receiver(self) -> Receiver:
        judge = Judge(
            authenticator=None,
            hostname="mail.example.test",
            filters=[self.milters],
            settings=JudgeSettings(times={"milter": 20}),
        )
        return Receiver(
            store=self.office.store,
            directory=self.office.directory,
            resolver=TableResolver({}),  # type: ignore[arg-type]
            deliverer=self.office.deliverer,
            clock=self.office.clock,
            settings=SETTINGS,
            judge=judge,
        )

    def _submitter(self) -> Submitter:
        editor = Editor(store=self.office.store, directory=self.office.directory, settings=SETTINGS)
        return Submitter(
            store=self.office.store,
            directory=self.office.directory,
            deliverer=self.office.deliverer,
            clock=self.office.clock,
            ids=IdSource(),
            settings=SETTINGS,
            outgoing=Outgoing(filters=(), milters=self.milters, editor=editor),
        )

    async def send(
        self, *recipients: str, text: bytes = TEXT, sender: str = "joe@sender.test", client: Client | None = None
    ) -> tuple[Receipt, list[Refusal]]:
        """The receipt, and what was refused at RCPT."""
        client = client or self.client
        envelope = Envelope(Address.parse(sender), size=len(text))
        await self.path.sender(client, envelope)
        accepted, refused = [], []
        for name in recipients:
            try:
                accepted.append(await self.path.recipient(client, envelope, Recipient(Address.parse(name))))
            except Refusal as refusal:
                refused.append(refusal)
        spool = self.office.store.spool(10**8)
        spool.write(text)
        envelope = replace(envelope, recipients=tuple(one.recipient for one in accepted))
        body = await spool.finish()
        incoming = Incoming(client, envelope, tuple(accepted), body, self.office.clock.now())
        return await self.path.message(incoming), refused


@asynccontextmanager
async def journey(office: Office, *milters: Milter, submits: bool = False, **more: object) -> AsyncIterator[Journey]:
    made = Journey(office, settings(*milters, **more), submits=submits)
    yield made
    made.milters.ended(made.client)


ALICE, BOB = "alice@example.test", "bob@example.test"


async def test_a_milter_hears_the_dialogue_in_order_with_its_macros(office: Office) -> None:
    with Milter(quiet) as milter:
        async with journey(office, milter) as one:
            client = replace(
                STRANGER,
                port=4711,
                tls=Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256),
                reverse_name="peer.test",
                local_address="192.0.2.1",
            )
            await one.send(ALICE, BOB, client=client)
        heard = milter.connections[0]
        assert milter.offered == (6, 0x1FF, 0x1FFFFF)
        assert await asyncio.to_thread(heard.quit.wait, 10)
        assert heard.commands == "ODCDHDMDRDRDTLLLLDNBDEQ"
        said = {command: data for command, data in heard.packets if command in b"CHM"}
        assert said == {b"C": b"peer.test\x004\x12\x67192.0.2.7\0", b"H": b"peer.test\0", b"M": b"<joe@sender.test>\0SIZE=91\0"}
        assert heard.recipients == [ALICE, BOB]
        assert heard.headers == [
            (b"From", b"Joe <joe@sender.test>"),
            (b"Subject", b"Hello"),
            (b"X-Gone", b"1"),
            (b"X-Gone", b"2"),
        ]
        assert heard.body == b"First line.\r\nSecond.\r\n"
        assert heard.macros[b"C"] == {
            "j": "mail.example.test", "{daemon_name}": "smtp", "{daemon_addr}": "192.0.2.1", "v": "Postillon 1",
            "_": "peer.test [192.0.2.7]", "{client_addr}": "192.0.2.7", "{client_name}": "peer.test", "{client_port}": "4711",
            "{client_ptr}": "peer.test",
        }  # fmt: skip
        assert heard.macros[b"H"] == {"{tls_version}": "TLSv1.3", "{cipher}": "TLS_AES_256_GCM_SHA384", "{cipher_bits}": "256"}
        assert heard.macros[b"M"] == {"{mail_addr}": "joe@sender.test", "{mail_host}": "sender.test", "{mail_mailer}": "smtp"}
        assert heard.macros[b"R"] == {"{rcpt_addr}": BOB, "{rcpt_host}": "example.test", "{rcpt_mailer}": "smtp"}
        assert heard.macros[b"E"]["i"]


async def test_a_milter_refuses_one_of_three_recipients(office: Office) -> None:
    await office.directory.create_account("carol@example.test", "secret")

    def script(heard: Heard, command: bytes, data: bytes) -> Iterable[Packet]:
        return [(b"y", b"550 5.7.1 Not for Bob\0")] if command == b"R" and b"bob" in data else CONTINUE

    with Milter(script) as milter:
        async with journey(office, milter) as one:
            receipt, refused = await one.send(ALICE, BOB, "carol@example.test")
    assert [(one.code, one.status, one.text) for one in refused] == [(550, "5.7.1", "Not for Bob")]
    assert len(receipt.filed) == 2 and not await office.mail(office.bob)


async def test_a_milter_hears_of_recipients_that_we_refuse_if_it_wants_to(office: Office) -> None:
    for steps, count in ((0, 1), (0x800, 2)):
        with Milter(quiet, steps=steps) as milter:
            async with journey(office, milter) as one:
                _, refused = await one.send(ALICE, "nobody@example.test")
            assert [one.status for one in refused] == ["5.1.1"]
            assert len(milter.connections[0].recipients) == count
    assert milter.connections[0].macros[b"R"]["{rcpt_mailer}"] == "error"
    assert milter.connections[0].macros[b"R"]["{rcpt_host}"] == "5.1.1"


async def test_a_milter_changes_header_body_sender_and_recipients(office: Office) -> None:
    changes = [
        (b"h", b"X-Added\0at the end\0"),
        (b"i", index(0, b"X-Top", b"first")),
        (b"i", index(2, b"X-Second", b"folded\n\tvalue")),
        (b"m", index(1, b"Subject", b"[checked] Hello")),
        (b"m", index(2, b"X-Gone", b"")),
        (b"m", index(1, b"X-New", b"was not there")),
        (b"e", b"<new@sender.test>\0"),
        (b"+", b"<bob@example.test>\0"),
        (b"2", b"<nobody@example.test>\0NOTIFY=NEVER\0"),
        (b"-", b"<alice@example.test>\0"),
        (b"b", b"A new body\n"),
        (b"p", b""),
        (b"b", b"in two pieces."),
        (b"c", b""),
    ]
    with Milter(saying(b"E", *changes)) as milter:
        async with journey(office, milter) as one:
            receipt, _ = await one.send(ALICE)
    assert [filed.account for filed in receipt.filed] == [office.bob]
    message = (await office.mail(office.bob))[0]
    assert message.startswith(b"Return-Path: <new@sender.test>\r\nReceived: from peer.test")
    below = message[message.index(b"X-Top") :]
    assert below == (
        b"X-Top: first\r\nX-Second: folded\r\n\tvalue\r\nFrom: Joe <joe@sender.test>\r\nSubject: [checked] Hello\r\n"
        b"X-Gone: 1\r\nX-Added: at the end\r\nX-New: was not there\r\n\r\nA new body\r\nin two pieces.\r\n"
    )


async def test_nothing_in_a_change_begins_another_field_or_ends_the_header(office: Office) -> None:
    bad = [
        (b"h", b"X-A\0one\r\nX-Evil: two\0"),
        (b"h", b"X-B\0one\r\n\r\nbody\0"),
        (b"h", b"X C: x\0y\0"),
        (b"h", b"X-D\0a\rb\nc\0"),
        (b"c", b""),
    ]
    with Milter(saying(b"E", *bad)) as milter:
        async with journey(office, milter) as one:
            await one.send(ALICE)
    message = (await office.mail(office.alice))[0]
    header = message.partition(b"\r\n\r\n")[0]
    assert b"X-A: one\r\n\tX-Evil: two\r\nX-B: one\r\n\tbody\r\nX-D: a\r\n\tb\r\n\tc" in header
    assert b"X C" not in message and message.endswith(b"\r\n\r\nFirst line.\r\nSecond.\r\n")


async def test_each_milter_hears_what_those_before_it_made_of_the_message(office: Office) -> None:
    first = Milter(saying(b"E", (b"h", b"X-One\0by the first\0"), (b"b", b"Changed.\r\n"), (b"c", b"")))
    second = Milter(saying(b"E", (b"m", index(1, b"X-One", b"seen")), (b"c", b"")))
    with first, second:
        async with journey(office, first, second) as one:
            await one.send(ALICE)
    assert second.connections[0].headers[-1] == (b"X-One", b"by the first")
    assert second.connections[0].body == b"Changed.\r\n"
    assert (await office.mail(office.alice))[0].endswith(b"X-One: seen\r\n\r\nChanged.\r\n")


@pytest.mark.parametrize("when", [b"C", b"H", b"M", b"T", b"L", b"N", b"B", b"E"])
@pytest.mark.parametrize(("answer", "code", "status"), [(b"r", 550, "5.7.1"), (b"t", 451, "4.7.1"), (b"4", 421, "4.7.0")])
async def test_a_refusal_at_any_stage_is_told(office: Office, when: bytes, answer: bytes, code: int, status: str) -> None:
    with Milter(saying(when, (answer, b""))) as milter:
        async with journey(office, milter) as one:
            with pytest.raises(Refusal) as caught:
                await one.send(ALICE)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert not await office.mail(office.alice)


async def test_accept_ends_the_milters_part_in_the_message_or_in_the_connection(office: Office) -> None:
    for when, commands in ((b"C", "ODCAQ"), (b"R", "ODCHDMDRAQ"), (b"B", "ODCHDMDRDTLLLLDNBAQ")):
        with Milter(saying(when, (b"a", b""))) as milter:
            async with journey(office, milter) as one:
                await one.send(ALICE)
            assert await asyncio.to_thread(milter.connections[0].quit.wait, 10)
            assert milter.connections[0].commands == commands
    assert len(await office.mail(office.alice)) == 3


async def test_one_for_whom_a_proxy_speaks_is_a_connection_of_its_own_to_a_milter(office: Office) -> None:
    def script(heard: Heard, command: bytes, data: bytes) -> Iterable[Packet]:
        return [(b"r", b"")] if command == b"C" and b"192.0.2.7" in data else CONTINUE

    with Milter(script) as milter:
        async with journey(office, milter) as one:
            with pytest.raises(Refusal):
                await one.send(ALICE)
            await one.send(ALICE, client=replace(one.client, address="192.0.2.8"))
            await one.send(ALICE, client=replace(one.client, address="192.0.2.9"))
        assert await asyncio.to_thread(milter.connections[-1].quit.wait, 10)
    said = [data for heard in milter.connections for command, data in heard.packets if command == b"C"]
    assert [data.rpartition(b"192.")[2] for data in said] == [b"0.2.7\0", b"0.2.8\0", b"0.2.9\0"]
    assert len(await office.mail(office.alice)) == 2


async def test_what_a_milter_discards_is_accepted_and_goes_nowhere(office: Office) -> None:
    for when in (b"R", b"B", b"E"):
        with Milter(saying(when, (b"d", b""))) as milter:
            async with journey(office, milter) as one:
                receipt, _ = await one.send(ALICE, BOB)
        assert receipt.filed == () and receipt.queued == ()
        now = int(time.time())  # ids are of the real time
        for name in (ALICE, "joe@sender.test"):
            traced = (await office.store.find_records(name, now - 60, now + 60))[0]
            assert [record.stage for record in traced.records] == [Stage.ACCEPTED, Stage.JUDGED, Stage.DROPPED]
    assert not await office.mail(office.alice)


async def test_a_milter_may_skip_the_rest_of_the_body(office: Office) -> None:
    with Milter(saying(b"B", (b"s", b""))) as milter:
        async with journey(office, milter) as one:
            await one.send(ALICE, text=TEXT + b"x" * 78 * 2000)
    assert milter.connections[0].commands.count("B") == 1
    assert len(await office.mail(office.alice)) == 1


async def test_a_large_body_is_told_in_chunks(office: Office) -> None:
    text = TEXT + b"0123456789\r\n" * 20_000
    with Milter(quiet, steps=0x80000) as milter:
        async with journey(office, milter) as one:
            await one.send(ALICE, text=text)
    assert milter.connections[0].body == text.partition(b"\r\n\r\n")[2]
    assert milter.connections[0].commands.count("B") == 4


async def test_a_message_that_the_client_gives_up_is_aborted(office: Office) -> None:
    with Milter(quiet) as milter:
        async with journey(office, milter) as one:
            await one.path.sender(STRANGER, Envelope(None))
            await one.send(ALICE)
    assert milter.connections[0].commands.startswith("ODCHDMADMDRDT")


@pytest.mark.parametrize(
    ("when_down", "status"), [(WhenDown.CONTINUE, ""), (WhenDown.TEMPFAIL, "4.7.1"), (WhenDown.REFUSE, "5.7.1")]
)
@pytest.mark.parametrize("how", ["absent", "breaks", "hangs", "babbles"])
async def test_what_happens_when_a_milter_is_down_is_a_choice(office: Office, when_down: WhenDown, status: str, how: str) -> None:
    def script(heard: Heard, command: bytes, data: bytes) -> Iterable[Packet]:
        if command != b"E" or how == "absent":
            return CONTINUE
        if how == "breaks":
            raise OSError
        return [(b"Z", b"what?")] if how == "babbles" else []

    with Milter(script) as milter:
        if how == "absent":
            milter.__exit__()
        async with journey(office, milter, when_down=when_down, message_s=0.2, connect_s=1.0) as one:
            if status:
                with pytest.raises(Refusal) as caught:
                    await one.send(ALICE)
                assert caught.value.status == status
            else:
                await one.send(ALICE)
    filed = await office.mail(office.alice)
    assert [b"X-Postillon-Findings: filter.down=" in message for message in filed] == ([] if status else [True])


async def test_a_milter_that_shows_life_for_ever_is_given_up(office: Office) -> None:
    def endless(heard: Heard, command: bytes, data: bytes) -> Iterable[Packet]:
        if command == b"E":
            while True:
                yield b"p", b""
        yield b"c", b""

    with Milter(endless) as milter:
        made = Journey(office, settings(milter), seconds=0.5)
        await made.send(ALICE)
        made.milters.ended(made.client)
    assert b"filter.down" in (await office.mail(office.alice))[0]


async def test_a_milter_that_was_down_is_left_alone_for_a_while(office: Office) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = ServiceAddress(host="127.0.0.1", port=silent.getsockname()[1])
        one = Journey(office, [MilterSettings("silent", address, command_s=0.3)])
        await one.send(ALICE)
        silent.accept()[0].close()
        await one.send(ALICE)
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()
        one.milters.ended(one.client)
    assert len(await office.mail(office.alice)) == 2


async def test_a_session_goes_on_after_a_message_was_given_up_in_the_middle(office: Office) -> None:
    def script(heard: Heard, command: bytes, data: bytes) -> Iterable[Packet]:
        return [] if command == b"E" and len(milter.connections) == 1 else CONTINUE

    with Milter(script) as milter:
        made = Journey(office, settings(milter, message_s=30.0))
        envelope = Envelope(Address.parse("joe@sender.test"), (Recipient(Address.parse(ALICE)),))
        await made.path.sender(STRANGER, envelope)
        await made.path.recipient(STRANGER, envelope, envelope.recipients[0])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await made.milters.message(STRANGER, envelope, Told(b"A: b\r\n\r\n", b"Hello\r\n", 0))
        await made.send(ALICE)
        made.milters.ended(made.client)
        assert len(milter.connections) == 2 and milter.connections[1].headers[0] == (b"From", b"Joe <joe@sender.test>")


async def test_at_submission_a_milter_hears_the_completed_header_and_who_logged_in(office: Office) -> None:
    with Milter(saying(b"E", (b"h", b"X-Seen\0yes\0"), (b"c", b""))) as milter:
        async with journey(office, milter, submits=True) as one:
            await one.send(BOB, sender=ALICE, text=b"From: alice@example.test\r\nBcc: x@y.test\r\n\r\nHi\r\n")
    heard = milter.connections[0]
    names = [name for name, _ in heard.headers]
    assert b"Date" in names and b"Message-ID" in names and b"Bcc" not in names
    assert heard.macros[b"M"]["{auth_authen}"] == ALICE and heard.macros[b"M"]["{auth_type}"] == "PLAIN"
    assert b"\r\nX-Seen: yes\r\n\r\nHi\r\n" in (await office.mail(office.bob))[0]


async def test_a_milter_on_a_unix_socket_asks_for_its_own_macros(office: Office, tmp_path: Path) -> None:
    symbols = b"\0\0\0\x02j {mail_addr}\0" + b"\0\0\0\x05{nrcpts} {client_addr} {rcpt_host}\0"
    with Milter(quiet, path=tmp_path / "milter.sock", symbols=symbols) as milter:
        async with journey(office, milter) as one:
            await one.send(ALICE)
    assert milter.connections[0].macros[b"M"] == {"j": "mail.example.test", "{mail_addr}": "joe@sender.test"}
    told = {"{nrcpts}": "1", "{client_addr}": "192.0.2.7", "{rcpt_host}": "example.test"}
    assert milter.connections[0].macros[b"E"] == told
