"""Where what a server file shows is on the session clock, when it was captured. No I/O.

Sender reports say when, on the sender's clock, an RTP time was; `recorder.capture_clock` says where that clock is on
the session's. All streams of one connection share it, so that what the network did to the one does not move it against
another. Between corrections of the RTP clock the map is a line through the middle of what the reports around say. A
part of a file without reports is placed by the arrival of its quickest frames.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from msgspec.structs import replace

from recorder.capture_clock import CaptureClock
from recorder.clock_facts import ClockFacts, Piece, ReportBlock
from recorder.manifest import MapPoint, Segment

STEP_NS = 60_000_000_000
"""Between two points of a map."""
MAX_POINTS = 10_000
NEAR_NS = 60_000_000_000
"""To both sides: the middle of these reports counts."""
SLOPE_SPAN_NS = 30_000_000_000
DRIFT_SPAN_NS = 60_000_000_000
"""Drift over less is followed, but not worth to be told."""
SLOPE_POINTS = 120
"""Of which the median slope is taken."""
MAX_SLOPE = 500e-6
UNKNOWN_SLOPE = 300e-6
FEW_PAIRS_NS = 5_000_000
"""Bound for what a single report says about its RTP time; browsers are right to 0.5 ms."""
SPREAD = 3
"""Times the median distance from the middle is beyond almost all."""
PIPELINE_NS = 30_000_000
"""Bound for encoding and packetizing, which arrivals have in them and reports do not."""
ONE_CLOCK_NS = 1_000_000_000
"""What two streams of a connection say of its sender's clock differs by less."""


class Mapped(NamedTuple):
    at_ns: int
    """In the file."""
    ahead_ns: int
    """Session time - file time."""
    bound_ns: int


class Line:
    """Session time - file time over one piece."""

    def __init__(self, known: Sequence[Mapped]) -> None:
        """At least one, in the order of time."""
        self._known = known
        self._times = [mapped.at_ns for mapped in known]
        span_ns = self._times[-1] - self._times[0]
        self._doubt = UNKNOWN_SLOPE
        self.slope = 0.0
        if span_ns >= SLOPE_SPAN_NS and len(known) >= 3:
            few = known[:: 1 + len(known) // SLOPE_POINTS]
            slopes = [
                (b.ahead_ns - a.ahead_ns) / (b.at_ns - a.at_ns)
                for place, a in enumerate(few)
                for b in few[place + 1 :]
                if b.at_ns - a.at_ns >= span_ns // 4
            ]
            self.slope = max(-MAX_SLOPE, min(MAX_SLOPE, median(slopes))) if slopes else 0.0
            off = [m.ahead_ns - known[0].ahead_ns - self.slope * (m.at_ns - known[0].at_ns) for m in known]
            self._doubt = min(UNKNOWN_SLOPE, 4 * SPREAD * _spread(off) / span_ns)

    def at(self, file_ns: int) -> Mapped:
        first, end = bisect_left(self._times, file_ns - NEAR_NS), bisect_right(self._times, file_ns + NEAR_NS)
        if first == end:
            first, end = max(0, first - 1), min(len(self._times), end + 1)
        near = self._known[first:end]
        ahead = [mapped.ahead_ns - self.slope * (mapped.at_ns - file_ns) for mapped in near]
        distance_ns = abs(file_ns - median(mapped.at_ns for mapped in near))
        own_ns = SPREAD * _spread(ahead) + FEW_PAIRS_NS / len(near) + self._doubt * distance_ns
        nearest = min(near, key=lambda mapped: abs(mapped.at_ns - file_ns))
        return Mapped(file_ns, round(median(ahead)), nearest.bound_ns + round(own_ns))


class TrackMap:
    def __init__(self, facts: ClockFacts, clock: CaptureClock | None, duration_ns: int) -> None:
        """`clock`: of the sender; None: there are no reports of it. `duration_ns`: of the file."""
        self.by_arrival = True
        """How the file's beginning was placed."""
        self.drift_ppm: float | None = None
        """By how much the session clock is faster than the RTP clock, of the longest piece; None: not known."""
        self._points: list[MapPoint] = []
        longest_ns = 0
        for number, piece in enumerate(facts.pieces):
            known = _by_reports(piece, clock)
            by_arrival = not known
            known = known or _by_arrivals(piece, facts)
            if not known:
                continue
            line = Line(known)
            if not self._points:
                self.by_arrival = by_arrival
            if known[-1].at_ns - known[0].at_ns >= max(longest_ns, DRIFT_SPAN_NS):
                longest_ns = known[-1].at_ns - known[0].at_ns
                self.drift_ppm = round(line.slope * 1e6, 1)
            behind = facts.pieces[number + 1 :]
            end_ns = min(piece.end_ns, behind[0].begin_ns - 1) if behind else max(piece.end_ns, duration_ns)
            self._add(piece.begin_ns, end_ns, line, facts.delay_ns)

    def points(self) -> list[MapPoint]:
        """At the file's beginning, every STEP_NS, on both sides of each correction, at the end. Both times grow."""
        return self._points

    def to_session(self, file_ns: int) -> int:
        """There must be points."""
        place = bisect_right(self._points, file_ns, key=lambda point: point.file_ns)
        before = self._points[max(0, place - 1)]
        if 0 < place < len(self._points):
            behind = self._points[place]
            share = (file_ns - before.file_ns) / (behind.file_ns - before.file_ns)
            return before.session_ns + round(share * (behind.session_ns - before.session_ns))
        return before.session_ns + file_ns - before.file_ns

    def _add(self, begin_ns: int, end_ns: int, line: Line, delay_ns: int) -> None:
        for file_ns in (*range(begin_ns, end_ns, STEP_NS), max(begin_ns, end_ns)):
            mapped = line.at(file_ns)
            session_ns = file_ns + mapped.ahead_ns - delay_ns
            if self._points:
                if file_ns <= self._points[-1].file_ns:
                    continue
                session_ns = max(session_ns, self._points[-1].session_ns + 1)
            if len(self._points) < MAX_POINTS:
                self._points.append(MapPoint(file_ns, session_ns, mapped.bound_ns))


def _by_reports(piece: Piece, clock: CaptureClock | None) -> list[Mapped]:
    if clock is None:
        return []
    known = []
    for report in piece.reports:
        session_ns, bound_ns = clock.local(report.ntp_ns)
        known.append(Mapped(report.file_ns, session_ns - report.file_ns, bound_ns))
    return sorted(known)


def _by_arrivals(piece: Piece, facts: ClockFacts) -> list[Mapped]:
    """As if the file's time were a sender's clock, and each frame a report that was sent at once."""
    if not piece.frames:
        return []
    sent = [ReportBlock(f.file_ns, f.file_ns, f.arrival_ns, f.frames, f.excess_ns) for f in piece.frames]
    known = _by_reports(Piece(piece.begin_ns, piece.end_ns, sent), CaptureClock(sent, facts.round_trips))
    return [mapped._replace(bound_ns=mapped.bound_ns + PIPELINE_NS) for mapped in known]


def _spread(values: Sequence[float]) -> float:
    middle = median(values)
    return median(abs(value - middle) for value in values)


def in_file(segment: Segment, session_ns: int) -> tuple[int, int]:
    """Where in a file with a map is what was captured then, and +- how well that is known."""
    points = segment.map
    place = bisect_right(points, session_ns, key=lambda point: point.session_ns)
    before, behind = points[max(0, place - 1)], points[min(place, len(points) - 1)]
    file_ns = before.file_ns + session_ns - before.session_ns
    if 0 < place < len(points):
        share = (session_ns - before.session_ns) / (behind.session_ns - before.session_ns)
        file_ns = before.file_ns + round(share * (behind.file_ns - before.file_ns))
    return file_ns, max(before.bound_ns, behind.bound_ns)


def placed(segment: Segment, facts: ClockFacts, clock: CaptureClock | None, basis: str) -> Segment:
    """The segment with what is known of its capture time; as it is where nothing is. `basis`: of the clock."""
    track = TrackMap(facts, clock, segment.duration_ns)
    points = track.points()
    if not points:
        return segment

    def moved(at_ns: int) -> int:
        return track.to_session(at_ns - segment.start_ns)

    return replace(
        segment,
        start_ns=track.to_session(0),
        start_bound_ns=points[0].bound_ns,
        map=points,
        map_basis="arrival" if track.by_arrival else basis,
        drift_ppm=track.drift_ppm,
        gaps=[replace(gap, at_ns=moved(gap.at_ns)) for gap in segment.gaps],
        corrections=[replace(correction, at_ns=moved(correction.at_ns)) for correction in segment.corrections],
    )


def placed_alone(segment: Segment, facts: ClockFacts) -> Segment:
    """By what its own journal says."""
    return placed_together({"": (segment, "", facts)})[""]


Known = tuple[Segment, str, ClockFacts]
"""A segment, its participant, and what its journal says of the sender's clocks."""


def placed_together(known: Mapping[str, Known]) -> dict[str, Segment]:
    """Segments by id: those of one connection by one clock."""
    found: dict[str, Segment] = {}
    for group in _groups(known):
        members = [known[id] for id in group]
        reports = [report for _, _, facts in members for piece in facts.pieces for report in piece.reports]
        round_trips = [note for _, _, facts in members for note in facts.round_trips]
        queueing_ns = min((_queueing(facts) for _, _, facts in members), default=0)
        clock = CaptureClock(reports, round_trips, queueing_ns) if reports else None
        for id in group:
            segment, _, facts = known[id]
            found[id] = placed(segment, facts, clock, "shared" if len(group) > 1 else "own")
    return found


def _queueing(facts: ClockFacts) -> int:
    """How much later frames come than the quickest of their block, on an average."""
    frames = [block for piece in facts.pieces for block in piece.frames]
    return sum(block.excess_ns for block in frames) // max(1, sum(block.frames for block in frames))


def _groups(known: Mapping[str, Known]) -> list[list[str]]:
    """Ids of segments whose reports are of one clock."""
    delays: dict[tuple[str, str], list[tuple[float, str]]] = {}
    alone: list[list[str]] = []
    for id, (_, participant_id, facts) in sorted(known.items()):
        differences = [r.arrival_ns - r.ntp_ns for piece in facts.pieces for r in piece.reports]
        if differences and facts.connection:
            delays.setdefault((participant_id, facts.connection), []).append((median(differences), id))
        else:
            alone.append([id])
    groups: list[list[str]] = []
    for members in delays.values():
        members.sort()
        groups.append([members[0][1]])
        for (before, _), (delay, id) in pairwise(members):
            if delay - before > ONE_CLOCK_NS:
                groups.append([])
            groups[-1].append(id)
    return groups + alone
