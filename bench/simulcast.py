"""A raw participant that publishes a camera in three simulcast layers and a microphone, and watches everybody.

Packets are encrypted as they are sent and carry the time of that; a copy's latency is from there to its arrival in the
receiver's socket as the kernel stamps it. What a viewer misses it asks for, and it reports arrivals as browsers do.
"""

import asyncio
import secrets
import socket
import struct
from array import array
from collections.abc import AsyncIterator, Iterator
from time import monotonic, time_ns
from typing import NamedTuple

from bench.viewer import Viewer
from sfu.rtcp import nack
from tests.support import sdp
from tests.support.raw_peer import RawPeer, RtpSender
from tests.support.raw_transport import Incoming, RawTransport

FPS = 30
AUDIO_BYTES = 80


class Layer(NamedTuple):
    rid: str
    width: int
    height: int
    packets: int
    """Of a frame."""
    payload_bytes: int

    @property
    def bitrate_bps(self) -> int:
        return 8 * FPS * self.packets * self.payload_bytes


LAYERS = (Layer("l", 320, 180, 1, 625), Layer("m", 640, 360, 2, 1040), Layer("h", 1280, 720, 6, 1040))
"""150 kbit/s, 0.5 Mbit/s and 1.5 Mbit/s."""
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
RID_ID, REPAIRED_RID_ID = 10, 11

_DRAIN = 4
"""Packets read in one go: what is to be sent has its time."""
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")
_RTP = struct.Struct("!BBHII")
_FILLING = secrets.token_bytes(2048)


class LayerSender(RtpSender):
    """As RtpSender, with the rid in each packet."""

    def __init__(
        self, transport: RawTransport, line: sdp.Outgoing, mid_id: int, transport_cc_id: int, rid: str
    ) -> None:
        super().__init__(transport, line, mid_id, transport_cc_id)
        mid = line.mid.encode()
        elements = bytes((RID_ID << 4 | len(rid) - 1,)) + rid.encode() + bytes((mid_id << 4 | len(mid) - 1,)) + mid
        elements += bytes((transport_cc_id << 4 | 1,))
        size = len(elements) + 2
        self._front = b"\xbe\xde" + (-(-size // 4)).to_bytes(2, "big") + elements
        self._back = bytes(-size % 4)


def simulcast_offer(credentials: sdp.Credentials, audio: sdp.Outgoing, video: sdp.Outgoing) -> str:
    """A camera whose layers are told apart by rid and have no SSRC in the description (RFC 8853)."""
    text = sdp.offer(credentials, [audio, video])
    head, camera = text.split("m=video", 1)
    lines = [line for line in camera.split("\r\n") if line and not line.startswith("a=ssrc")]
    lines += [f"a=extmap:{RID_ID} {RID}", f"a=extmap:{REPAIRED_RID_ID} {REPAIRED_RID}"]
    lines += [f"a=rid:{layer.rid} send" for layer in LAYERS]
    lines.append("a=simulcast:send " + ";".join(layer.rid for layer in LAYERS))
    return head + "m=video" + "\r\n".join(lines) + "\r\n"


class Attendee:
    """Made by `join`; `latencies_ns` and the counters may be emptied between two measurements."""

    def __init__(self, peer: RawPeer, place: int) -> None:
        self.peer = peer
        self.latencies_ns = array("q")
        self.sent = self.delivered = self.repaired = 0
        self.unsent = 0
        self.late_ns = array("q")
        """How late frames and sounds were sent."""
        self._place = place
        self._viewer = Viewer(0, place)
        self._missing: dict[int, set[int]] = {}
        """By SSRC of media: indices."""
        self._highest: dict[int, int] = {}
        self._transport: RawTransport | None = None
        self._arrival_ns = 0
        self._layers: list[LayerSender] = []
        self._microphone: RtpSender
        self._key_frames = [True] * len(LAYERS)
        self._sending: list[asyncio.Task[None]] = []

    @classmethod
    async def join(cls, url: str, session_id: str, place: int) -> "Attendee":
        listener: list[Attendee] = []
        peer = await RawPeer.join(url, session_id, listener=lambda *packet: listener[0]._take(*packet))
        listener.append(cls(peer, place))
        await listener[0]._publish()
        return listener[0]

    async def _publish(self) -> None:
        transport = RawTransport()
        audio = sdp.Outgoing("0", "audio", "opus", secrets.randbits(31) + 1)
        video = sdp.Outgoing("1", "video", "VP8", 0)
        offer = simulcast_offer(transport.credentials, audio, video)
        tracks = [{"mid": "0", "kind": "microphone"}, {"mid": "1", "kind": "camera"}]
        await self.peer.tell("webrtc_offer", transport="publish", sdp=offer, tracks=tracks)
        answer = sdp.Description.parse((await self.peer.message("webrtc_answer", transport="publish"))["sdp"])
        transport.on_rtcp = self.peer._take_feedback
        await transport.connect(answer)
        self.peer.publishing = transport
        ids = [(media.extension(sdp.MID), media.extension(sdp.TRANSPORT_CC)) for media in answer.media]
        self._microphone = RtpSender(transport, audio, *ids[0])
        for layer in LAYERS:
            line = sdp.Outgoing("1", "video", "VP8", secrets.randbits(31) + 1)
            self._layers.append(LayerSender(transport, line, *ids[1], layer.rid))
        self.peer.senders += [self._microphone, *self._layers]
        self.peer.on_keyframe_request = self._key_frame

    async def watch(self, others: int, large: str, small_lines: int) -> None:
        """Wait for everybody's tracks; show the participant `large` in 720 lines and all others in `small_lines`."""
        await self.peer.takes(2 * others)
        assert self.peer.subscribing is not None
        transport = self._transport = self.peer.subscribing
        self._viewer = Viewer(transport.transport_cc_extension, self._place)
        transport.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        asyncio.get_running_loop().add_reader(transport.socket.fileno(), self._readable)
        for track in self.peer.subscribed.values():
            if track["kind"] == "camera":
                height = LAYERS[-1].height if track["participant_id"] == large else small_lines
                await self.peer.tell("layer", track_id=track["track_id"], height=height)

    def start(self, phase_s: float) -> None:
        """Send until it leaves; `phase_s`: how much later than the others its frames come."""
        self._sending = [asyncio.create_task(self._speak(phase_s)), asyncio.create_task(self._show(phase_s))]

    async def leave(self) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self.peer.close()

    def streams(self) -> list[Incoming]:
        """Of media."""
        if self._transport is None:
            return []
        return [s for s in self._transport.streams.values() if s.ssrc in self._missing]

    @property
    def unrepaired(self) -> int:
        """Packets that came neither at once nor when they were asked for."""
        return sum(map(len, self._missing.values()))

    def answer(self) -> None:
        """What a browser says every FEEDBACK_S."""
        streams = self.streams()
        if not streams or self._transport is None:
            return
        for packet in self._viewer.answers(streams[0].ssrc):
            self._transport.send_rtcp(packet)
        for ssrc, missing in self._missing.items():
            if missing:
                self._transport.send_rtcp(nack(1, ssrc, [index & 0xFFFF for index in sorted(missing)[:100]]))

    # --- sending

    def _key_frame(self, ssrc: int) -> None:
        for place, sender in enumerate(self._layers):
            if sender.ssrc == ssrc:
                self._key_frames[place] = True

    async def _speak(self, phase_s: float) -> None:
        async for number in self._every(0.02, phase_s):
            payload = b"\x78" + _FILLING[: AUDIO_BYTES - 9] + time_ns().to_bytes(8, "big")
            self._count(self._microphone.send(payload, 960 * number))

    async def _show(self, phase_s: float) -> None:
        async for number in self._every(1 / FPS, phase_s):
            for place, layer in enumerate(LAYERS):
                key, self._key_frames[place] = self._key_frames[place], False
                sender = self._layers[place]
                for packet, payload in enumerate(frame(layer, number, key=key)):
                    sent = sender.send(payload, 3000 * number, marker=packet == layer.packets - 1)
                    self._count(sent)

    async def _every(self, seconds: float, phase_s: float) -> AsyncIterator[int]:
        """0, 1, ... on a grid; a number that is late comes at once."""
        begin, number = monotonic() + phase_s, 0
        while True:
            due = begin + number * seconds
            await asyncio.sleep(max(0.0, due - monotonic()))
            self.late_ns.append(int(1e9 * (monotonic() - due)))
            yield number
            number += 1

    def _count(self, sent: bool) -> None:
        self.sent += sent
        self.unsent += not sent

    # --- receiving

    def _readable(self) -> None:
        assert self._transport is not None
        receive, take, arrived = self._transport.socket.recvmsg, self._transport.take, self._viewer.arrived
        space = socket.CMSG_SPACE(_TIMESPEC.size)
        for _ in range(_DRAIN):
            try:
                datagram, ancillary, _, _ = receive(2048, space)
            except BlockingIOError:
                return
            except OSError:  # an ICMP answer: nobody listens there any more
                return
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            self._arrival_ns = seconds * 1_000_000_000 + nanoseconds
            arrived(datagram, self._arrival_ns)
            take(datagram)

    def _take(self, stream: Incoming, index: int, _timestamp: int, header: bytes, payload: bytes) -> None:
        if self._transport is None:  # not looked at yet
            return
        if header[1] & 0x7F in self._transport.repair_types:
            self._repaired(payload)
            return
        if len(payload) < AUDIO_BYTES:
            return
        missing = self._missing.setdefault(stream.ssrc, set())
        highest = self._highest.get(stream.ssrc, index - 1)
        if index > highest:
            missing.update(range(highest + 1, index))
            self._highest[stream.ssrc] = index
        else:
            missing.discard(index)
        self.delivered += 1
        self.latencies_ns.append(self._arrival_ns - int.from_bytes(payload[-8:], "big"))

    def _repaired(self, payload: bytes) -> None:
        sequence = int.from_bytes(payload[:2], "big")
        for missing in self._missing.values():
            for index in [index for index in missing if index & 0xFFFF == sequence]:
                missing.discard(index)
                self.repaired += 1


def frame(layer: Layer, number: int, *, key: bool) -> Iterator[bytes]:
    """VP8 as far as anybody on the way looks; the last 8 bytes of each packet are the time."""
    picture = (0x8000 | number & 0x7FFF).to_bytes(2, "big")
    for packet in range(layer.packets):
        head = b"\x80\x80" + picture
        if packet == 0:
            head = b"\x90\x80" + picture
            head += (
                b"\x10\x00\x00\x9d\x01\x2a" + struct.pack("<HH", layer.width, layer.height) if key else b"\x11\x00\x00"
            )
        yield head + _FILLING[: layer.payload_bytes - len(head) - 8] + time_ns().to_bytes(8, "big")
