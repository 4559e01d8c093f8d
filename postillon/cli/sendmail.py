"""`postillon sendmail`: the program that cron and scripts call `sendmail`. Reads a message from standard input.

Understood: recipients, `-t` (recipients from the header), `-f` and `-r` ADDRESS (envelope sender), `-F` NAME, `-i` and `-oi` (a
line with one dot does not end the message), `--config` and `--data`. Other options of sendmail are taken and have no effect.
Exit status as in sysexits.h: 64 usage, 67 unknown recipient, 75 try later, 77 not permitted, 69 anything else.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

EX_USAGE, EX_NOUSER, EX_UNAVAILABLE, EX_TEMPFAIL, EX_NOPERM = 64, 67, 69, 75, 77
DEFAULT_CONFIG = "/etc/postillon/postillon.toml"
DEFAULT_SOCKET = "/run/postillon/sendmail.sock"
WITH_VALUE = "fFrBhNOopRVXQCLAq"
"""Options of sendmail that have a value, in the same word or the next."""
TAKES_NEXT = "fFr"
"""Of these the value may be the next word; of the others it is in the same word only, or is ignored."""


@dataclass(slots=True)
class Asked:
    recipients: list[str] = field(default_factory=list)
    from_header: bool = False
    sender: str = ""
    name: str = ""
    dots_end: bool = True
    config: str = ""
    data: str = ""


class Usage(Exception):
    pass


def parse(arguments: list[str]) -> Asked:
    """Raises Usage."""
    asked = Asked()
    words = iter(arguments)
    for word in words:
        if word == "--":
            asked.recipients += list(words)
        elif word in ("--config", "--data"):
            setattr(asked, word[2:], _next(words, word))
        elif word.startswith("--") or not word.startswith("-") or word == "-":
            if word.startswith("-"):
                raise Usage(f"unknown option {word}")
            asked.recipients.append(word)
        else:
            _option(asked, word, words)
    return asked


def _next(words: Iterator[str], option: str) -> str:
    value = next(words, None)
    if value is None:
        raise Usage(f"{option} needs a value")
    return value


def _option(asked: Asked, word: str, words: Iterator[str]) -> None:
    if word in ("-oi", "-i"):
        asked.dots_end = False
        return
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in WITH_VALUE:
            value = letters or (_next(words, f"-{letter}") if letter in TAKES_NEXT else "")
            if letter in "fr":
                asked.sender = value.strip("<>") or "<>"
            elif letter == "F":
                asked.name = value
            return
        asked.from_header |= letter == "t"
        asked.dots_end &= letter != "i"


def crlf(message: bytes, dots_end: bool) -> bytes:
    """Line ends as mail has them. With *dots_end* a line of one dot ends the message."""
    text = re.sub(rb"\r\n|\r|\n", b"\n", message)
    if dots_end and (end := re.search(rb"(?m)^\.$", text)):
        text = text[: end.start()]
    if text and not text.endswith(b"\n"):
        text += b"\n"
    return text.replace(b"\n", b"\r\n")


def run(arguments: list[str]) -> int:
    """The command; its exit status."""
    if any(word in ("-h", "--help") for word in arguments[:1]):
        print(__doc__)
        return 0
    try:
        asked = parse(arguments)
        if not asked.recipients and not asked.from_header:
            raise Usage("no recipients: name them, or use -t")
    except Usage as error:
        return _complain(str(error), EX_USAGE)
    message = crlf(sys.stdin.buffer.read(), asked.dots_end)
    if asked.name and not re.match(rb"(?is)(?:[^\r\n]+\r\n)*?from:", message):
        message = _from_line(asked) + message
    return _send(_socket_path(asked), asked, message)


def _from_line(asked: Asked) -> bytes:
    from email.headerregistry import Address
    from email.utils import formataddr

    address = asked.sender or pwd.getpwuid(os.getuid()).pw_name
    if "@" not in address:
        return b""  # the server knows our address; a name alone is not worth a wrong one
    return f"From: {formataddr((asked.name, str(Address(addr_spec=address))))}\r\n".encode()


def _socket_path(asked: Asked) -> str:
    data = asked.data or (os.environ.get("POSTILLON_DATA", "") if not asked.config else "")
    if data:
        return str(Path(data) / "run" / "sendmail.sock")
    config = asked.config or os.environ.get("POSTILLON_CONFIG", "") or DEFAULT_CONFIG
    try:
        import tomllib

        read = tomllib.loads(Path(config).read_text(encoding="utf-8"))
        return str(read.get("sendmail_socket") or Path(read["data"]) / "run" / "sendmail.sock")
    except (OSError, ValueError, KeyError):
        return DEFAULT_SOCKET  # the file may not be ours to read


def _send(path: str, asked: Asked, message: bytes) -> int:
    from ..supervisor.unix import unix_name

    head = {
        "recipients": asked.recipients,
        "from_header": asked.from_header,
        "sender": asked.sender,
        "size": len(message),
    }
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            with unix_name(path) as name:
                sock.connect(name)
            sock.settimeout(120)
            sock.sendall(json.dumps({"operation": "sendmail", "arguments": head}).encode() + b"\n" + message)
            line = sock.makefile("rb").readline()
    except OSError as error:
        return _complain(f"no Postillon takes mail at {path} ({error.strerror or error}); the message was not sent", EX_TEMPFAIL)
    if not line:
        return _complain("the server ended in the middle; the message may not have been sent", EX_TEMPFAIL)
    answer = json.loads(line)
    said = answer.get("refusal")
    return _complain(f"{said['text']} ({said['status']})", _status(said["status"])) if said else 0


def _status(enhanced: str) -> int:
    if enhanced.startswith("4"):
        return EX_TEMPFAIL
    return {"5.1.1": EX_NOUSER, "5.7.1": EX_NOPERM, "5.5.4": EX_USAGE}.get(enhanced, EX_UNAVAILABLE)


def _complain(words: str, status: int) -> int:
    print(f"sendmail: {words}", file=sys.stderr)
    return status
