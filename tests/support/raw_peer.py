"""A participant without a browser: joins by REST, signals over the WebSocket, sends arbitrary RTP, counts what comes.

For integration tests and as the benchmark's load generator. It answers every subscribe offer, sends a sender report
and a receiver report a second, answers reference times as browsers do and keeps its heartbeat; it retransmits nothing
and adapts to nothing. Feedback of the server is counted, and key frame requests can be listened to.
"""

import asyncio
import secrets
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Self

import aiohttp

from tests.support import sdp
from tests.support.api import Api, Json
from tests.support.raw_transport import Incoming, RawTransport

HEARTBEAT_S = 5.0
REPORT_S = 1.0
WAIT_S = 10.0
MAX_MESSAGES = 10_000
"""Of the WebSocket, newest kept."""
NTP_UNIX_S = 2_208_988_800
_HEAD = struct.Struct("!BBHII")
_SEQUENCE = struct.Struct("!H")
_NACK = struct.Struct("!HH")


class RtpSender:
    """One outgoing RTP stream. `seal` then `RawTransport.send_datagram` apart lets a load be encrypted beforehand."""

    def __init__(
        self, transport: RawTransport, line: sdp.Outgoing, mid_id: int, transport_cc_id: int, level_id: int = 0
    ) -> None:
        self.transport, self.line, self.ssrc = transport, line, line.ssrc
        self.clock_rate_hz = 48_000 if line.kind == "audio" else 90_000
        self.index = secrets.randbelow(1 << 15)
        """Extended sequence number of the next packet."""
        self.level: int | None = None
        """What the packets of sound say of their level (RFC 6464), 0..127; None: nothing."""
        self.packets = self.octets = 0
        self._repair_index = secrets.randbelow(1 << 15)
        self.last = (0, 0.0)
        """RTP timestamp of the last packet, and when it was sealed (monotonic seconds)."""
        mid = line.mid.encode()
        front = bytes([mid_id << 4 | len(mid) - 1]) + mid if mid_id else b""
        if transport_cc_id:
            front += bytes([transport_cc_id << 4 | 1])
        size = len(front) + (2 if transport_cc_id else 0)
        self._front = b"\xbe\xde" + (-(-size // 4)).to_bytes(2, "big") + front
        self._back = bytes(-size % 4)
        self._numbered = bool(transport_cc_id)
        leveled = size + 2
        self._leveled_front = b"\xbe\xde" + (-(-leveled // 4)).to_bytes(2, "big") + bytes((level_id << 4,))
        self._leveled_back = bytes(-leveled % 4)
        self._level_id = level_id

    def seal(self, payload: bytes, timestamp: int, *, marker: bool = False) -> bytes:
        """The next packet of the stream, encrypted; every sealed packet is to be sent in this order."""
        transport = self.transport
        assert transport.outgoing is not None, "not connected"
        index, self.index = self.index, self.index + 1
        second = self.line.payload_type | (0x80 if marker else 0)
        header = _HEAD.pack(0x90, second, index & 0xFFFF, timestamp & 0xFFFFFFFF, self.ssrc)
        front, back = self._front, self._back
        if self.level is not None and self._level_id:
            front, back = self._leveled_front + bytes((0x80 | self.level,)) + front[4:], self._leveled_back
        header += front
        if self._numbered:
            header += _SEQUENCE.pack(transport.transport_sequence & 0xFFFF)
            transport.transport_sequence += 1
        self.packets += 1
        self.octets += len(payload)
        self.last = (timestamp, time.monotonic())
        return transport.outgoing.protect(header + back, payload, self.ssrc, index)

    def seal_repair(self, sequence: int, payload: bytes, timestamp: int, *, marker: bool) -> bytes:
        """The packet with this sequence number once more, as RTX (RFC 4588); without header extensions."""
        transport, ssrc = self.transport, self.line.rtx_ssrc
        assert transport.outgoing is not None, "not connected"
        index, self._repair_index = self._repair_index, self._repair_index + 1
        second = self.line.payload_type + 1 | (0x80 if marker else 0)
        header = _HEAD.pack(0x80, second, index & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
        return transport.outgoing.protect(header, _SEQUENCE.pack(sequence) + payload, ssrc, index)

    def send(self, payload: bytes, timestamp: int, *, marker: bool = False) -> bool:
        return self.transport.send_datagram(self.seal(payload, timestamp, marker=marker))

    def send_frame(self, payloads: Sequence[bytes], timestamp: int) -> None:
        """A whole frame: the marker on its last packet."""
        for number, payload in enumerate(payloads, 1):
            self.send(payload, timestamp, marker=number == len(payloads))

    def report(self) -> bytes:
        """A sender report (RFC 3550 6.4.1) as of now."""
        timestamp, sealed_s = self.last
        ahead = round((time.monotonic() - sealed_s) * self.clock_rate_hz)
        ntp = round((time.time() + NTP_UNIX_S) * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF
        counts = (timestamp + ahead & 0xFFFFFFFF, self.packets & 0xFFFFFFFF, self.octets & 0xFFFFFFFF)
        return struct.pack("!BBHIQIII", 0x80, 200, 6, self.ssrc, ntp, *counts)


class RawPeer:
    """Made by `RawPeer.join`; leaves by `close`."""

    def __init__(self, joined: Json, http: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.participant_id: str = joined["participant_id"]
        self.token: str = joined["token"]
        self.publishing: RawTransport | None = None
        self.subscribing: RawTransport | None = None
        self.listener: Callable[[Incoming, int, int, bytes, bytes], None] | None = None
        """Set before the first subscribe offer: gets every received packet decrypted; None: only counts."""
        self.senders: list[RtpSender] = []
        self.subscribed: dict[str, Json] = {}
        """mid of the subscribe connection -> what the last offer said it carries."""
        self.messages: deque[Json] = deque(maxlen=MAX_MESSAGES)
        self.feedback: Counter[tuple[str, int]] = Counter()
        """(`pli`, `fir`, `nack`, `twcc` or `rr`; media SSRC) -> how often; for `nack` the packets asked for."""
        self.on_keyframe_request: Callable[[int], None] = lambda _ssrc: None
        self._joined, self._http, self._socket = joined, http, socket
        self._reference: tuple[int, int, float] | None = None
        """The newest reference time that the server told (RFC 3611 4.4): its SSRC, the middle bits, and when."""
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._mids = 0

    @classmethod
    async def join(
        cls,
        url: str,
        session_id: str,
        *,
        display_name: str = "Raw",
        host_secret: str | None = None,
        listener: Callable[[Incoming, int, int, bytes, bytes], None] | None = None,
    ) -> Self:
        """REST join at `url` (without a slash at its end), WebSocket, `hello`; returns after `welcome`."""
        api = Api(url)
        try:
            joined = await api.join(session_id, display_name, host_secret)
        except BaseException:
            await api.http.close()
            raise
        return await cls._enter(api, url, joined, listener)

    async def again(self, url: str) -> Self:
        """The same participant on a new WebSocket, without the peer connections of before."""
        return await self._enter(Api(url), url, self._joined, self.listener)

    @classmethod
    async def _enter(
        cls, api: Api, url: str, joined: Json, listener: Callable[[Incoming, int, int, bytes, bytes], None] | None
    ) -> Self:
        try:
            socket = await api.http.ws_connect(joined["ws_url"], origin=url, max_msg_size=0)
        except BaseException:
            await api.http.close()
            raise
        peer = cls(joined, api.http, socket)
        peer.listener = listener
        await peer.tell("hello", token=joined["token"])
        peer._tasks += [asyncio.create_task(task) for task in (peer._listen(), peer._beat(), peer._report())]
        await peer.message("welcome")
        return peer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def welcome(self) -> Json:
        return next(message for message in self.messages if message["type"] == "welcome")

    async def tell(self, kind: str, **fields: Any) -> None:
        await self._socket.send_json({"type": kind, **fields})

    async def message(self, kind: str, after: int = 0, **fields: Any) -> Json:
        """The first message of this type and with these fields, from the `after`-th message on; waits for it."""

        def found() -> Json | None:
            for message in list(self.messages)[after:]:
                if message["type"] == kind and fields.items() <= message.items():
                    return message
            return None

        await self.until(lambda: found() is not None, f"no message {kind} {fields}")
        answer = found()
        assert answer is not None
        return answer

    async def until(self, condition: Callable[[], object], reason: str = "", timeout_s: float = WAIT_S) -> None:
        """Wait until the condition holds; looked at again after every message and every wakeup of a socket."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    for task in self._tasks:
                        if task.done() and not task.cancelled() and (error := task.exception()):
                            raise error
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            last = [message["type"] for message in self.messages][-8:]
            raise TimeoutError(f"{reason or condition}; last messages {last}, feedback {self.feedback}") from None

    async def publish(self, *kinds: str, video_codec: str = "VP8") -> list[RtpSender]:
        """Publish one track per kind (`microphone`, `camera`, ...), in one offer; connected when it returns."""
        transport = RawTransport()
        lines = [self._line(kind, video_codec) for kind in kinds]
        tracks = [{"mid": line.mid, "kind": kind} for line, kind in zip(lines, kinds, strict=True)]
        offer = sdp.offer(transport.credentials, lines)
        seen = len(self.messages)
        await self.tell("webrtc_offer", transport="publish", sdp=offer, tracks=tracks)
        answer = sdp.Description.parse((await self.message("webrtc_answer", seen, transport="publish"))["sdp"])
        transport.on_rtcp, transport.on_activity = self._take_feedback, self._changed.set
        await transport.connect(answer)
        self.publishing = transport
        made = []
        for line, media in zip(lines, answer.media, strict=True):
            assert line.payload_type in media.codecs(), f"{line.codec} was refused: {media.lines[0]}"
            made.append(RtpSender(transport, line, *map(media.extension, (sdp.MID, sdp.TRANSPORT_CC, sdp.AUDIO_LEVEL))))
        self.senders += made
        return made

    async def takes(self, tracks: int) -> None:
        """Wait until so many tracks of others are on offer and the connection stands."""
        await self.until(lambda: len(self.subscribed) >= tracks, f"no offer with {tracks} tracks")
        await self.until(lambda: self.subscribing is not None and self.subscribing.connected, "not connected")

    def received(self, kind: str, participant_id: str = "") -> list[Incoming]:
        """Streams of this kind (of this participant) that came so far."""
        streams = self.subscribing.streams.values() if self.subscribing else ()
        wanted = [
            mid
            for mid, track in self.subscribed.items()
            if track["kind"] == kind and participant_id in ("", track["participant_id"])
        ]
        return [stream for stream in streams if stream.mid in wanted]

    async def close(self, *, silently: bool = False) -> None:
        """Leave; `silently`: vanish, without a message or an alert."""
        if not silently and not self._socket.closed:
            await self.tell("participant_left")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for transport in (self.publishing, self.subscribing):
            if transport is not None:
                await transport.close(silently=silently)
        await self._socket.close()
        await self._http.close()

    # --- signaling

    def _line(self, kind: str, video_codec: str) -> sdp.Outgoing:
        mid, self._mids = str(self._mids), self._mids + 1
        ssrc = secrets.randbits(31) + 1
        if kind in ("microphone", "screen_audio"):
            return sdp.Outgoing(mid, "audio", "opus", ssrc)
        return sdp.Outgoing(mid, "video", video_codec, ssrc, ssrc ^ 0x4000_0000)

    async def _listen(self) -> None:
        async for message in self._socket:
            content: Json = message.json()
            self.messages.append(content)
            if content["type"] == "webrtc_offer":
                await self._answer(content)
            self._changed.set()
        self._changed.set()

    async def _answer(self, message: Json) -> None:
        offered = sdp.Description.parse(message["sdp"])
        transport = self.subscribing
        is_new = transport is None
        if transport is None:
            transport = self.subscribing = RawTransport()
            transport.listener, transport.on_activity = self.listener, self._changed.set
        transport.offered(offered)
        self.subscribed = {track["mid"]: track for track in message["subscribed"]}
        await self.tell(
            "webrtc_answer",
            transport="subscribe",
            offer_id=message["offer_id"],
            sdp=sdp.answer(transport.credentials, offered),
        )
        if is_new:
            task = asyncio.create_task(transport.connect(offered))
            task.add_done_callback(lambda _: self._changed.set())
            self._tasks.append(task)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self.tell("heartbeat")

    # --- RTCP

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            for sender in self.senders:
                if sender.packets:
                    sender.transport.send_rtcp(sender.report() + self._since_reference(sender.ssrc))
            if self.subscribing is not None and self.subscribing.connected:
                streams = list(self.subscribing.streams.values())
                for begin in range(0, len(streams), 31):
                    self.subscribing.send_rtcp(receiver_report(streams[begin : begin + 31]))

    def _since_reference(self, ssrc: int) -> bytes:
        """A DLRR block (RFC 3611 4.5), or nothing."""
        if self._reference is None:
            return b""
        receiver, middle, at_s = self._reference
        waited = round((time.monotonic() - at_s) * 65_536)
        return struct.pack("!BBHIBBHIII", 0x80, 207, 5, ssrc, 5, 0, 3, receiver, middle, waited)

    def _take_feedback(self, compound: bytes) -> None:
        at = 0
        while at + 12 <= len(compound):
            format, kind = compound[at] & 31, compound[at + 1]
            size = 4 * (int.from_bytes(compound[at + 2 : at + 4], "big") + 1)
            ssrc = int.from_bytes(compound[at + 8 : at + 12], "big")
            if kind == 205 and format == 1:
                entries = compound[at + 12 : at + size]
                self.feedback["nack", ssrc] += sum(1 + mask.bit_count() for _, mask in _NACK.iter_unpack(entries))
            elif kind == 205 and format == 15:
                self.feedback["twcc", ssrc] += 1
            elif kind == 206 and format in (1, 4):
                if format == 4:
                    ssrc = int.from_bytes(compound[at + 12 : at + 16], "big")
                self.feedback["pli" if format == 1 else "fir", ssrc] += 1
                self.on_keyframe_request(ssrc)
            elif kind in (200, 201):
                self.feedback["rr", ssrc] += 1
            elif kind == 207 and compound[at + 8] == 4 and size >= 20:
                receiver = int.from_bytes(compound[at + 4 : at + 8], "big")
                self._reference = receiver, int.from_bytes(compound[at + 14 : at + 18], "big"), time.monotonic()
            at += size


def receiver_report(streams: Sequence[Incoming]) -> bytes:
    """RFC 3550 6.4.2 for at most 31 streams; jitter is not measured and stays 0."""
    now = time.monotonic()
    report = struct.pack("!BBHI", 0x80 | len(streams), 201, 1 + 6 * len(streams), 1)
    for stream in streams:
        middle, at_s = stream.last_report
        delay = round((now - at_s) * 65_536) & 0xFFFFFFFF if middle else 0
        lost = max(0, stream.lost) & 0xFFFFFF
        report += struct.pack("!IIIIII", stream.ssrc, lost, stream.highest & 0xFFFFFFFF, 0, middle, delay)
    return report
