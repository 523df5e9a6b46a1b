"""Frames of one stream onto the session clock.

Session time follows the sender's RTP clock from an anchor, never each packet's arrival: nothing is stretched. The
anchor is the smallest (arrival - RTP time) of the first second, so the first sample is placed where it would have
arrived without queueing. Someone who joins keeps machine and network busiest just then: what the next seconds show to
have been late altogether is kept in `late_ticks`, for whoever states when the file begins. RTP clocks stop and jump (a
browser stops its audio clock in `replaceTrack(null)`), networks stall: when a frame's arrival and its session time
disagree by more than LIMIT_NS, the following second decides. If some frame in it agrees again, it was the network and
nothing moves. If none does, and the sender's next report still gives its RTP clock the same place on its own clock, it
is the network too. Else it was the RTP clock, and the anchor moves by the smallest disagreement, never back into what
was already placed. Every decision is kept as a `Correction`.

A sender's clock that runs faster or slower than ours is no fault: the file goes on in the sender's time, without steps,
and what is expected of arrivals follows the quickest frames of each DRIFT_BLOCK_NS, at most as fast as quartz drifts.

A frame that cannot be placed is left out and counted, and with it the frames that need it, up to the next key frame.

Waiting is by the journal's clock, so the same journal always gives the same placing. The anchor itself uses neither
sender reports nor one-way delay: `notes` keeps what `recorder.track_map` makes better session times of.
"""

from collections import deque
from typing import NamedTuple

from recorder.clock_facts import ClockNotes
from recorder.frames import MediaFrame

WINDOW_NS = 1_000_000_000
LIMIT_NS = 250_000_000
"""Well above jitter and pacing of key frames, below what a listener would call out of sync for long."""
REPORT_WAIT_NS = 8_000_000_000
"""How long a sender that sends reports is given for the next one; browsers send one every 1 s (video) or 5 s (audio),
varied by half (RFC 3550 6.2)."""
FAR_NS = 10_000_000_000
"""No frame is placed further from its arrival. Queues and repairs take less; what lies beyond is a timestamp that means
nothing, and would be bridged with hours of silence."""
MAX_CORRECTIONS = 1_000
"""Kept as data; later ones are applied all the same."""
DRIFT_BLOCK_NS = 30_000_000_000
MAX_DRIFT_PPM = 500
SETTLE_NS = 10_000_000_000
"""How long the anchor may turn out to be late. A clock that drifts by 300 ppm moves by 3 ms meanwhile."""
START_BOUND_NS = 50_000_000
"""Of a session time by the anchor alone: one-way delay and the sender's pipeline, which the arrival time includes."""


class Placed(NamedTuple):
    frame: MediaFrame
    position: int
    """Session time in ticks of the stream's RTP clock."""
    moved: bool
    """The clock was corrected just before this frame."""


class Correction(NamedTuple):
    """In nanoseconds on the session clock."""

    at_ns: int
    measured_ns: int
    """How much later frames arrived than the RTP clock said."""
    applied_ns: int
    """0: it was the network, or there was no room to move back into."""


class Timeline:
    def __init__(self, clock_rate_hz: int, zero_ns: int, quantum_ticks: int = 1) -> None:
        """`zero_ns`: the session clock's zero on the journal's clock. Corrections are multiples of `quantum_ticks`."""
        self.notes = ClockNotes(clock_rate_hz, zero_ns)
        self.corrections: list[Correction] = []
        self.stray = 0
        """Packets of frames with a timestamp far from all others, or from their arrival."""
        self.overlapping = 0
        """Packets of frames that do not lie behind the frame before."""
        self.awaiting_key = 0
        """Packets of frames that refer to one that was left out here."""
        self.late_ticks = 0
        """Everything was placed so much too late, never less than 0; grows for SETTLE_NS."""
        self._settled_ns: int | None = None
        """When `late_ticks` is final; None: nothing was placed yet."""
        self._rate = clock_rate_hz
        self._zero_ns = zero_ns
        self._quantum = quantum_ticks
        self._limit = LIMIT_NS * clock_rate_hz // 1_000_000_000
        self._far = FAR_NS * clock_rate_hz // 1_000_000_000
        self._now_ns: int | None = None
        self._timestamp: int | None = None
        self._unwrapped = 0
        self._offset: int | None = None
        """Session ticks = unwrapped timestamp + offset."""
        self._expected = 0
        """How much later than their session time frames arrive, for want of a correction that could be applied."""
        self._drift = 0
        """How much later frames arrive by now because the sender's clock is slower than ours, in ticks."""
        self._block: tuple[int, int] | None = None
        """Of the present DRIFT_BLOCK_NS: its beginning on the journal's clock, and the least that a frame was late."""
        self._end: int | None = None
        """First session tick behind everything that was placed."""
        self._last: int | None = None
        self._mapping: int | None = None
        """Sender's clock - RTP clock in ticks, by the latest report."""
        self._mapped_ns = 0
        """Its arrival."""
        self._anchor_mapping: int | None = None
        """The mapping to which the offset belongs; follows the drift between both clocks of the sender, at"""
        self._anchored_ns = 0
        self._waiting: deque[tuple[MediaFrame, int]] = deque()
        """With unwrapped timestamps. Bounded by what arrives in WINDOW_NS behind one frame, and by Reorder."""
        self._moved = False
        self._left_out = False
        """A frame was left out, and no key frame was placed since."""

    def push(self, frame: MediaFrame) -> list[Placed]:
        """Take the next frame in sequence order; returns what can be placed now."""
        self._unwrapped = self._unwrap(frame.timestamp)
        self._timestamp = frame.timestamp
        self._waiting.append((frame, self._unwrapped))
        return self.advance(frame.arrival_ns)

    def report(self, arrival_ns: int, ntp_timestamp: int, rtp_timestamp: int) -> list[Placed]:
        """A sender report (RFC 3550 6.4.1) came: what the sender's own clock says about its RTP clock."""
        if self._timestamp is not None:
            unwrapped = self._unwrap(rtp_timestamp)
            self._mapping = (ntp_timestamp * self._rate >> 32) - unwrapped
            self._mapped_ns = arrival_ns
            self.notes.reported(arrival_ns, ntp_timestamp, unwrapped)
        return self.advance(arrival_ns)

    def advance(self, now_ns: int) -> list[Placed]:
        """The journal's clock moved."""
        if self._now_ns is None or now_ns > self._now_ns:
            self._now_ns = now_ns
        return self._drain(final=False)

    def flush(self) -> list[Placed]:
        """Nothing will come: decide with what there is."""
        return self._drain(final=True)

    def to_ns(self, ticks: int) -> int:
        return ticks * 1_000_000_000 // self._rate

    def to_ticks(self, ns: int) -> int:
        return ns * self._rate // 1_000_000_000

    def _unwrap(self, timestamp: int) -> int:
        """The nearest to the last frame's."""
        if self._timestamp is None:
            return timestamp
        step = (timestamp - self._timestamp) & 0xFFFFFFFF
        return self._unwrapped + (step if step < 1 << 31 else step - (1 << 32))

    def _drain(self, final: bool) -> list[Placed]:
        out: list[Placed] = []
        while self._waiting:
            frame, unwrapped = self._waiting[0]
            if self._offset is not None and not self._disagrees(frame, unwrapped):
                self._waiting.popleft()
                self._place(frame, unwrapped, out)
                continue
            if not (final or self._can_decide(frame)):
                break
            if self._offset is None:
                self._offset = self._lateness()
                self.notes.began(frame.arrival_ns, self._offset)
            else:
                self._decide(out)
        if not self._waiting and self._mapping is not None and self._mapped_ns != self._anchored_ns:
            if self._anchor_mapping is None:
                self._anchor_mapping = self._mapping
            else:
                most = self._most_drift(self._mapped_ns - self._anchored_ns)
                self._anchor_mapping += max(-most, min(most, self._mapping - self._anchor_mapping))
            self._anchored_ns = self._mapped_ns
        return out

    def _can_decide(self, frame: MediaFrame) -> bool:
        waited_ns = (self._now_ns or 0) - frame.arrival_ns
        if waited_ns < WINDOW_NS or self._offset is None or self._anchor_mapping is None:
            return waited_ns >= WINDOW_NS
        return self._mapped_ns >= frame.arrival_ns or waited_ns >= REPORT_WAIT_NS

    def _clock_is_steady(self, frame: MediaFrame) -> bool:
        """A report that came after this frame gives the RTP clock the place that it had at the anchor."""
        if self._anchor_mapping is None or self._mapping is None or self._mapped_ns < frame.arrival_ns:
            return False
        return abs(self._mapping - self._anchor_mapping) <= self._limit // 2

    def _lateness(self) -> int:
        """The smallest (arrival - RTP time) of what waits, in ticks; of repaired frames only when there is no other."""
        late = [self._arrival(frame) - unwrapped for frame, unwrapped in self._waiting if frame.on_time]
        return min(late or [self._arrival(frame) - unwrapped for frame, unwrapped in self._waiting])

    def _arrival(self, frame: MediaFrame) -> int:
        return (frame.arrival_ns - self._zero_ns) * self._rate // 1_000_000_000

    def _deviation(self, frame: MediaFrame, unwrapped: int) -> int:
        assert self._offset is not None
        return self._arrival(frame) - unwrapped - self._offset - self._drift - self._expected

    def _disagrees(self, frame: MediaFrame, unwrapped: int) -> bool:
        return frame.on_time and abs(self._deviation(frame, unwrapped)) > self._limit

    def _decide(self, out: list[Placed]) -> None:
        """The first waiting frame disagrees, and its second is over."""
        agrees = any(frame.on_time and not self._disagrees(frame, unwrapped) for frame, unwrapped in self._waiting)
        if agrees:
            frame, unwrapped = self._waiting.popleft()
            # Ahead of its time by a wrong timestamp, or because the anchor was set when everything came late: in the
            # latter case the frames behind it go on from there.
            if self._deviation(frame, unwrapped) < 0 and self._waiting and self._waiting[0][1] <= unwrapped:
                self.stray += frame.packets
                self._left_out = True
            else:
                self._place(frame, unwrapped, out)
            return
        assert self._offset is not None
        first = self._waiting[0][1] + self._offset
        measured = self._lateness() - self._offset - self._drift
        if self._clock_is_steady(self._waiting[0][0]):
            applied = 0
        else:
            applied = measured // self._quantum * self._quantum
            if self._end is not None:
                applied = max(applied, min(0, self._end - first))
            self._anchor_mapping = None
        self._offset += applied
        if applied:
            self._settled_ns = self._now_ns
            self.notes.began(self._waiting[0][0].arrival_ns, self._offset)
        self._expected = measured - applied
        self._moved = self._moved or applied != 0
        if len(self.corrections) < MAX_CORRECTIONS:
            at_ns = self.to_ns(first + applied)
            self.corrections.append(Correction(at_ns, self.to_ns(measured), self.to_ns(applied)))

    def _follow(self, arrival_ns: int, late: int) -> None:
        """A frame was so many ticks late, the drift included."""
        if self._block is None:
            self._block = arrival_ns, late
        begin_ns, least = self._block
        passed_ns = arrival_ns - begin_ns
        if passed_ns < DRIFT_BLOCK_NS:
            self._block = begin_ns, min(least, late)
            return
        most = self._most_drift(passed_ns)
        self._drift += max(-most, min(most, least - self._drift))
        self._block = arrival_ns, late

    def _most_drift(self, passed_ns: int) -> int:
        return max(0, self.to_ticks(passed_ns)) * MAX_DRIFT_PPM // 1_000_000

    def _place(self, frame: MediaFrame, unwrapped: int, out: list[Placed]) -> None:
        assert self._offset is not None
        position = unwrapped + self._offset
        late = self._arrival(frame) - position
        if abs(late - self._drift) > self._far:
            self.stray += frame.packets
            self._left_out = True
            return
        if self._last is not None and position <= self._last:
            self.overlapping += frame.packets
            self._left_out = True
            return
        if self._left_out:
            if not frame.key:
                self.awaiting_key += frame.packets
                return
            frame = frame._replace(missing=frame.missing or "lost")
            self._left_out = False
        if self._settled_ns is None:
            self._settled_ns = frame.arrival_ns + SETTLE_NS
        if frame.on_time and frame.arrival_ns < self._settled_ns:
            self.late_ticks = max(self.late_ticks, -late)
        if frame.on_time:
            self._follow(frame.arrival_ns, late - self._expected)
        self._last = position
        # Of video no duration is known; containers count in milliseconds.
        self._end = position + (frame.duration_ticks or self._rate // 1000)
        self.notes.placed(frame, position)
        out.append(Placed(frame, position, self._moved))
        self._moved = False
