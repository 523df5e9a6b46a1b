"""When to probe, and at what rate (after libwebrtc's probe controller).

A probe is a short burst above the present rate, mostly padding. The first is at 3 times the start rate; while probes go
through, the next is at twice what they showed (at the start that is 6 times); later one every few seconds, if more
could be used than is known to pass, and soon after a large drop is over. Never beyond what the viewer could use.
"""

import msgspec

START_FACTOR = 3.0
"""Libwebrtc's exponential start: 3 times, then 6. It sends both at once; here the second waits for the first, because
together they would fill the queue of a slow path before anything is known about it."""

NEXT_FACTOR = 2.0
"""Of what a probe showed, or of the present target."""

THROUGH = 0.7
"""A probe that shows this share of its rate asks for the next (libwebrtc)."""

MARGIN = 1.15
"""Over what could be used: the estimate must exceed the need a little to be relied on."""

PROBE_S = 0.02
"""Length of a probe: several packets at every rate of interest, and too short to fill a queue."""

MIN_PACKETS = 5
"""Fewer say nothing about a rate (libwebrtc)."""

MIN_OCTETS = 1500
"""Five packets of 300."""

RETRY_S, INTERVAL_S = 1.0, 5.0
"""Between probes: the shorter after one that went through and after an over-use that took a third of the rate or more,
twice as long after each that did not, up to the longer (libwebrtc probes an application-limited sender as often)."""

ANSWER_S = 1.0
"""A probe of which nothing is heard for this long has failed."""

LARGE_DROP = 0.66


class ProbeCluster(msgspec.Struct, frozen=True):
    """Send `octets` of padding (RTX of old packets, or empty) at `rate_bps`, noted with `cluster=id`, in MIN_PACKETS
    packets or more. Media that leaves meanwhile is taken into account whether or not it is noted so."""

    id: int
    """From 1."""
    rate_bps: float
    octets: int


class ProbePlanner:
    __slots__ = ("_asked_at", "_asked_bps", "_due", "_next_bps", "_wait_s", "answers", "asked")

    def __init__(self, now: float) -> None:
        self._due = now
        """No probe before, except the next of a search."""
        self._asked_at: float | None = None
        """When the probe left that is not answered yet."""
        self._asked_bps = 0.0
        self._next_bps = 0.0
        """Rate of the next probe of a search; 0: none goes on."""
        self._wait_s = RETRY_S
        self.asked = 0
        """Probes so far; also the id of the last one."""
        self.answers = 0
        """Of those: showed a rate."""

    def answered(self, bps: float) -> None:
        """The probe showed this rate."""
        self.answers += 1
        self._asked_at = None
        if bps >= THROUGH * self._asked_bps:
            self._next_bps = NEXT_FACTOR * bps
            self._wait_s = RETRY_S

    def dropped(self, before_bps: float, after_bps: float, now: float) -> None:
        """The target fell. Ends the search; a large drop is looked into soon after it is over."""
        self._next_bps = 0.0
        soon = now + RETRY_S
        if after_bps < LARGE_DROP * before_bps:
            self._due, self._wait_s = soon, RETRY_S
        else:
            self._due = max(self._due, soon)

    def tick(self, target_bps: float, useful_bps: float, calm: bool, now: float) -> ProbeCluster | None:
        """`calm`: no over-use and no queue at present."""
        if self._asked_at is not None:
            if now - self._asked_at <= ANSWER_S:
                return None
            self._asked_at = None
        if not calm or target_bps >= useful_bps:
            return None
        if self._next_bps > target_bps:
            bps = self._next_bps
        elif now >= self._due:
            bps = (NEXT_FACTOR if self.asked else START_FACTOR) * target_bps
        else:
            return None
        self._next_bps = 0.0
        self.asked += 1
        self._asked_at, self._asked_bps = now, min(bps, MARGIN * useful_bps)
        self._due = now + self._wait_s
        self._wait_s = min(2 * self._wait_s, INTERVAL_S)
        return ProbeCluster(self.asked, self._asked_bps, max(MIN_OCTETS, int(self._asked_bps * PROBE_S / 8)))
