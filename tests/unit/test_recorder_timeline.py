"""Session time follows the RTP clock, and arrival times only when the RTP clock is wrong for good."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.frames import MediaFrame
from recorder.manifest import Segment
from recorder.timeline import FAR_NS, Placed, Timeline
from recorder.track_map import placed_alone
from tests.support.journals import MS, ZERO_NS, S

AUDIO = 48_000
TICKS = 960
"""20 ms."""


@dataclass
class Clock:
    """Feeds a timeline with audio frames of 20 ms."""

    timeline: Timeline = field(default_factory=lambda: Timeline(AUDIO, ZERO_NS, 120))
    placed: list[Placed] = field(default_factory=list)

    def frame(self, number: int, late_ms: float = 0.0, *, timestamp: int | None = None, on_time: bool = True) -> None:
        """Captured `number` * 20 ms after the first second of the session; by default stamped so."""
        arrival_ns = ZERO_NS + S + number * 20 * MS + round(late_ms * MS)
        stamp = (number * TICKS if timestamp is None else timestamp) & 0xFFFFFFFF
        self.placed += self.timeline.push(MediaFrame(stamp, arrival_ns, on_time, b"", True, None, TICKS, 1, ""))

    def report(self, number: int, clock_ms: float | None = None) -> None:
        """Sent at that time: the sender's own clock says so, its RTP clock by default too."""
        ntp = (number * 20 << 32) // 1_000
        rtp = round((number * 20 if clock_ms is None else clock_ms) * AUDIO / 1_000) & 0xFFFFFFFF
        self.placed += self.timeline.report(ZERO_NS + S + number * 20 * MS, ntp, rtp)

    def done(self) -> list[float]:
        """Session times in milliseconds."""
        self.placed += self.timeline.flush()
        return [placed.position * 1_000 / AUDIO for placed in self.placed]


def expected(*numbers: int, shift_ms: float = 0.0) -> list[float]:
    return [1_000 + number * 20 + shift_ms for number in numbers]


def test_the_first_frame_is_placed_when_its_second_is_over() -> None:
    clock = Clock()
    for number in range(50):
        clock.frame(number)
    assert clock.placed == []
    clock.frame(50)
    assert len(clock.placed) == 51


def test_the_anchor_is_the_smallest_delay_of_the_first_second() -> None:
    clock = Clock()
    for number in range(100):
        clock.frame(number, late_ms=40 if number % 10 else 5)
    assert clock.done() == pytest.approx(expected(*range(100), shift_ms=5), abs=0.1)


def test_a_first_second_that_was_late_as_a_whole_shows_in_the_next() -> None:
    clock = Clock()
    for number in range(200):
        clock.frame(number, late_ms=200 if number < 60 else 4)
    assert clock.done() == pytest.approx(expected(*range(200), shift_ms=200), abs=0.1)
    assert clock.timeline.late_ticks == pytest.approx(196 * AUDIO / 1_000, abs=1)


def test_a_first_second_that_was_late_beyond_the_limit_shows_in_the_next() -> None:
    clock = Clock()
    for number in range(200):
        clock.frame(number, late_ms=400 if number < 60 else 4)
    assert clock.done() == pytest.approx(expected(*range(200), shift_ms=400), abs=0.1)
    assert clock.timeline.late_ticks == pytest.approx(396 * AUDIO / 1_000, abs=1)


def test_what_arrives_early_much_later_is_drift_and_no_late_anchor() -> None:
    clock = Clock()
    for number in range(1_000):
        clock.frame(number, late_ms=200 if number < 600 else 0)
    clock.done()
    assert clock.timeline.late_ticks == 0


def test_a_repaired_frame_never_shows_the_anchor_to_be_late() -> None:
    clock = Clock()
    for number in range(200):
        clock.frame(number, late_ms=-100 if number > 100 else 0, on_time=number <= 100)
    clock.done()
    assert clock.timeline.late_ticks == 0


def test_a_timestamp_far_ahead_never_shows_the_anchor_to_be_late() -> None:
    clock = Clock()
    for number in range(300):
        clock.frame(number, timestamp=number * TICKS + 5 * AUDIO if number == 100 else None)
    clock.done()
    assert clock.timeline.late_ticks == 0


def test_after_a_correction_nothing_is_said_about_the_anchor() -> None:
    """The clock stood still for a second; how late the frames before it were cannot be told from those after it."""
    clock = Clock()
    for number in range(300):
        clock.frame(number + 50 * (number >= 100), timestamp=number * TICKS, late_ms=20 if number < 150 else 0)
    clock.done()
    assert clock.timeline.corrections[0].applied_ns > 0
    assert clock.timeline.late_ticks == 0


def test_a_repaired_frame_says_nothing_about_the_anchor() -> None:
    clock = Clock()
    clock.frame(0, late_ms=900, on_time=False)
    for number in range(1, 100):
        clock.frame(number)
    assert clock.done() == pytest.approx(expected(*range(100)), abs=0.1)


def test_jitter_leaves_no_trace() -> None:
    clock = Clock()
    for number in range(500):
        clock.frame(number, late_ms=number * 37 % 200)
    assert clock.done() == pytest.approx(expected(*range(500)), abs=0.1)
    assert clock.timeline.corrections == []


@pytest.mark.parametrize("first", [0, 0xFFFF_FF00, 0x7FFF_FFF0])
def test_timestamps_go_round(first: int) -> None:
    clock = Clock()
    for number in range(200):
        clock.frame(number, timestamp=first + number * TICKS)
    assert clock.done() == pytest.approx(expected(*range(200)), abs=0.1)


def test_a_clock_that_stood_still_is_caught_up_with() -> None:
    clock = Clock()
    for number in range(100):
        clock.frame(number)
    for number in range(100, 200):
        clock.frame(number + 125, timestamp=number * TICKS)
    times = clock.done()
    assert times == pytest.approx(expected(*range(100), *range(225, 325)), abs=0.1)
    (correction,) = clock.timeline.corrections
    assert correction.applied_ns == correction.measured_ns == 2_500 * MS
    assert correction.at_ns == 1_000 * MS + 225 * 20 * MS
    assert [placed.moved for placed in clock.placed].index(True) == 100


def test_a_clock_that_stands_still_again_and_again_is_caught_up_with_each_time() -> None:
    clock = Clock()
    paused = 0
    captured = []
    for number in range(500):
        if number and number % 100 == 0:
            paused += 40
        captured.append(number + paused)
        clock.frame(number + paused, timestamp=number * TICKS)
    assert clock.done() == pytest.approx(expected(*captured), abs=0.1)
    assert len(clock.timeline.corrections) == 4


def test_a_clock_that_jumped_ahead_is_taken_back_to_the_end_of_what_was_placed() -> None:
    clock = Clock()
    for number in range(100):
        clock.frame(number)
    for number in range(100, 200):
        clock.frame(number, timestamp=number * TICKS + 3_600 * AUDIO)
    assert clock.done() == pytest.approx(expected(*range(200)), abs=2.6)


def test_a_stalled_network_moves_nothing() -> None:
    clock = Clock()
    for number in range(100):
        clock.frame(number)
    for number in range(100, 200):
        clock.frame(number, late_ms=max(0, 2_000 - (number - 100) * 20))
    assert clock.done() == pytest.approx(expected(*range(200)), abs=0.1)
    assert clock.timeline.corrections == []


@pytest.mark.parametrize("late_ms", [300, 900, 4_000])
def test_a_network_that_is_slow_for_long_moves_nothing_when_the_senders_clock_is_steady(late_ms: int) -> None:
    """10 s of it: only the sender's reports can tell it from a clock that stood still."""
    clock = Clock()
    for number in range(1_500):
        clock.frame(number, late_ms=late_ms if 500 <= number < 1_000 else 0)
        if number % 100 == 99:
            clock.report(number)
    assert clock.done() == pytest.approx(expected(*range(1_500)), abs=0.1)
    assert {correction.applied_ns for correction in clock.timeline.corrections} == {0}


def test_a_clock_that_stood_still_is_caught_up_with_when_reports_confirm_it() -> None:
    clock = Clock()
    for number in range(600):
        paused = 125 if number >= 300 else 0
        clock.frame(number + paused, timestamp=number * TICKS)
        if number % 100 == 99:
            clock.report(number + paused, clock_ms=number * 20)
    assert clock.done() == pytest.approx(expected(*range(300), *range(425, 725)), abs=0.1)
    (correction,) = clock.timeline.corrections
    assert correction.applied_ns == 2_500 * MS


def test_reports_that_stop_are_not_waited_for_for_ever() -> None:
    clock = Clock()
    for number in range(1_000):
        clock.frame(number + (125 if number >= 300 else 0), timestamp=number * TICKS)
        if number in (100, 200):
            clock.report(number)
    assert len(clock.placed) > 900
    assert clock.done() == pytest.approx(expected(*range(300), *range(425, 1_125)), abs=0.1)


def test_drift_is_corrected_when_reports_show_it() -> None:
    """1 %: no quartz does that, and it is not followed."""
    clock = Clock()
    for number in range(5_000):
        clock.frame(number, timestamp=number * 950)
        if number % 250 == 0:
            clock.report(number, clock_ms=number * 950 / 48)
    times = clock.done()
    for number, time in enumerate(times):
        assert abs(time - (1_000 + number * 20)) < 420
    assert len(clock.timeline.corrections) == 4


def test_repaired_frames_are_late_and_move_nothing() -> None:
    clock = Clock()
    for number in range(300):
        clock.frame(number, late_ms=2_500 if number % 3 == 0 else 0, on_time=number % 3 != 0)
    assert clock.done() == pytest.approx(expected(*range(300)), abs=0.1)


def test_one_timestamp_far_ahead_is_left_out() -> None:
    clock = Clock()
    for number in range(200):
        clock.frame(number, timestamp=number * TICKS + (7_200 * AUDIO if number == 100 else 0))
    assert len(clock.done()) == 199
    assert clock.timeline.stray == 1
    assert clock.timeline.corrections == []


def test_a_frame_that_does_not_lie_behind_the_one_before_is_left_out() -> None:
    clock = Clock()
    for number in range(100):
        clock.frame(number, timestamp=(number - number // 50 * 2) * TICKS)
    assert len(clock.done()) == 98
    assert clock.timeline.overlapping == 2


def test_what_the_network_delayed_in_the_first_second_never_squeezes_what_follows() -> None:
    """The anchor is 600 ms late; the stream has no gap to take it back in."""
    clock = Clock()
    for number in range(500):
        clock.frame(number, late_ms=600 if number < 60 else 0)
    times = clock.done()
    assert all(after - before == pytest.approx(20, abs=0.1) for before, after in pairwise(times))
    (correction,) = clock.timeline.corrections
    assert correction.measured_ns == pytest.approx(-600 * MS, abs=MS)
    assert correction.applied_ns == 0


def test_drift_beyond_the_limit_is_corrected() -> None:
    """A sender's clock that runs 1 % slow: after an hour 36 s would be missing."""
    clock = Clock()
    for number in range(5_000):
        clock.frame(number, timestamp=number * 950)
    times = clock.done()
    for number, time in enumerate(times):
        assert abs(time - (1_000 + number * 20)) < 300
    assert len(clock.timeline.corrections) == 4


def drifting(ppm: int, seconds: int, *, reports: bool, jitter_ms: int = 0) -> Clock:
    """A frame every 100 ms of a sound card that is fast by `ppm`, of a sender whose own clock is right."""
    clock = Clock()
    for number in range(0, seconds * 50, 5):
        stamp = number * TICKS * (1_000_000 + ppm) // 1_000_000
        clock.frame(number, late_ms=number * 37 % (jitter_ms + 1), timestamp=stamp)
        if reports and number % 250 == 0:
            clock.report(number, clock_ms=stamp / 48)
    clock.done()
    return clock


@pytest.mark.parametrize("reports", [False, True])
@pytest.mark.parametrize("ppm", [-300, 300])
def test_an_hour_of_drift_makes_no_step_and_loses_no_frame(ppm: int, reports: bool) -> None:
    clock = drifting(ppm, 3_600, reports=reports, jitter_ms=60)
    assert len(clock.placed) == 36_000
    assert clock.timeline.corrections == []
    steps = {after.position - before.position for before, after in pairwise(clock.placed)}
    assert max(steps) - min(steps) <= 1
    assert not any(placed.moved for placed in clock.placed)


@pytest.mark.parametrize("ppm", [-300, 300])
def test_after_an_hour_of_drift_the_file_is_still_mapped_to_20_ms(ppm: int) -> None:
    clock = drifting(ppm, 3_600, reports=True, jitter_ms=20)
    clock.timeline.notes.round_trip(ZERO_NS + 60 * S, 2 * MS)
    segment = placed_alone(
        Segment(segment_id="seg_1", copy="server", state="stored"),
        clock.timeline.notes.facts(clock.placed[0].position, "", 0),
    )
    assert segment.drift_ppm == pytest.approx(-ppm, abs=1)
    for point in segment.map:
        captured_ns = S + point.file_ns * 1_000_000 // (1_000_000 + ppm)
        assert abs(point.session_ns - captured_ns) <= point.bound_ns < 20 * MS


@pytest.mark.parametrize("ppm", [-300, 300])
def test_a_network_that_is_slow_after_half_an_hour_of_drift_still_moves_nothing(ppm: int) -> None:
    clock = Clock()
    for number in range(0, 100_000, 5):
        stamp = number * TICKS * (1_000_000 + ppm) // 1_000_000
        clock.frame(number, late_ms=900 if 90_000 <= number < 90_500 else 0, timestamp=stamp)
        if number % 100 == 95:
            clock.report(number, clock_ms=stamp / 48)
    clock.done()
    assert {correction.applied_ns for correction in clock.timeline.corrections} == {0}
    assert len(clock.placed) == 20_000


@pytest.mark.parametrize("ppm", [-300, 300])
def test_a_clock_that_stops_after_half_an_hour_of_drift_is_caught_up_with_by_its_stop_alone(ppm: int) -> None:
    clock = Clock()
    for number in range(0, 100_000, 5):
        paused = 125 if number >= 90_000 else 0
        clock.frame(number + paused, timestamp=number * TICKS * (1_000_000 + ppm) // 1_000_000)
    clock.done()
    (correction,) = clock.timeline.corrections
    assert correction.applied_ns == pytest.approx(2_500 * MS, abs=20 * MS)


def test_nothing_is_placed_without_frames() -> None:
    timeline = Timeline(90_000, ZERO_NS)
    assert timeline.advance(ZERO_NS + 100 * S) == []
    assert timeline.flush() == []


@given(
    frames=st.lists(
        st.tuples(st.integers(0, 3_000), st.integers(0, (1 << 32) - 1), st.booleans()), min_size=1, max_size=150
    ),
    reports=st.booleans(),
)
def test_whatever_comes_is_placed_in_order_near_its_arrival_or_counted(
    frames: list[tuple[int, int, bool]], reports: bool
) -> None:
    timeline = Timeline(AUDIO, ZERO_NS, 120)
    placed: list[Placed] = []
    now_ns = ZERO_NS
    for step_ms, timestamp, on_time in frames:
        now_ns += step_ms * MS
        placed += timeline.push(MediaFrame(timestamp, now_ns, on_time, b"", True, None, TICKS, 1, ""))
        if reports and step_ms % 7 == 0:
            placed += timeline.report(now_ns, timestamp << 31, timestamp ^ 0x10000)
    placed += timeline.flush()
    positions = [each.position for each in placed]
    assert positions == sorted(set(positions))
    assert len(placed) + timeline.stray + timeline.overlapping == len(frames)
    for each in placed:
        away_ns = abs(timeline.to_ns(each.position) - (each.frame.arrival_ns - ZERO_NS))
        assert away_ns <= FAR_NS + MS
