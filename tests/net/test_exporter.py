from __future__ import annotations

import ctypes
import subprocess
import sys
import time

import pytest

from postillon.net import exporter


def test_it_works_with_this_python():
    """If this fails on a new Python: there is no tls-exporter binding then, and nothing else is wrong."""
    started = time.monotonic()
    exporter.check.cache_clear()
    assert exporter.check()
    assert time.monotonic() - started < 5


def test_the_self_test_compares_both_ends():
    assert exporter._self_test()


@pytest.mark.parametrize("offset", [16, 32, 8])
def test_a_wrong_guess_is_found_out_in_the_child(offset):
    code = f"import runpy; m = runpy.run_path({exporter.__file__!r}); m['_export'].__globals__['_POINTER_AT'] = {offset}; "
    code += "print('works' if m['_self_test']() else 'no')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode != 0 or done.stdout.strip() != b"works"


def test_without_a_check_there_is_no_binding():
    client, server = exporter._connected()
    exporter.check.cache_clear()
    try:
        assert exporter.exported(server) is None
    finally:
        exporter.check()
    assert exporter.exported(client) is None  # TLS 1.2


def test_no_visible_symbol_means_no_binding(monkeypatch):
    def nothing(*_: object) -> object:
        raise OSError("static")

    exporter._function.cache_clear()
    exporter.check.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(ctypes, "PyDLL", nothing)
        assert not exporter.check()
    exporter._function.cache_clear()
    exporter.check.cache_clear()
    assert exporter.check()
