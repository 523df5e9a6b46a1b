"""Over-use detector with an adaptive threshold (draft-ietf-rmcat-gcc-02, 5.5, libwebrtc's units). Once per report.

The threshold follows the noise of the path: slowly up, so that jitter and competing flows do not look like congestion
for ever, and faster down.
"""

from enum import Enum

from sfu.congestion.feedback import TICKS_PER_S

GAIN = 4.0
MAX_GROUPS = 60
"""The slope counts times this many groups at most, times GAIN (libwebrtc)."""

THRESHOLD_MS, MIN_THRESHOLD_MS, MAX_THRESHOLD_MS = 12.5, 6.0, 600.0
"""At first, and its bounds (draft, 5.5)."""

UP_PER_MS, DOWN_PER_MS = 0.0087, 0.039
"""How fast the threshold follows (libwebrtc's values of the draft's K_u and K_d)."""

SPIKE_MS = 15.0
"""What is further above the threshold does not move it: a sudden change of the path (draft, 5.5)."""

MAX_UPDATE_MS = 100.0
"""Time that one update of the threshold may stand for."""

OVERUSE_GROUPS = 2
"""The trend must have been above the threshold for so many groups (draft, 5.5: for 10 ms, which two groups are)."""


class Usage(Enum):
    NORMAL = 1
    OVERUSE = 2
    UNDERUSE = 3


class Detector:
    __slots__ = ("_over", "_slope", "_updated", "threshold_ms", "usage")

    def __init__(self) -> None:
        self.usage = Usage.NORMAL
        self.threshold_ms = THRESHOLD_MS
        self._over = 0
        """Groups since the trend has been above the threshold."""
        self._slope = 0.0
        self._updated: int | None = None

    def update(self, slope: float, groups: int, new: int, arrival: int) -> None:
        """The trend after `new` more groups, `groups` in all, the last of which arrived at `arrival` (ticks)."""
        trend_ms = (groups if groups < MAX_GROUPS else MAX_GROUPS) * slope * GAIN
        if trend_ms > self.threshold_ms:
            self._over += new
            if self._over >= OVERUSE_GROUPS and slope >= self._slope:
                self._over = 0
                self.usage = Usage.OVERUSE
        else:
            self._over = 0
            self.usage = Usage.UNDERUSE if trend_ms < -self.threshold_ms else Usage.NORMAL
        self._slope = slope
        self._adapt(abs(trend_ms), arrival)

    def _adapt(self, trend_ms: float, arrival: int) -> None:
        since = 0 if self._updated is None else arrival - self._updated
        self._updated = arrival
        threshold = self.threshold_ms
        if trend_ms > threshold + SPIKE_MS:
            return
        rate = DOWN_PER_MS if trend_ms < threshold else UP_PER_MS
        passed_ms = min(1000 * since / TICKS_PER_S, MAX_UPDATE_MS)
        threshold += rate * (trend_ms - threshold) * passed_ms
        self.threshold_ms = max(MIN_THRESHOLD_MS, min(MAX_THRESHOLD_MS, threshold))
