"""The receiving half of a transport: which SSRC belongs to which published track (RFC 8843 9.2, RFC 8852).

An SSRC is bound once, by mid and rid of an authentic packet, or by what the offer said. All is bound to one transport:
nobody can claim another participant's SSRC. A sender that changes to another codec of the answer keeps its SSRC: what
was bound to it ends, and begins anew as another track with the next packet index.
"""

import secrets
from collections import Counter
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from sfu.av1_places import DependencyLayouts
from sfu.codecs.dependency_descriptor import URI as DEPENDENCY_DESCRIPTOR
from sfu.encoding import Encoding
from sfu.history import History
from sfu.interfaces import StreamInfo
from sfu.negotiation import (
    AUDIO_LEVEL,
    MID,
    OPUS_PARAMETERS,
    ORIENTATION,
    REPAIRED_RID,
    RID,
    TRANSPORT_SEQUENCE,
    Chosen,
)
from sfu.red_encoding import RedEncoding
from sfu.round_trip import RoundTrip
from sfu.rtcp import Report, SenderReport, SinceReference, nack, pli, receiver_report, reference_time
from sfu.rtp import LayoutCache, read_extensions, unwrap
from sfu.sdp import Section
from sfu.sender_clock import SenderClock
from sfu.settings import MediaLimits
from sfu.srtp import ReceiveKeys
from sfu.streams import RepairStream
from sfu.twcc import ArrivalLog

MAX_ENDED = 64
"""Removed streams whose last packet index is remembered. Overflow: the one that ended longest ago is forgotten."""

CHANGE_S = 1.0
"""A sender changes its codec this often at most, what comes of another one meanwhile is dropped: each change ends a
file and begins one, and viewers negotiate anew."""

DEFAULT_LIMITS = MediaLimits()

LOCAL_SSRC = 1
"""Sender SSRC of our RTCP; a receiver has no stream of its own to name."""


class Source(msgspec.Struct):
    """A sending m-line of the publisher."""

    track_id: str
    mid: str
    chosen: Chosen
    ssrcs: list[int]
    repair_of: dict[int, int]
    encodings: list[Encoding]
    changed: float = -CHANGE_S
    """When its sender changed the codec last."""


class Inbound:
    """Streams of one publisher's transport."""

    def __init__(
        self,
        touched: list[Encoding],
        on_encoding: Callable[[Source, Encoding], None],
        limits: MediaLimits = DEFAULT_LIMITS,
        on_change: Callable[[Source, Chosen], None] = lambda _source, _chosen: None,
    ) -> None:
        """`on_encoding`: a new stream of a source was heard for the first time. `limits`: packets of SSRCs beyond
        `streams` are dropped and counted. `on_change`: the sender of a source goes on with another codec; whoever wants
        it calls `succeed`."""
        self.sources: dict[str, Source] = {}
        """By mid."""
        self.streams: dict[int, Encoding | RepairStream] = {}
        self.arrivals = ArrivalLog()
        self.dropped_unknown = self.dropped_limit = 0
        self._past: Counter[str] = Counter()
        """Counters of encodings that were removed."""
        self._ended: dict[int, int] = {}
        """SSRC -> highest packet index of streams that were removed."""
        self._extensions: dict[str, int] = {}
        self._layouts: dict[str, LayoutCache] = {}
        """By codec; the one without a name is that of all others."""
        self._connection = secrets.token_hex(8)
        self._clock = SenderClock()
        self._round_trip = RoundTrip()
        self._touched = touched
        self._on_encoding = on_encoding
        self._limits = limits
        self._on_change = on_change

    def negotiated(self, extensions: dict[str, int]) -> None:
        """Ids of header extensions of one section: where two sections of a bundle have an extension, its id is the same
        (RFC 8843 9.2)."""
        known = self._extensions | extensions
        if known != self._extensions:
            self._extensions = known
            sequence_id = known.get(TRANSPORT_SEQUENCE, 0)
            orientation_id = known.get(ORIENTATION, 0)
            self._layouts = {
                "opus": LayoutCache(sequence_id, known.get(AUDIO_LEVEL, 0)),
                "av1": DependencyLayouts(sequence_id, orientation_id, known.get(DEPENDENCY_DESCRIPTOR, 0)),
                "": LayoutCache(sequence_id, orientation_id),
            }

    def add(self, track_id: str, section: Section, chosen: Chosen) -> None:
        self.sources[section.mid] = Source(
            track_id, section.mid, chosen, section.ssrcs[: self._limits.streams], section.repair_of, []
        )

    def remove(self, mid: str) -> Source | None:
        """Forget a source and its streams; the caller ends its taps and subscriptions."""
        source = self.sources.pop(mid, None)
        if source is not None:
            for encoding in source.encodings:
                self._past.update(encoding.counters())
            for ssrc, stream in list(self.streams.items()):
                if (stream.encoding if isinstance(stream, RepairStream) else stream) in source.encodings:
                    del self.streams[ssrc]
                    self._ended.pop(ssrc, None)
                    self._ended[ssrc] = stream.highest
            while len(self._ended) > MAX_ENDED:
                del self._ended[next(iter(self._ended))]
        return source

    def may_change(self, source: Source, others: tuple[Chosen, ...]) -> None:
        """What the sender of a source that goes on may change to, since its last offer."""
        source.chosen = replace(source.chosen, others=others)
        for encoding in source.encodings:
            encoding.on_other_type = self._other_type if others else None

    def succeed(self, source: Source, track_id: str, chosen: Chosen) -> Source:
        """The same m-line from now on as another track in another codec; the source before it ends."""
        self.remove(source.mid)
        after = Source(track_id, source.mid, chosen, source.ssrcs, source.repair_of, [])
        self.sources[source.mid] = after
        return after

    # --- first sight of an SSRC

    def first_sight(
        self,
        data: bytes,
        first: int,
        second: int,
        sequence: int,
        timestamp: int,
        ssrc: int,
        now: float,
        keys: ReceiveKeys,
    ) -> None:
        """A packet of an SSRC that is not bound: find its source, check that it is authentic, bind it."""
        if len(self.streams) >= self._limits.streams:
            self.dropped_limit += 1
            return
        payload_type = second & 0x7F
        source, rid, repaired_rid = self._find(data, first, ssrc)
        if source is None:
            self.dropped_unknown += 1
            return
        chosen = source.chosen.other(payload_type) or source.chosen
        for index in self._first_indices(ssrc, sequence):
            stream = self._stream(source, chosen, ssrc, rid, repaired_rid, payload_type, index, keys)
            if stream is None:
                break
            opened = stream.open(data, first, sequence, now)
            if opened is not None:
                if chosen is not source.chosen:
                    source = self._change(source, chosen, now)
                    if source is None:
                        break
                self._bind(source, stream)
                stream.take(opened, first, second, timestamp, now)
                return
        self.dropped_unknown += 1

    def _bind(self, source: Source, stream: Encoding | RepairStream) -> None:
        self.streams[stream.ssrc] = stream
        if isinstance(stream, Encoding):
            stream.round_trip_s = self._round_trip.least_s
            if source.chosen.others:
                stream.on_other_type = self._other_type
            source.encodings.append(stream)
            self._on_encoding(source, stream)

    def _other_type(
        self, encoding: Encoding, opened: tuple[int, bytes, int], first: int, second: int, timestamp: int, now: float
    ) -> bool:
        """A packet of another payload type came: does its sender go on with that codec?"""
        index = opened[0]
        source = next((source for source in self.sources.values() if encoding in source.encodings), None)
        chosen = source.chosen.other(second & 0x7F) if source is not None else None
        if source is None or chosen is None or index <= encoding.highest:
            return False
        after = self._change(source, chosen, now)
        if after is None:
            return False
        about = (encoding.ssrc, encoding.info.rid, "", second & 0x7F, index, encoding.keys)
        stream = self._stream(after, chosen, *about)
        assert isinstance(stream, Encoding)
        stream.seen = encoding.seen
        self._bind(after, stream)
        stream.take(opened, first, second, timestamp, now)
        return True

    def _change(self, source: Source, chosen: Chosen, now: float) -> Source | None:
        """The successor of a source whose sender goes on with another codec; None: it has done so just now, or nobody
        wants it."""
        if now - source.changed < CHANGE_S:
            return None
        self._on_change(source, chosen)
        after = self.sources.get(source.mid)
        if after is None or after is source:
            return None
        after.changed = now
        return after

    def _first_indices(self, ssrc: int, sequence: int) -> list[int]:
        """Which packet index the first packet may have: the packets before it may have been lost across a wrap.

        A stream that ended and comes back, as when a browser publishes again on the same transceiver, goes on with its
        rollovers; what it had taken before is not taken again.
        """
        ended = self._ended.get(ssrc, -1)
        index = unwrap(sequence, ended) if ended >= 0 else sequence
        return [i for i in (index, index + 65536) if i > ended]

    def _find(self, data: bytes, first: int, ssrc: int) -> tuple[Source | None, str, str]:
        found: dict[int, bytes] = {}
        offset = 12 + 4 * (first & 15)
        if first & 16 and len(data) >= offset + 4:
            size = 4 * (data[offset + 2] << 8 | data[offset + 3])
            block = data[offset + 4 : offset + 4 + size]
            found = read_extensions(block, data[offset] << 8 | data[offset + 1])

        def text(uri: str) -> str:
            return found.get(self._extensions.get(uri, 0), b"").decode("ascii", "replace")

        mid = text(MID)
        if mid:
            source = self.sources.get(mid)
        else:
            source = next((s for s in self.sources.values() if ssrc in s.ssrcs or ssrc in s.repair_of), None)
        return source, text(RID), text(REPAIRED_RID)

    def _stream(
        self,
        source: Source,
        chosen: Chosen,
        ssrc: int,
        rid: str,
        repaired_rid: str,
        payload_type: int,
        index: int,
        keys: ReceiveKeys,
    ) -> Encoding | RepairStream | None:
        """`chosen`: of the source, or with another codec in front."""
        layouts = self._layouts.get(chosen.codec.name) or self._layouts.get("") or LayoutCache(0, 0)
        if chosen.rids and (rid or repaired_rid) not in chosen.rids:
            return None
        if payload_type in (chosen.codec.payload_type, chosen.red_payload_type or chosen.codec.payload_type):
            codec = chosen.codec
            info = StreamInfo(
                ssrc=ssrc,
                rid=rid,
                codec=codec.name,
                payload_type=codec.payload_type,
                clock_rate_hz=codec.clock_rate_hz,
                channels=2 if codec.name == "opus" else 0,
                fmtp=OPUS_PARAMETERS if codec.name == "opus" else codec.fmtp,
                connection=self._connection,
            )
            history = History(self._limits.history_s, self._limits.history_packets)
            about = (info, index, keys, layouts, self.arrivals, self._touched, history)
            return RedEncoding(*about, chosen.red_payload_type) if chosen.red_payload_type else Encoding(*about)
        if payload_type == chosen.rtx_payload_type and payload_type:
            media = source.repair_of.get(ssrc)
            for encoding in reversed(source.encodings):
                if encoding.ssrc == media or (media is None and encoding.info.rid == repaired_rid):
                    return RepairStream(ssrc, payload_type, index, keys, layouts, self.arrivals, encoding)
        return None

    # --- RTCP

    def sender_report(self, report: SenderReport, now: float) -> None:
        stream = self.streams.get(report.ssrc)
        if isinstance(stream, Encoding):
            self._clock.note(report.ntp_timestamp, now)
            stream.sender_report(report, now)
            for encoding in self.encodings():
                if encoding.last_report is not None:
                    encoding.last_report_sent = self._clock.local(encoding.last_report.ntp_timestamp)

    def since_reference(self, answer: SinceReference, now: float) -> None:
        if answer.ssrc == LOCAL_SSRC and self._round_trip.answered(answer, now):
            for encoding in self.encodings():
                encoding.round_trip_s = self._round_trip.least_s

    def encodings(self) -> list[Encoding]:
        return [encoding for source in self.sources.values() for encoding in source.encodings]

    def want_key_frames(self) -> None:
        for source in self.sources.values():
            for encoding in source.encodings:
                encoding.want_key_frame()

    def counters(self) -> Counter[str]:
        """Those of `Encoding.counters`, over all encodings that were ever heard here."""
        totals = Counter(self._past)
        for encoding in self.encodings():
            totals.update(encoding.counters())
        return totals

    def feedback(self, now: float) -> list[bytes]:
        """RTCP that is due every tick: arrivals, missing packets, key frames."""
        packets: list[bytes] = []
        if not self.streams:
            self.arrivals.arrivals.clear()
        elif self.arrivals.arrivals:
            report = self.arrivals.take_feedback(LOCAL_SSRC, next(iter(self.streams)))
            if report is not None:
                packets.append(report)
        for source in self.sources.values():
            for encoding in source.encodings:
                packets += self._requests(source, encoding, now)
        return packets

    def repair(self, now: float) -> list[bytes]:
        """RTCP that is due every 10 ms while packets are missing: requests for them."""
        packets: list[bytes] = []
        for source in self.sources.values():
            for encoding in source.encodings:
                if encoding.missing.holes:
                    packets += self._requests(source, encoding, now)
        return packets

    def misses(self) -> bool:
        """Packets of some encoding are missing."""
        return any(encoding.missing.holes for source in self.sources.values() for encoding in source.encodings)

    def _requests(self, source: Source, encoding: Encoding, now: float) -> list[bytes]:
        packets: list[bytes] = []
        due = encoding.tick(now)
        if due and "nack" in source.chosen.codec.feedback:
            packets.append(nack(LOCAL_SSRC, encoding.ssrc, due))
        if encoding.requests.due(now):
            packets.append(pli(LOCAL_SSRC, encoding.ssrc))
        return packets

    def receiver_report(self, now: float, ntp_now: int) -> bytes | None:
        """RTCP that is due every second: how what comes comes, and what time it is, for the round trip."""
        blocks = []
        for encoding in self.encodings()[:31]:
            if not encoding.packets:
                continue
            expected = encoding.highest - encoding.first_index + 1
            was_expected, was_received = encoding.reported
            interval = expected - was_expected
            lost = interval - (encoding.packets - was_received)
            encoding.reported = (expected, encoding.packets)
            report = encoding.last_report
            blocks.append(
                Report(
                    ssrc=encoding.ssrc,
                    fraction_lost=min(255, max(0, lost) * 256 // interval) if interval > 0 else 0,
                    lost=expected - encoding.packets,
                    highest=encoding.highest,
                    jitter=int(encoding.jitter),
                    last_sr=report.ntp_timestamp >> 16 & 0xFFFFFFFF if report else 0,
                    delay_since_last_sr=int((now - encoding.last_report_arrival) * 65536) if report else 0,
                )
            )
        if not blocks:
            return None
        self._round_trip.asked(ntp_now, now)
        return receiver_report(LOCAL_SSRC, blocks) + reference_time(LOCAL_SSRC, ntp_now)
