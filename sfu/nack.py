"""Which packets of one encoding are missing and when to ask for them again (RFC 4585 6.2.1). A core in given time."""

MAX_MISSING = 1024
"""Missing numbers tracked per encoding; a larger hole is given up at once, oldest first, and counted."""

MAX_PER_REQUEST = 128
"""Numbers asked for in one NACK."""

FIRST_RETRY_S = 0.05
"""Earliest second request; a request is repeated after max(this, 1.2 round trips)."""

MAX_ROUND_TRIP_S = 0.5
"""Bound of the estimate: on a longer path a repair is asked for more often than needed, but not too seldom."""

GIVE_UP_S = 1.5
"""A packet missing for longer is not asked for again: Chromium keeps sent packets at least 1 s."""


_NEVER = float("-inf")


class Missing:
    """Open holes of one encoding. `lost` counts what was given up.

    The round trip is estimated from requests that were answered at once: packets asked for exactly once.
    """

    __slots__ = ("_holes", "lost", "requested", "round_trip_s")

    def __init__(self) -> None:
        self._holes: dict[int, tuple[float, float, int]] = {}
        """Extended sequence number -> (noticed, last asked, how often)."""
        self.round_trip_s = 0.0
        self.lost = 0
        self.requested = 0

    def __len__(self) -> int:
        return len(self._holes)

    def opened(self, first: int, end: int, now: float) -> None:
        """Numbers first..end-1 were skipped."""
        if end - first > MAX_MISSING:
            self.lost += end - first - MAX_MISSING
            first = end - MAX_MISSING
        holes = self._holes
        for number in range(first, end):
            holes[number] = (now, _NEVER, 0)
        while len(holes) > MAX_MISSING:
            del holes[next(iter(holes))]
            self.lost += 1

    def arrived(self, number: int, now: float) -> bool:
        """A late or retransmitted packet came; True if it was missing."""
        hole = self._holes.pop(number, None)
        if hole is None:
            return False
        _, last, times = hole
        if times == 1:
            sample = min(now - last, MAX_ROUND_TRIP_S)
            self.round_trip_s += (sample - self.round_trip_s) / (8 if self.round_trip_s else 1)
        return True

    def first(self) -> int | None:
        """The lowest number that is missing."""
        return min(self._holes, default=None)

    def due(self, now: float) -> list[int]:
        """Numbers to ask for now, ascending; drops those that are too old."""
        holes = self._holes
        wait = max(FIRST_RETRY_S, 1.2 * self.round_trip_s) - 0.005
        asked: list[int] = []
        expired: list[int] = []
        for number, (noticed, last, times) in holes.items():
            if now - noticed > GIVE_UP_S:
                expired.append(number)
            elif now - last >= wait and len(asked) < MAX_PER_REQUEST:
                holes[number] = (noticed, now, times + 1)
                asked.append(number)
        for number in expired:
            del holes[number]
        self.lost += len(expired)
        self.requested += len(asked)
        asked.sort()
        return asked
