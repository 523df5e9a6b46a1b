"""One received encoding of a track: decided upon once per packet, forwarded to whoever takes it. Hot.

Replay, decryption, arrival log (sfu.streams), then gaps, history, tap, key frame.
"""

from bisect import insort
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from sfu.av1_places import Av1Places
from sfu.codecs import first_size, keyframe, vp9
from sfu.codecs.temporal import BASE, TOP
from sfu.codecs.vp8_descriptor import NOTHING, Descriptor, describe, unchanged
from sfu.forwarding import OVERHEAD_BYTES, Target, forward
from sfu.history import History, Packet
from sfu.interfaces import PacketTap, Reception, StreamInfo
from sfu.keyframes import KeyFrameRequests
from sfu.layer_view import LayerView
from sfu.nack import Missing
from sfu.rate import Meter, Rate
from sfu.rtcp import SenderReport
from sfu.rtp import JUMP, LayoutCache, strip_padding
from sfu.srtp import WINDOW, ReceiveKeys
from sfu.streams import SrtpStream
from sfu.tap import EncodingTap
from sfu.twcc import ArrivalLog

if TYPE_CHECKING:
    from sfu.subscription import Subscription

LIVE_AUDIO_S = 0.5
"""A missing packet of sound is asked for so long for viewers: their jitter buffers have played over it by then."""

LIVE_VIDEO_S = 0.8
"""A picture that stands still for longer is started again by a key frame sooner than repaired."""

RECORDED_S = 2.9
"""A recorded encoding keeps asking while the sender may have the packet and the recorder waits for it: Chromium keeps
what it sent for 1 s at least and 3 s at most, the recorder waits 3 s (`recorder.gap_wait_s`)."""

VIEWER_ORIENTATION_ID = 1
VIEWER_LEVEL_ID = 10
"""Ids of the extensions for video orientation and audio level in every subscribe offer."""

_LEVELS = tuple(bytes((0xBE, 0xDE, 0, 1, VIEWER_LEVEL_ID << 4, octet, 0, 0)) for octet in range(256))
"""Extension block for viewers, by what the sender says of its level: pages show it without decoding."""

NO_LEVEL = 255
"""Weaker than any level of RFC 6464."""

_number = attrgetter("number")


class Encoding(SrtpStream):
    """One received RTP stream of a track, and who takes it."""

    __slots__ = (
        "_describe",
        "_first_size",
        "_is_h264",
        "_key_frame",
        "_key_index",
        "_key_timestamp",
        "_late",
        "_layer_meters",
        "_level",
        "_moving",
        "_pending",
        "_resumed",
        "_tap",
        "_touched",
        "_transit",
        "clock_rate_hz",
        "delivered",
        "first_index",
        "frame_rate",
        "frames",
        "history",
        "info",
        "is_vp8",
        "jitter",
        "key_frames",
        "last_arrival",
        "last_report",
        "last_report_arrival",
        "last_report_sent",
        "last_timestamp",
        "layer_octets",
        "meter",
        "missing",
        "octets",
        "on_key_frame",
        "on_other_type",
        "packets",
        "rate",
        "reported",
        "requests",
        "round_trip_s",
        "size",
        "subscriptions",
        "tap_failures",
        "targets",
        "top_layer",
        "views",
        "waiting",
    )

    def __init__(
        self,
        info: StreamInfo,
        first_index: int,
        keys: ReceiveKeys,
        layouts: LayoutCache,
        arrivals: ArrivalLog,
        touched: list["Encoding"],
        history: History,
    ) -> None:
        """`touched`: the list in which an encoding with packets to forward puts itself until the end of the wakeup."""
        super().__init__(info.ssrc, info.payload_type, first_index, keys, layouts, arrivals)
        self.info = info
        self.clock_rate_hz = info.clock_rate_hz
        self.is_vp8 = info.codec == "vp8"
        self._key_frame: Callable[[bytes], bool] | None = None if info.codec == "opus" else keyframe(info.codec)
        self._describe = _describer(info.codec, layouts)
        self._level = NO_LEVEL
        self._first_size = first_size(info.codec)
        self._is_h264 = info.codec == "h264"
        self._key_index = self._key_timestamp = -1
        """Of the packet that began the last key frame; one that is repaired does not count."""
        self.first_index = first_index
        self.history = history
        self.missing = Missing()
        self._late = False
        """The oldest hole is one that viewers were given a key frame for."""
        self.requests = KeyFrameRequests()
        self._touched = touched
        self._pending: list[Packet] = []
        """What came in this wakeup, in the order of its numbers."""
        self._resumed = first_index
        """Where the sender began, or began anew."""
        self.delivered: Packet | None = None
        """The last one that was forwarded in its turn."""
        self._tap: EncodingTap | None = None
        self.on_key_frame: Callable[[Encoding, int, int, float], None] | None = None
        """Called with index, timestamp and arrival when a key frame begins, before a tap gets its first packet."""
        self.on_other_type: Callable[[Encoding, tuple[int, bytes, int], int, int, int, float], bool] | None = None
        """Called as `take` is, for a packet of another payload type: whether somebody took it."""
        self._transit = 0.0
        self.jitter = 0.0
        """In ticks (RFC 3550 6.4.1)."""
        self.packets = self.octets = self.frames = self.key_frames = self.tap_failures = 0
        self.size: tuple[int, int] | None = None
        """Width and height of the last key frame, where its first payload says them."""
        self.rate = Rate()
        self.meter = Meter()
        """What a viewer's network has to carry for it."""
        self.frame_rate = Rate()
        self.last_timestamp = 0
        self.last_arrival = 0.0
        self.last_report: SenderReport | None = None
        self.last_report_arrival = 0.0
        self.last_report_sent = 0.0
        """When it was written, on our clock (sfu.sender_clock)."""
        self.round_trip_s: float | None = None
        """The least to the sender and back in the last minute (sfu.round_trip); None: it does not answer."""
        self.reported = (0, 0)
        """Expected and received at the last receiver report."""
        self.subscriptions: list[Subscription] = []
        """Everybody who takes this encoding, waiting or running."""
        self.waiting: list[Subscription] = []
        self.targets: list[Target] = []
        """Of those who take all temporal layers."""
        self.top_layer = 0
        """The highest temporal layer that was seen."""
        self.layer_octets = [0] * (TOP + 1)
        """Payload of each temporal layer."""
        self._layer_meters: list[Meter] = []
        """Of each, where there are several."""
        self.views: list[LayerView] = []
        """Those that somebody takes."""
        self._moving: list[Subscription] = []
        """Who is to have more or fewer temporal layers than at present."""

    # --- receiving

    def receive(self, data: bytes, first: int, second: int, sequence: int, timestamp: int, now: float) -> None:
        """An SRTP packet of this SSRC came; hot."""
        opened = self.open(data, first, sequence, now)
        if opened is None:
            return
        if second & 0x7F != self.payload_type:
            self.seen[opened[0] % WINDOW] = opened[0]
            if self.on_other_type is None or not self.on_other_type(self, opened, first, second, timestamp, now):
                self.wrong_type += 1
            return
        self.accept(opened[0], second & 0x80, timestamp, opened[1], (first & 0x20) << 8, opened[2], now)

    def take(self, opened: tuple[int, bytes, int], first: int, second: int, timestamp: int, now: float) -> None:
        """What `open` gave, for the first time and with the payload type of this encoding."""
        self.accept(opened[0], second & 0x80, timestamp, opened[1], (first & 0x20) << 8, opened[2], now)

    def accept(
        self, index: int, marker: int, timestamp: int, payload: bytes, padded: int, octet: int, now: float
    ) -> None:
        """Take an authentic packet once: statistics, gaps, tap, history, forwarding; hot. `octet`: as from `open`."""
        self.seen[index % WINDOW] = index
        top = self.highest
        ahead = index - top
        late = False
        if ahead == 1:
            self.highest = index
        elif ahead > 1:
            if ahead < JUMP:
                self.missing.opened(top + 1, index, now)
            else:
                self._jumped(top, index)
            self.highest = index
        else:
            late = True
            self.missing.arrived(index, now)
        if padded and not (payload and 0 < payload[-1] <= len(payload)):
            payload, padded = b"", 0  # a lie about the padding: the number is kept, nothing else is passed on
        self.packets += 1
        self.octets += len(payload)
        if not late:
            if timestamp != self.last_timestamp:  # as in libwebrtc: the packets of one frame are spread on purpose
                transit = now * self.clock_rate_hz - timestamp
                change = abs(transit - self._transit)
                self._transit = transit
                if change < 1_000_000:
                    self.jitter += (change - self.jitter) / 16
                self.last_timestamp = timestamp
                self.frames += 1
            self.last_arrival = now
        begins_key_frame = self._key_frame is not None and self._key_frame(payload)
        if begins_key_frame and self._is_h264 and timestamp == self._key_timestamp:
            begins_key_frame = False  # both its parameter sets and the picture after them look like its beginning
        if begins_key_frame and not late:
            self._key_index, self._key_timestamp = index, timestamp
            if self.on_key_frame is not None:
                self.on_key_frame(self, index, timestamp, now)
        tap = self._tap
        if tap is not None:
            tap.packet(now, index, timestamp, marker != 0, strip_padding(payload) if padded else payload)
            if tap.failed:
                self._check_tap()
        extension = b""
        if octet >= 0:
            if self._key_frame is not None:
                extension = bytes((0xBE, 0xDE, 0, 1, VIEWER_ORIENTATION_ID << 4, octet, 0, 0))
            else:
                extension = _LEVELS[octet]
                if octet & 0x7F < self._level:
                    self._level = octet & 0x7F
        descriptor = NOTHING
        if self._describe is not None:
            descriptor = self._describe(payload)
            layer = descriptor.place.layer
            self.layer_octets[layer] += len(payload)
            if layer > self.top_layer:
                self._found_layer(layer)
        packet = Packet(index, marker | padded, timestamp, payload, extension, descriptor, now)
        self.history.put(packet)
        if begins_key_frame:
            self.key_frames += 1
            if self._first_size is not None:
                self.size = self._first_size(payload) or self.size
                if self._tap is not None and self.size is not None:
                    self._tap.picture(now, index, self.size, self.info.rid)
                    self._check_tap()
            if not (late and (self.waiting or (tap is not None and index < tap.first))):
                self.requests.arrived()  # a repaired one starts no viewer and no recording: they need another
        if not late:
            if not self._pending:
                self._touched.append(self)
            self._pending.append(packet)
        elif self._pending and index >= self.next_number:
            insort(self._pending, packet, key=_number)  # its turn has not come
        else:
            self._forward_late(packet)

    def take_level(self) -> int | None:
        """Level of the loudest packet of sound since the last call, in -dBov (0: full scale, 127: silence; RFC 6464);
        None: no packet said one. The voice activity bit is not used: some senders always set it, some never do."""
        level, self._level = self._level, NO_LEVEL
        return level if level != NO_LEVEL else None

    def _jumped(self, top: int, index: int) -> None:
        """The sender began anew behind `top`. Viewers' numbers do not jump with it: by more than half of them a
        receiver of SRTP would not follow, and by less it would ask for thousands of packets that never were."""
        self.flush()
        self._resumed = index
        for subscription in self.subscriptions:
            if subscription.encoding is self and subscription.view is None:
                subscription.jumped(top, index)
        self.retarget()
        self.want_key_frame()

    def flush(self) -> None:
        """End of a wakeup: forward what came in it; hot."""
        packets: Sequence[Packet] = self._pending
        self._pending = []
        if self.waiting or self._moving:
            packets = self._deliver_up_to_changes(packets)
        if packets:
            self._deliver(packets)

    def _deliver(self, packets: Sequence[Packet]) -> None:
        self.delivered = packets[-1]
        if self.targets:
            forward(packets, self.targets, self.is_vp8)
        for view in self.views:
            view.take(packets)

    def _deliver_up_to_changes(self, packets: Sequence[Packet]) -> Sequence[Packet]:
        """Somebody waits for a key frame, or for a frame with which it can take other temporal layers: forward what
        comes before; the packets from there on."""
        begun = 0
        for place, packet in enumerate(packets):
            before = packets[place - 1] if place else self.delivered
            begins_key_frame = self._key_frame is None or packet.number == self._key_index
            starts = begins_key_frame and self.waiting
            begins_frame = before is None or packet.timestamp != before.timestamp
            moves = self._moves(packet, begins_key_frame) if self._moving and begins_frame else []
            if starts or moves:
                if place > begun:
                    self._deliver(packets[begun:place])
                begun = place
                if starts:
                    self._start_waiting(packet)
                for subscription, limit in moves:
                    self._move(subscription, limit)
                self.retarget()
        return packets[begun:]

    def measure(self, now: float) -> None:
        """Several times a second: keep the meter going."""
        self.meter.read(self.octets + OVERHEAD_BYTES * self.packets, now)
        if self.top_layer:
            while len(self._layer_meters) <= self.top_layer:
                self._layer_meters.append(Meter())
            for meter, octets in zip(self._layer_meters, self.layer_octets, strict=False):
                meter.read(octets, now)

    def share(self, limit: int) -> float:
        """Of what comes at present, the part of the temporal layers up to this one; 1 while that is not known."""
        rates = [meter.bps for meter in self._layer_meters]
        total = sum(rates)
        return sum(rates[: limit + 1]) / total if total else 1.0

    def sent(self, index: int) -> Packet | None:
        """A packet that was forwarded, while it is remembered. What waits for the end of the wakeup was not yet."""
        if self._pending and index >= self._pending[0].number:
            return None
        return self.history.get(index)

    def _forward_late(self, packet: Packet) -> None:
        """A repaired packet goes to those who were there when it was due, in its own place of their sequence."""
        targets = [target for target in self.targets if target[0].first_index <= packet.number]
        if targets:
            forward((packet,), targets, self.is_vp8)
        for view in self.views:
            view.late(packet)

    def counters(self) -> dict[str, int]:
        """What came and what was missing, since the first packet."""
        return {
            "packets_expected": self.packets + self.missing.lost + len(self.missing),
            "packets_received": self.packets,
            "octets_received": self.octets,
            "packets_missed": self.missing.missed,
            "packets_reordered": self.missing.reordered,
            "packets_repaired": self.missing.repaired,
            "packets_given_up": self.missing.lost,
            "packets_asked_for": self.missing.requested,
            "key_frames_asked_for": self.requests.sent,
        }

    # --- recording

    def record(self, tap: PacketTap, now: float, first: int | None = None) -> None:
        """Hand every packet from now on to `tap`, or from index `first` on; one of an earlier recording ends."""
        self.end_tap(now)
        if first is None:
            first = self.highest + 1 if self.packets else 0
        self._tap = EncodingTap(tap, self.ssrc, first, now)

    def tell_muted(self, now: float, muted: bool) -> None:
        """The track was muted, or that ended: a recording is told."""
        if self._tap is not None:
            self._tap.muted(now, muted)
            self._check_tap()

    def stop_tap(self, now: float) -> None:
        """The recording is over; the tap ends as soon as nothing is missing that it should have had."""
        if self._tap is not None:
            self._tap.stop(self.highest, now)
            self._tick_tap(now)

    def tick(self, now: float) -> list[int]:
        """Every 50 ms, and every 10 ms while something is missing: the sequence numbers to ask for again.

        What is given up costs a key frame, also where nobody but a recording takes this encoding; what viewers have
        waited too long for does as well, while a recording goes on waiting."""
        missing = self.missing
        due: list[int] = []
        if missing.holes:
            live_s = LIVE_AUDIO_S if self._key_frame is None else LIVE_VIDEO_S
            lost, late = missing.lost, missing.oldest_s(now) > live_s
            due = missing.due(now, live_s if self._tap is None else RECORDED_S)
            if missing.lost > lost or (late and not self._late):
                self.want_key_frame()
            self._late = late
        self._tick_tap(now)
        if self.views:
            for view in self.views:
                view.forget(self.missing.first())
            self.views = [view for view in self.views if view.is_used]
        return due

    def _tick_tap(self, now: float) -> None:
        if self._tap is None:
            return
        if self._tap.is_over(self.missing.first(), now):
            self.end_tap(now)
        elif self._tap.is_reception_due(now):
            self._tap.reception(now, self._reception())
            self._check_tap()

    def _reception(self) -> Reception:
        missing = self.missing
        round_trip_s = missing.round_trip_s if self.round_trip_s is None else max(self.round_trip_s, 1e-6)
        return Reception(
            min(round(round_trip_s * 1e6), 0xFFFFFFFF),
            self.packets,
            missing.repaired,
            missing.reordered,
            missing.missed,
            missing.lost,
            missing.requested,
        )

    def end_tap(self, now: float) -> None:
        tap, self._tap = self._tap, None
        if tap is not None:
            tap.reception(now, self._reception())
            if not tap.failed:
                tap.end(now)
            self.tap_failures += tap.failed

    def sender_report(self, report: SenderReport, now: float) -> None:
        self.last_report = report
        self.last_report_arrival = now
        if self._tap is not None:
            self._tap.sender_report(report, now)
            self._check_tap()

    def _check_tap(self) -> None:
        if self._tap is not None and self._tap.failed:
            self._tap = None
            self.tap_failures += 1

    # --- subscriptions

    def subscribe(self, subscription: "Subscription") -> None:
        """`subscription` starts with the next key frame (audio: the next packet)."""
        self.subscriptions.append(subscription)
        self.waiting.append(subscription)
        self.want_key_frame()

    def unsubscribe(self, subscription: "Subscription") -> None:
        if subscription.encoding is self:
            self.flush()  # what came in this wakeup has numbers of its sequence
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)
        if subscription in self.waiting:
            self.waiting.remove(subscription)
        if subscription in self._moving:
            self._moving.remove(subscription)
        subscription.stopped(self)
        self.retarget()

    def capture_s(self, timestamp: int) -> float | None:
        """When what has this RTP timestamp was captured, on the sender's own clock; None before its first report."""
        report = self.last_report
        if report is None:
            return None
        ticks = ((timestamp - report.rtp_timestamp + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
        return report.ntp_timestamp / (1 << 32) + ticks / self.clock_rate_hz

    def want_key_frame(self) -> None:
        if self._key_frame is not None:
            self.requests.want()

    def retarget(self) -> None:
        """Rebuild the tuples of the packet path after a change of addresses or of who is running."""
        running = [s for s in self.subscriptions if s.encoding is self]
        self.targets = [s.target() for s in running if s.view is None]
        if self.views:
            for view in self.views:
                view.targets = [s.target() for s in running if s.view is view]
            self.views = [view for view in self.views if view.is_used]

    def _start_waiting(self, packet: Packet) -> None:
        """A key frame begins with this packet."""
        for subscription in self.waiting:
            if subscription.encoding is not None:  # another layer, which went on until now
                subscription.encoding.unsubscribe(subscription)
            view = self._view(self._limit_of(subscription))
            if view is not None:
                view.expect(packet.number)
            subscription.start(self, view, packet)
        self.waiting = []
        self.retarget()

    # --- temporal layers

    def limit(self, subscription: "Subscription") -> None:
        """What `subscription` may have of the temporal layers has changed (`max_temporal`): fewer come with the next
        frame, more when the sender lets it up."""
        moves = subscription.encoding is self and self._limit_of(subscription) != subscription.limit
        if moves and subscription not in self._moving:
            self._moving.append(subscription)
        elif not moves and subscription in self._moving:
            self._moving.remove(subscription)

    def _limit_of(self, subscription: "Subscription") -> int:
        """A limit above all layers that there are is none."""
        return subscription.max_temporal if subscription.max_temporal < self.top_layer else TOP

    def _found_layer(self, layer: int) -> None:
        self.top_layer = layer
        for subscription in self.subscriptions:
            self.limit(subscription)

    def _moves(self, packet: Packet, begins_key_frame: bool) -> list[tuple["Subscription", int]]:
        """Who can have another limit from the frame on that begins with `packet`, and which."""
        place = BASE if begins_key_frame else packet.descriptor.place
        found = []
        for subscription in self._moving:
            limit = self._limit_of(subscription)
            if limit > subscription.limit:
                if place.needs > subscription.limit or place.reaches <= subscription.limit:
                    continue
                if place.reaches < self.top_layer:
                    limit = min(limit, place.reaches)
            found.append((subscription, limit))
        return found

    def _move(self, subscription: "Subscription", limit: int) -> None:
        """Between the packet that was delivered last and the next one."""
        subscription.moved(self._view(limit))
        self.limit(subscription)

    def _view(self, limit: int) -> LayerView | None:
        """The view of this limit, made on first call; None: everything."""
        if limit >= TOP:
            return None
        for view in self.views:
            if view.limit == limit:
                return view
        view = LayerView(self, limit, self.next_number)
        self.views.append(view)
        return view

    @property
    def next_number(self) -> int:
        """Of the packet after the one that was delivered last."""
        return max(self._resumed, self.delivered.number + 1 if self.delivered is not None else 0)


def _describer(codec: str, layouts: LayoutCache) -> Callable[[bytes], Descriptor] | None:
    """What forwarding has to know of a payload; None: nothing."""
    if codec == "vp8":
        return describe
    if codec == "vp9":
        return lambda payload: unchanged(vp9.place(payload))
    return Av1Places(layouts).describe if codec == "av1" else None
