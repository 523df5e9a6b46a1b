"""AIMD rate control on the signal of the over-use detector (draft-ietf-rmcat-gcc-02, 5.6, with libwebrtc's practice).

Up: 8 % a second while the capacity of the path is unknown, by about a packet per response time near a known one; never
beyond 1.5 times what really arrives, never down for that reason. Down: to 0.85 of what arrives, if a queue shows that
it is all that the path takes; if everything that is sent arrives (the sender has little to send, or the delay is
noise), only by that factor, and not below that.
"""

from enum import Enum
from math import sqrt

from sfu.congestion.detector import Usage

BACKOFF = 0.85
"""Draft, 5.6."""

GROWTH_PER_S = 1.08
"""Draft, 5.6."""

HEADROOM, HEADROOM_BPS = 1.5, 10_000
"""Growth ends at this times what arrives, and this much more (draft, 5.6)."""

MIN_ADDITIVE_BPS = 4000
"""A second, near the capacity (libwebrtc)."""

FRAMES_PER_S, PACKET_BITS = 30, 9600
"""Packets near the capacity are taken to be those of frames at this rate, of 1,200 bytes at most (libwebrtc)."""

MIN_BETWEEN_S, MAX_BETWEEN_S = 0.01, 0.2
"""A round trip, within these bounds, is waited for before the next step down (libwebrtc)."""

MAX_UPDATE_S = 1.0
"""Time without reports that may count as time of growth."""

DETECTOR_S = 0.1
"""Time that the detector needs, part of the response time (libwebrtc)."""


class RateState(Enum):
    START = "start"
    INCREASE = "increase"
    HOLD = "hold"
    DECREASE = "decrease"


class LinkCapacity:
    """What arrived when the path was over-used: mean and deviation (draft, 5.6)."""

    __slots__ = ("_bps", "_deviation")

    SMOOTHING = 0.05
    MIN_DEVIATION, MAX_DEVIATION = 0.4, 2.5
    """Of the variance in kbit/s, relative to the mean (libwebrtc)."""

    def __init__(self) -> None:
        self._bps = 0.0
        self._deviation = self.MIN_DEVIATION

    @property
    def bps(self) -> float:
        """0: unknown."""
        return self._bps

    @property
    def bounds(self) -> tuple[float, float]:
        """Rates between these are near the capacity."""
        margin = 3 * 1000 * sqrt(self._deviation * self._bps / 1000)
        return self._bps - margin, self._bps + margin

    def forget(self) -> None:
        self._bps = 0.0

    def note(self, bps: float) -> None:
        if not self._bps:
            self._bps = bps
            return
        error = (self._bps - bps) / 1000
        self._bps += self.SMOOTHING * (bps - self._bps)
        variance = error * error / max(self._bps / 1000, 1.0)
        self._deviation += self.SMOOTHING * (variance - self._deviation)
        self._deviation = max(self.MIN_DEVIATION, min(self.MAX_DEVIATION, self._deviation))


class RateControl:
    __slots__ = ("_updated", "capacity", "decreased", "state", "target_bps")

    def __init__(self, start_bps: float) -> None:
        self.target_bps = start_bps
        self.state = RateState.START
        self.capacity = LinkCapacity()
        self.decreased = float("-inf")
        """When it last went down."""
        self._updated: float | None = None

    def update(
        self, usage: Usage, arriving_bps: float, round_trip_s: float, *, stuck: bool, hold: bool, now: float
    ) -> None:
        """One report was read. `arriving_bps` is 0 while unknown; `stuck`: what arrives is what the path takes; `hold`:
        a queue from before is still there."""
        passed_s = 0.0 if self._updated is None else min(now - self._updated, MAX_UPDATE_S)
        self._updated = now
        if usage is Usage.OVERUSE:
            self._decrease(arriving_bps, round_trip_s, stuck and arriving_bps > 0, now)
        elif usage is Usage.UNDERUSE or hold:
            # Queues empty; what is free after that is not known yet.
            if self.state is not RateState.START:
                self.state = RateState.HOLD
        elif arriving_bps:
            self.state = RateState.INCREASE
            self._increase(arriving_bps, round_trip_s, passed_s)

    def probed(self, bps: float) -> None:
        """A probe showed this rate. It can only raise the target, except at the start, where nothing else is known."""
        if self.state is RateState.START:
            self.target_bps = bps
        elif bps > self.target_bps:
            self.target_bps = bps
            if self.capacity.bps and bps > self.capacity.bounds[1]:
                self.capacity.forget()

    def _increase(self, arriving_bps: float, round_trip_s: float, passed_s: float) -> None:
        if self.capacity.bps and arriving_bps > self.capacity.bounds[1]:
            self.capacity.forget()
        target = self.target_bps
        limit = HEADROOM * arriving_bps + HEADROOM_BPS
        if target >= limit:
            return
        if self.capacity.bps:
            frame_bits = target / FRAMES_PER_S
            packet_bits = frame_bits / max(1.0, -(-frame_bits // PACKET_BITS))
            grown = target + max(MIN_ADDITIVE_BPS, packet_bits / (2 * (round_trip_s + DETECTOR_S))) * passed_s
        else:
            grown = target * GROWTH_PER_S**passed_s + 1000 * passed_s
        self.target_bps = min(grown, limit)

    def _decrease(self, arriving_bps: float, round_trip_s: float, stuck: bool, now: float) -> None:
        wait_s = max(MIN_BETWEEN_S, min(MAX_BETWEEN_S, round_trip_s))
        if now - self.decreased < wait_s and not 0 < arriving_bps < self.target_bps / 2:
            return
        if stuck:
            low, high = self.capacity.bounds
            if self.capacity.bps and not low <= arriving_bps <= high:
                self.capacity.forget()
            self.capacity.note(arriving_bps)
            self.target_bps = min(self.target_bps, BACKOFF * arriving_bps)
        else:
            self.target_bps = min(self.target_bps, BACKOFF * max(arriving_bps, self.target_bps))
        self.decreased = now
        self.state = RateState.DECREASE
