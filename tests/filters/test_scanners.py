"""ClamAV and rspamd: the real ones, and what happens when they are down, slow, or talk nonsense."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from postillon.filters.attachments import Action
from postillon.filters.clamav import ClamAv, ClamAvSettings
from postillon.filters.outside import WhenDown
from postillon.filters.rspamd import Answer, Rspamd, RspamdSettings, opinion_of, parse
from postillon.model.verdict import FieldEdit, Opinion
from postillon.net.service import ServiceAddress
from postillon.protocols import clamd

from ..peers import scanners
from . import dangerous as d

ALICE = "alice@example.test"
TEXT = b"From: joe@sender.test\r\nSubject: hello\r\nX-Gone: 1\r\nX-Gone: 2\r\n\r\nHello\r\n"


def told(opinion: Opinion) -> list[tuple[str, float]]:
    return [(one.code, one.score) for one in opinion.findings]


# --- pure ---------------------------------------------------------------------------------------------------------------


def test_what_clamd_answers() -> None:
    assert clamd.answer(b"stream: OK") == clamd.Scanned("")
    assert clamd.answer(b"stream: Win.Test.A FOUND") == clamd.Scanned("Win.Test.A")
    with pytest.raises(clamd.TooLarge):
        clamd.answer(b"INSTREAM size limit exceeded. ERROR")
    for words in (b"", b"hello", b"stream: Can't allocate memory ERROR", b"UNKNOWN COMMAND"):
        with pytest.raises(clamd.ClamdError):
            clamd.answer(words)


def test_rspamds_symbols_are_findings_that_add_up_to_its_score() -> None:
    symbols = {f"S{n}": {"score": float(n), "description": f"number {n}"} for n in range(1, 21)} | {"ZERO": {"score": 0}}
    import json

    answer = parse(json.dumps({"action": "no action", "score": 200.0, "symbols": symbols}).encode())
    settings = RspamdSettings(ServiceAddress(host="x", port=1), scale=0.5)
    opinion = opinion_of(answer, settings, d.examined(TEXT))
    assert len(opinion.findings) == 16 and sum(one.score for one in opinion.findings) == 100.0
    assert opinion.findings[0].fact("symbol") == "S20" and opinion.findings[-1].code == "rspamd.rest"
    assert (opinion.refusal, opinion.junk, opinion.edits) == (None, False, None)


def test_rspamds_actions_are_followed_unless_only_scores_count() -> None:
    settings = RspamdSettings(ServiceAddress(host="x", port=1))
    for action, status, junk in (
        ("reject", "5.7.1", False),
        ("soft reject", "4.7.1", False),
        ("add header", "", True),
        ("rewrite subject", "", True),
        ("greylist", "", False),
    ):
        answer = Answer(action=action, score=1.0, messages={"smtp_message": "Go\r\naway"})
        opinion = opinion_of(answer, settings, d.examined(TEXT))
        assert (opinion.refusal.status if opinion.refusal else "", opinion.junk) == (status, junk)
        assert opinion.refusal is None or opinion.refusal.text == "Go??away"
        opinion = opinion_of(answer, replace(settings, follows=False), d.examined(TEXT))
        assert (opinion.refusal, opinion.junk) == (None, False)


def test_rspamds_headers_are_edits() -> None:
    body = (
        b'{"action": "rewrite subject", "subject": "[spam] x", "milter": {"add_headers": {"X-A": "one", "X-B": [{"value": "two",'
        b' "order": 1}, {"value": "three", "order": -1}], "X-C": 5}, "remove_headers": {"X-Gone": 0, "Subject": -1, "X-No": 1}}}'
    )
    edits = opinion_of(parse(body), RspamdSettings(ServiceAddress(host="x", port=1)), d.examined(TEXT)).edits
    assert edits is not None and edits.fields == (
        FieldEdit(b"X-Gone", None, nth=2),
        FieldEdit(b"X-Gone", None, nth=1),
        FieldEdit(b"Subject", None, nth=1),
        FieldEdit(b"X-A", b" one"),
        FieldEdit(b"X-B", b" two", at=1),
        FieldEdit(b"X-B", b" three"),
        FieldEdit(b"Subject", b" [spam] x", nth=1),
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"error": "no"}', b'{"symbols": 5}', b"\xff", b"[" * 100_000])
def test_what_rspamd_cannot_mean_is_an_error(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        parse(body)


# --- down, slow, nonsense -----------------------------------------------------------------------------------------------


@contextmanager
def answering(reply: Callable[[socket.socket], None]) -> Iterator[ServiceAddress]:
    """A service that takes one connection and does *reply*."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                peer, _ = listener.accept()
                with peer:
                    reply(peer)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield ServiceAddress(host="127.0.0.1", port=listener.getsockname()[1])


def closes(peer: socket.socket) -> None:
    return


def hangs(peer: socket.socket) -> None:
    while peer.recv(65536):
        pass


def babbles(peer: socket.socket) -> None:
    peer.sendall(b"what? " * 10_000)
    hangs(peer)


@pytest.mark.parametrize("how", [closes, hangs, babbles])
@pytest.mark.parametrize("kind", ["clamav", "rspamd"])
@pytest.mark.parametrize(
    ("when_down", "status"),
    [(WhenDown.CONTINUE, ""), (WhenDown.TEMPFAIL, "4.7.1"), (WhenDown.REFUSE, "5.7.1"), (WhenDown.QUARANTINE, "")],
)
async def test_what_happens_when_they_are_down_is_a_choice(
    kind: str, how: Callable[[socket.socket], None], when_down: WhenDown, status: str
) -> None:
    with answering(how) as address:
        one: ClamAv | Rspamd
        if kind == "clamav":
            one = ClamAv(ClamAvSettings(address, when_down, time_s=0.3))
        else:
            one = Rspamd(RspamdSettings(address, when_down, time_s=0.3), hostname="mx.example.test")
        for _ in range(2):  # the second time it is not even asked
            opinion = await one.examine(d.examined(TEXT, ALICE))
            assert told(opinion) == [("filter.down", 0.0)]
            assert (opinion.refusal.status if opinion.refusal else "") == status
            assert opinion.quarantine == (when_down is WhenDown.QUARANTINE)


async def test_what_is_too_large_is_not_sent() -> None:
    nowhere = ServiceAddress(host="127.0.0.1", port=1)
    opinion = await ClamAv(ClamAvSettings(nowhere, max_size=10)).examine(d.examined(TEXT))
    assert told(opinion) == [("virus.too_large", 0.0)]
    opinion = await Rspamd(RspamdSettings(nowhere, max_size=10), hostname="x").examine(d.examined(TEXT))
    assert told(opinion) == [("rspamd.too_large", 0.0)]


# --- the real ones ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clamav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[scanners.ClamAv]:
    with scanners.ClamAv(Path(tmp_path_factory.mktemp("clamav"))) as running:
        yield running


@pytest.fixture(scope="module")
def rspamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[scanners.Rspamd]:
    with scanners.Rspamd(Path(tmp_path_factory.mktemp("rspamd"))) as running:
        yield running


@pytest.mark.real
@pytest.mark.parametrize("way", ["unix", "tcp"])
async def test_clamav_finds_a_virus(clamav: scanners.ClamAv, way: str) -> None:
    address = ServiceAddress.parse(getattr(clamav, way))
    infected = d.with_attachments(d.part("x.zip", d.zipped({"eicar.com": scanners.EICAR})))
    for action in Action:
        one = ClamAv(ClamAvSettings(address, found=action))
        assert await one.examine(d.examined(TEXT)) == Opinion()
        opinion = await one.examine(d.examined(infected))
        assert told(opinion) == [("virus.found", 10.0)]
        assert (opinion.quarantine, opinion.junk) == (action is Action.QUARANTINE, action is Action.JUNK)
        words = "The message contains a virus: Eicar-Test-Signature.UNOFFICIAL"
        assert (opinion.refusal.text if opinion.refusal else None) == (words if action is Action.REFUSE else None)


@pytest.mark.real
async def test_clamavs_guesses_only_score_and_its_limit_is_no_fault(clamav: scanners.ClamAv) -> None:
    one = ClamAv(ClamAvSettings(ServiceAddress.parse(clamav.unix), WhenDown.REFUSE))
    assert told(await one.examine(d.examined(TEXT + b"HEURISTIC TEST\r\n"))) == [("virus.suspected", 4.0)]
    assert told(await one.examine(d.examined(TEXT + b"x" * 76 * 30_000))) == [("virus.too_large", 0.0)]
    assert told(await one.examine(d.examined(TEXT + b"0123456789\r\n" * 50_000))) == []


@pytest.mark.real
async def test_rspamd_hears_the_envelope_and_is_heard(rspamd: scanners.Rspamd) -> None:
    one = Rspamd(RspamdSettings(ServiceAddress.parse(rspamd.address)), hostname="mx.example.test")
    opinion = await one.examine(d.examined(TEXT.replace(b"hello", b"a bad one"), ALICE, "bob@example.test"))
    assert told(opinion) == [("rspamd.symbol", 7.0), ("rspamd.symbol", 0.5)]
    assert opinion.findings[0].fact("why") == "The subject is bad" and opinion.junk
    assert opinion.edits is not None and [(one.name, one.value) for one in opinion.edits.fields] == [
        (b"X-Gone", None),
        (b"X-Gone", None),
        (b"X-Rspamd-Test", b" seen"),
    ]
    opinion = await one.examine(d.examined(TEXT.replace(b"Hello", scanners.GTUBE), ALICE))
    assert opinion.refusal is not None and opinion.refusal.code == 550
    opinion = await one.examine(d.examined(TEXT.replace(b"hello", b"later"), ALICE))
    assert opinion.refusal is not None and (opinion.refusal.code, opinion.refusal.text) == (451, "Come again")


@pytest.mark.real
async def test_what_rspamd_was_told(rspamd: scanners.Rspamd, tmp_path: Path) -> None:
    one = Rspamd(RspamdSettings(ServiceAddress.parse(rspamd.address)), hostname="mx.example.test")
    examined = d.examined(TEXT, ALICE, "bob@example.test")
    answer = parse(await one._asked(examined))
    assert answer.symbols["TEST_TOLD"].options == ["192.0.2.7", "peer.test", "joe@sender.test", "2", "nil"]


@pytest.mark.real
async def test_a_scanner_that_was_down_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postillon.filters.outside.REST_S", 0.0)
    with scanners.ClamAv(tmp_path) as running:
        one = ClamAv(ClamAvSettings(ServiceAddress.parse(running.unix)))
        infected = TEXT + scanners.EICAR + b"\r\n"
        assert told(await one.examine(d.examined(infected))) == [("virus.found", 10.0)]
        running.stop()
        assert told(await one.examine(d.examined(infected))) == [("filter.down", 0.0)]
        running.socket.unlink(missing_ok=True)
        running.__enter__()
        assert told(await one.examine(d.examined(infected))) == [("virus.found", 10.0)]
