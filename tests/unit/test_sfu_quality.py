"""The quality of a connection: what makes it fair, poor or lost, and how it falls and rises. Virtual time."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.interfaces import Finding, Quality, QualityReport, Trouble
from sfu.quality import INTERVAL_S, LOST_S, REFRESH_S, RISE_S, SILENT_S, WINDOW_S, Observation, QualityMeter

SOUND = 50
"""Packets a second."""


class Line:
    """One participant, a second at a time. Shares are of the packets of that second."""

    def __init__(self) -> None:
        self.meter = QualityMeter()
        self.now = 100.0
        self.told: list[tuple[float, QualityReport]] = []
        self.counters = {"expected": 0, "missed": 0, "given_up": 0, "sent": 0, "not_delivered": 0, "heard": 1}
        self.flowing = {"t_m": 0}
        self.second()

    def second(
        self,
        *,
        missed: float = 0.0,
        given_up: float = 0.0,
        undelivered: float = 0.0,
        round_trip_s: float | None = 0.04,
        jitter_s: float | None = 0.003,
        alive: bool = True,
        silent: bool = False,
    ) -> QualityReport | None:
        self.now += 1.0
        if alive:
            self.counters["heard"] += 5000
            self.counters["expected"] += SOUND
            self.counters["missed"] += round(SOUND * max(missed, given_up))
            self.counters["given_up"] += round(SOUND * given_up)
            self.counters["sent"] += 10 * SOUND
            self.counters["not_delivered"] += round(10 * SOUND * undelivered)
            if not silent:
                self.flowing["t_m"] += SOUND
        seen = Observation(**self.counters, flowing=dict(self.flowing), round_trip_s=round_trip_s, jitter_s=jitter_s)
        report = self.meter.update(seen, self.now)
        if report is not None:
            self.told.append((self.now, report))
        return report

    def seconds(self, count: int, **how: object) -> None:
        for _ in range(count):
            self.second(**how)  # type: ignore[arg-type]

    @property
    def quality(self) -> Quality | None:
        return self.meter.report.quality if self.meter.report else None

    @property
    def troubles(self) -> list[Trouble]:
        assert self.meter.report is not None
        return [finding.trouble for finding in self.meter.report.findings]


def good() -> Line:
    line = Line()
    line.seconds(20)
    assert line.quality is Quality.GOOD
    return line


# --- levels


def test_nothing_is_said_before_something_is_heard() -> None:
    meter = QualityMeter()
    for second in range(30):
        assert meter.update(Observation(), float(second)) is None
    assert meter.report is None


def test_a_good_line_is_said_to_be_good_once() -> None:
    line = Line()
    line.seconds(60)
    assert [report for _, report in line.told] == [QualityReport(Quality.GOOD, ())]


@pytest.mark.parametrize(
    ("how", "quality", "finding"),
    [
        ({"given_up": 0.04}, Quality.FAIR, Finding(Trouble.UPLINK_LOSS, 4)),
        ({"given_up": 0.08}, Quality.POOR, Finding(Trouble.UPLINK_LOSS, 8)),
        ({"missed": 0.08}, Quality.FAIR, Finding(Trouble.UPLINK_REPAIR, 8)),
        ({"missed": 0.20}, Quality.POOR, Finding(Trouble.UPLINK_REPAIR, 20)),
        ({"undelivered": 0.05}, Quality.FAIR, Finding(Trouble.DOWNLINK_LOSS, 5)),
        ({"undelivered": 0.25}, Quality.POOR, Finding(Trouble.DOWNLINK_LOSS, 25)),
        ({"round_trip_s": 0.25}, Quality.FAIR, Finding(Trouble.ROUND_TRIP, 250)),
        ({"round_trip_s": 0.6}, Quality.POOR, Finding(Trouble.ROUND_TRIP, 600)),
        ({"jitter_s": 0.06}, Quality.FAIR, Finding(Trouble.JITTER, 60)),
        ({"jitter_s": 0.1}, Quality.POOR, Finding(Trouble.JITTER, 100)),
    ],
)
def test_each_trouble_has_its_two_thresholds(how: dict[str, float], quality: Quality, finding: Finding) -> None:
    line = good()
    line.seconds(2 * WINDOW_S + int(REFRESH_S), **how)
    assert line.meter.report == QualityReport(quality, (finding,))


@pytest.mark.parametrize(
    "how", [{"given_up": 0.0}, {"missed": 0.04}, {"undelivered": 0.04}, {"round_trip_s": 0.2}, {"jitter_s": 0.04}]
)
def test_what_a_call_bears_is_good(how: dict[str, float]) -> None:
    line = good()
    line.seconds(60, **how)
    assert line.quality is Quality.GOOD


def test_what_never_came_is_not_named_twice() -> None:
    line = good()
    line.seconds(10, missed=0.3, given_up=0.1)
    assert line.troubles == [Trouble.UPLINK_LOSS]


def test_several_troubles_are_named_the_worst_first() -> None:
    line = good()
    line.seconds(10, undelivered=0.06, round_trip_s=0.7)
    assert line.troubles == [Trouble.ROUND_TRIP, Trouble.DOWNLINK_LOSS]
    assert line.quality is Quality.POOR


def test_a_single_lost_packet_is_nothing() -> None:
    line = good()
    line.second(given_up=1 / SOUND)
    line.seconds(20)
    assert len(line.told) == 1


def test_unknown_round_trips_and_jitter_are_no_trouble() -> None:
    line = good()
    line.seconds(10, round_trip_s=None, jitter_s=None)
    assert line.quality is Quality.GOOD


def test_too_few_packets_say_nothing() -> None:
    meter = QualityMeter()
    for second in range(10):
        meter.update(Observation(expected=4 * second, missed=4 * second, given_up=4 * second, heard=second), second)
    assert meter.report == QualityReport(Quality.GOOD, ())


# --- silence and loss of the connection


def test_an_open_microphone_of_which_nothing_comes_is_poor() -> None:
    line = good()
    line.seconds(int(SILENT_S) + 1, silent=True)
    assert (line.quality, line.troubles) == (Quality.POOR, [Trouble.SILENT])


def test_a_track_that_is_muted_may_be_silent() -> None:
    line = good()
    del line.flowing["t_m"]
    for _ in range(10):
        line.counters["heard"] += 100
        line.now += 1
        line.meter.update(Observation(**line.counters), line.now)
    assert line.quality is Quality.GOOD


def test_a_track_is_given_time_to_begin() -> None:
    line = good()
    line.flowing["t_c"] = 0
    line.seconds(int(SILENT_S))
    assert line.quality is Quality.GOOD
    line.seconds(2)
    assert line.troubles == [Trouble.SILENT], "the microphone flows, the camera does not"


def test_when_nothing_is_heard_at_all_the_connection_is_lost() -> None:
    line = good()
    line.seconds(int(LOST_S) + 1, alive=False)
    assert line.meter.report == QualityReport(Quality.LOST, ())


def test_a_check_now_and_then_is_a_sign_of_life() -> None:
    line = good()
    del line.flowing["t_m"]
    for second in range(60):
        line.counters["heard"] += second % 6 == 0
        line.now += 1
        line.meter.update(Observation(**line.counters), line.now)
    assert line.quality is Quality.GOOD


def test_who_is_back_is_back_at_once() -> None:
    line = good()
    line.seconds(20, alive=False)
    line.seconds(int(INTERVAL_S))
    assert line.quality is not Quality.LOST


# --- falling and rising


def test_it_falls_within_three_seconds_of_heavy_loss() -> None:
    line = good()
    line.seconds(3, given_up=0.3)
    assert line.quality is Quality.POOR


def test_it_rises_only_after_a_while() -> None:
    line = good()
    line.seconds(10, given_up=0.3)
    over = line.now
    line.seconds(40)
    rises = [(at, report) for at, report in line.told if at > over and report.quality is not Quality.POOR]
    (at, report) = rises[-1]
    assert report == QualityReport(Quality.GOOD, ())
    assert RISE_S <= at - over <= RISE_S + 2 * WINDOW_S
    assert len(rises) <= 2, "by way of fair at most"


def test_a_line_that_is_bad_every_few_seconds_stays_bad() -> None:
    line = good()
    line.seconds(5, given_up=0.3)
    fallen = line.now
    for _ in range(10):
        line.seconds(6)
        line.seconds(2, given_up=0.3)
    assert {report.quality for at, report in line.told if at >= fallen} == {Quality.POOR}


def test_a_relapse_to_fair_ends_the_rise_at_fair() -> None:
    line = good()
    line.seconds(8, round_trip_s=0.6)
    line.seconds(4)
    line.second(round_trip_s=0.3)
    line.seconds(4)
    assert line.quality is Quality.FAIR
    line.seconds(int(RISE_S) + 2)
    assert line.quality is Quality.GOOD


def test_figures_of_a_lasting_trouble_are_told_anew_now_and_then() -> None:
    line = good()
    line.seconds(60, given_up=0.1)
    told = [report for _, report in line.told[1:]]
    assert 4 <= len(told) <= 2 + 60 / REFRESH_S
    assert {report.quality for report in told} == {Quality.FAIR, Quality.POOR} or told[0].quality is Quality.POOR


def test_a_new_connection_counts_from_zero_and_is_no_trouble() -> None:
    line = good()
    for name in line.counters:
        line.counters[name] = 0
    line.flowing["t_m"] = 0
    line.seconds(20)
    assert len(line.told) == 1


def test_what_was_only_overtaken_hides_no_loss() -> None:
    line = good()
    for second in range(20):
        line.counters["missed"] += (-4, 4)[second % 2]
        line.second(given_up=0.1)
    assert line.troubles == [Trouble.UPLINK_LOSS]


weather = st.fixed_dictionaries(
    {
        "missed": st.sampled_from([0.0, 0.0, 0.04, 0.1, 0.3]),
        "given_up": st.sampled_from([0.0, 0.0, 0.02, 0.1]),
        "undelivered": st.sampled_from([0.0, 0.0, 0.1, 0.5]),
        "round_trip_s": st.sampled_from([None, 0.02, 0.3, 2.0]),
        "jitter_s": st.sampled_from([None, 0.001, 0.05, 0.5]),
        "alive": st.sampled_from([True, True, True, False]),
        "silent": st.sampled_from([False, False, False, True]),
    }
)


@given(st.lists(st.tuples(weather, st.integers(1, 12)), max_size=10))
def test_whatever_the_weather_it_is_told_seldom_and_rises_slowly(days: list[tuple[dict[str, object], int]]) -> None:
    line = Line()
    for how, length in days:
        line.seconds(length, **how)
    for (before_at, before), (at, report) in zip(line.told, line.told[1:], strict=False):
        assert at - before_at >= INTERVAL_S
        assert report != before or at - before_at >= REFRESH_S
    for (before_at, before), (at, report) in zip(line.told, line.told[1:], strict=False):
        if (before.quality, report.quality) in ((Quality.POOR, Quality.GOOD), (Quality.FAIR, Quality.GOOD)):
            assert at - before_at >= RISE_S
        assert (report.quality in (Quality.GOOD, Quality.LOST)) == (report.findings == ())


def test_noise_around_a_threshold_does_not_flicker() -> None:
    line = good()
    noise = random.Random(1)
    for _ in range(600):
        line.second(given_up=max(0.0, noise.gauss(0.02, 0.02)))
    changes = [a for (_, a), (_, b) in zip(line.told, line.told[1:], strict=False) if a.quality is not b.quality]
    assert len(changes) <= 600 / RISE_S / 4
