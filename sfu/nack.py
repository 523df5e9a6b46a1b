"""Which packets of one encoding are missing and when to ask for them again (RFC 4585 6.2.1). A core in given time."""

MAX_MISSING = 1024
"""Missing numbers tracked per encoding; a larger hole is given up at once, oldest first, and counted."""

MAX_PER_REQUEST = 128
"""Numbers asked for in one NACK."""

FIRST_RETRY_S = 0.05
"""Earliest second request, when the round trip is not known; a request is repeated after max(this, 1.2 round trips)."""

GIVE_UP_S = 1.5
"""A packet missing for longer is not asked for again: Chromium keeps sent packets at least 1 s."""


_NEVER = float("-inf")


class Missing:
    """Open holes of one encoding. `lost` counts what was given up."""

    __slots__ = ("_holes", "lost", "requested")

    def __init__(self) -> None:
        self._holes: dict[int, tuple[float, float]] = {}
        """Extended sequence number -> (noticed, last asked)."""
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
            holes[number] = (now, _NEVER)
        while len(holes) > MAX_MISSING:
            del holes[next(iter(holes))]
            self.lost += 1

    def arrived(self, number: int) -> bool:
        """A late or retransmitted packet came; True if it was missing."""
        return self._holes.pop(number, None) is not None

    def first(self) -> int | None:
        """The lowest number that is missing."""
        return min(self._holes, default=None)

    def due(self, now: float, round_trip_s: float) -> list[int]:
        """Numbers to ask for now, ascending; drops those that are too old."""
        holes = self._holes
        wait = max(FIRST_RETRY_S, 1.2 * round_trip_s) - 0.005
        asked: list[int] = []
        expired: list[int] = []
        for number, (noticed, last) in holes.items():
            if now - noticed > GIVE_UP_S:
                expired.append(number)
            elif now - last >= wait and len(asked) < MAX_PER_REQUEST:
                holes[number] = (noticed, now)
                asked.append(number)
        for number in expired:
            del holes[number]
        self.lost += len(expired)
        self.requested += len(asked)
        asked.sort()
        return asked
