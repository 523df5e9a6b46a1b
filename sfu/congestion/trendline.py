"""Trend of the one-way delay: the slope of a line through the last groups of packets (libwebrtc's trendline filter, in
place of the Kalman filter of draft-ietf-rmcat-gcc-02, 5.4).

Delay that grows by 1 ms per ms means that twice as much is sent as the path takes; 0 that queues stay as they are. Hot,
but for the slope: the points are taken group by group, the line through them once per report.
"""

from collections import deque
from collections.abc import Sequence
from operator import mul

from sfu.congestion.feedback import TICKS_PER_S
from sfu.congestion.groups import Group

WINDOW = 20
"""Groups on the line: 0.7 s of video at 30 frames a second (libwebrtc)."""

SMOOTHING = 0.1
"""Weight of a new group in the smoothed delay (libwebrtc)."""

MAX_STEP_S = 3.0
"""A step of the delay beyond this is a clock that was set or a path that changed: begin anew (libwebrtc)."""


class Trendline:
    __slots__ = ("_arrivals", "_bottom_s", "_delay_s", "_delays", "_origin", "_smoothed_s", "groups")

    def __init__(self) -> None:
        self._arrivals: deque[int] = deque(maxlen=WINDOW)
        self._delays: deque[float] = deque(maxlen=WINDOW)
        """Both since the beginning or the last step."""
        self._origin = 0
        self._bottom_s = 0.0
        self._delay_s: float | None = None
        self._smoothed_s = 0.0
        self.groups = 0
        """Seen since the beginning."""

    def update(self, groups: Sequence[Group]) -> None:
        """Groups in the order of their arrival."""
        before, smoothed, origin, bottom = self._delay_s, self._smoothed_s, self._origin, self._bottom_s
        arrivals, delays = self._arrivals, self._delays
        for arrival, delay in groups:
            if before is None or not -MAX_STEP_S < delay - before < MAX_STEP_S:
                arrivals.clear()
                delays.clear()
                origin, bottom = self._origin, self._bottom_s = arrival, delay
                smoothed = 0.0
            before = delay
            smoothed += SMOOTHING * (delay - bottom - smoothed)
            arrivals.append(arrival - origin)
            delays.append(smoothed)
        self._delay_s, self._smoothed_s = before, smoothed
        self.groups += len(groups)

    @property
    def slope(self) -> float:
        """Seconds per second; 0 until the window is full."""
        xs, ys = self._arrivals, self._delays
        if len(xs) < WINDOW:
            return 0.0
        x = sum(xs)
        spread = WINDOW * sum(map(mul, xs, xs)) - x * x
        return (WINDOW * sum(map(mul, xs, ys)) - x * sum(ys)) / spread * TICKS_PER_S if spread else 0.0
