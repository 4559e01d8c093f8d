"""Debian's ClamAV daemon and rspamd, each with a small configuration of its own: no database from the net, no DNS, no Redis."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .processes import free_port, installed, wait_for_port, wait_until

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
"""The test file that every virus scanner takes for a virus; in two pieces, so that none takes this one for it."""
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


class _Daemon:
    """A program in the foreground, its words in a file."""

    def __init__(self, *words: str, output: Path) -> None:
        self._words = words
        self._output = output
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._output.open("ab") as log:
            self.process = subprocess.Popen(self._words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None


class ClamAv(_Daemon):
    """It knows one virus, EICAR, and one guess, `Heuristics.Test` (the words HEURISTIC TEST)."""

    def __init__(self, directory: Path, stream_max: str = "1M") -> None:
        database = directory / "db"
        database.mkdir()
        (database / "test.ndb").write_text(
            f"Eicar-Test-Signature:0:*:{EICAR.hex()}\nHeuristics.Test:0:*:{b'HEURISTIC TEST'.hex()}\n"
        )
        self.socket, self.port = directory / "clamd.sock", free_port()
        self.unix, self.tcp = f"unix:{self.socket}", f"127.0.0.1:{self.port}"
        config = directory / "clamd.conf"
        config.write_text(
            f"LocalSocket {self.socket}\nTCPSocket {self.port}\nTCPAddr 127.0.0.1\nDatabaseDirectory {database}\n"
            f"Foreground yes\nLogFile {directory}/scan.log\nStreamMaxLength {stream_max}\nMaxThreads 2\n"
        )
        super().__init__(installed("clamd"), "-c", str(config), output=directory / "clamd.log")

    def __enter__(self) -> ClamAv:
        self.start()
        wait_until(self.socket.exists, 30, "clamd to listen")
        wait_for_port("127.0.0.1", self.port)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


_LUA = """
rspamd_config:register_symbol({name = 'TEST_BAD', score = 7.0, description = 'The subject is bad', callback = function(task)
  if string.find(task:get_subject() or '', 'bad') then return true end end})
rspamd_config:register_symbol({name = 'TEST_TOLD', score = 0.5, callback = function(task)
  local ip, user = task:get_ip(), task:get_user()
  local from, rcpt = task:get_from('smtp'), task:get_recipients('smtp')
  local count = tostring(rcpt and #rcpt)
  return true, 1.0, tostring(ip), tostring(task:get_helo()), from and from[1].addr or '-', count, tostring(user)
end})
rspamd_config:register_symbol({name = 'TEST_HEADERS', type = 'postfilter', callback = function(task)
  task:set_milter_reply({add_headers = {['X-Rspamd-Test'] = 'seen'}, remove_headers = {['X-Gone'] = 0}}) end})
rspamd_config:register_symbol({name = 'TEST_LATER', type = 'prefilter', callback = function(task)
  if string.find(task:get_subject() or '', 'later') then task:set_pre_result('soft reject', 'Come again') end end})
"""


class Rspamd(_Daemon):
    """It has rules of the test's own: `bad` in the subject is 7, `later` is put off, GTUBE is rejected."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        (directory / "test.lua").write_text(_LUA)
        (directory / "tld").write_text("com\norg\ntest\n")
        config = directory / "rspamd.conf"
        config.write_text(
            f'options {{ pidfile = "{directory}/pid"; tempdir = "{directory}"; filters = ""; explicit_modules = []; rrd = "";\n'
            f'  dns {{ nameserver = ["127.0.0.1:9:1"]; timeout = 0.1s; retransmits = 1; sockets = 1; }}\n'
            f'  control_socket = "{directory}/control mode=0600"; url_tld = "{directory}/tld"; hs_cache_dir = "{directory}"; }}\n'
            'logging { type = "console"; level = "info"; }\n'
            "actions { reject = 15; add_header = 6; }\n"
            f'worker "normal" {{ bind_socket = "127.0.0.1:{self.port}"; count = 1; }}\nlua = "{directory}/test.lua";\n'
        )
        words = [installed("rspamd"), "-c", str(config), "-f"] + (["-i", "-u", "root", "-g", "root"] if os.geteuid() == 0 else [])
        super().__init__(*words, output=directory / "rspamd.log")

    def __enter__(self) -> Rspamd:
        self.start()
        wait_for_port("127.0.0.1", self.port, 30)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
