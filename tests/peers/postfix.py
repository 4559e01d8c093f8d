"""A private Postfix instance: the other side of many tests, and a peer in the benchmarks. Needs root, as Postfix does."""

from __future__ import annotations

import os
import signal
import socketserver
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from .processes import open_to_servers, run, start_daemon, wait_for_port, wait_until

MASTER = """\
{listen}      inet  n       -       n       -       {processes}       smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       n       -       -       lmtp
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""


class Policy:
    """A policy service for `check_policy_service`: what Postfix answers to a recipient can change from one moment to the next.

    *answers*: recipient -> an action as in access(5), as `450 4.7.1 come back later`.
    """

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        outer = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while question := self._question():
                    action = outer.answers.get(question.get("recipient", ""), "DUNNO")
                    self.wfile.write(f"action={action}\n\n".encode())

            def _question(self) -> dict[str, str]:
                found = {}
                while (line := self.rfile.readline().decode().strip()) != "":
                    name, _, value = line.partition("=")
                    found[name] = value
                return found

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Session)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def restriction(self) -> str:
        host, port = self._server.server_address[:2]
        return f"check_policy_service inet:{host!s}:{port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Postfix:
    """Start with `start`, end with `stop`. *settings* are lines of main.cf, `name = value`."""

    directory: Path
    port: int
    host: str = "127.0.0.1"
    hostname: str = "peer.test"
    settings: dict[str, str] = field(default_factory=dict)
    processes: int = 100

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def spool(self) -> Path:
        return self.directory / "spool"

    def start(self) -> Postfix:
        etc = self.directory / "etc"
        data = self.directory / "data"
        for folder in (etc, self.spool, data):
            folder.mkdir(parents=True, exist_ok=True)
        open_to_servers(self.directory)
        run(["chown", "postfix", str(data)])
        (etc / "master.cf").write_text(MASTER.format(listen=f"{self.host}:{self.port}", processes=self.processes))
        (etc / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in self._main().items()))
        (etc / "dynamicmaps.cf").write_text("")
        start_daemon(["/usr/sbin/postfix", "-c", str(etc), "start"], self.directory / "output", env=self._environment())
        wait_for_port(self.host, self.port)
        return self

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

    def _main(self) -> dict[str, str]:
        return {
            "compatibility_level": "3.6",
            "queue_directory": str(self.spool),
            "data_directory": str(self.directory / "data"),
            "maillog_file": str(self.log),
            "maillog_file_prefixes": str(self.directory),
            "myhostname": self.hostname,
            "myorigin": self.hostname,
            "mydestination": "",
            "inet_interfaces": self.host,
            "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "alias_maps": "",
            "alias_database": "",
            "local_recipient_maps": "",
            "smtpd_recipient_restrictions": "permit_mynetworks, reject_unauth_destination",
            "smtpd_client_connection_count_limit": "0",
            "smtpd_client_connection_rate_limit": "0",
            "import_environment": "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ",
            "minimal_backoff_time": "5s",
            "maximal_backoff_time": "10s",
            "queue_run_delay": "5s",
            **self.settings,
        }

    @property
    def master_pid(self) -> int:
        return int((self.spool / "pid" / "master.pid").read_text())

    def stop(self) -> None:
        run(["/usr/sbin/postfix", "-c", str(self.directory / "etc"), "stop"], env=self._environment())
        try:
            pid = self.master_pid
        except (FileNotFoundError, ValueError):
            return
        try:
            wait_until(lambda: not Path(f"/proc/{pid}").exists(), 10, "postfix to end")
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)

    def queue(self) -> str:
        """What `postqueue -p` prints."""
        return run(["/usr/sbin/postqueue", "-c", str(self.directory / "etc"), "-p"], env=self._environment()).stdout

    def flush(self) -> None:
        run(["/usr/sbin/postqueue", "-c", str(self.directory / "etc"), "-f"], env=self._environment())

    def reload(self) -> None:
        """Read main.cf and the tables again; its processes end as soon as they are idle, and others take their place."""
        run(["/usr/sbin/postfix", "-c", str(self.directory / "etc"), "reload"], env=self._environment())

    def virtual_mailboxes(self, *addresses: str) -> None:
        """Take mail for *addresses* into Maildirs below `boxes` (call before `start`)."""
        boxes = self.directory / "boxes"
        boxes.mkdir(parents=True, exist_ok=True)
        subprocess.run(["chown", "nobody", str(boxes)], check=True)
        uid, gid = (int(run(["id", flag, "nobody"]).stdout) for flag in ("-u", "-g"))
        lines = "".join(f"{address} {address}/\n" for address in addresses)
        table = self.directory / "mailboxes"
        table.write_text(lines)
        domains = sorted({address.split("@")[1] for address in addresses})
        self.settings.update(
            {
                "virtual_mailbox_domains": ", ".join(domains),
                "virtual_mailbox_base": str(boxes),
                "virtual_mailbox_maps": f"texthash:{table}",
                "virtual_uid_maps": f"static:{uid}",
                "virtual_gid_maps": f"static:{gid}",
                "virtual_minimum_uid": "1",
            }
        )

    def received(self, address: str) -> list[bytes]:
        """The messages that lie in *address*'s Maildir."""
        new = self.directory / "boxes" / address / "new"
        return [path.read_bytes() for path in sorted(new.iterdir())] if new.exists() else []
