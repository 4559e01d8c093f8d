"""The whole package against hostile sizes: every pattern and the work done on arrival stay linear and bounded."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import time
import tracemalloc
from collections.abc import Callable

import pytest

import postillon.message
from postillon.message.header import MAX_FIELD
from postillon.message.prepare import prepare, unpack_overview

MODULES = [importlib.import_module(f"postillon.message.{one.name}") for one in pkgutil.iter_modules(postillon.message.__path__)]
SEARCHING = ("search", "finditer", "sub", "split", "findall")


def patterns() -> list[tuple[str, re.Pattern[bytes] | re.Pattern[str], bool]]:
    """(name, pattern, whether it is searched for at every offset) of each pattern of the package, found by itself."""
    found = []
    for module in MODULES:
        source = inspect.getsource(module)
        for name, value in vars(module).items():
            for label, pattern in value.items() if isinstance(value, dict) else [(name, value)]:
                if isinstance(pattern, re.Pattern):
                    searched = isinstance(value, dict) or any(f"{name}.{how}(" in source for how in SEARCHING)
                    found.append((f"{module.__name__}.{name}.{label}", pattern, searched))
    return found


UNITS = [
    "a",
    "1",
    " ",
    "\t",
    "\n",
    "\r\n ",
    '"',
    '\\"',
    "\\",
    "(",
    "()",
    "((",
    "[",
    "[]",
    "<",
    "<a ",
    "<a '",
    "<!--",
    "=",
    "==",
    "=?",
]
UNITS += [
    "=?a?q?",
    "=?a*b?q?x",
    ";",
    "; ",
    ";a=",
    "a=",
    "a/",
    "/",
    "@",
    "a@",
    "a.",
    ".",
    ",",
    ":",
    "re",
    "re[",
    "re: ",
    "&#1",
    "&a",
]
UNITS += ["%41", "+", "+4", "1 ", "1 Jan ", "Mon, ", "é", "\x00", "--", "]", "'", "alt=", "a b", '"a', "img alt"]


@pytest.mark.parametrize(("name", "pattern", "searched"), patterns(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_pattern_is_linear(name: str, pattern: re.Pattern[bytes] | re.Pattern[str], searched: bool):
    # A quadratic one needs many seconds for some of these, a linear one less than one for all.
    started = time.process_time()
    for head in ("", "a", "<a ", '"', "("):
        for unit in UNITS:
            text = head + unit * (60_000 // len(unit)) + "\x01"
            subject = text.encode() if isinstance(pattern.pattern, bytes) else text
            if searched:
                for _ in pattern.finditer(subject):  # type: ignore[type-var]
                    pass
            else:
                pattern.match(subject)  # type: ignore[type-var]
    assert time.process_time() - started < 5


def test_there_are_patterns_to_test():
    assert len(patterns()) > 30


def embedded(header: bytes, count: int) -> bytes:
    part = b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + header + b"\r\n\r\nx\r\n"
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * count


MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
HOSTILE: dict[str, Callable[[], bytes]] = {
    "nesting": lambda: b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(100_000)),
    "embedding": lambda: b"Content-Type: message/rfc822\r\n\r\n" * 100_000,
    "parts": lambda: MIXED + b"--b\r\n\r\n" * 1_000_000,
    "the same boundary": lambda: MIXED + (b"--b\r\n" + MIXED) * 100_000,
    "long header": lambda: b"X: y\r\n" * 1_700_000,
    "long field": lambda: b"Subject: " + b"y" * 10_000_000,
    "many folds": lambda: b"Subject: " + b"\r\n y" * 2_500_000,
    "no end of header": lambda: b"\r\n".join([b"garbage"] * 1_000_000),
    "addresses": lambda: b"From: " + b"a@b.example, " * 500_000 + b"\r\n\r\n",
    "address words": lambda: b"From: " + b"a," * 5_000_000 + b"\r\n\r\n",
    "address fields": lambda: (b"To: " + b"a(b)," * 10_000 + b"\r\n") * 20 + b"\r\n",
    "parameters": lambda: b"Content-Type: a/b" + b"; a=b" * 2_000_000 + b"\r\n\r\n",
    "parameters of parts": lambda: MIXED
    + (b"--b\r\nContent-Type: a/b; c=" + b"d" * 90_000 + b"\r\n\r\n") * 200,
    "embedded addresses": lambda: embedded(b"From: " + b"a," * 10_000, 500),
    "references": lambda: b"References: " + b"<a@b> " * 1_500_000 + b"\r\n\r\n",
    "subject": lambda: b"Subject: " + b"Re: [x] " * 1_000_000 + b"\r\n\r\n",
    "encoded words": lambda: b"Subject: " + b"=?utf-8?q?=C3=A9?= " * 500_000 + b"\r\n\r\n",
    "near misses": lambda: b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + b"--bx\r\n" * 1_600_000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_are_prepared_within_bounds(name: str):
    data = HOSTILE[name]()
    started = time.process_time()
    made = prepare(data)
    assert time.process_time() - started < 10  # about one second on a slow machine; without limits it would be minutes
    assert sum(map(len, unpack_overview(made.overview))) < 5 << 20
    assert len(made.structure) < 3 << 20
    assert len(made.subject) <= 4 * 1000
    assert len(made.references) <= 100


@pytest.mark.parametrize("name", ["nesting", "embedding", "parts", "long header", "embedded addresses", "near misses"])
def test_hostile_messages_take_little_memory(name: str):
    data = HOSTILE[name]()
    tracemalloc.start()
    try:
        prepare(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 96 << 20


def test_a_field_is_cut_for_good():
    made = prepare(b"Subject: " + b"y" * 10_000_000 + b"\r\n\r\n")
    assert len(unpack_overview(made.overview)[0]) < MAX_FIELD + 200
