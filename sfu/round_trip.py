"""How long it takes to a sender and back, seen by a receiver that sends no media (RFC 3611 4.4, 4.5). A core.

With its reports the receiver says what time it is; a sender that understands it answers how long ago it was told so.
Both times of a round trip are of the receiver's monotonic clock, so neither a step of a wall clock nor a wrong one of
the sender changes it; of the sender's clock only the delay counts.
"""

from sfu.rtcp import SinceReference

KEPT = 60
"""Reference times that are remembered, at one a second: the smallest round trip of the last minute counts."""
TOLERANCE_S = 0.001
"""A sender's clock that is fast by 300 ppm counts 0.3 ms too much in the second that it waits."""


class RoundTrip:
    __slots__ = ("_sent", "least_s")

    def __init__(self) -> None:
        self.least_s: float | None = None
        """Of what was answered in the last minute; None: nothing was."""
        self._sent: dict[int, tuple[float, float | None]] = {}
        """By middle 32 bits of the NTP timestamp: when it was sent, and the smallest round trip that it showed."""

    def asked(self, ntp_timestamp: int, now: float) -> None:
        """A reference time is sent."""
        self._sent[ntp_timestamp >> 16 & 0xFFFFFFFF] = (now, None)
        if len(self._sent) > KEPT:
            del self._sent[next(iter(self._sent))]
            self._find()

    def answered(self, answer: SinceReference, now: float) -> bool:
        """True: it told something. What was never asked, and what claims to have waited for longer than there was time,
        is not believed."""
        asked_at, least_s = self._sent.get(answer.last_rr, (now, None))
        round_trip_s = now - asked_at - answer.delay_since_last_rr / 65536
        if answer.last_rr not in self._sent or round_trip_s < -TOLERANCE_S:
            return False
        round_trip_s = max(0.0, round_trip_s)
        self._sent[answer.last_rr] = (asked_at, round_trip_s if least_s is None else min(least_s, round_trip_s))
        self._find()
        return True

    def _find(self) -> None:
        self.least_s = min((least_s for _, least_s in self._sent.values() if least_s is not None), default=None)
