"""A raw transport over ICE-TCP: one active connection to the first passive candidate, framed by RFC 4571.

Reads are blocking-free and unframed here on their own, apart from the program's code.
"""

import asyncio
import socket

from aiortc.rtcdtlstransport import RTCCertificate

from tests.support import sdp
from tests.support.raw_transport import RawTransport


def passive_candidates(description: sdp.Description) -> list[tuple[str, int]]:
    found = [value.split() for part in description.media for value in part.values("candidate")]
    passive = [parts for parts in found if parts[2] == "tcp" and parts[-2:] == ["tcptype", "passive"]]
    return list(dict.fromkeys((parts[4], int(parts[5])) for parts in passive))


class RawTcpTransport(RawTransport):
    """As RawTransport, over TCP. What the kernel does not take at once waits here: a test may send what it likes."""

    def __init__(
        self, certificate: RTCCertificate | None = None, family: socket.AddressFamily = socket.AF_INET
    ) -> None:
        super().__init__(certificate, family)
        self._read = b""
        self._unsent = b""

    async def connect(self, remote: sdp.Description) -> None:
        wanted = ":" if self._family == socket.AF_INET6 else "."
        host, port = next(place for place in passive_candidates(remote) if wanted in place[0])
        self.socket.close()
        self.socket = socket.create_connection((host, port))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._begin(remote)

    def send_datagram(self, datagram: bytes) -> bool:
        self._unsent += len(datagram).to_bytes(2, "big") + datagram
        self._send_rest()
        return True

    def _send_rest(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.counters["unsent"] += 1
            self._unsent = b""
        if self.socket.fileno() >= 0:
            if self._unsent:
                loop.add_writer(self.socket.fileno(), self._send_rest)
            else:
                loop.remove_writer(self.socket.fileno())

    def _readable(self) -> None:
        try:
            got = self.socket.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        if not got:
            self.counters["ended"] += 1
            asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self._read += got
        while len(self._read) >= 2 and len(self._read) >= 2 + (size := int.from_bytes(self._read[:2], "big")):
            datagram, self._read = self._read[2 : 2 + size], self._read[2 + size :]
            self.take(datagram)
        self.on_activity()
