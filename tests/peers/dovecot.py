"""A private Dovecot: the IMAP and POP3 peer of the benchmarks, and Postfix' mailbox by LMTP. Needs root."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from .processes import open_to_servers, run, start_daemon, wait_for_port, wait_until

CONFIG = """\
base_dir = {directory}/run
state_dir = {directory}/state
instance_name = {directory}
log_path = {directory}/log
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
protocols = imap pop3 lmtp
listen = {host}
mail_location = {location}
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 20000
default_client_limit = 20000
default_process_limit = 2000
default_vsz_limit = 1G
passdb {{
  driver = passwd-file
  args = scheme=SSHA256 username_format=%u {directory}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={directory}/boxes/%u
}}
service imap-login {{
  inet_listener imap {{
    address = {host}
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
  {login}
}}
service pop3-login {{
  inet_listener pop3 {{
    address = {host}
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service lmtp {{
  unix_listener {directory}/lmtp.sock {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
{more}
"""


@dataclass
class Dovecot:
    """Start with `start`, end with `stop`. *users*: names with their passwords."""

    directory: Path
    imap: int
    pop3: int
    users: dict[str, str]
    host: str = "127.0.0.1"
    location: str = "maildir:~/Maildir"
    login: str = ""
    """More settings of the imap-login service."""
    more: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def lmtp(self) -> Path:
        return self.directory / "lmtp.sock"

    @property
    def boxes(self) -> Path:
        return self.directory / "boxes"

    def start(self) -> Dovecot:
        self.boxes.mkdir(parents=True, exist_ok=True)
        (self.directory / "state").mkdir(exist_ok=True)
        open_to_servers(self.directory)
        uid, gid = (int(run(["id", flag, "nobody"]).stdout) for flag in ("-u", "-g"))
        os.chown(self.boxes, uid, gid)
        hashes = {}
        lines = []
        for name, password in self.users.items():
            if password not in hashes:
                hashes[password] = run(["/usr/bin/doveadm", "pw", "-s", "SSHA256", "-p", password]).stdout.strip()
            lines.append(f"{name}:{hashes[password]}\n")
        (self.directory / "users").write_text("".join(lines))
        os.chmod(self.directory / "users", 0o644)
        config = self.directory / "dovecot.conf"
        config.write_text(
            CONFIG.format(
                directory=self.directory,
                host=self.host,
                location=self.location,
                uid=uid,
                gid=gid,
                imap=self.imap,
                pop3=self.pop3,
                login=self.login,
                more=self.more,
            )
        )
        start_daemon(["/usr/sbin/dovecot", "-c", str(config)], self.directory / "output")
        wait_for_port(self.host, self.imap)
        return self

    @property
    def master_pid(self) -> int:
        return int((self.directory / "run" / "master.pid").read_text())

    def stop(self) -> None:
        pid = self.master_pid
        os.kill(pid, signal.SIGTERM)
        try:
            wait_until(lambda: not Path(f"/proc/{pid}").exists(), 10, "dovecot to end")
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
