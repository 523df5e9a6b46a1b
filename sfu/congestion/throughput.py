"""Rate of what arrives, and of what was offered, in one Bayesian filter each (as libwebrtc's acknowledged bitrate).

A sample is what came between the ends of two reports, over the time between their last packets, so that bursts fit in
whole. A sample far from the estimate is doubted, and believed once the next ones agree.
"""

FIRST_WINDOW_S, WINDOW_S = 0.5, 0.15
"""Shortest time of the first sample and of the later ones (libwebrtc)."""

MAX_IDLE_S = 2.0
"""After a longer pause of the sender the time before it does not count."""

_DOUBT = 10.0
"""Standard deviation of a sample that differs from the estimate by their sum."""
_FIRST_VARIANCE = 50.0
_GROWTH = 5.0
"""Variance that a sample's time adds to the estimate's."""


class Throughput:
    __slots__ = ("_last", "_octets", "_start", "_variance", "bps")

    def __init__(self) -> None:
        self.bps = 0.0
        """0: not known yet."""
        self._variance = _FIRST_VARIANCE
        self._start: float | None = None
        self._last = 0.0
        self._octets = 0

    def interrupt(self) -> None:
        """What came since the last update is not known: begin a new sample at the next one."""
        self._start = None

    def update(self, octets: int, at: float) -> None:
        """`octets` came after the update before, the last of them at `at` (seconds on any one clock)."""
        if self._start is None or at - self._last > MAX_IDLE_S:
            self._start = self._last = at
            self._octets = 0
            return
        self._octets += octets
        if at <= self._last:
            return
        self._last = at
        passed = at - self._start
        if passed < (WINDOW_S if self.bps else FIRST_WINDOW_S):
            return
        sample = 8 * self._octets / passed
        self._start, self._octets = at, 0
        if not self.bps:
            self.bps = sample
            return
        if not sample:
            return
        deviation = _DOUBT * abs(self.bps - sample) / (self.bps + sample)
        doubt = deviation * deviation
        predicted = self._variance + _GROWTH
        self.bps = (doubt * self.bps + predicted * sample) / (doubt + predicted)
        self._variance = doubt * predicted / (doubt + predicted)
