"""ICE-TCP, passive (RFC 6544) with the framing of RFC 4571: for networks that let no UDP through.

One listening socket per local address, on the number of the UDP port. A connection is a peer's address like any other:
good for nothing before a valid check on it, which must come within CHECK_S, and closed when the transport forgets it.
Nothing waits: what the kernel's buffer does not take is dropped and counted, as on UDP; only the rest of a frame that
was begun is kept. A connection that takes nothing for STALLED_S is closed.
"""

import asyncio
import errno
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable
from time import monotonic

from sfu.framing import Deframer, FramingError, framed
from sfu.ice import Address
from sfu.local_socket import LocalSocket

MAX_CONNECTIONS = 2_000
"""On one local address; two per participant, and some that are coming or going. Overflow: new ones are refused."""

MAX_PER_HOST = 256
"""Of one IPv4 address or IPv6 /64: an office of a hundred behind one router. Overflow: new ones are refused."""

MAX_UNCHECKED = 128
"""Connections without a valid check. Overflow: the oldest is closed, so that idle ones keep nobody out."""

CHECK_S = 10.0
"""How soon the first valid check must come; browsers send it at once."""

STALLED_S = 10.0
"""A peer that takes nothing for so long will not catch up."""

READ_BYTES = 16_384
"""Read in one wakeup, so that others get their turn."""

SEND_BUFFER_BYTES = 256 * 1024
"""The kernel's buffer of one connection: 1 s of 2 Mbit/s. What waits longer is of no use."""

BACKLOG = 128
SWEEP_S = 1.0
_OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class TcpConnection:
    __slots__ = ("address", "deframer", "host", "opened", "rest", "socket", "stalled")

    def __init__(self, accepted: socket.socket, address: Address, now: float) -> None:
        self.socket = accepted
        self.address = address
        self.host = _host(address)
        self.deframer = Deframer()
        self.opened = now
        self.rest = b""
        """Of what was begun to be sent: at most one run."""
        self.stalled = 0.0
        """Since when the kernel's buffer is full; 0: it is not."""


class TcpSocket(LocalSocket):
    """A listening socket and its connections."""

    def __init__(
        self,
        host: str,
        port: int,
        on_stun: Callable[[LocalSocket, bytes, Address, float], None],
        flush: Callable[[float], None],
    ) -> None:
        super().__init__()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # accepted ones inherit it
        if family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.setblocking(False)
        try:
            self.socket.bind((host, port))
            self.socket.listen(BACKLOG)
        except OSError:
            self.socket.close()
            raise
        self.host = host
        self.connections: dict[Address, TcpConnection] = {}
        """In the order in which they were opened."""
        self._hosts: Counter[str] = Counter()
        self._on_stun = on_stun
        self._flush = flush
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.accepted = self.refused = self.closed_unchecked = self.closed_framing = self.closed_stalled = 0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        loop.add_reader(self.socket.fileno(), self._accept)
        self._timer = loop.call_later(SWEEP_S, self._tick)

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop.remove_reader(self.socket.fileno())
        self.socket.close()
        for connection in list(self.connections.values()):
            self._end(connection)

    def forget(self, address: Address) -> None:
        super().forget(address)
        connection = self.connections.get(address)
        if connection is not None:
            self._end(connection)

    # --- connections

    def _accept(self) -> None:
        assert self._loop is not None
        try:
            accepted, address = self.socket.accept()
        except OSError as error:
            if error.errno in _OUT_OF_FILES:  # it stays readable: look again at the next sweep
                self._loop.remove_reader(self.socket.fileno())
            return
        connection = TcpConnection(accepted, address, monotonic())
        if len(self.connections) >= MAX_CONNECTIONS or self._hosts[connection.host] >= MAX_PER_HOST:
            self.refused += 1
            accepted.close()
            return
        if len(self.connections) - len(self.dtls) >= MAX_UNCHECKED:
            self.closed_unchecked += 1
            self._end(next(c for c in self.connections.values() if c.address not in self.dtls))
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.accepted += 1
        self.connections[address] = connection
        self._hosts[connection.host] += 1
        self._loop.add_reader(accepted.fileno(), self._readable, connection)

    def _end(self, connection: TcpConnection) -> None:
        """Close and forget. Idempotent."""
        if self.connections.get(connection.address) is not connection:
            return
        del self.connections[connection.address]
        self._hosts[connection.host] -= 1
        if not self._hosts[connection.host]:
            del self._hosts[connection.host]
        super().forget(connection.address)
        assert self._loop is not None
        self._loop.remove_reader(connection.socket.fileno())
        self._loop.remove_writer(connection.socket.fileno())
        connection.socket.close()

    def _tick(self) -> None:
        assert self._loop is not None
        self._timer = self._loop.call_later(SWEEP_S, self._tick)
        self._loop.add_reader(self.socket.fileno(), self._accept)
        self.sweep(monotonic())

    def sweep(self, now: float) -> None:
        """Close what had no check in time and what takes nothing any more."""
        for connection in list(self.connections.values()):
            if connection.address not in self.dtls and now - connection.opened > CHECK_S:
                self.closed_unchecked += 1
                self._end(connection)
            elif connection.stalled and now - connection.stalled > STALLED_S:
                self.closed_stalled += 1
                self._end(connection)

    # --- receiving

    def _readable(self, connection: TcpConnection) -> None:
        self.wakeups += 1
        now = monotonic()
        try:
            data = connection.socket.recv(READ_BYTES)
            if not data:
                self._end(connection)
                return
            for datagram in connection.deframer.feed(data):
                self._take(datagram, connection.address, now)
                if connection.socket.fileno() < 0:  # what it said ended it
                    break
        except BlockingIOError:
            return
        except FramingError:
            self.closed_framing += 1
            self._end(connection)
        except OSError:
            self._end(connection)
        self._flush(now)

    def _take(self, data: bytes, address: Address, now: float) -> None:
        """Split by the first byte (RFC 7983), as on UDP."""
        self.received += 1
        if not data:
            self.dropped_size += 1
            return
        first = data[0]
        if 127 < first < 192:
            deliver = self.media.get(address)
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

    # --- sending

    def send(self, data: bytes, address: Address) -> bool:
        self.sends += 1
        if not self._write(address, [framed(data)]):
            self.dropped_send += 1
            return False
        self.sent += 1
        return True

    def send_run(self, buffers: list[bytes], count: int, address: Address) -> None:
        self.sends += 1
        frames: list[bytes] = []
        for place in range(0, 2 * count, 2):
            header, text = buffers[place], buffers[place + 1]
            frames += ((len(header) + len(text)).to_bytes(2, "big"), header, text)
        if self._write(address, frames):
            self.sent += count
        else:
            self.dropped_send += count

    def _write(self, address: Address, buffers: list[bytes]) -> bool:
        """All of it, now or as soon as the peer takes it; False: nothing of it."""
        connection = self.connections.get(address)
        if connection is None or connection.rest:
            return False
        try:
            written = connection.socket.sendmsg(buffers)
        except BlockingIOError:
            self._stalls(connection)
            return False
        except OSError:
            self._end(connection)
            return False
        if written < sum(map(len, buffers)):
            connection.rest = b"".join(buffers)[written:]
            self._stalls(connection)
        return True

    def _stalls(self, connection: TcpConnection) -> None:
        assert self._loop is not None
        if not connection.stalled:
            connection.stalled = monotonic()
            self._loop.add_writer(connection.socket.fileno(), self._writable, connection)

    def _writable(self, connection: TcpConnection) -> None:
        assert self._loop is not None
        try:
            written = connection.socket.send(connection.rest) if connection.rest else 0
        except BlockingIOError:
            return
        except OSError:
            self._end(connection)
            return
        connection.rest = connection.rest[written:]
        if not connection.rest:
            connection.stalled = 0.0
            self._loop.remove_writer(connection.socket.fileno())


def _host(address: Address) -> str:
    """What counts as one host: an IPv4 address, or the /64 that an IPv6 host may choose its addresses from."""
    ip = ipaddress.ip_address(address[0])
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
