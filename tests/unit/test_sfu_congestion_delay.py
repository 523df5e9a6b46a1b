"""From arrivals to a trend of the delay, and from the trend to over-use: groups, trendline, detector."""

import random

import pytest

from sfu.congestion.detector import MAX_THRESHOLD_MS, MIN_THRESHOLD_MS, THRESHOLD_MS, Detector, Usage
from sfu.congestion.groups import ArrivalGroups, Group
from sfu.congestion.sent import Arrival
from sfu.congestion.trendline import WINDOW, Trendline


def arrival(sent: float, came: float, *, length_s: float = 0.0) -> Arrival:
    """A run sent at `sent`, the first packet of which came at `came`."""
    return sent, sent, round(came * 4000), round((came + length_s) * 4000), 1000, 1, 0


def delays(groups: list[Group]) -> list[float]:
    return [round(delay, 6) for _, delay in groups]


# --- groups


def test_each_burst_is_a_group_and_the_last_is_still_open() -> None:
    groups = ArrivalGroups().update([arrival(n * 0.02, n * 0.02 + 0.05) for n in range(5)])
    assert delays(groups) == [0.05] * 4


def test_what_is_sent_within_5_ms_is_one_group_also_over_two_reports() -> None:
    log = ArrivalGroups()
    assert log.update([arrival(1.0, 1.05), arrival(1.003, 1.06)]) == []
    assert log.update([arrival(1.004, 1.07)]) == []
    assert delays(log.update([arrival(1.1, 1.15)])) == [0.066], "of its last packet"


def test_the_delay_is_that_of_the_last_packet() -> None:
    groups = ArrivalGroups().update([arrival(1.0, 1.05, length_s=0.02), arrival(1.1, 1.15), arrival(1.2, 1.25)])
    assert delays(groups) == [0.07, 0.05]


def test_what_was_held_up_and_comes_at_once_is_one_group() -> None:
    held = [arrival(1.0 + n * 0.02, 1.2 + n * 0.002) for n in range(5)]
    groups = ArrivalGroups().update([arrival(0.9, 0.95), *held, arrival(1.5, 1.55)])
    assert delays(groups) == [0.05, 0.128]


def test_a_group_that_comes_before_its_predecessor_is_left_out() -> None:
    log = ArrivalGroups()
    groups = log.update([arrival(1.0, 1.2), arrival(1.1, 1.15), arrival(1.2, 1.25), arrival(1.3, 1.35)])
    assert delays(groups) == [0.2, 0.05]


def test_older_runs_that_are_reported_late_change_nothing() -> None:
    log = ArrivalGroups()
    log.update([arrival(1.0, 1.05), arrival(1.1, 1.15)])
    assert log.update([arrival(0.5, 1.16)]) == []
    assert delays(log.update([arrival(1.2, 1.25)])) == [0.05]


# --- trendline


def line(slope: float, count: int = WINDOW, begin: float = 100.0) -> list[Group]:
    return [(round((begin + n * 0.03) * 4000), 5.0 + slope * n * 0.03) for n in range(count)]


def test_there_is_no_trend_before_the_window_is_full() -> None:
    trend = Trendline()
    trend.update(line(0.5, WINDOW - 1))
    assert trend.slope == 0
    assert trend.groups == WINDOW - 1


@pytest.mark.parametrize("slope", [-0.2, 0.0, 0.05, 1.0])
def test_a_steady_change_of_the_delay_is_the_slope(slope: float) -> None:
    trend = Trendline()
    for group in line(slope, 200):
        trend.update([group])
    assert trend.slope == pytest.approx(slope, abs=0.01)


def test_reports_may_be_cut_anywhere() -> None:
    chance = random.Random(1)
    groups = [(tick, delay + chance.uniform(0, 0.01)) for tick, delay in line(0.1, 300)]
    one, other = Trendline(), Trendline()
    for group in groups:
        one.update([group])
    while groups:
        count = chance.randint(0, 9)
        other.update(groups[:count])
        del groups[:count]
    assert one.slope == other.slope
    assert one.groups == other.groups == 300


def test_it_stays_exact_for_days() -> None:
    trend = Trendline()
    trend.update(line(0.0, 50))
    trend.update(line(0.0, 50, begin=5 * 86_400.0))
    trend.update(
        [(tick, delay + 0.1 * (tick / 4000 - 5 * 86_400 - 60)) for tick, delay in line(0, 400, 5 * 86_400 + 60)]
    )
    assert trend.slope == pytest.approx(0.1, abs=0.001)


def test_a_leap_of_the_clocks_begins_anew() -> None:
    trend = Trendline()
    trend.update(line(0.0, 100))
    trend.update([(tick, delay + 40) for tick, delay in line(0.0, 5, begin=103.0)])
    assert trend.slope == 0
    trend.update([(tick, delay + 40) for tick, delay in line(0.0, 100, begin=103.2)])
    assert trend.slope == pytest.approx(0, abs=1e-9)


def test_equal_arrivals_have_no_trend() -> None:
    trend = Trendline()
    trend.update([(1000, n * 0.1) for n in range(WINDOW)])
    assert trend.slope == 0


# --- detector


def run(detector: Detector, slopes: list[float], groups: int = 100, new: int = 3, begin: int = 0) -> list[Usage]:
    """A report each 100 ms."""
    seen = []
    for n, slope in enumerate(slopes):
        detector.update(slope, groups, new, begin + n * 400)
        seen.append(detector.usage)
    return seen


def test_no_trend_is_normal_and_lowers_the_threshold() -> None:
    detector = Detector()
    assert set(run(detector, [0.0] * 50)) == {Usage.NORMAL}
    assert detector.threshold_ms == MIN_THRESHOLD_MS


def test_a_growing_queue_is_over_use_and_a_draining_one_under_use() -> None:
    detector = Detector()
    assert run(detector, [0.0, 0.1, 0.2])[-1] is Usage.OVERUSE
    assert run(detector, [-0.2, -0.2], begin=1200)[-1] is Usage.UNDERUSE
    assert run(detector, [0.0], begin=2000)[-1] is Usage.NORMAL


def test_one_group_above_the_threshold_is_not_enough() -> None:
    detector = Detector()
    assert run(detector, [0.2], new=1) == [Usage.NORMAL]
    assert run(detector, [0.2], new=1, begin=400) == [Usage.OVERUSE]


def test_a_trend_that_falls_is_no_over_use() -> None:
    detector = Detector()
    run(detector, [0.0])
    assert run(detector, [0.3], new=1, begin=400) == [Usage.NORMAL]
    assert run(detector, [0.2, 0.1], new=1, begin=800) == [Usage.NORMAL, Usage.NORMAL]


def test_few_groups_count_less() -> None:
    assert run(Detector(), [0.1], groups=20) == [Usage.NORMAL]
    assert run(Detector(), [0.1], groups=60) == [Usage.OVERUSE]


def test_the_threshold_follows_noise_up_slower_than_down() -> None:
    detector = Detector()
    run(detector, [0.06, -0.06] * 50)
    raised = detector.threshold_ms
    assert THRESHOLD_MS < raised <= 0.06 * 60 * 4 + 1
    run(detector, [0.0], begin=40_400)
    assert detector.threshold_ms < raised


def test_a_spike_does_not_move_the_threshold() -> None:
    detector = Detector()
    run(detector, [0.0, 5.0, 0.0])
    assert detector.threshold_ms <= THRESHOLD_MS


def test_the_threshold_keeps_its_bounds_whatever_comes() -> None:
    chance = random.Random(2)
    detector = Detector()
    for n in range(5000):
        detector.update(
            chance.uniform(-1, 1) * chance.choice((0.01, 0.1, 10)), 100, 1, n * chance.choice((0, 40, 4000))
        )
        assert MIN_THRESHOLD_MS <= detector.threshold_ms <= MAX_THRESHOLD_MS
