"""A sender's NTP clock on the session clock, by the sender reports of all its streams. No I/O.

What a report takes from the sender to its arrival is one-way delay and queueing. The quickest reports of some minutes
had the least queueing; half of the least round trip is taken off for the delay, and that half is the error bound: a
path may be as asymmetric as it likes. The sender's clock may drift against ours. Its slope is that of the line below
all reports that is nearest to them (the edge of their lower convex hull over their mean time), so that queues, which
only ever add, do not bend it.

The same reports in any order give the same clock.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from recorder.clock_facts import ReportBlock, RoundTripNote

WINDOW_NS = 150_000_000_000
"""To both sides: the quickest report among these, and the least round trip, count."""
ROUND_TRIP_SPAN_NS = 60_000_000_000
"""How old what a note of a round trip speaks of may be."""
SLOPE_SPAN_NS = 20_000_000_000
"""Reports over less say nothing about drift."""
MAX_SLOPE = 500e-6
"""Quartz is within 100 ppm; what is steeper is a network."""
UNKNOWN_SLOPE = 300e-6
UNKNOWN_PATH_NS = 50_000_000
"""Bound for one-way delay where no round trip is known; nothing is taken off then."""
FEW_REPORTS_NS = 30_000_000
"""Bound for the queueing of a report that is the only one."""
FEW_REPORTS = 5
"""So many do not show how much queueing there is; frames do."""
CERTAINTY = 6
"""The least of n queueing times that are distributed exponentially is above 6/n of their mean once in 400 times."""
REPORT_NS = 1_000_000
"""With what resolution browsers take the time of a report."""


class Local(NamedTuple):
    session_ns: int
    bound_ns: int


class CaptureClock:
    def __init__(
        self, reports: Iterable[ReportBlock], round_trips: Iterable[RoundTripNote], queueing_ns: int = 0
    ) -> None:
        """At least one report. `queueing_ns`: mean of what frames show of it."""
        self._queueing_ns = queueing_ns
        self._reports = sorted(reports, key=lambda r: (r.ntp_ns, r.arrival_ns, r.reports, r.excess_ns))
        self._times = [report.ntp_ns for report in self._reports]
        self._round_trips = sorted((note.at_ns, note.round_trip_ns) for note in round_trips)
        self._slope, self._slope_doubt = self._drift()

    @property
    def drift_ppm(self) -> float:
        """By how much the session clock is faster."""
        return self._slope * 1e6

    def local(self, ntp_ns: int) -> Local:
        """Session time of an NTP time of the sender (since 1900)."""
        first = bisect_left(self._times, ntp_ns - WINDOW_NS)
        end = bisect_right(self._times, ntp_ns + WINDOW_NS)
        if first == end:
            # None is near: the nearest to both sides.
            first, end = max(0, first - 1), min(len(self._times), end + 1)
        near = self._reports[first:end]
        delays = [report.arrival_ns - report.ntp_ns - round(self._slope * (report.ntp_ns - ntp_ns)) for report in near]
        least_ns = min(delays)
        quickest = near[delays.index(least_ns)]
        count = sum(report.reports for report in near)
        later_ns = sum((delay - least_ns) * report.reports for delay, report in zip(delays, near, strict=True))
        later_ns += sum(report.excess_ns for report in near)
        mean_ns = later_ns // count
        if count < FEW_REPORTS:
            mean_ns = max(mean_ns, self._queueing_ns)
        queueing_ns = (CERTAINTY * mean_ns + FEW_REPORTS_NS // count) // count
        drift_ns = round(self._slope_doubt * abs(quickest.ntp_ns - ntp_ns))
        path_ns = self._path(quickest.arrival_ns)
        session_ns = ntp_ns + least_ns - (path_ns or 0)
        bound_ns = (UNKNOWN_PATH_NS if path_ns is None else path_ns) + queueing_ns + drift_ns + REPORT_NS
        return Local(session_ns, bound_ns)

    def _path(self, at_ns: int) -> int | None:
        """Half of the least round trip at about this session time; None: none is known."""
        notes = self._round_trips
        if not notes:
            return None
        first = bisect_left(notes, (at_ns - WINDOW_NS, 0))
        end = bisect_left(notes, (at_ns + WINDOW_NS + ROUND_TRIP_SPAN_NS, 0))
        if first == end:
            first, end = max(0, first - 1), min(len(notes), end + 1)
        return min(round_trip_ns for _, round_trip_ns in notes[first:end]) // 2

    def _drift(self) -> tuple[float, float]:
        """Slope of the line below all reports, path taken off, and how far it may be wrong."""
        reports = self._reports
        span_ns = self._times[-1] - self._times[0]
        if len(reports) < 3 or span_ns < SLOPE_SPAN_NS:
            return 0.0, UNKNOWN_SLOPE
        points = [
            (r.ntp_ns - self._times[0], r.arrival_ns - r.ntp_ns - (self._path(r.arrival_ns) or 0)) for r in reports
        ]
        hull: list[tuple[int, int]] = []
        for point in points:
            while len(hull) > 1 and _is_below(hull[-2], point, hull[-1]):
                hull.pop()
            hull.append(point)
        mean = sum(at for at, _ in points) // len(points)
        edge = next((place for place in range(1, len(hull)) if hull[place][0] >= mean), len(hull) - 1)
        (begin, low), (end, high) = hull[edge - 1], hull[edge]
        slope = (high - low) / (end - begin) if end > begin else 0.0
        above = sum(delay - low - slope * (at - begin) for at, delay in points) / len(points)
        per_block = sum(report.reports for report in reports) / len(reports)
        doubt = (2 * CERTAINTY * above / per_block + 2 * REPORT_NS) / span_ns
        if doubt > UNKNOWN_SLOPE:
            return 0.0, UNKNOWN_SLOPE
        return max(-MAX_SLOPE, min(MAX_SLOPE, slope)), doubt


def _is_below(first: tuple[int, int], last: tuple[int, int], middle: tuple[int, int]) -> bool:
    """The line from `first` to `last` passes below `middle`, or through it."""
    (x0, y0), (x1, y1), (x2, y2) = first, last, middle
    return (y2 - y0) * (x1 - x0) >= (y1 - y0) * (x2 - x0)
