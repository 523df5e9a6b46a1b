"""Draining a long queue that stands in the path (an addition to GCC, which sees queues only as long as they grow).

After a sudden loss of capacity, what had been sent already waits in front of the bottleneck, and at 0.85 of what passes
it would take many times as long to go as it took to come. A queue that is full and overflows is no trend at all.
"""

LONG_S = 0.1
"""A longer queue is drained,"""

ENDED_S = 0.05
"""until it is this short."""

DRAIN_S, MIN_SHARE = 2.0, 0.5
"""So much less than what passes is sent that it is gone in this time, but at least this share."""

MAX_S = 6.0
"""A queue that is still there after this is somebody else's; it will soon count as the path's own delay."""

NO_LIMIT = float("inf")


class Drain:
    __slots__ = ("_since", "bps")

    def __init__(self) -> None:
        self.bps = NO_LIMIT
        """Bound of what may be sent."""
        self._since: float | None = None

    @property
    def active(self) -> bool:
        return self.bps < NO_LIMIT

    def update(self, standing_s: float, arriving_bps: float, saturated: bool, now: float) -> None:
        """A queue stands; `saturated`: this sender sends as much as passes, or more."""
        if standing_s < ENDED_S:
            self._since = None
        elif self._since is None and standing_s > LONG_S and saturated:
            self._since = now
        if self._since is None or now - self._since > MAX_S:
            self.bps = NO_LIMIT
        else:
            self.bps = max(MIN_SHARE, 1 - standing_s / DRAIN_S) * arriving_bps
