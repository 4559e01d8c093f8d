"""Where relayed mail ends: an SMTP server that takes everything, counts, and keeps nothing. Run: `python -m bench.sink PORT`.

Prints `ready`, and after each connection how many messages it has taken in all.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path


class Sink(asyncio.Protocol):
    taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.data = b""
        self.in_message = False
        transport.write(b"220 sink.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.data += data
        answers = []
        while True:
            if self.in_message:
                end = self.data.find(b"\r\n.\r\n")
                if end < 0:
                    break
                self.data = self.data[end + 5 :]
                self.in_message = False
                Sink.taken += 1
                answers.append(b"250 2.0.0 Ok\r\n")
                continue
            line, found, rest = self.data.partition(b"\r\n")
            if not found:
                break
            self.data = rest
            verb = line[:4].upper()
            self.in_message = verb == b"DATA"
            if self.in_message:
                self.data = b"\r\n" + self.data  # so that an empty message ends too
            answers.append(_ANSWERS.get(verb, b"250 2.0.0 Ok\r\n"))
            if verb == b"QUIT":
                self.transport.write(b"".join(answers))
                self.transport.close()
                return
        if answers:
            self.transport.write(b"".join(answers))


_ANSWERS = {
    b"EHLO": b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n",
    b"DATA": b"354 Go on\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}


async def main(port: int, count_file: Path) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port)
    print("ready", flush=True)
    async with server:
        while True:
            await asyncio.sleep(0.01)
            count_file.write_text(str(Sink.taken))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
