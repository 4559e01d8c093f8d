"""COMPRESS (RFC 4978)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....protocols.imap.commands import Compress
from ....protocols.imap.events import Command
from ..answers import No
from ..compression import Compression
from ..dialogue import Hangup
from .rule import Silent

if TYPE_CHECKING:
    from ..session import Session


async def compress(session: Session, command: Command, request: Compress) -> bytes | None:
    dialogue = session.dialogue
    if dialogue.compression is not None:
        dialogue.engine.resume()
        raise No("Compression is active already", b"COMPRESSIONACTIVE")
    if request.mechanism != "DEFLATE":
        dialogue.engine.resume()
        raise No("There is only DEFLATE", b"CANNOT")
    if dialogue.engine.pending:
        # RFC 4978 §3: the client waits for our answer. What came already is not compressed, or was read the wrong way.
        session.log.debug("plaintext after COMPRESS", octets=dialogue.engine.pending)
        raise Hangup
    session.tagged(command.tag, b"OK Compression is active")
    await dialogue.flush()
    dialogue.compression = Compression()
    dialogue.engine.resume()
    raise Silent
