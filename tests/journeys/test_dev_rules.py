"""The promises of `postillon dev` that harnesses of other projects build on."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..peers.postillon import Postillon

pytestmark = pytest.mark.real


def test_any_directory_will_do_and_what_is_made_in_it_is_private(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    (data / "notes").write_text("the harness' own\n")
    with Postillon(data) as server:
        server.account("alice@example.test").submit(["bob@example.test"], "hi")
        public = {"notes", "ca.pem", "certificate.pem"}
        for path in data.rglob("*"):
            assert path.name in public or path.is_socket() or path.stat().st_mode & 0o077 == 0, (path, oct(path.stat().st_mode))


def test_the_first_account_of_a_domain_is_its_postmaster(tmp_path: Path):
    """Accounts are made some at a time; which of them is the oldest must not be left to chance."""
    listed = tmp_path / "accounts"
    listed.write_text("".join(f"{name}@{domain}:secret-{name}\n" for domain in ("one.test", "two.test") for name in "zyxw"))
    with Postillon(tmp_path / "data", "--accounts-file", str(listed)) as server:
        for domain in ("one.test", "two.test"):
            server.deliver(f"postmaster@{domain}", f"Subject: to {domain}\r\n\r\n".encode())
            assert len(server.account(f"z@{domain}").messages()) == 1
        server.deliver("postmaster", b"Subject: to nobody's domain\r\n\r\n")
        assert len(server.account("z@one.test").messages()) == 2
