"""Clients that we did not write fetch mail by POP3: curl, fetchmail, getmail."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from .conftest import HELLO, PASSWORD, Office, message

pytestmark = pytest.mark.real


async def run(*command: str, env: dict[str, str] | None = None, code: int = 0) -> bytes:
    """Run a client; what it wrote. It must end with *code*."""
    assert shutil.which(command[0]), f"{command[0]} is missing: run tools/setup-tests"
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | (env or {}),
    )
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    assert process.returncode == code, (command, process.returncode, out, errors)
    return out


def normal(octets: bytes) -> bytes:
    return octets.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("way", ["clear", "stls", "implicit"])
@pytest.mark.parametrize("auth", ["", "PLAIN", "LOGIN"])
async def test_curl_lists_fetches_and_deletes(office: Office, way: str, auth: str) -> None:
    await office.deliver(HELLO, message(2, 300_000))
    port = await office.listen(implicit=way == "implicit")
    url = f"{'pop3s' if way == 'implicit' else 'pop3'}://localhost:{port}/"
    options = ["-sS", "-4", "--cacert", str(office.ca), "-u", f"alice@example.test:{PASSWORD}"]
    options += ["--ssl-reqd"] if way == "stls" else []
    options += ["--login-options", f"AUTH={auth}"] if auth else []
    assert (await run("curl", *options, url)).split() == [b"1", b"%d" % len(HELLO), b"2", b"%d" % len(message(2, 300_000))]
    assert await run("curl", *options, url + "1") == HELLO
    assert await run("curl", *options, url + "2") == message(2, 300_000)
    assert b"Subject: message 2" in await run("curl", *options, "-X", "TOP 2 0", url)
    await run("curl", *options, "-I", "-X", "DELE 1", url)  # -I: one line of answer
    assert await office.uids() == [2]
    await run("curl", *options, "-u", "alice@example.test:wrong", url, code=67)


@pytest.mark.parametrize("way", ["stls", "implicit"])
async def test_fetchmail_takes_everything_and_leaves_nothing(office: Office, tmp_path: Path, way: str) -> None:
    wanted = [HELLO, *(message(n, 5000) for n in range(2, 40))]
    await office.deliver(*wanted)
    port = await office.listen(implicit=way == "implicit")
    box = tmp_path / "fetched"
    config = tmp_path / "fetchmailrc"
    config.write_text(
        f'poll localhost protocol POP3 port {port} user "alice@example.test" password "{PASSWORD}"\n'
        f'  {"ssl" if way == "implicit" else "sslproto tls1.2+"} sslcertck sslcertfile "{office.ca}" no keep\n'
        f'  mda "cat >> {box}; echo END >> {box}"\n'
    )
    config.chmod(0o600)
    home = {"HOME": str(tmp_path), "FETCHMAILHOME": str(tmp_path), "LC_ALL": "C"}
    await run(
        "fetchmail", "-f", str(config), "--pidfile", str(tmp_path / "pid"), "--nodetach", "--nosyslog", "-t", "30", env=home
    )
    assert await office.uids() == []
    fetched = box.read_bytes().split(b"END\n")[:-1]
    assert len(fetched) == len(wanted)
    for octets, mail in zip(fetched, wanted, strict=True):
        assert octets.endswith(normal(mail).split(b"\n\n", 1)[1])
    await run(
        "fetchmail",
        "-f",
        str(config),
        "--pidfile",
        str(tmp_path / "pid"),
        "--nodetach",
        "--nosyslog",
        "-t",
        "30",
        env=home,
        code=1,
    )  # 1: no mail


async def test_getmail_keeps_on_the_server_and_fetches_each_message_once(office: Office, tmp_path: Path) -> None:
    await office.deliver(HELLO, message(2), message(3))
    port = await office.listen(implicit=True)
    (tmp_path / "fetched").mkdir()
    (tmp_path / "getmailrc").write_text(
        "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\n"
        f"port = {port}\nusername = alice@example.test\npassword = {PASSWORD}\nca_certs = {office.ca}\n"
        # As root, getmail delivers by a command only.
        f'[destination]\ntype = MDA_external\npath = /bin/sh\narguments = ("-c", "cat > $(mktemp {tmp_path}/fetched/XXXXXX)")\n'
        "allow_root_commands = true\n"
        "[options]\nread_all = false\ndelete = false\nverbose = 2\n"
    )
    said = await run("getmail", "--getmaildir", str(tmp_path))
    assert re.search(rb"3 messages", said)
    await office.deliver(message(4))
    await run("getmail", "--getmaildir", str(tmp_path))
    assert len(list((tmp_path / "fetched").iterdir())) == 4
    assert await office.uids() == [1, 2, 3, 4]
