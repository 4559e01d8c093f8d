"""The documents say what is there, and the commands in the README do what it says."""

from __future__ import annotations

import imaplib
import poplib
import re
import shlex
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .app.running import OFFSETS, Dev, dev, free_base

ROOT = Path(__file__).resolve().parent.parent
ACCOUNTS = {"alice@example.test": "wonderland", "bob@example.test": "looking-glass"}


def blocks(page: str, language: str, heading: str = "") -> list[str]:
    """The code of *language* in a page, below *heading* if it is given."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if heading:
        text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        assert text, f"{page} has no heading {heading}"
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def tool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_the_documents_agree_with_the_program():
    done = tool("tools/docs.py")
    assert (done.stdout, done.returncode) == ("docs: fine\n", 0), done.stdout + done.stderr


def test_a_reference_to_an_rfc_can_be_found_by_its_section():
    lines = tool("tools/rfc.py", "5321", "4.5.3").stdout.splitlines()
    assert any(line.startswith("postillon/protocols/smtp/") and line.endswith("RFC 5321 §4.5.3.1.4") for line in lines)
    assert all("RFC 5321 §4.5.3" in line for line in lines)


def test_the_configuration_examples_are_read(tmp_path: Path):
    for number, example in enumerate(blocks("docs/configuration.md", "toml") + blocks("docs/install.md", "toml")):
        file = tmp_path / f"{number}.toml"
        head = "" if example.startswith("hostname") else 'hostname = "mail.example.org"\ndata = "/var/lib/postillon"\n'
        file.write_text(head + example, encoding="utf-8")
        done = tool("-m", "postillon", "check", "--no-database", "--no-dns", "--config", str(file))
        assert str(file) not in done.stdout.replace(f"{file}: fine", ""), done.stdout


# --- over a running server ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    home = tmp_path_factory.mktemp("readme")
    options = [word for address, password in ACCOUNTS.items() for word in ("--account", f"{address}:{password}")]
    with dev(home / "dev-data", *options) as running:
        yield running


def localized(text: str, base: int) -> str:
    """*text* with our program and our ports in the place of the README's."""
    for offset in OFFSETS.values():
        text = re.sub(rf"\b{10000 + offset}\b", str(base + offset), text)
    return text.replace(".venv/bin/postillon", f"{shlex.quote(sys.executable)} -m postillon")


@pytest.mark.real
def test_the_commands_of_the_readme_do_what_it_says(server: Dev):
    start, *others = blocks("README.md", "sh", "Try it")
    told = set(shlex.split(start)) - {".venv/bin/postillon", "dev", "--account"}
    assert told == {f"{address}:{password}" for address, password in ACCOUNTS.items()}, "the server of this test is another one"
    said = []
    for line in "".join(others).splitlines():
        done = subprocess.run(
            localized(line, server.base),
            shell=True,
            cwd=server.data.parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        said.append(done.stdout)
    sent, read, listed, added, _, accounts, *_ = said
    assert "250 2.0.0 Ok: " in sent
    assert "Received: from" in read and "for <bob@example.test>" in read
    assert listed.split() == ["1", str(len(read.encode().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")))]
    assert "password" in added and "carol@example.test" in accounts


@pytest.mark.real
def test_the_program_of_the_readme_runs_as_it_stands(tmp_path: Path):
    (program,) = blocks("README.md", "python")
    wrapper = tmp_path / "postillon"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m postillon "$@"\n')
    wrapper.chmod(0o755)
    program = program.replace(".venv/bin/postillon", str(wrapper)).replace('"20000"', f'"{free_base()}"')
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.real
def test_capabilities_are_those_of_the_documents(server: Dev):
    told = [set(block.split()) for block in blocks("docs/clients.md", "", "What is offered")]
    clear, early, late, pop, smtp, submission = told
    host, tls = "127.0.0.1", server.tls()
    with imaplib.IMAP4(host, server.told["imap"], timeout=20) as imap:
        # The developer mode lets us log in without TLS; the real server does not.
        assert {word for word in _capabilities(imap) if not word.startswith("AUTH=")} | {"LOGINDISABLED"} == clear
    with imaplib.IMAP4_SSL(host, server.told["imaps"], ssl_context=tls, timeout=20) as imap:
        assert _capabilities(imap) == early
        imap.login("bob@example.test", ACCOUNTS["bob@example.test"])
        assert _capabilities(imap) == late
    maildrop = poplib.POP3_SSL(host, server.told["pop3s"], context=tls, timeout=20)
    assert {word for name, words in maildrop.capa().items() for word in (name, *words)} == pop
    maildrop.quit()
    with smtplib.SMTP(host, server.told["smtp"], timeout=20) as mx:
        assert _extensions(mx) == smtp
    with smtplib.SMTP_SSL(host, server.told["submissions"], context=tls, timeout=20) as own:
        assert _extensions(own) == submission


def _capabilities(imap: imaplib.IMAP4) -> set[str]:
    return set(imap.capability()[1][0].decode().split())


def _extensions(smtp: smtplib.SMTP) -> set[str]:
    _, reply = smtp.ehlo()
    words = {word for line in reply.decode().splitlines()[1:] for word in line.split()}
    return {word for word in words if not (word.endswith("Z") and word.startswith("20"))}  # the latest moment of FUTURERELEASE
