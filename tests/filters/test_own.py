"""The administrator's own filter, in its process."""

from __future__ import annotations

import os
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from postillon.filters.own import OwnFilter, OwnFilterError
from postillon.model.verdict import finding

from .conftest import examined, message, verdict

Made = Callable[[str], OwnFilter]
HEAD = """
from postillon.filters.examined import Examined
from postillon.model.errors import Refusal
from postillon.model.verdict import Opinion, finding

"""


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Made]:
    made: list[OwnFilter] = []

    def make(text: str, time_s: float = 20.0) -> OwnFilter:
        (tmp_path / "own.py").write_text(HEAD + textwrap.dedent(text))
        made.append(OwnFilter(str(tmp_path / "own.py"), time_s=time_s))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_it_sees_the_message_and_who_sent_it(own: Made):
    one = own("""
        def examine(incoming: Examined) -> Opinion:
            print("noise")
            signed = incoming.verdict.dkim[0].domain
            return Opinion((finding("own.seen", 1.5, text=f"{incoming.author} {signed} {incoming.text.strip()}"),))
    """)
    for _ in range(2):
        opinion = await one.examine(examined(message(), found=verdict(dkim="sender.test")))
        assert opinion.findings == (finding("own.seen", 1.5, text="joe@sender.test sender.test Hello."),)


async def test_it_may_refuse_and_junk(own: Made):
    one = own("""
        def examine(incoming):
            return Opinion(refusal=Refusal("Not here", status="5.7.1"), junk=True)
    """)
    opinion = await one.examine(examined(message()))
    assert (
        opinion.junk and opinion.refusal is not None and (opinion.refusal.text, opinion.refusal.status) == ("Not here", "5.7.1")
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("def examine(incoming):\n    return 1 / 0", "ZeroDivisionError"),
        ("def examine(incoming):\n    return 7", "must return an Opinion"),
        ("def other(incoming): ...", "no function examine"),
        ("this is no Python", "SyntaxError"),
        ("import os\ndef examine(incoming):\n    os._exit(1)", "its process ended"),
        ("def examine(incoming):\n    return Opinion((finding('x', 'y'),))", "could not convert"),
    ],
)
async def test_one_that_breaks_leaves_a_finding_and_says_why(own: Made, text: str, word: str):
    one = own(text)
    assert [each.code for each in (await one.examine(examined(message()))).findings] == ["filter.failed"]
    with pytest.raises(OwnFilterError, match=word):
        await one.ask(examined(message()))


async def test_one_that_hangs_is_ended_and_the_next_message_has_a_new_process(own: Callable[..., OwnFilter], tmp_path: Path):
    one = own(
        f"""
        import os, time
        def examine(incoming):
            open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
            while incoming.subject == "hi":
                pass
            return Opinion((finding("own.done", 1),))
    """,
        time_s=2.0,
    )
    assert [each.code for each in (await one.examine(examined(message()))).findings] == ["filter.failed"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    other = examined(message().replace(b"Subject: hi", b"Subject: ho"))
    assert [each.code for each in (await one.examine(other)).findings] == ["own.done"]


async def test_a_changed_file_counts_at_once(own: Made):
    one = own("def examine(incoming): return Opinion((finding('own.first', 1),))")
    assert (await one.examine(examined(message()))).findings[0].code == "own.first"
    own("def examine(incoming): return Opinion((finding('own.second', 1),))")
    assert (await one.examine(examined(message()))).findings[0].code == "own.second"


async def test_a_file_that_is_not_there_is_no_harm(tmp_path: Path):
    one = OwnFilter(str(tmp_path / "nothing.py"))
    assert [each.code for each in (await one.examine(examined(message()))).findings] == ["filter.failed"]


async def test_large_messages_are_read_from_their_file(own: Made, tmp_path: Path):
    from dataclasses import replace

    from postillon.filters.examined import Examined

    octets = message(text="word " * 100_000)
    (tmp_path / "spool").write_bytes(octets)
    small = examined(octets)
    body = replace(small.incoming.body, data=None, path=str(tmp_path / "spool"))
    large = Examined(replace(small.incoming, body=body), small.header, small.content)
    large.authentication_ended(None)
    one = own("def examine(incoming): return Opinion((finding('own.size', 1, size=len(incoming.octets)),))")
    assert (await one.examine(large)).findings == (finding("own.size", 1, size=len(octets)),)
