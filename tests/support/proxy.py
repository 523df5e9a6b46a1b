"""A UDP proxy between browsers and the media port that loses packets on the way in, by seed, and whose way out to each
browser can be made thin; in both directions it can lose, delay, disorder and double. `dark` lets nothing through either
way; `rebind` is a router that forgets its clients.

Guarantees: which datagrams are dropped, held back and doubled depends on the seed, the order in which clients first
spoke, the direction, and the number of the media datagram in it; on nothing else. Media is what RFC 7983 gives to SRTP
and SRTCP (first byte 128..191); STUN and DTLS always pass. On the way out nothing is lost, delayed or put in another
order, unless `out` or `both` says so. Runs in a thread of its own, so that a busy test does not add loss of its own.
"""

import heapq
import math
import random
import selectors
import socket
import threading
import time
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
    dropped_out: int = 0
    """By the full queue in front of a thin line."""
    refused: int = 0
    """No upstream yet, too many clients, or a socket that would not take it."""


@dataclass(frozen=True)
class Line:
    """What lies between the server and one client; every client has its own."""

    rate_bps: float = math.inf
    queue_s: float = 0.5
    """What would wait longer in front of it is dropped."""
    headers_bytes: int = 28
    """IPv4 and UDP, which the line carries too."""


@dataclass(frozen=True)
class Disorder:
    """What happens to media in each direction. Shares are of datagrams."""

    loss: float = 0.0
    """On the way out; the way in has its own."""
    jitter_s: float = 0.0
    """Each comes up to this much later, in order,"""
    overtaken: float = 0.0
    """but this share comes `overtaken_s` later still and is overtaken."""
    overtaken_s: float = 0.02
    doubled: float = 0.0


class DisorderPlan:
    """Decides for each media datagram of one client in one direction in turn."""

    def __init__(self, seed: int, client: int, direction: str, disorder: Disorder) -> None:
        self._random = random.Random(f"{seed}/{client}/{direction}")
        self._disorder = disorder
        self._latest_s = 0.0

    def lost(self) -> bool:
        return self._random.random() < self._disorder.loss

    def times(self, now: float) -> list[float]:
        """When it comes out: once, or twice."""
        disorder, chance = self._disorder, self._random
        due = max(self._latest_s, now + disorder.jitter_s * chance.random())
        if chance.random() < disorder.overtaken:
            due += disorder.overtaken_s
        else:
            self._latest_s = due
        return [due, due] if chance.random() < disorder.doubled else [due]


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
    port: int
    """Towards the server."""
    disorder_in: DisorderPlan | None = None
    disorder_out: DisorderPlan | None = None
    free_s: float = 0.0
    """When the line to it will have sent what waits."""
    counters: Counters = field(default_factory=Counters)


class ImpairmentProxy:
    """`with ImpairmentProxy(loss=0.05, seed=1) as proxy:` then set `proxy.upstream` once the server's port is known."""

    def __init__(self, *, loss: float, seed: int, both: Disorder | None = None, host: str = "127.0.0.1") -> None:
        """`loss`: on the way in; `both`: what else happens, in each direction."""
        self.upstream: Address | None = None
        self.counters = Counters()
        """Sum over all clients; read it after the traffic."""
        self.out = Line()
        """May be set any time; what waits already leaves as it would have."""
        self.dark = False
        """May be set any time: nothing passes, in either direction, while it is set."""
        self.only: int | None = None
        """Port of the one client for whom `out` holds, as the server sees it; None: for all."""
        self._waiting: list[tuple[float, int, bytes, _Client, bool]] = []
        """Due, order of arrival, datagram, whose, whether to the server. At most `queue_s` of each client's line, and
        what comes in the time of `both`."""
        self._both = both
        self._arrivals = 0
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

    def rebind(self) -> None:
        """The server sees every client come from another port from now on."""
        self._wake_out.send(b"r")

    def _run(self) -> None:
        while True:
            timeout_s = max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None
            for key, _ in self._selector.select(timeout_s):
                if key.fileobj is self._wake_in:
                    if self._wake_in.recv(1) == b"x":
                        return
                    self._rebind_all()
                    break  # the other keys are of sockets that are closed now
                if key.data is None:
                    self._read_front()
                else:
                    self._read_upstream(key.data)
            self._send_due()

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
            if self.dark or client.plan.drops(datagram):
                self.counters.dropped_in += 1
            elif client.disorder_in is not None and is_media(datagram):
                self._disturb(client, client.disorder_in, datagram, to_server=True)
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
            if self.dark:
                self.counters.dropped_out += 1
                continue
            if client.disorder_out is not None and is_media(datagram):
                if client.disorder_out.lost():
                    self.counters.dropped_out += 1
                else:
                    self._disturb(client, client.disorder_out, datagram, to_server=False)
                continue
            thin = self.only in (None, client.port) and not math.isinf(self.out.rate_bps)
            if not thin and client.free_s < time.monotonic():
                self.counters.passed_out += self._forward(self._front, datagram, client.address)
            else:
                self._wait(client, datagram, self.out if thin else Line())

    def _wait(self, client: _Client, datagram: bytes, line: Line) -> None:
        now = time.monotonic()
        begins = max(now, client.free_s)
        if begins - now > line.queue_s:
            self.counters.dropped_out += 1
            return
        client.free_s = begins + 8 * (len(datagram) + line.headers_bytes) / line.rate_bps
        self._arrivals += 1
        heapq.heappush(self._waiting, (client.free_s, self._arrivals, datagram, client, False))

    def _disturb(self, client: _Client, plan: DisorderPlan, datagram: bytes, *, to_server: bool) -> None:
        for due_s in plan.times(time.monotonic()):
            self._arrivals += 1
            heapq.heappush(self._waiting, (due_s, self._arrivals, datagram, client, to_server))

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, datagram, client, to_server = heapq.heappop(self._waiting)
            if to_server:
                self.counters.passed_in += self._forward(client.upstream, datagram, None)
            else:
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
        upstream = self._toward(self.upstream)
        number = len(self._clients)
        client = _Client(address, upstream, LossPlan(self._seed, number, self._loss), upstream.getsockname()[1])
        if self._both is not None:
            client.disorder_in, client.disorder_out = (
                DisorderPlan(self._seed, number, direction, self._both) for direction in ("in", "out")
            )
        self._clients[address] = client
        self._selector.register(upstream, selectors.EVENT_READ, client)
        return client

    def _rebind_all(self) -> None:
        for client in self._clients.values():
            self._selector.unregister(client.upstream)
            remote = client.upstream.getpeername()
            client.upstream.close()
            client.upstream = self._toward(remote)
            self._selector.register(client.upstream, selectors.EVENT_READ, client)

    def _toward(self, upstream: Address) -> socket.socket:
        made = self._socket()
        made.bind((self._host, 0))
        made.connect(upstream)
        return made

    @staticmethod
    def _socket() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            made.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        return made
