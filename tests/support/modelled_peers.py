"""A publisher and a viewer without sockets, in virtual time: as much of a browser as a bad network brings out.

Real SRTP, STUN and RTCP, written apart from the program's. The publisher keeps what it sent for 1 s and answers NACKs
within that (RTX for video, the same packet again for audio), never twice within 30 ms; it makes a key frame when it is
asked for one. The viewer asks for what is missing at once and every 100 ms, ten times (libwebrtc), asks for a key frame
when it gave a packet up, decodes a frame when it has all of it and the one before, and reports arrivals every 100 ms.
"""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from aioice import stun

from sfu.forwarding import SEQUENCE_ID
from sfu.rtp import read_extensions
from sfu.srtp import MasterKeys, Profile
from sfu.twcc import ArrivalLog
from tests.support import sdp, srtp
from tests.support.network_model import Network
from tests.support.sfu_media import MID_ID, REPAIRED_RID_ID, RID_ID, TRANSPORT_SEQUENCE_ID, one_byte_extensions, vp8

LINES = (sdp.Outgoing("0", "audio", "opus", 1111), sdp.Outgoing("1", "video", "VP8", 2222, 3333))
FRAME_S, AUDIO_S = 1 / 30, 0.02
PACKETS_A_FRAME, PACKETS_A_KEY_FRAME = 4, 14
PAYLOAD_BYTES, AUDIO_BYTES = 900, 90
"""With 30 frames a second 0.9 Mbit/s."""
KEEP_S = 1.0
"""What Chromium keeps of what it sent, at least."""
RESEND_S = 0.03
CHECK_S = 2.5
"""Chromium's interval of checks on a pair that stands."""
NACK_S, NACK_TIMES = 0.1, 10
WAIT_FOR_FRAME_S = 3.0
"""libwebrtc's kMaxWaitForFrame."""
TICK_S = 0.01
FEEDBACK_S = 0.1
"""Chromium's interval of reports of arrivals at the rates that are seen here."""
_RTP = struct.Struct("!BBHII")
_PAIRS = struct.Struct("!HH")

Send = Callable[[bytes], None]


class Secured:
    """One end of a transport whose keys were agreed upon elsewhere; sends checks by itself."""

    def __init__(self, network: Network, chance: random.Random) -> None:
        self.network = network
        self.send: Send = lambda _datagram: None
        """Into the network."""
        out, back = chance.randbytes(28), chance.randbytes(28)
        self.keys_of_server = MasterKeys(Profile.AEAD_AES_128_GCM, send=back, receive=out)
        self.outgoing = srtp.Direction(out[:16], out[16:])
        self.incoming = srtp.Direction(back[:16], back[16:])
        self.connected = False
        self._ufrag = self._password = ""

    def begin_checks(self, ufrag: str, password: str) -> None:
        self._ufrag, self._password = ufrag, password
        self.network.every(CHECK_S, self.check)

    def check(self) -> None:
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._ufrag}:them"
        request.attributes["PRIORITY"] = 1
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self._password.encode())
        self.send(bytes(request))

    def receive(self, datagram: bytes) -> None:
        if datagram[0] < 4:
            return
        if 192 <= datagram[1] <= 223:
            compound = self.incoming.unprotect_rtcp(datagram)
            assert compound is not None, "the server's RTCP opens"
            at = 0
            while at < len(compound):
                size = 4 * (int.from_bytes(compound[at + 2 : at + 4], "big") + 1)
                self._rtcp(compound[at] & 31, compound[at + 1], compound[at : at + size])
                at += size
        else:
            self._rtp(datagram)

    def _rtcp(self, count: int, kind: int, packet: bytes) -> None: ...

    def _rtp(self, packet: bytes) -> None: ...

    def send_rtcp(self, packet: bytes) -> None:
        self.send(self.outgoing.protect_rtcp(packet))

    def ntp(self) -> int:
        return int((self.network.now + 2_208_988_800) * (1 << 32))


def numbers(nack: bytes) -> list[int]:
    """Sequence numbers of a generic NACK (RFC 4585 6.2.1)."""
    found: list[int] = []
    for first, mask in _PAIRS.iter_unpack(nack[12:]):
        found += [first] + [first + 1 + bit & 0xFFFF for bit in range(16) if mask >> bit & 1]
    return found


def transport_number(packet: bytes) -> int | None:
    """Transport-wide sequence number of a packet from the program; None: it has none."""
    if not packet[0] & 0x10:
        return None
    block = packet[16 : 16 + 4 * int.from_bytes(packet[14:16], "big")]
    value = read_extensions(block, int.from_bytes(packet[12:14], "big")).get(SEQUENCE_ID)
    return int.from_bytes(value, "big") if value is not None else None


@dataclass
class Sending:
    """One stream of a publisher."""

    mid: bytes
    ssrc: int
    payload_type: int
    clock_rate_hz: int
    index: int
    timestamp: int
    rtx_ssrc: int = 0
    rid: bytes = b""
    """Of a layer of simulcast."""
    rtx_index: int = 1
    kept: dict[int, tuple[float, bytes, bytes, int, float]] = field(default_factory=dict)
    """Sequence number -> when it was sent, header, payload, index, when it was sent last."""
    first: int = 0
    packets: int = 0
    resent: int = 0
    too_late: int = 0
    """Requests for what was not kept any more."""

    def __post_init__(self) -> None:
        self.first = self.index


class Publisher(Secured):
    """A microphone (mid 0) and a camera (mid 1)."""

    def __init__(
        self, network: Network, seed: int = 1, *, drift: float = 0.0, index: int = 1000, timestamp: int = 90_000
    ) -> None:
        """`drift`: how much too fast its media clocks run, 1e-6 is 1 ppm; `index`, `timestamp`: where they begin."""
        super().__init__(network, random.Random(seed))
        self.drift = drift
        self.packets_a_frame, self.packets_a_key_frame = PACKETS_A_FRAME, PACKETS_A_KEY_FRAME
        """May be changed any time."""
        self.audio = Sending(b"0", 1111, 111, 48_000, index, timestamp)
        self.video = Sending(b"1", 2222, 96, 90_000, index, timestamp, 3333)
        self.by_ssrc = {self.audio.ssrc: self.audio, self.video.ssrc: self.video}
        self.frames = 0
        self.key_frames_at: list[float] = []
        self.frames_at: list[float] = []
        """When each frame was captured; its number is in its payload."""
        self.asked_for_key_frames = 0
        self._transport_sequence = 0
        self._wants_key_frame = True
        self._begun = 0.0

    def start(self) -> None:
        self._begun = self.network.now
        self.network.every(AUDIO_S, self._sound)
        self.network.every(FRAME_S, self._picture)
        self.network.every(1.0, self._report)

    @property
    def begun_s(self) -> float:
        return self._begun - self.network.start

    def change_ssrcs(self) -> None:
        """As after a new encoder: new streams on the same sections."""
        for place, stream in enumerate((self.audio, self.video)):
            fresh = Sending(stream.mid, stream.ssrc + 10_000, stream.payload_type, stream.clock_rate_hz, 5, 77)
            fresh.rtx_ssrc = stream.rtx_ssrc + 10_000 if stream.rtx_ssrc else 0
            self.by_ssrc[fresh.ssrc] = fresh
            if place:
                self.video = fresh
            else:
                self.audio = fresh
        self._begun = self.network.now
        self._wants_key_frame = True

    def _ticks(self, stream: Sending, at: float) -> int:
        return round((at - self._begun) * (1 + self.drift) * stream.clock_rate_hz) + stream.timestamp

    def _sound(self) -> None:
        number = self.audio.packets
        payload = b"\x78" + number.to_bytes(4, "big") + bytes(AUDIO_BYTES - 5)
        self._send(self.audio, payload, self._ticks(self.audio, self.network.now), False)

    def _picture(self) -> None:
        key, self._wants_key_frame = self._wants_key_frame, False
        if key:
            self.key_frames_at.append(self.network.now)
        count = self.packets_a_key_frame if key else self.packets_a_frame
        timestamp = self._ticks(self.video, self.network.now)
        for place in range(count):
            body = frame_head(self.frames, place, count) + bytes(PAYLOAD_BYTES - 30)
            if place == 0:
                payload = vp8(self.frames, key=key, body=body)
            else:
                payload = b"\x80\x80" + (0x8000 | self.frames & 0x7FFF).to_bytes(2, "big") + body
            self._send(self.video, payload, timestamp, place == count - 1)
        self.frames_at.append(self.network.now)
        self.frames += 1

    def _send(self, stream: Sending, payload: bytes, timestamp: int, marker: bool) -> None:
        index, stream.index = stream.index, stream.index + 1
        stream.packets += 1
        second = stream.payload_type | (0x80 if marker else 0)
        header = _RTP.pack(0x90, second, index & 0xFFFF, timestamp & 0xFFFFFFFF, stream.ssrc)
        header += self._extensions(stream, RID_ID)
        now = self.network.now
        stream.kept[index & 0xFFFF] = (now, header, payload, index, now)
        while stream.kept and now - next(iter(stream.kept.values()))[0] > KEEP_S:
            del stream.kept[next(iter(stream.kept))]
        self.send(self.outgoing.protect(header, payload, stream.ssrc, index))

    def _extensions(self, stream: Sending, rid_id: int) -> bytes:
        self._transport_sequence += 1
        number = (self._transport_sequence & 0xFFFF).to_bytes(2, "big")
        named = [(rid_id, stream.rid)] if stream.rid else []
        return one_byte_extensions((MID_ID, stream.mid), (TRANSPORT_SEQUENCE_ID, number), *named)

    def _rtcp(self, count: int, kind: int, packet: bytes) -> None:
        if (kind, count) == (205, 1):
            stream = self.by_ssrc.get(int.from_bytes(packet[8:12], "big"))
            if stream is not None:
                for sequence in numbers(packet):
                    self._again(stream, sequence)
        elif (kind, count) == (206, 1):
            self.asked_for_key_frames += 1
            self._key_frame_wanted(int.from_bytes(packet[8:12], "big"))

    def _key_frame_wanted(self, _ssrc: int) -> None:
        self._wants_key_frame = True

    def _again(self, stream: Sending, sequence: int) -> None:
        kept = stream.kept.get(sequence)
        now = self.network.now
        if kept is None or now - kept[0] > KEEP_S:
            stream.too_late += 1
            return
        sent_at, header, payload, index, last = kept
        if now - last < RESEND_S and last != sent_at:
            return
        stream.kept[sequence] = (sent_at, header, payload, index, now)
        stream.resent += 1
        if not stream.rtx_ssrc:
            self.send(self.outgoing.protect(header, payload, stream.ssrc, index))
            return
        stream.rtx_index += 1
        second = header[1] & 0x80 | stream.payload_type + 1
        rtx = _RTP.pack(
            0x90, second, stream.rtx_index & 0xFFFF, int.from_bytes(header[4:8], "big"), stream.rtx_ssrc
        ) + self._extensions(stream, REPAIRED_RID_ID)
        packet = self.outgoing.protect(rtx, sequence.to_bytes(2, "big") + payload, stream.rtx_ssrc, stream.rtx_index)
        self.send(packet)

    def _streams(self) -> list[Sending]:
        return [self.audio, self.video]

    def offer(self, credentials: sdp.Credentials) -> str:
        return sdp.offer(credentials, LINES)

    def _report(self) -> None:
        for stream in self._streams():
            timestamp = self._ticks(stream, self.network.now) & 0xFFFFFFFF
            counts = (stream.packets & 0xFFFFFFFF, 0)
            self.send_rtcp(struct.pack("!BBHIQIII", 0x80, 200, 6, stream.ssrc, self.ntp(), timestamp, *counts))


def frame_head(number: int, place: int, count: int, rid: bytes = b"") -> bytes:
    """What stands behind the codec's own bytes in each packet of a frame."""
    return number.to_bytes(4, "big") + bytes((place, count)) + (rid or b"-")


def read_frame(payload: bytes) -> tuple[int, bool, str] | None:
    """Number, whether it is a key frame, and layer of the frame that begins with this VP8 payload; None: none does."""
    if not payload or not payload[0] & 0x10:
        return None
    flags = payload[1]
    at = 4 + bool(flags & 0x40) + bool(flags & 0x30)
    key = not payload[at] & 1
    body = at + (10 if key else 3)
    rid = payload[body + 6 : body + 7].decode()
    return int.from_bytes(payload[body : body + 4], "big"), key, rid.strip("-")


@dataclass
class Receiving:
    """One stream of a viewer."""

    ssrc: int
    first: int
    highest: int
    got: dict[int, tuple[float, int, bytes]] = field(default_factory=dict)
    """Index -> arrival, RTP timestamp, payload."""
    arrived: float = 0.0
    """When the last packet came."""
    repeated: int = 0
    """Came more than once in the stream itself."""
    asked: dict[int, tuple[float, int]] = field(default_factory=dict)
    """Missing -> when it was asked for last, how often."""
    repaired: int = 0
    given_up: int = 0
    marked: set[int] = field(default_factory=set)
    reports: list[tuple[int, int]] = field(default_factory=list)
    """NTP and RTP timestamps of sender reports."""
    report: tuple[int, float] = (0, 0.0)
    """Middle of the last one's NTP timestamp, and its arrival."""

    @property
    def expected(self) -> int:
        return self.highest - self.first + 1


@dataclass(frozen=True)
class Decoded:
    number: int
    """Of the publisher's frame."""
    at: float
    key: bool
    rid: str = ""
    """Of the layer that it came from."""


class Viewer(Secured):
    """Takes what is offered; `media` and `rtx` say what belongs together."""

    def __init__(self, network: Network, seed: int = 2) -> None:
        super().__init__(network, random.Random(seed))
        self.video_ssrc = self.audio_ssrc = self.rtx_ssrc = 0
        """As in the offer."""
        self.streams: dict[int, Receiving] = {}
        self.decoded: list[Decoded] = []
        self.key_frame_requests = 0
        self._arrivals = ArrivalLog()
        self._rtx_top = -1
        self._next = -1
        """Index behind the last frame that was decoded; -1: a key frame is needed."""
        self._last_request = float("-inf")

    def start(self) -> None:
        self.network.every(TICK_S, self._tick)
        self.network.every(FEEDBACK_S, self._feedback)
        self.network.every(1.0, self._report)

    @property
    def video(self) -> Receiving:
        return self.streams[self.video_ssrc]

    @property
    def audio(self) -> Receiving:
        return self.streams[self.audio_ssrc]

    def _rtp(self, packet: bytes) -> None:
        _, second, sequence, timestamp, ssrc = _RTP.unpack_from(packet)
        number = transport_number(packet)
        if number is not None:
            self._arrivals.arrivals.append((number, self.network.now))
        if ssrc == self.rtx_ssrc:
            top = self._rtx_top if self._rtx_top >= 0 else sequence
            index = top + ((sequence - top + 0x8000) & 0xFFFF) - 0x8000
            self._rtx_top = max(top, index)
            _, payload = self.incoming.unprotect(packet, ssrc, index)
            video = self.video
            sequence = int.from_bytes(payload[:2], "big")
            original = video.highest + ((sequence - video.highest + 0x8000) & 0xFFFF) - 0x8000
            if original not in video.got:
                self._take(video, original, timestamp, payload[2:], bool(second & 0x80))
            return
        stream = self.streams.get(ssrc)
        if stream is None:
            stream = self.streams[ssrc] = Receiving(ssrc, sequence, sequence - 1)
        index = stream.highest + ((sequence - stream.highest + 0x8000) & 0xFFFF) - 0x8000
        _, payload = self.incoming.unprotect(packet, ssrc, index)
        self._take(stream, index, timestamp, payload[: -payload[-1]] if packet[0] & 0x20 else payload, second >= 0x80)

    def _take(self, stream: Receiving, index: int, timestamp: int, payload: bytes, marker: bool) -> None:
        now = stream.arrived = self.network.now
        if index in stream.got:
            stream.repeated += 1
            return
        if stream.asked.pop(index, None) is not None:
            stream.repaired += 1
        for missing in range(stream.highest + 1, index):
            stream.asked[missing] = (float("-inf"), 0)
        stream.highest = max(stream.highest, index)
        stream.first = min(stream.first, index)
        stream.got[index] = (now, timestamp, payload)
        if marker:
            stream.marked.add(index)
        if stream.ssrc == self.video_ssrc:
            self._ask(stream)
            self._decode(stream)

    def longest_freeze_s(self, begin: float = 0.0, end: float = float("inf")) -> float:
        """Between two pictures that follow each other within these times."""
        at = [frame.at for frame in self.decoded if begin <= frame.at <= end]
        return max((after - before for before, after in pairwise(at)), default=float("inf"))

    def valid_share(self, publisher: "Publisher") -> float:
        """Frames decoded by those sent, from the first one that was decoded to the last."""
        first, last = self.decoded[0].number, self.decoded[-1].number
        assert last > publisher.frames - 60, "to the end"
        return len(self.decoded) / (last - first + 1)

    def sound_delays(self, publisher: "Publisher") -> dict[float, float]:
        """Of each packet of sound that came: when it was spoken -> how long it took."""
        begun = publisher.network.start + publisher.begun_s
        spoken = [
            (begun + int.from_bytes(payload[1:5], "big") * AUDIO_S, at) for at, _, payload in self.audio.got.values()
        ]
        return {moment: at - moment for moment, at in spoken}

    def sound_heard(self, publisher: "Publisher", begin: float, end: float) -> list[float]:
        """For each beep of 200 ms, one a second between these times of the network: the share that arrived."""
        numbers_heard = {int.from_bytes(payload[1:5], "big") for _, _, payload in self.audio.got.values()}
        start = publisher.network.start + publisher.begun_s
        heard = []
        for second in range(int(begin) + 1, int(end)):
            first = round((second + publisher.network.start - start) / AUDIO_S)
            heard.append(sum(number in numbers_heard for number in range(first, first + 10)) / 10)
        return heard

    def _decode(self, video: Receiving) -> None:
        while True:
            while self._next in video.got and not video.got[self._next][2]:
                self._next += 1  # nothing but padding
            if self._next < 0 or not self._frame(video, self._next):
                start = self._later_key_frame(video)
                if start is None:
                    return
                self._next = start
                self._frame(video, start)

    def _frame(self, video: Receiving, begin: int) -> bool:
        """Decode the frame that begins with this packet, if all of it is there."""
        end = begin
        while end in video.got and end not in video.marked:
            end += 1
        if end not in video.got:
            return False
        frame = read_frame(video.got[begin][2])
        if frame is None:
            return False
        number, key, rid = frame
        self.decoded.append(Decoded(number, self.network.now, key, rid))
        self._next = end + 1
        return True

    def _later_key_frame(self, video: Receiving) -> int | None:
        """A whole key frame behind what was decoded: waiting for what is missing before it is over."""
        for index in range(video.highest, max(self._next, video.first - 1), -1):
            got = video.got.get(index)
            frame = read_frame(got[2]) if got is not None else None
            if frame is None or not frame[1]:
                continue
            end = index
            while end in video.got and end not in video.marked:
                end += 1
            if end in video.got:
                for missing in [n for n in video.asked if n < index]:
                    del video.asked[missing]
                return index
            return None
        return None

    def _ask(self, video: Receiving) -> None:
        now = self.network.now
        due = [n for n, (last, _) in video.asked.items() if now - last >= NACK_S]
        if not due:
            return
        asked: list[int] = []
        for number in due:
            _, times = video.asked[number]
            if times >= NACK_TIMES:
                del video.asked[number]
                video.given_up += 1
                self._want_key_frame()
            else:
                video.asked[number] = (now, times + 1)
                asked.append(number)
        if asked:
            entries = b"".join(_PAIRS.pack(number & 0xFFFF, 0) for number in asked[:100])
            head = struct.pack("!BBHII", 0x81, 205, 2 + len(entries) // 4, 1, video.ssrc)
            self.send_rtcp(head + entries)

    def _want_key_frame(self) -> None:
        now = self.network.now
        if now - self._last_request >= 0.3:
            self._last_request = now
            self.key_frame_requests += 1
            self.send_rtcp(struct.pack("!BBHII", 0x81, 206, 2, 1, self.video_ssrc))

    def _tick(self) -> None:
        video = self.streams.get(self.video_ssrc)
        if video is not None:
            self._ask(video)
            last = self.decoded[-1].at if self.decoded else float("-inf")
            if video.arrived > last and self.network.now - last > WAIT_FOR_FRAME_S:
                self._want_key_frame()

    def _rtcp(self, count: int, kind: int, packet: bytes) -> None:
        if kind == 200:
            stream = self.streams.get(int.from_bytes(packet[4:8], "big"))
            if stream is not None:
                ntp, rtp = struct.unpack_from("!QI", packet, 8)
                stream.reports.append((ntp, rtp))
                stream.report = (ntp >> 16 & 0xFFFFFFFF, self.network.now)

    def _feedback(self) -> None:
        report = self._arrivals.take_feedback(1, self.video_ssrc)
        if report is not None:
            self.send_rtcp(report)

    def _report(self) -> None:
        for stream in self.streams.values():
            middle, at = stream.report
            delay = round((self.network.now - at) * 65_536) & 0xFFFFFFFF if middle else 0
            block = (stream.ssrc, 0, stream.highest & 0xFFFFFFFF, 0, middle, delay)
            self.send_rtcp(struct.pack("!BBHIIIIIII", 0x81, 201, 7, 1, *block))
