"""The load generator: participants that send what was encrypted beforehand, and that count and decrypt what comes.

All of them are in this process, one connection to publish and one to subscribe each. A packet's latency is the time
from just before its send call to its arrival in the receiver's socket as the kernel stamps it: how fast this process
reads is not in it.
"""

import asyncio
import socket
import struct
from array import array
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import groupby
from time import monotonic, time_ns
from typing import NamedTuple, Protocol

from bench.load import CAMERA, MICROPHONE, NUMBER_BYTES, Load, Payloads
from tests.support.raw_peer import RtpSender
from tests.support.raw_transport import Incoming, PacketListener, RawTransport

KINDS = {CAMERA: "camera", MICROPHONE: "microphone"}

STALL_S = 2.0
"""What is missing after nothing came for this long counts as lost: a busy machine may hold up the node for a while."""
LOOK_S = 0.05
SETTLE_S = 0.5
"""Given to the node to take in the rest where nobody would notice it come."""
AHEAD_S = 0.05
"""Between the decision to begin and the first packet."""
SPIN_S = 0.0015
"""How long before a packet is due we stop sleeping where times matter: epoll sleeps whole milliseconds."""
DRAIN = 64
"""Datagrams read from one socket before the next one has its turn."""

_SO_TIMESTAMPNS = 35
"""asm-generic/socket.h; the option and its control message."""
_TIMESPEC = struct.Struct("@ll")
_UDP_SEGMENT = 103
"""linux/udp.h."""


class Peer(Protocol):
    """One participant's connections, to whichever server."""

    @property
    def subscribing(self) -> RawTransport | None: ...

    async def publish(self, *kinds: str) -> list[RtpSender]: ...

    async def takes(self, tracks: int) -> None:
        """Return when `tracks` tracks of others are on offer and the connection stands."""

    async def close(self) -> None: ...


Join = Callable[[PacketListener], Awaitable[Peer]]
"""Makes a participant that gives every packet it gets to a listener."""


class Clocks:
    """When each packet of the load was sent, and how long each copy took. Nanoseconds of the wall clock."""

    def __init__(self) -> None:
        self.sent_at = array("q")
        self.latencies = array("q")

    def expect(self, packets: int) -> None:
        """A new load of so many packets."""
        self.sent_at = array("q", bytes(8 * packets))
        self.latencies = array("q")


class Sealed(NamedTuple):
    """An encrypted packet that waits to be sent."""

    due_s: float
    number: int
    sender: RtpSender
    timestamp: int
    datagram: bytes


def batches(sealed: Sequence[Sealed]) -> Iterator[list[Sealed]]:
    """Packets of one stream that are due at the same moment and have the same size."""
    for _, group in groupby(sealed, lambda packet: (packet.due_s, packet.sender.ssrc, len(packet.datagram))):
        yield list(group)


def _send(batch: Sequence[Sealed]) -> None:
    """In one call (UDP_SEGMENT): a burst is a burst when the node sees all of it at its first look."""
    transport = batch[0].sender.transport
    if len(batch) == 1:
        transport.send_datagram(batch[0].datagram)
        return
    size = struct.pack("H", len(batch[0].datagram))
    try:
        transport.socket.sendmsg([packet.datagram for packet in batch], [(socket.SOL_UDP, _UDP_SEGMENT, size)])
    except BlockingIOError:
        transport.counters["unsent"] += len(batch)


class Participant:
    """Sends the tracks of a load, if told to, and takes everybody else's."""

    def __init__(self, clocks: Clocks) -> None:
        self.peer: Peer
        self._clocks = clocks
        self._arrival_ns = 0
        self._transport: RawTransport | None = None
        self._senders: dict[int, RtpSender] = {}
        self._payloads: dict[int, Payloads] = {}
        self._base: dict[int, int] = {}

    async def join(self, join: Join, sends: Sequence[int]) -> None:
        """`sends`: tracks to publish."""
        self.peer = await join(self._take)
        if sends:
            senders = await self.peer.publish(*(KINDS[track] for track in sends))
            self._senders = dict(zip(sends, senders, strict=True))
            self._payloads = {track: Payloads(track) for track in sends}
            self._base = dict.fromkeys(sends, 0)

    async def takes(self, tracks: int) -> None:
        """Wait until connected to so many tracks, then read the socket ourselves."""
        await self.peer.takes(tracks)
        assert self.peer.subscribing is not None
        transport = self._transport = self.peer.subscribing
        transport.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        asyncio.get_running_loop().add_reader(transport.socket.fileno(), self._readable)

    def seal(self, load: Load, phase_s: float, first_number: int) -> list[Sealed]:
        """Our part of the load, encrypted, `phase_s` later; the packets are numbered from `first_number` on."""
        for payloads in self._payloads.values():
            payloads.restart()
        sealed = []
        for number, send in enumerate(load.sends, first_number):
            sender = self._senders[send.track]
            timestamp = self._base[send.track] + send.timestamp
            payload = self._payloads[send.track].make(send, number)
            datagram = sender.seal(payload, timestamp, marker=send.marker)
            sealed.append(Sealed(send.due_s + phase_s, number, sender, timestamp, datagram))
        for track, sender in self._senders.items():
            self._base[track] += round((load.duration_s + 1) * sender.clock_rate_hz)
        return sealed

    @property
    def received(self) -> list[Incoming]:
        return list(self._transport.streams.values()) if self._transport is not None else []

    def _readable(self) -> None:
        assert self._transport is not None
        receive, take = self._transport.socket.recvmsg, self._transport.take
        space = socket.CMSG_SPACE(_TIMESPEC.size)
        for _ in range(DRAIN):
            try:
                datagram, ancillary, _, _ = receive(2048, space)
            except BlockingIOError:
                return
            except OSError:  # an ICMP answer: nobody listens there any more
                self._transport.counters["refused"] += 1
                return
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            self._arrival_ns = seconds * 1_000_000_000 + nanoseconds
            take(datagram)

    def _take(self, _stream: Incoming, _index: int, _timestamp: int, _header: bytes, payload: bytes) -> None:
        number = int.from_bytes(payload[-NUMBER_BYTES:], "big")
        self._clocks.latencies.append(self._arrival_ns - self._clocks.sent_at[number])


class Generator:
    """Everybody in one room."""

    def __init__(self) -> None:
        self.clocks = Clocks()
        self._publishers: list[Participant] = []
        self._everybody: list[Participant] = []
        self._copies = 0

    async def join(self, join: Join, load: Load, publishers: int, subscribers: int) -> None:
        """Each track gets `subscribers` subscribers: the other publishers, and as many as are missing then. Returns
        when everybody is connected."""
        self._copies = subscribers
        for number in range(max(publishers, subscribers + 1)):
            sends = load.tracks if number < publishers else ()
            participant = Participant(self.clocks)
            await participant.join(join, sends)
            self._everybody.append(participant)
            if sends:
                self._publishers.append(participant)
        for participant in self._everybody:
            others = publishers - (participant in self._publishers)
            if others:
                await participant.takes(others * len(load.tracks))

    @property
    def received(self) -> int:
        return sum(stream.packets for participant in self._everybody for stream in participant.received)

    @property
    def undecryptable(self) -> int:
        return sum(stream.undecryptable for participant in self._everybody for stream in participant.received)

    def seal(self, load: Load) -> list[Sealed]:
        """The load of all publishers, spread over a frame's time, in order."""
        self.clocks.expect(len(load.sends) * len(self._publishers))
        sealed: list[Sealed] = []
        for place, publisher in enumerate(self._publishers):
            sealed += publisher.seal(load, place / len(self._publishers) / 30, len(sealed))
        return sorted(sealed)

    async def send(self, sealed: Sequence[Sealed], *, precise: bool) -> float:
        """Send it all in time and wait until every copy came through. How late the latest packet was, seconds."""
        expected = self.received + len(sealed) * self._copies
        begin = monotonic() + AHEAD_S
        sent_at = self.clocks.sent_at
        latest = 0.0
        for batch in batches(sealed):
            due_s = batch[0].due_s
            wait_s = begin + due_s - monotonic()
            while wait_s > 0:
                await asyncio.sleep(max(0.0, wait_s - SPIN_S) if precise else wait_s)
                wait_s = begin + due_s - monotonic()
            latest = max(latest, -wait_s)
            now = time_ns()
            for packet in batch:
                sent_at[packet.number] = now
            _send(batch)
            batch[0].sender.last = (batch[-1].timestamp, monotonic())
        if not self._copies:
            await asyncio.sleep(SETTLE_S)
        received, since = self.received, monotonic()
        while received < expected and monotonic() - since < STALL_S:
            await asyncio.sleep(LOOK_S)
            if self.received != received:
                received, since = self.received, monotonic()
        return latest

    async def close(self) -> None:
        for participant in self._everybody:
            await participant.peer.close()
