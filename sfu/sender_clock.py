"""A publisher's NTP clock against ours, for lip sync: all streams of one transport share it. A core in given time.

A sender report says which RTP time belongs to which NTP time of the sender. The smallest difference between a report's
arrival and its NTP time is the one with the least queueing; it is used for all streams, so that a report that was held
up in the network moves one stream against another by nothing.
"""

from collections import deque

KEPT = 24
"""Reports that count: a minute of two streams at one in 5 s; clocks drift apart by less than 20 ms in it (300 ppm)."""


class SenderClock:
    __slots__ = ("_differences",)

    def __init__(self) -> None:
        self._differences: deque[float] = deque(maxlen=KEPT)

    def note(self, ntp_timestamp: int, arrival: float) -> None:
        """A report with this 64-bit NTP timestamp arrived at this monotonic time."""
        self._differences.append(arrival - ntp_timestamp / 4_294_967_296)

    def local(self, ntp_timestamp: int) -> float:
        """Our monotonic time of an NTP time of the sender; at least one report must have been noted."""
        return ntp_timestamp / 4_294_967_296 + min(self._differences)


MAX_CLOCK_DOUBT_S = 1.0
"""Between two layers of a track the sender's reports say how much time passed, arrivals do so with the jitter of their
queues. If both disagree by more than this the reports are of different clocks."""


def passed_s(by_arrival_s: float, captured_before_s: float | None, captured_s: float | None) -> float:
    """Time between two packets of different streams of one sender: by its own clock where that is known."""
    if captured_before_s is None or captured_s is None:
        return by_arrival_s
    by_sender_s = captured_s - captured_before_s
    return by_sender_s if abs(by_sender_s - by_arrival_s) < MAX_CLOCK_DOUBT_S else by_arrival_s
