"""Which packets of one encoding are missing and when to ask for them again (RFC 4585 6.2.1). A core in given time.

A hole is first asked for when it has been open for longer than packets are usually overtaken, then once a round trip,
and after FAST_REQUESTS more seldom, until it is given up. How long that takes is the caller's affair: viewers have no
use for what comes late, a recording has.
"""

from typing import NamedTuple

MAX_MISSING = 1024
"""Missing numbers tracked per encoding; a larger hole is given up at once, oldest first, and counted."""

MAX_PER_REQUEST = 128
"""Numbers asked for in one NACK."""

MIN_TOLERANCE_S, MAX_TOLERANCE_S = 0.01, 0.05
"""How long a hole may stay open before it is asked for: as long as packets that were merely overtaken take to come, as
far as that was seen, within these bounds. Asking for what is on its way costs its sender a second sending."""

FIRST_RETRY_S = 0.05
"""Earliest second request; a request is repeated after max(this, 1.2 round trips)."""

DEFAULT_ROUND_TRIP_S = 0.1
"""Until it is known (libwebrtc's kDefaultRtt): shorter, and on a longer path everything would be sent twice."""

MAX_ROUND_TRIP_S = 0.5
"""Bound of the estimate: on a longer path a repair is asked for more often than needed, but not too seldom."""

FAST_REQUESTS = 10
"""Requests at that pace (libwebrtc gives up after as many); what is asked for longer is for a recording, which can
wait: every SLOW_RETRY_S."""

SLOW_RETRY_S = 0.25

DOUBTFUL = 4
"""Answers in a row that may belong to more than one request, after which the estimate is taken to be too short."""


class _Hole(NamedTuple):
    """Times in monotonic seconds; `first_asked` and `last_asked` mean nothing while it was asked for no times."""

    noticed: float
    first_asked: float = 0.0
    last_asked: float = 0.0
    times: int = 0


class Missing:
    """Open holes of one encoding. `missed` counts all there were; of those `reordered` came by themselves, `repaired`
    because they were sent again, `lost` were given up. `requested` counts what was asked for.

    The round trip is estimated from requests that were answered at once: packets asked for exactly once.
    """

    __slots__ = (
        "_answered_apart",
        "_doubtful",
        "holes",
        "lost",
        "missed",
        "reordered",
        "repaired",
        "requested",
        "round_trip_s",
        "tolerance_s",
    )

    def __init__(self) -> None:
        self.holes: dict[int, _Hole] = {}
        """By extended sequence number, those noticed first in front. Not to be changed from outside."""
        self.round_trip_s = 0.0
        """0: not known yet."""
        self.tolerance_s = MIN_TOLERANCE_S
        self.missed = self.reordered = self.repaired = self.lost = 0
        self.requested = 0
        self._doubtful = DOUBTFUL
        self._answered_apart = False
        """Answers come as RTX: what comes in the stream itself was overtaken."""

    def __len__(self) -> int:
        return len(self.holes)

    def opened(self, first: int, end: int, now: float) -> None:
        """Numbers first..end-1 were skipped."""
        self.missed += end - first
        if end - first > MAX_MISSING:
            self.lost += end - first - MAX_MISSING
            first = end - MAX_MISSING
        holes = self.holes
        hole = _Hole(now)
        for number in range(first, end):
            holes[number] = hole
        while len(holes) > MAX_MISSING:
            del holes[next(iter(holes))]
            self.lost += 1

    def resent(self, number: int, now: float) -> None:
        """A retransmission of this packet came as RTX."""
        self._answered_apart = True
        hole = self.holes.pop(number, None)
        if hole is None:
            return
        self.repaired += 1
        if hole.times:
            self._answered(hole, now)

    def arrived(self, number: int, now: float) -> bool:
        """A packet came late in the stream itself; True if it was missing.

        Without RTX (audio) nobody knows whether it was asked for or overtaken: what was asked for counts as an answer.
        """
        hole = self.holes.pop(number, None)
        if hole is None:
            return False
        if hole.times == 0 or self._answered_apart:
            self.reordered += 1
            more_s = max(MIN_TOLERANCE_S, min(now - hole.noticed, MAX_TOLERANCE_S)) - self.tolerance_s
            self.tolerance_s += more_s / (2 if more_s > 0 else 16)  # towards those that take longest
        else:
            self.repaired += 1
            self._answered(hole, now)
        return True

    def _answered(self, hole: _Hole, now: float) -> None:
        """It had been lost: the more of that, the less is it worth to wait for what was overtaken."""
        self.tolerance_s += (MIN_TOLERANCE_S - self.tolerance_s) / 16
        if hole.times > 1:
            self._doubtful += 1
            if self._doubtful < DOUBTFUL:
                return
        else:
            self._doubtful = 0
        sample = min(now - hole.first_asked, MAX_ROUND_TRIP_S)
        self.round_trip_s += (sample - self.round_trip_s) / (8 if self.round_trip_s else 1)

    def first(self) -> int | None:
        """The lowest number that is missing."""
        return min(self.holes, default=None)

    def oldest_s(self, now: float) -> float:
        """For how long the oldest hole has been open; 0 if none is."""
        return now - next(iter(self.holes.values())).noticed if self.holes else 0.0

    def due(self, now: float, patience_s: float) -> list[int]:
        """Numbers to ask for now, ascending; drops those that have been missing for longer than `patience_s`."""
        holes = self.holes
        wait = max(FIRST_RETRY_S, 1.2 * (self.round_trip_s or DEFAULT_ROUND_TRIP_S)) - 0.005
        slow = max(wait, SLOW_RETRY_S)
        tolerance = self.tolerance_s - 0.001
        asked: list[int] = []
        expired: list[int] = []
        for number, (noticed, first_asked, last_asked, times) in holes.items():
            if now - noticed > patience_s:
                expired.append(number)
            elif times:
                if now - last_asked >= (wait if times < FAST_REQUESTS else slow) and len(asked) < MAX_PER_REQUEST:
                    holes[number] = _Hole(noticed, first_asked, now, times + 1)
                    asked.append(number)
            elif now - noticed >= tolerance and len(asked) < MAX_PER_REQUEST:
                holes[number] = _Hole(noticed, now, now, 1)
                asked.append(number)
        for number in expired:
            del holes[number]
        self.lost += len(expired)
        self.requested += len(asked)
        asked.sort()
        return asked
