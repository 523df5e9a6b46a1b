"""Reports that tell nothing new, kept a little and read as one: to begin to read costs as much as all that is in it.

Whether a report tells something is decided by who reads it; one that does is read at once, with all that waits. A
core in given time.
"""

from sfu.congestion.feedback import MAX_COVERED, TICKS_PER_REFERENCE, TICKS_PER_S, TransportFeedback

WAIT_S = 0.25
"""A report waits no longer for others to be read with: as long as the longest interval at which Chromium reports."""

MAX_TICKS = TICKS_PER_S
"""Reports that began further apart are never one (a reference time can be any)."""

Report = tuple[TransportFeedback, float]
"""With when it came; the last one, if it is several."""


def is_whole(feedback: TransportFeedback) -> bool:
    """Everything arrived, in order."""
    return feedback.ordered and len(feedback.spans) == 1 and len(feedback.spans[0][1]) == feedback.count


def join(first: TransportFeedback, second: TransportFeedback) -> TransportFeedback | None:
    """One report that says what `first`, a whole one, and `second` say; None if the second is not whole, or does not go
    on where the first ended."""
    count = first.count + second.count
    if (first.base + first.count - second.base) & 0xFFFF or count > MAX_COVERED or not is_whole(second):
        return None
    later = (second.reference - first.reference & 0xFFFFFF) * TICKS_PER_REFERENCE
    before, after = first.spans[0][1], second.spans[0][1]
    if later > MAX_TICKS or later + after[0] < before[-1]:
        return None
    ticks = before + [later + tick for tick in after]
    return TransportFeedback(first.base, count, second.number, first.reference, ((0, ticks),), True)


class JoinedReports:
    """Holds one report at most, of MAX_COVERED packets and WAIT_S."""

    __slots__ = ("_came", "_since", "_waiting")

    def __init__(self) -> None:
        self._waiting: TransportFeedback | None = None
        self._since = self._came = 0.0
        """When the first of what waits came, and the last."""

    def add(self, feedback: TransportFeedback, now: float, *, can_wait: bool) -> list[Report]:
        """A report came; only a whole one can wait. What is to be read now, in order."""
        ready: list[Report] = []
        if self._waiting is not None:
            joined = join(self._waiting, feedback)
            if joined is None:
                ready.append((self._waiting, self._came))
                self._since = now
            else:
                feedback = joined
            self._waiting = None
        else:
            self._since = now
        if can_wait and now - self._since < WAIT_S:
            self._waiting, self._came = feedback, now
        else:
            ready.append((feedback, now))
        return ready

    def take_old(self, now: float) -> list[Report]:
        """What has waited long enough, though nothing more came."""
        if self._waiting is None or now - self._since < WAIT_S:
            return []
        waiting, self._waiting = self._waiting, None
        return [(waiting, self._came)]
