"""The receiving MTA, port 25: mail from other servers for addresses of ours. No AUTH here; relaying is the mail path's no."""

from __future__ import annotations

from ...net.stream import Stream
from .service import SmtpServer
from .session import Session


class MxServer(SmtpServer):
    """Serves connections of other mail servers. The mail path is `flow.receive.Receiver`."""

    async def session(self, stream: Stream) -> None:
        """Serve one connection to its end. Raises OSError when it breaks."""
        await Session(self, stream).run()
