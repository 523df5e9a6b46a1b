"""The media sockets: drained by hand, written with UDP segmentation offload. Hot.

One socket per local address, all on one port. Each wakeup drains up to BATCH datagrams, splits them by their first
byte (RFC 7983) and hands them on; then the staged copies are flushed. Nothing waits: a full send buffer drops and
counts. Only viewers' reports of arrivals wait, for the tick (sfu.feedback_socket).
"""

import asyncio
import errno
import socket
import struct
from collections.abc import Callable
from time import monotonic

from sfu.feedback_socket import feedback_socket, read_feedback
from sfu.ice import Address
from sfu.local_socket import LocalSocket
from sfu.rtp import MAX_DATAGRAM_BYTES

BATCH = 64
"""Datagrams taken in one wakeup, so that other callbacks of the loop get their turn."""

BUFFER_BYTES = 4 * 1024 * 1024
"""Socket buffers asked for: 20 ms of 1.6 Gbit/s."""

_UDP_SEGMENT = 103
"""linux/udp.h; the socket module of Python 3.11 has no name for it."""

_OFFLOAD_ERRORS = frozenset({errno.EINVAL, errno.EMSGSIZE, errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP})

Ancillary = list[tuple[int, int, bytes]]


class UdpSocket(LocalSocket):
    """One bound socket and the addresses that passed a connectivity check on it."""

    def __init__(
        self,
        host: str,
        port: int,
        on_stun: Callable[[LocalSocket, bytes, Address, float], None],
        flush: Callable[[float], None],
    ) -> None:
        super().__init__()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        self.socket.setblocking(False)
        try:
            self.socket.bind((host, port))
        except OSError:
            self.socket.close()
            raise
        self.host = host
        self.port: int = self.socket.getsockname()[1]
        self._reports = feedback_socket(self.socket)
        self.offload = hasattr(socket, "SOL_UDP") or hasattr(socket, "IPPROTO_UDP")
        self._segment: dict[int, Ancillary] = {}
        self._on_stun = on_stun
        self._flush = flush

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_reader(self.socket.fileno(), self._readable)

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self.socket.fileno())
        self.socket.close()
        if self._reports is not None:
            self._reports.close()

    def read_feedback(self, most: int) -> int:
        """In the tick: take up to `most` of the reports that came since the last one; how many it were."""
        if self._reports is None:
            return 0
        came, unknown = read_feedback(self._reports, self.media, most)
        self.received += came
        self.dropped_source += unknown
        return came

    def _readable(self) -> None:
        receive = self.socket.recvfrom
        media = self.media
        self.wakeups += 1
        now = 0.0
        try:
            for _ in range(BATCH):
                data, address = receive(MAX_DATAGRAM_BYTES + 1)
                now = monotonic()
                self.received += 1
                if not 0 < len(data) <= MAX_DATAGRAM_BYTES:
                    self.dropped_size += 1
                    continue
                first = data[0]
                if 127 < first < 192:
                    deliver = media.get(address)
                    if deliver is None:
                        self.dropped_source += 1
                    else:
                        deliver(data, now)
                elif first < 4:
                    self._on_stun(self, data, address, now)
                elif 19 < first < 64:
                    feed = self.dtls.get(address)
                    if feed is None:
                        self.dropped_source += 1
                    else:
                        feed(data)
                else:
                    self.dropped_kind += 1
        except (BlockingIOError, ConnectionError):
            pass  # drained; or an ICMP error of an earlier send, which is the sender's affair
        self._flush(now or monotonic())

    def send(self, data: bytes, address: Address) -> bool:
        self.sends += 1
        try:
            self.socket.sendto(data, address)
        except OSError:
            self.dropped_send += 1
            return False
        self.sent += 1
        return True

    def send_run(self, buffers: list[bytes], count: int, address: Address) -> None:
        """With one system call where the kernel can cut. Hot."""
        if count > 1 and self.offload:
            size = len(buffers[0]) + len(buffers[1])
            ancillary = self._segment.get(size)
            if ancillary is None:
                ancillary = self._segment[size] = [(socket.SOL_UDP, _UDP_SEGMENT, struct.pack("H", size))]
            self.sends += 1
            try:
                self.socket.sendmsg((b"".join(buffers),), ancillary, 0, address)  # one buffer costs less than many
            except OSError as error:
                if error.errno not in _OFFLOAD_ERRORS:
                    self.dropped_send += count
                    return
                self.offload = error.errno == errno.EMSGSIZE  # a path's MTU concerns that path, the rest all of them
            else:
                self.sent += count
                return
        for index in range(0, 2 * count, 2):
            self.send(buffers[index] + buffers[index + 1], address)
