"""A participant of the load: sends what was encrypted beforehand, counts and decrypts what comes, answers like a
browser.

A packet's latency is the time from just before its send call to its arrival in the receiver's socket as the kernel
stamps it: how fast this process reads is not in it.
"""

import asyncio
import socket
import struct
from array import array
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from bench.load import CAMERA, MICROPHONE, NUMBER_BYTES, Load, Payloads
from bench.viewer import LOSS_PERIOD, Viewer
from sfu import rtcp
from tests.support.raw_peer import RtpSender, receiver_report
from tests.support.raw_transport import Incoming, PacketListener, RawTransport

KINDS = {CAMERA: "camera", MICROPHONE: "microphone"}

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
    lost: bool
    """On its way to the server: it is sent when the server asks for it."""


class Repair(NamedTuple):
    """What is sent when the server misses a packet."""

    sender: RtpSender
    timestamp: int
    marker: bool
    payload: bytes
    datagram: bytes


class Participant:
    """Sends the tracks of a load, if told to, and takes everybody else's."""

    def __init__(self, clocks: Clocks, place: int, *, lossy: bool) -> None:
        """`lossy`: 1 % of what it sends and of what it gets is lost on the way, once."""
        self.peer: Peer
        self.received = self.repaired = 0
        """Packets of media that came; those that came once more, because they were asked for."""
        self._clocks = clocks
        self._place = place
        self._lossy = lossy
        self._arrival_ns = 0
        self._transport: RawTransport | None = None
        self._viewer = Viewer(0, place)
        self._senders: dict[int, RtpSender] = {}
        self._payloads: dict[int, Payloads] = {}
        self._base: dict[int, int] = {}
        self._repairs: dict[tuple[int, int], Repair] = {}
        """By SSRC and sequence number."""

    async def join(self, join: Join, sends: Sequence[int]) -> None:
        """`sends`: tracks to publish."""
        self.peer = await join(self._take)
        if sends:
            senders = await self.peer.publish(*(KINDS[track] for track in sends))
            self._senders = dict(zip(sends, senders, strict=True))
            self._payloads = {track: Payloads(track) for track in sends}
            self._base = dict.fromkeys(sends, 0)
            self._listen_to_requests(senders[0].transport)

    async def takes(self, tracks: int) -> None:
        """Wait until connected to so many tracks, then read the socket ourselves."""
        await self.peer.takes(tracks)
        assert self.peer.subscribing is not None
        transport = self._transport = self.peer.subscribing
        self._viewer = Viewer(transport.transport_cc_extension, self._place)
        transport.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        asyncio.get_running_loop().add_reader(transport.socket.fileno(), self._readable)

    @property
    def undecryptable(self) -> int:
        return sum(stream.undecryptable for stream in self._streams())

    # --- sending

    def seal(self, load: Load, phase_s: float, first_number: int) -> list[Sealed]:
        """Our part of the load, encrypted, `phase_s` later; the packets are numbered from `first_number` on."""
        self._repairs.clear()
        for payloads in self._payloads.values():
            payloads.restart()
        sealed = []
        for number, send in enumerate(load.sends, first_number):
            sender = self._senders[send.track]
            timestamp = self._base[send.track] + send.timestamp
            payload = self._payloads[send.track].make(send, number)
            datagram = sender.seal(payload, timestamp, marker=send.marker)
            lost = self._lossy and number % LOSS_PERIOD == LOSS_PERIOD // 2
            if lost:
                key = sender.ssrc, int.from_bytes(datagram[2:4], "big")
                self._repairs[key] = Repair(sender, timestamp, send.marker, payload, datagram)
            sealed.append(Sealed(send.due_s + phase_s, number, sender, timestamp, datagram, lost))
        for track, sender in self._senders.items():
            self._base[track] += round((load.duration_s + 1) * sender.clock_rate_hz)
        return sealed

    def _listen_to_requests(self, transport: RawTransport) -> None:
        before = transport.on_rtcp

        def take(compound: bytes) -> None:
            before(compound)
            for packet in rtcp.parse(compound):
                if isinstance(packet, rtcp.Nack):
                    self._repair(packet)

        transport.on_rtcp = take

    def _repair(self, request: rtcp.Nack) -> None:
        for sequence in request.sequence_numbers:
            repair = self._repairs.pop((request.ssrc, sequence), None)
            if repair is None:
                continue
            sender, datagram = repair.sender, repair.datagram
            if sender.line.rtx_ssrc:
                datagram = sender.seal_repair(sequence, repair.payload, repair.timestamp, marker=repair.marker)
            sender.transport.send_datagram(datagram)

    # --- receiving

    def answer(self) -> None:
        """What a browser says every FEEDBACK_S."""
        streams = self._streams()
        if streams and self._transport is not None:
            front = b"" if self._transport.reduced_size else receiver_report(streams[:1])
            for packet in self._viewer.answers(streams[0].ssrc):
                self._transport.send_rtcp(front + packet)

    def _streams(self) -> list[Incoming]:
        return list(self._transport.streams.values()) if self._transport is not None else []

    def _readable(self) -> None:
        assert self._transport is not None
        receive, take, arrived = self._transport.socket.recvmsg, self._transport.take, self._viewer.arrived
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
            arrived(datagram, self._arrival_ns)
            take(datagram)

    def _take(self, stream: Incoming, index: int, _timestamp: int, header: bytes, payload: bytes) -> None:
        assert self._transport is not None
        if header[1] & 0x7F in self._transport.repair_types or len(payload) < NUMBER_BYTES:
            self.repaired += 1
            return
        self.received += 1
        number = int.from_bytes(payload[-NUMBER_BYTES:], "big")
        self._clocks.latencies.append(self._arrival_ns - self._clocks.sent_at[number])
        if self._lossy:
            self._viewer.missed(stream.ssrc, index, number)


def send(batch: Sequence[Sealed]) -> None:
    """Packets of one stream and one size, in one call (UDP_SEGMENT): a burst is a burst when the server sees all of it
    at its first look."""
    transport = batch[0].sender.transport
    datagrams = [packet.datagram for packet in batch if not packet.lost]
    if len(datagrams) < 2:
        for datagram in datagrams:
            transport.send_datagram(datagram)
        return
    size = struct.pack("H", len(datagrams[0]))
    try:
        transport.socket.sendmsg(datagrams, [(socket.SOL_UDP, _UDP_SEGMENT, size)])
    except BlockingIOError:
        transport.counters["unsent"] += len(datagrams)
