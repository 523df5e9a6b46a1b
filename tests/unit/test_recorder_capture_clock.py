"""A sender's clock by its quickest reports and half of the least round trip. Virtual time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.capture_clock import FEW_REPORTS_NS, REPORT_NS, UNKNOWN_PATH_NS, CaptureClock
from recorder.clock_facts import ReportBlock, RoundTripNote
from tests.support.journals import MS, S

NTP_NS = 4_000_000_000 * S
"""The sender's clock at the session's zero."""


def report(at_s: float, late_ms: float = 0.0, ppm: float = 0.0, *, reports: int = 10) -> ReportBlock:
    """Sent at this session time by a clock that is fast by `ppm`."""
    ntp_ns = NTP_NS + round(at_s * S * (1 + ppm * 1e-6))
    return ReportBlock(0, ntp_ns, round(at_s * S + late_ms * MS), reports, 0)


def path(at_s: float, round_trip_ms: float) -> RoundTripNote:
    return RoundTripNote(round(at_s * S), round(round_trip_ms * MS))


def error_ms(clock: CaptureClock, at_s: float, ppm: float = 0.0) -> float:
    ntp_ns = NTP_NS + round(at_s * S * (1 + ppm * 1e-6))
    return (clock.local(ntp_ns).session_ns - at_s * S) / MS


def test_the_quickest_report_counts_and_half_of_the_round_trip_is_taken_off() -> None:
    clock = CaptureClock([report(n, late_ms=30 + n % 5 * 40) for n in range(20)], [path(10, 60), path(20, 90)])
    assert error_ms(clock, 7) == pytest.approx(0.0, abs=0.01)
    bound_ns = clock.local(NTP_NS + 7 * S).bound_ns
    assert 30 * MS + REPORT_NS < bound_ns < 40 * MS


def test_a_single_report_is_taken_for_a_late_one() -> None:
    clock = CaptureClock([report(5.0, reports=1)], [path(10, 4)])
    assert clock.local(NTP_NS + 5 * S).bound_ns == 2 * MS + FEW_REPORTS_NS + REPORT_NS


def test_what_frames_show_of_the_queues_counts_where_reports_are_few() -> None:
    few = [report(5.0, reports=2)]
    many = [report(5.0, reports=50)]
    quiet_ns, loud_ns = (
        CaptureClock(few, [path(10, 4)], queueing_ns).local(NTP_NS + 5 * S).bound_ns for queueing_ns in (0, 20 * MS)
    )
    assert loud_ns - quiet_ns == 6 * 20 * MS // 2
    assert CaptureClock(many, [], 20 * MS).local(NTP_NS) == CaptureClock(many, []).local(NTP_NS)


def test_the_further_a_time_is_from_all_reports_the_less_is_known() -> None:
    clock = CaptureClock([report(5.0)], [path(10, 4)])
    bounds = [clock.local(NTP_NS + at_s * S).bound_ns for at_s in (5, 15, 105)]
    assert [round((bound_ns - bounds[0]) / MS, 3) for bound_ns in bounds] == [0.0, 3.0, 30.0]


def test_without_a_round_trip_nothing_is_taken_off_and_the_bound_says_so() -> None:
    clock = CaptureClock([report(n, late_ms=40) for n in range(10)], [])
    assert error_ms(clock, 5) == pytest.approx(40.0)
    assert clock.local(NTP_NS + 5 * S).bound_ns > UNKNOWN_PATH_NS


@pytest.mark.parametrize("ppm", [-300.0, 40.0, 300.0])
def test_drift_is_found_under_queues_that_only_ever_add(ppm: float) -> None:
    blocks = [report(n * 5, late_ms=n * 37 % 23, ppm=ppm) for n in range(720)]
    clock = CaptureClock(blocks, [path(10, 2)])
    assert clock.drift_ppm == pytest.approx(-ppm, abs=1.0)
    assert [error_ms(clock, at_s, ppm) for at_s in (0, 1_800, 3_595)] == pytest.approx([-1.0] * 3, abs=0.5)


def test_a_minute_in_which_all_was_late_is_bridged_by_those_around() -> None:
    blocks = [report(n * 5, late_ms=400 if 300 <= n * 5 < 360 else 1) for n in range(120)]
    clock = CaptureClock(blocks, [path(n * 10, 2) for n in range(60)])
    assert error_ms(clock, 330) == pytest.approx(0.0, abs=0.1)


def test_a_path_that_gets_longer_for_good_moves_nothing() -> None:
    blocks = [report(n * 5, late_ms=10 if n < 360 else 60) for n in range(720)]
    trips = [path(n * 10, 20 if n < 186 else 120) for n in range(360)]
    clock = CaptureClock(blocks, trips)
    for at_s in (100, 1_000, 1_700, 1_900, 2_500, 3_500):
        bound_ms = clock.local(NTP_NS + at_s * S).bound_ns / MS
        assert abs(error_ms(clock, at_s)) < 5.0
        assert abs(error_ms(clock, at_s)) <= bound_ms


def test_what_is_steeper_than_any_quartz_is_not_followed() -> None:
    clock = CaptureClock([report(n * 5, late_ms=n * 50) for n in range(100)], [])
    assert clock.drift_ppm == 500.0


@given(
    blocks=st.lists(
        st.builds(
            ReportBlock,
            st.just(0),
            st.integers(0, 1 << 63),
            st.integers(-(1 << 62), 1 << 62),
            st.integers(1, 1 << 20),
            st.integers(0, 1 << 62),
        ),
        min_size=1,
        max_size=30,
    ),
    trips=st.lists(st.builds(RoundTripNote, st.integers(-(1 << 62), 1 << 62), st.integers(1, 1 << 42)), max_size=10),
    asked=st.integers(0, 1 << 63),
)
def test_whatever_a_sender_reports_there_is_an_answer_and_order_does_not_matter(
    blocks: list[ReportBlock], trips: list[RoundTripNote], asked: int
) -> None:
    clock = CaptureClock(blocks, trips)
    assert clock.local(asked).bound_ns > 0
    assert CaptureClock(blocks[::-1], trips[::-1]).local(asked) == clock.local(asked)
