"""A UDP proxy between browsers and the media port that loses packets on the way in, by seed.

Guarantees: which datagrams are dropped depends on the seed, the order in which clients first spoke, and the number of
the media datagram of that client; on nothing else. Media is what RFC 7983 gives to SRTP and SRTCP (first byte
128..191); STUN and DTLS always pass, and so does everything on the way out. Nothing is delayed or put in another
order on purpose. Runs in a thread of its own, so that a busy test does not add loss of its own.
"""

import random
import selectors
import socket
import threading
from dataclasses import dataclass, field

SOCKET_BUFFER_BYTES = 4 << 20
"""Loss by a full socket buffer would not be the seeded one."""
DRAIN = 256
"""Datagrams read from one socket before the next has its turn."""
MAX_CLIENTS = 256
"""Further client addresses are refused and counted."""

Address = tuple[str, int]


@dataclass(slots=True)
class Counters:
    """Datagrams; `in` is from clients to the server."""

    passed_in: int = 0
    passed_out: int = 0
    media_in: int = 0
    """SRTP and SRTCP seen from clients, the dropped ones included."""
    dropped_in: int = 0
    refused: int = 0
    """No upstream yet, too many clients, or a socket that would not take it."""


class LossPlan:
    """Decides for each datagram of one client in turn."""

    def __init__(self, seed: int, client: int, fraction: float) -> None:
        self._random = random.Random(f"{seed}/{client}")
        self._fraction = fraction

    def drops(self, datagram: bytes) -> bool:
        """Only media datagrams move the generator on."""
        return is_media(datagram) and self._random.random() < self._fraction


def is_media(datagram: bytes) -> bool:
    return bool(datagram) and 128 <= datagram[0] <= 191


@dataclass(slots=True)
class _Client:
    address: Address
    upstream: socket.socket
    plan: LossPlan
    counters: Counters = field(default_factory=Counters)


class ImpairmentProxy:
    """`with ImpairmentProxy(loss=0.05, seed=1) as proxy:` then set `proxy.upstream` once the server's port is known."""

    def __init__(self, *, loss: float, seed: int, host: str = "127.0.0.1") -> None:
        self.upstream: Address | None = None
        self.counters = Counters()
        """Sum over all clients; read it after the traffic."""
        self._loss, self._seed, self._host = loss, seed, host
        self._front = self._socket()
        self._front.bind((host, 0))
        self.port: int = self._front.getsockname()[1]
        self._wake_in, self._wake_out = socket.socketpair()
        self._clients: dict[Address, _Client] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._front, selectors.EVENT_READ, None)
        self._selector.register(self._wake_in, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="impairment-proxy", daemon=True)

    def __enter__(self) -> "ImpairmentProxy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake_out.send(b"x")
        self._thread.join()
        for client in self._clients.values():
            client.upstream.close()
        for end in (self._front, self._wake_in, self._wake_out):
            end.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._wake_in:
                    return
                if key.data is None:
                    self._read_front()
                else:
                    self._read_upstream(key.data)

    def _read_front(self) -> None:
        for _ in range(DRAIN):
            try:
                datagram, address = self._front.recvfrom(65_536)
            except BlockingIOError:
                return
            client = self._clients.get(address) or self._admit(address)
            if client is None:
                self.counters.refused += 1
                continue
            self.counters.media_in += is_media(datagram)
            if client.plan.drops(datagram):
                self.counters.dropped_in += 1
            else:
                self.counters.passed_in += self._forward(client.upstream, datagram, None)

    def _read_upstream(self, client: _Client) -> None:
        for _ in range(DRAIN):
            try:
                datagram = client.upstream.recv(65_536)
            except BlockingIOError:
                return
            except ConnectionRefusedError:  # an ICMP answer: the server is gone for now
                continue
            self.counters.passed_out += self._forward(self._front, datagram, client.address)

    def _forward(self, via: socket.socket, datagram: bytes, address: Address | None) -> bool:
        try:
            if address is None:
                via.send(datagram)
            else:
                via.sendto(datagram, address)
        except OSError:
            self.counters.refused += 1
            return False
        return True

    def _admit(self, address: Address) -> _Client | None:
        if self.upstream is None or len(self._clients) >= MAX_CLIENTS:
            return None
        upstream = self._socket()
        upstream.bind((self._host, 0))
        upstream.connect(self.upstream)
        client = _Client(address, upstream, LossPlan(self._seed, len(self._clients), self._loss))
        self._clients[address] = client
        self._selector.register(upstream, selectors.EVENT_READ, client)
        return client

    @staticmethod
    def _socket() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            made.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        return made
