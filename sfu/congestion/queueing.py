"""How long packets stand in queues of the path: one-way delay above the lowest of the last while.

The trend sees queues that grow, noise included; this one sees whether there is a queue at all, and when what an
over-use left behind has drained. The lowest delay of a few reports is taken: a burst of one frame is no queue, jitter
neither.
"""

WINDOW_S = 10.0
"""The lowest delay of one to two such windows is that of the empty path. Longer, and a path that became longer would
look like a queue for longer; clocks drift by less than 6 ms in it (300 ppm)."""

MIN_QUEUE_S = 0.008
"""Less is no queue: a frame of a slow path takes as long."""

NOISE_FACTOR, NOISE_SMOOTHING = 3.0, 1 / 16
"""A queue must stand out by this from how the lowest delay changes between reports, which is smoothed so much."""

_UNKNOWN = float("inf")


class QueueDelay:
    __slots__ = ("_base", "_base_before", "_noise_s", "_recent", "_since", "standing_s")

    def __init__(self) -> None:
        self._base = self._base_before = _UNKNOWN
        self._recent = (_UNKNOWN, _UNKNOWN, _UNKNOWN)
        """Of the last reports, latest first."""
        self._since = float("-inf")
        self._noise_s = 0.0
        self.standing_s = 0.0

    def note(self, delay_s: float, now: float) -> None:
        """The lowest one-way delay in a report; clocks may differ."""
        if now - self._since > WINDOW_S:
            self._base_before, self._base = self._base, delay_s
            self._since = now
        elif delay_s < self._base:
            self._base = delay_s
        last, before, _ = self._recent
        if last < _UNKNOWN:
            self._noise_s += NOISE_SMOOTHING * (abs(delay_s - last) - self._noise_s)
        self._recent = delay_s, last, before
        self.standing_s = min(delay_s, last, before) - min(self._base, self._base_before)

    def is_empty_at(self, delay_s: float) -> bool:
        """A packet that took so long met no queue."""
        return delay_s - min(self._base, self._base_before) <= MIN_QUEUE_S

    @property
    def stands(self) -> bool:
        """There is a queue, beyond doubt."""
        return self.standing_s > max(MIN_QUEUE_S, NOISE_FACTOR * self._noise_s)
