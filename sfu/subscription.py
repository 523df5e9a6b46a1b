"""One track sent to one participant: own SSRCs, own sequence of packets, whatever encoding it comes from.

Invariant: an index of one of its SSRCs is given to exactly one packet (RFC 7714 9.1). Sources change by offsets only:
the numbers go on where they stopped, packets from before the start of the present source are not sent, and a
retransmission is an RTX packet with an index of its own (RFC 4588).
"""

import secrets
import struct
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from sfu.codecs.temporal import TOP
from sfu.forwarding import EXTENSION, OVERHEAD_BYTES, Target, numbered
from sfu.history import Packet
from sfu.rate import Rate
from sfu.rtcp import Report, sender_report
from sfu.rtp import strip_padding
from sfu.sender_clock import passed_s
from sfu.srtp import SendKeys

if TYPE_CHECKING:
    from sfu.encoding import Encoding
    from sfu.layer_view import LayerView
    from sfu.sendpath import SendPath

_RTP = struct.Struct("!HHII")

MAX_PADDING = 224
"""Bytes of a packet that is padding alone, as libwebrtc sends them; the format allows 255."""

MAX_RETRANSMISSIONS = 200
"""Packets sent again to one subscription between two ticks (50 ms): 35 Mbit/s. Overflow: not sent, counted."""

MAX_EARLIER = 4
"""Changes of source or view after which a missing packet can still be sent again. Overflow: the oldest cannot."""


class _Stretch(NamedTuple):
    """Packets that came from one source one after the other, and how they were renumbered."""

    source: "Encoding | LayerView"
    first: int
    """Number of the first one that was sent."""
    end: int
    """Behind the last one."""
    index_offset: int
    timestamp_offset: int
    picture_offset: int
    tl0_offset: int


MAX_RESENT = 1024
"""Retransmissions of one subscription whose times are remembered. Overflow: the oldest is forgotten."""

RESEND_SHARE = 0.8
"""A packet is not sent again before this share of a round trip is over: the answer to the request before is on its way.
Not the whole of it, or a viewer who has measured a millisecond less than we have waits for another round."""


class Subscription:
    __slots__ = (
        "_budget",
        "_earlier",
        "_fir_number",
        "_index_offset",
        "_last_output",
        "_picture_offset",
        "_resent",
        "_rtx_index",
        "_timestamp_offset",
        "_tl0_offset",
        "clock_rate_hz",
        "encoding",
        "fir_requests",
        "first_index",
        "fraction_lost",
        "granted",
        "jitter",
        "lost",
        "max_temporal",
        "nacked",
        "next_index",
        "numbered",
        "octets",
        "packets",
        "path",
        "paused",
        "payload_type",
        "pli_requests",
        "rate",
        "red_payload_type",
        "repeated",
        "retransmitted",
        "round_trip_s",
        "rtx_payload_type",
        "rtx_ssrc",
        "skipped",
        "ssrc",
        "track_id",
        "view",
        "wanted_height",
        "wants",
    )

    def __init__(
        self, track_id: str, path: "SendPath", payload_type: int, rtx_payload_type: int, clock_rate_hz: int
    ) -> None:
        """`rtx_payload_type`: 0 where the receiver takes no RTX."""
        self.track_id = track_id
        self.path = path
        self.payload_type = payload_type
        self.rtx_payload_type = rtx_payload_type
        self.red_payload_type = 0
        """Of RED around the codec, where the receiver took it; 0: plain packets alone."""
        self.clock_rate_hz = clock_rate_hz
        self.ssrc = path.new_ssrc()
        self.rtx_ssrc = path.new_ssrc()
        self.encoding: Encoding | None = None
        """The present source."""
        self.view: LayerView | None = None
        """What is taken of it; None: all temporal layers."""
        self.max_temporal = TOP
        """The highest temporal layer that the viewer may have (sfu.track, `limit`)."""
        self._earlier: deque[_Stretch] = deque(maxlen=MAX_EARLIER)
        """What was sent before the present source and view, the oldest first."""
        self.wants: Encoding | None = None
        """The source that it is to have: the present one, or one whose key frame is waited for."""
        self.numbered = False
        """Packets carry a transport-wide sequence number: the viewer's answer has the extension."""
        self.wanted_height: int | None = None
        """Lines of the picture as the viewer shows it, 0: not at all; None: not said."""
        self.granted: Encoding | None = None
        """The largest layer that the viewer's network carries; None: not limited."""
        self.paused = False
        """The viewer's network does not carry it at all."""
        self.first_index = 0
        """Of the present source: what is older is not sent."""
        self.next_index = 1 + secrets.randbelow(20_000)
        """Below 2**15, so that a receiver that misses the first packets still guesses the rollover counter."""
        self._index_offset = 0
        self._timestamp_offset = secrets.randbits(32)
        self._picture_offset = 1 + secrets.randbelow(0x7FFF)
        self._tl0_offset = 1 + secrets.randbelow(0xFF)
        self._last_output: tuple[int, int, float, float | None, int, int] | None = None
        """Of what was sent last: SSRC of the source, timestamp, arrival, capture time on the sender's clock, picture id
        and TL0PICIDX."""
        self._rtx_index = secrets.randbelow(20_000)
        self._budget = MAX_RETRANSMISSIONS
        self._resent: dict[int, float] = {}
        """Index in our sequence -> when it was sent again last, oldest first."""
        self._fir_number: int | None = None
        self.packets = self.octets = self.retransmitted = self.repeated = self.skipped = 0
        """`repeated`: requests for what was sent again less than a round trip ago."""
        self.nacked = self.pli_requests = self.fir_requests = 0
        self.lost = self.fraction_lost = 0
        self.jitter = 0
        self.rate = Rate()
        self.round_trip_s = 0.0

    @property
    def limit(self) -> int:
        """The highest temporal layer that it takes at present."""
        return self.view.limit if self.view is not None else TOP

    @property
    def _source(self) -> "Encoding | LayerView | None":
        return self.encoding if self.view is None else self.view

    def start(self, encoding: "Encoding", view: "LayerView | None", packet: Packet) -> None:
        """`packet` will be the first one from `encoding`, and the next one of `view`."""
        descriptor = packet.descriptor
        if self._last_output is not None:
            ssrc, timestamp, arrival, captured_s, picture, tl0 = self._last_output
            if ssrc != encoding.ssrc:  # one that comes back goes on by its own timestamps
                elapsed_s = passed_s(packet.arrival - arrival, captured_s, encoding.capture_s(packet.timestamp))
                self._timestamp_offset = timestamp + max(1, int(elapsed_s * self.clock_rate_hz)) - packet.timestamp
            self._picture_offset = picture + 1 - descriptor.picture_id + (view.pictures_left_out if view else 0)
            self._tl0_offset = tl0 + 1 - descriptor.tl0
        self.encoding = encoding
        self.view = view
        self._number_from(packet.number if view is None else view.next_number)

    def moved(self, view: "LayerView | None") -> None:
        """From the next packet on `view` is taken of the present source. Timestamps stay as they are, and the next
        picture has the id that it would have had."""
        self._leave()
        self._picture_offset -= self.view.pictures_left_out if self.view is not None else 0
        self._picture_offset += view.pictures_left_out if view is not None else 0
        self.view = view
        source = self._source
        assert source is not None
        self._number_from(source.next_number)

    def jumped(self, top: int, index: int) -> None:
        """The present source goes on with `index` behind `top`. One number stays out, so that the receiver knows that
        something is missing; what is older than `index` is not sent any more."""
        self._index_offset += index - top - 2
        self.first_index = index

    def stopped(self, encoding: "Encoding") -> None:
        """The source ends: the next one continues its numbers."""
        if self.encoding is encoding:
            self._leave()
            self.encoding = self.view = None

    def _number_from(self, first: int) -> None:
        """The source's next packet has this number."""
        self.first_index = first
        self._index_offset = first - self.next_index

    def _leave(self) -> None:
        """Nothing more comes from the present source and view."""
        source, encoding = self._source, self.encoding
        if source is None or encoding is None:
            return
        end = source.next_number
        self.next_index = end - self._index_offset
        self._earlier.append(
            _Stretch(
                source,
                self.first_index,
                end,
                self._index_offset,
                self._timestamp_offset,
                self._picture_offset,
                self._tl0_offset,
            )
        )
        last = source.delivered
        if last is not None and last.number >= self.first_index:
            self._last_output = (
                encoding.ssrc,
                last.timestamp + self._timestamp_offset,
                last.arrival,
                encoding.capture_s(last.timestamp),
                last.descriptor.picture_id + self._picture_offset,
                last.descriptor.tl0 + self._tl0_offset,
            )

    def target(self, payload_type: int = 0) -> Target:
        """What the packet path needs of a running subscription. `payload_type`: another than that of its codec."""
        path = self.path
        pictures = self.encoding is not None and self.encoding.info.codec != "opus"
        return (
            self,
            path.keys.encrypt,
            path.keys.salt ^ self.ssrc << 48,
            self._index_offset,
            self._timestamp_offset,
            self._picture_offset,
            self._tl0_offset,
            self.ssrc,
            (payload_type or self.payload_type) | (EXTENSION if self.numbered else 0),
            path.send_run,
            path.address,
            None if not self.numbered else path.admit if pictures else path.number,
        )

    def take_red(self, payload_type: int) -> None:
        """The receiver takes RED of this payload type, 0: none."""
        if payload_type != self.red_payload_type:
            self.red_payload_type = payload_type
            if self.encoding is not None:
                self.encoding.retarget()

    def new_tick(self) -> None:
        self._budget = MAX_RETRANSMISSIONS

    def key_frame_request(self, fir_number: int | None) -> None:
        """The receiver sent a PLI (None) or a FIR; a FIR that is repeated is the same wish."""
        if fir_number is None:
            self.pli_requests += 1
        else:
            self.fir_requests += 1
            if fir_number == self._fir_number:
                return
            self._fir_number = fir_number
        if self.encoding is not None:
            self.encoding.want_key_frame()

    def retransmit(self, sequence: int, now: float) -> int:
        """The receiver misses packet `sequence` (16 bits): send it again as RTX if it is still there. Octets on the
        wire."""
        if not self.rtx_payload_type:
            return 0
        source = self._source
        top = source.highest - self._index_offset if source is not None else self.next_index - 1
        output = top + ((sequence - top + 32768) & 65535) - 32768
        stretch = self._stretch(output)
        packet = stretch.source.sent(output + stretch.index_offset) if stretch is not None else None
        if stretch is None or packet is None or not self._budget:
            self.skipped += 1
            return 0
        resent = self._resent
        sent_at = resent.get(output)
        if sent_at is not None:
            if now - sent_at < RESEND_SHARE * self.round_trip_s:
                self.repeated += 1
                return 0
            del resent[output]
        resent[output] = now
        if len(resent) > MAX_RESENT:
            del resent[next(iter(resent))]
        self._budget -= 1
        self.retransmitted += 1
        return self._send_again(packet, stretch, output)

    def probe(self, number: int, cluster: int) -> int:
        """Send the packet that went out `number` packets ago once more, to see what the viewer's network carries; the
        octets on the wire. 0: there is none. The receiver has it already and drops it."""
        source = self._source
        if source is None or not self.rtx_payload_type:
            return 0
        output = source.highest - number - self._index_offset
        stretch = self._stretch(output)
        packet = stretch.source.sent(output + stretch.index_offset) if stretch is not None else None
        if stretch is None or packet is None:
            return 0
        return self._send_again(packet, stretch, output, cluster)

    def pad(self, cluster: int) -> int:
        """As `probe`, of a stream that sends nothing at present: a packet of nothing but padding (RFC 3550 5.1)."""
        return self._send_rtx(0x2000, 0, b"", bytes(MAX_PADDING - 1) + bytes((MAX_PADDING,)), cluster)

    def _send_again(self, packet: Packet, stretch: _Stretch, output: int, cluster: int = 0) -> int:
        """As RTX, renumbered as the others of its stretch; `output` is the index that the viewer knows it by."""
        payload = packet.payload
        descriptor = packet.descriptor
        if descriptor.size_bytes:
            head = descriptor.rewritten(stretch.picture_offset, stretch.tl0_offset)
            payload = head + payload[descriptor.size_bytes :]
        if packet.first & 0x2000:
            payload = strip_padding(payload)
        return self._send_rtx(
            packet.first & 0x80,
            packet.timestamp + stretch.timestamp_offset,
            packet.extension,
            (output & 0xFFFF).to_bytes(2, "big") + payload,
            cluster,
        )

    def _send_rtx(self, first: int, timestamp: int, extension: bytes, payload: bytes, cluster: int) -> int:
        """A packet of the repair stream, with an index of its own (RFC 4588); its octets on the wire."""
        octets = len(payload) + OVERHEAD_BYTES
        if self.numbered:
            extension = numbered(extension, self.path.number(1, octets, cluster))
        self._rtx_index += 1
        header = (
            _RTP.pack(
                0x8000 | (EXTENSION if extension else 0) | first | self.rtx_payload_type,
                self._rtx_index & 0xFFFF,
                timestamp & 0xFFFFFFFF,
                self.rtx_ssrc,
            )
            + extension
        )
        keys: SendKeys = self.path.keys
        nonce = keys.salt ^ self.rtx_ssrc << 48 ^ self._rtx_index
        self.path.send(header + keys.encrypt(nonce.to_bytes(12, "big"), payload, header))
        return octets

    def _stretch(self, output: int) -> "_Stretch | None":
        """Where the packet that the viewer knows by this index came from."""
        source = self._source
        if source is not None and output + self._index_offset >= self.first_index:
            return _Stretch(
                source,
                self.first_index,
                source.highest + 1,
                self._index_offset,
                self._timestamp_offset,
                self._picture_offset,
                self._tl0_offset,
            )
        for stretch in reversed(self._earlier):
            if stretch.first <= output + stretch.index_offset < stretch.end:
                return stretch
        return None

    def counters(self) -> dict[str, int]:
        """What was sent and what the viewer asked for, since the beginning."""
        return {
            "packets_sent": self.packets,
            "octets_sent": self.octets,
            "packets_not_delivered": max(0, min(self.lost, self.packets)),
            "packets_asked_for_by_viewers": self.nacked,
            "packets_sent_again": self.retransmitted,
            "packets_not_sent_again": self.skipped,
            "key_frames_asked_for_by_viewers": self.pli_requests + self.fir_requests,
        }

    def sender_report(self, now: float, ntp_timestamp: int) -> bytes | None:
        """RTCP sender report with the source's own relation of NTP and RTP time, so that a participant's audio and
        video stay in step; before the source's first report, with that of its last packet's arrival."""
        encoding = self.encoding
        if encoding is None or not self.packets:
            return None
        report = encoding.last_report
        if report is not None:
            timestamp = report.rtp_timestamp
            since = now - encoding.last_report_sent
        else:
            timestamp = encoding.last_timestamp
            since = now - encoding.last_arrival
        output = int(timestamp + since * self.clock_rate_hz) + self._timestamp_offset
        return sender_report(self.ssrc, ntp_timestamp, output, self.packets, self.octets)

    def reported(self, block: Report, round_trip_s: float | None) -> None:
        """The receiver's report about us. What it lacks never grows less, but for its own duplicates."""
        self.lost = max(self.lost, block.lost)
        self.fraction_lost = block.fraction_lost
        self.jitter = block.jitter
        if round_trip_s is not None:
            self.round_trip_s = round_trip_s
