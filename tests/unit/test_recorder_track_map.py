"""Where a file is on the session clock: never further from the truth than its bound, on any path. Virtual time."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.manifest import ClockCorrection, Gap, Segment
from recorder.track_map import TrackMap, in_file, placed_alone, placed_together
from tests.support.capture_model import Path, Sender, Stream
from tests.support.journals import MS, S

HOUR_S = 3_600.0


def segment(start_ns: int = 0, id: str = "seg_1") -> Segment:
    return Segment(segment_id=id, copy="server", state="stored", start_ns=start_ns, start_bound_ns=50 * MS)


def alone(stream: Stream) -> Segment:
    return placed_alone(segment(), stream.facts())


def together(*streams: Stream) -> list[Segment]:
    known = {str(n): (segment(id=str(n)), "par_1", stream.facts()) for n, stream in enumerate(streams)}
    placed = placed_together(known)
    return [placed[str(n)] for n in range(len(streams))]


def errors_ms(stream: Stream, placed: Segment) -> list[float]:
    """At every point of the map."""
    return [(point.session_ns - stream.truth(point.file_ns)) / MS for point in placed.map]


def check(stream: Stream, placed: Segment) -> None:
    for point, error_ms in zip(placed.map, errors_ms(stream, placed), strict=True):
        assert abs(error_ms) <= point.bound_ns / MS, (point, error_ms)


# --- the property

paths = st.builds(
    Path,
    forward_ms=st.sampled_from([0.0, 3.0, 50.0, 150.0]),
    back_ms=st.sampled_from([0.0, 3.0, 50.0, 150.0]),
    jitter_ms=st.sampled_from([0.0, 1.0, 10.0, 25.0]),
    lost=st.sampled_from([0.0, 0.1, 0.5]),
    stalls=st.sampled_from([(), ((20.0, 1.5),), ((100.0, 30.0), (400.0, 5.0))]),
    answers=st.just(True),
)


@given(
    path=paths,
    seed=st.integers(0, 1 << 30),
    ntp_ppm=st.sampled_from([-300.0, 0.0, 20.0, 300.0]),
    rtp_ppm=st.sampled_from([-300.0, 0.0, 50.0, 300.0]),
    begin_s=st.sampled_from([1.0, 500.0]),
    length_s=st.sampled_from([3.0, 15.0, 60.0, 600.0]),
)
def test_the_map_is_never_further_from_the_truth_than_its_bound(
    path: Path, seed: int, ntp_ppm: float, rtp_ppm: float, begin_s: float, length_s: float
) -> None:
    sender = Sender(path, seed, ntp_ppm)
    sound = Stream(sender, begin_s, begin_s + length_s, rtp_ppm, 10.0, 5.0, delay_ns=6_500_000)
    picture = Stream(sender, begin_s + 0.1, begin_s + length_s, 0.0, 25.0, 1.0)
    for stream, placed in zip((sound, picture), together(sound, picture), strict=True):
        check(stream, placed)
        check(stream, alone(stream))


@pytest.mark.parametrize("one_way_ms", [0.0, 50.0, 150.0])
@pytest.mark.parametrize("ppm", [-300.0, 300.0])
def test_an_hour_of_drift_is_followed(one_way_ms: float, ppm: float) -> None:
    sender = Sender(Path(one_way_ms, one_way_ms, jitter_ms=5.0), 1, ntp_ppm=-ppm / 10)
    stream = Stream(sender, 1.0, 1.0 + HOUR_S, ppm)
    placed = alone(stream)
    check(stream, placed)
    assert max(map(abs, errors_ms(stream, placed))) < 3.0
    assert max(point.bound_ns for point in placed.map) < (one_way_ms + 10) * MS
    assert placed.drift_ppm == pytest.approx(-ppm, abs=1.0)
    assert len(placed.map) in (61, 62)


def test_half_of_an_asymmetric_round_trip_is_within_the_bound() -> None:
    for forward_ms, back_ms in ((100.0, 0.0), (0.0, 100.0)):
        stream = Stream(Sender(Path(forward_ms, back_ms, jitter_ms=1.0), 1), 1.0, 61.0)
        placed = alone(stream)
        check(stream, placed)
        assert abs(errors_ms(stream, placed)[0]) == pytest.approx(50.0, abs=4.0)


def test_a_quiet_short_path_is_known_to_20_ms_from_ten_seconds_on() -> None:
    sender = Sender(Path(0.5, 0.5, jitter_ms=1.0), 3)
    sound, picture = Stream(sender, 1.0, 12.0, report_s=5.0), Stream(sender, 1.1, 12.0)
    for placed in together(sound, picture):
        assert placed.map_basis == "shared"
        assert max(point.bound_ns for point in placed.map) < 20 * MS


# --- what is shared


def test_the_queue_of_one_stream_does_not_move_it_against_the_other() -> None:
    """The camera's reports are held up by 80 ms at least, those of sound are not."""
    quick, slow = Sender(Path(10.0, 10.0, jitter_ms=2.0), 1), Sender(Path(90.0, 10.0, jitter_ms=30.0), 2)
    sound, picture = Stream(quick, 1.0, 61.0), Stream(slow, 1.0, 61.0)
    placed = together(sound, picture)
    between_ms = [errors_ms(*pair)[0] for pair in zip((sound, picture), placed, strict=True)]
    assert abs(between_ms[0] - between_ms[1]) < 2.0
    assert abs(errors_ms(picture, alone(picture))[0]) > 30.0
    assert [one.map_basis for one in placed] == ["shared", "shared"]


def test_streams_of_other_connections_participants_or_clocks_share_nothing() -> None:
    first = Stream(Sender(Path(), 1), 1.0, 61.0)
    other = Stream(Sender(Path(), 2, connection="d"), 1.0, 61.0)
    nameless = Stream(Sender(Path(), 3, connection=""), 1.0, 61.0)
    odd = Stream(Sender(Path(), 4, ntp_ppm=5e6), 1.0, 61.0)
    assert [one.map_basis for one in together(first, other, nameless, odd)] == ["own"] * 4
    facts = first.facts()
    placed = placed_together({"a": (segment(), "par_1", facts), "b": (segment(), "par_2", facts)})
    assert [one.map_basis for one in placed.values()] == ["own", "own"]


# --- without reports


def test_without_reports_it_is_placed_by_arrival_and_says_so() -> None:
    stream = Stream(Sender(Path(20.0, 20.0, jitter_ms=2.0), 1), 1.0, 61.0, report_s=0.0)
    placed = alone(stream)
    check(stream, placed)
    assert placed.map_basis == "arrival"
    assert 50 * MS < placed.start_bound_ns < 60 * MS


def test_without_round_trips_the_bound_is_what_it_was() -> None:
    stream = Stream(Sender(Path(40.0, 40.0, jitter_ms=2.0, answers=False), 1), 1.0, 61.0)
    placed = alone(stream)
    check(stream, placed)
    assert errors_ms(stream, placed)[0] == pytest.approx(40.0, abs=3.0)
    assert placed.start_bound_ns > 50 * MS


def test_a_journal_that_says_nothing_leaves_the_segment_as_it_is() -> None:
    facts = Stream(Sender(Path(), 1), 1.0, 5.0).facts()
    facts.pieces.clear()
    assert placed_alone(segment(77), facts) == segment(77)


# --- corrections


def test_a_clock_that_stood_still_is_two_lines_and_the_time_between_them() -> None:
    sender = Sender(Path(5.0, 5.0, jitter_ms=1.0), 1)
    before, after = Stream(sender, 1.0, 101.0), Stream(sender, 121.0, 221.0)
    facts, behind = before.facts(), after.facts()
    bridged_ns = 120 * S
    piece = behind.pieces[0]
    piece.begin_ns, piece.end_ns = piece.begin_ns + bridged_ns, piece.end_ns + bridged_ns
    piece.reports = [type(r)(r.file_ns + bridged_ns, *_rest(r)) for r in piece.reports]
    facts.pieces.append(piece)
    track = placed_alone(segment(), facts)
    times = [point.file_ns / S for point in track.map]
    assert times == [0.0, 60.0, 100.0, 120.0, 180.0, 220.0]
    for point in track.map:
        truth_ns = before.truth(point.file_ns) if point.file_ns <= 100 * S else after.truth(point.file_ns - bridged_ns)
        assert abs(point.session_ns - truth_ns) <= point.bound_ns < 20 * MS


def _rest(report: object) -> list[int]:
    return [getattr(report, name) for name in ("ntp_ns", "arrival_ns", "reports", "excess_ns")]


def test_gaps_and_corrections_move_with_the_file() -> None:
    stream = Stream(Sender(Path(20.0, 20.0), 1), 1.0, 301.0, rtp_ppm=-200.0)
    listed = segment(start_ns=5 * S)
    listed.gaps = [Gap(5 * S + 250 * S, MS, "lost")]
    listed.corrections = [ClockCorrection(5 * S + 250 * S, 1, 1)]
    placed = placed_alone(listed, stream.facts())
    assert placed.gaps[0].at_ns == pytest.approx(stream.truth(250 * S), abs=2 * MS)
    assert placed.corrections[0].at_ns == placed.gaps[0].at_ns
    assert listed.gaps[0].at_ns == 255 * S, "what is remembered stays"


def test_times_of_a_map_grow_and_it_goes_through_its_points() -> None:
    facts = Stream(Sender(Path(50.0, 50.0, jitter_ms=40.0), 9), 1.0, 901.0, rtp_ppm=300.0).facts()
    track = TrackMap(facts, None, 0)
    points = track.points()
    assert all(a.file_ns < b.file_ns and a.session_ns < b.session_ns for a, b in pairwise(points))
    assert [track.to_session(point.file_ns) for point in points] == [point.session_ns for point in points]
    assert track.to_session(points[0].file_ns - 5) == points[0].session_ns - 5
    assert track.to_session(points[-1].file_ns + 5) == points[-1].session_ns + 5


@settings(max_examples=10)
@given(seed=st.integers(0, 1 << 30))
def test_the_same_facts_give_the_same_map_in_whatever_order_they_are_told(seed: int) -> None:
    streams = [Stream(Sender(Path(30.0, 20.0, jitter_ms=9.0), seed), 1.0, 91.0) for _ in range(3)]
    facts = [stream.facts() for stream in streams]
    known = {str(n): (segment(id=str(n)), "par_1", one) for n, one in enumerate(facts)}
    assert placed_together(known) == placed_together(dict(reversed(known.items())))


def test_what_was_captured_at_a_time_is_found_again_in_the_file() -> None:
    stream = Stream(Sender(Path(20.0, 20.0), 1), 1.0, 301.0, rtp_ppm=-300.0)
    placed = alone(stream)
    for file_ns in (-1 * S, 0, 17 * S, 60 * S, 299 * S):
        found_ns, bound_ns = in_file(placed, stream.truth(file_ns))
        assert abs(found_ns - file_ns) <= bound_ns < 30 * MS
