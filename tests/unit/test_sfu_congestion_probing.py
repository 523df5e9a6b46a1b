"""When probes are asked for, and what rate their arrival shows."""

from itertools import pairwise

import pytest

from sfu.congestion.probe_rate import MAX_OPEN, UTILISATION, ProbeRate
from sfu.congestion.probing import (
    ANSWER_S,
    INTERVAL_S,
    MARGIN,
    MIN_OCTETS,
    RETRY_S,
    START_FACTOR,
    ProbeCluster,
    ProbePlanner,
)

PLENTY = 1e9


def ask(planner: ProbePlanner, now: float, target_bps: float = 600e3, useful_bps: float = PLENTY) -> ProbeCluster:
    probe = planner.tick(target_bps, useful_bps, True, now)
    assert probe is not None
    return probe


def test_the_first_probe_is_at_three_times_the_start_rate_and_the_next_twice_what_it_showed() -> None:
    planner = ProbePlanner(10.0)
    first = ask(planner, 10.0)
    assert first.rate_bps == START_FACTOR * 600e3
    assert planner.tick(600e3, PLENTY, True, 10.05) is None, "one at a time"
    planner.answered(1.8e6)
    second = ask(planner, 10.2, 1.8e6)
    assert second.rate_bps == 3.6e6
    planner.answered(3e6)
    third = ask(planner, 10.4, 3e6)
    assert third.rate_bps == 6e6
    planner.answered(3.1e6)
    assert planner.tick(3.1e6, PLENTY, True, 10.5) is None, "the path is full"
    assert [first.id, second.id, third.id] == [1, 2, 3]


def test_a_probe_lasts_a_few_packets_at_low_rates_and_20_ms_at_high_ones() -> None:
    assert ask(ProbePlanner(0), 0, 50e3).octets == MIN_OCTETS
    assert ask(ProbePlanner(0), 0, 4e6).octets == 12e6 * 0.02 / 8


def test_it_never_goes_beyond_what_is_useful() -> None:
    planner = ProbePlanner(0)
    assert ask(planner, 0, 600e3, 700e3).rate_bps == MARGIN * 700e3
    planner.answered(MARGIN * 700e3)
    assert planner.tick(MARGIN * 700e3, 700e3, True, 60) is None
    assert ProbePlanner(0).tick(600e3, 0, True, 0) is None


def test_it_waits_for_calm() -> None:
    planner = ProbePlanner(0)
    assert planner.tick(600e3, PLENTY, False, 0) is None
    assert planner.tick(600e3, PLENTY, True, 1) is not None


def test_probes_that_show_nothing_become_rarer() -> None:
    planner = ProbePlanner(0)
    times = [now / 20 for now in range(1200) if planner.tick(600e3, PLENTY, True, now / 20) is not None]
    gaps = [round(b - a, 2) for a, b in pairwise(times)]
    assert gaps[:3] == [pytest.approx(RETRY_S, abs=0.1), 2 * RETRY_S, 4 * RETRY_S]
    assert set(gaps[3:]) == {INTERVAL_S}


def test_a_lost_probe_ends_the_search() -> None:
    planner = ProbePlanner(0)
    ask(planner, 0)
    planner.answered(1.8e6)
    ask(planner, 0.2, 1.8e6)
    assert planner.tick(1.8e6, PLENTY, True, 0.2 + ANSWER_S) is None
    assert ask(planner, 0.3 + ANSWER_S + RETRY_S, 1.8e6).rate_bps == 3.6e6, "from what is known"


def test_after_a_large_drop_it_asks_soon_and_after_a_small_one_no_sooner() -> None:
    for after_bps, soon in ((300e3, True), (900e3, False)):
        planner = ProbePlanner(0)
        for now in (0, 2, 5):
            ask(planner, now, 1e6)
        planner.dropped(1e6, after_bps, 6.5)
        assert planner.tick(after_bps, PLENTY, True, 6.6) is None
        assert (planner.tick(after_bps, PLENTY, True, 6.5 + RETRY_S) is not None) == soon


# --- what a probe shows


def send(
    rates: ProbeRate,
    sent_bps: float,
    came_bps: float,
    *,
    packets: int = 6,
    octets: int = 1000,
    cluster: int = 1,
    media_octets: int = 0,
    missing: int = 0,
) -> None:
    """A probe that left at one rate and came at another, with media after each of its packets."""
    step = octets + media_octets
    for n in range(packets - missing):
        sent, came = 10 + n * step * 8 / sent_bps, 10.05 + n * step * 8 / came_bps
        rates.note((sent, sent, round(came * 4000), round(came * 4000), octets, 1, cluster))
        if media_octets and n + 1 < packets:
            rates.note((sent, sent, round(came * 4000), round(came * 4000), media_octets, 1, 0))


def expecting(rate_bps: float = 2e6, octets: int = 6000) -> ProbeRate:
    rates = ProbeRate()
    rates.expect(ProbeCluster(1, rate_bps, octets))
    return rates


def test_a_probe_that_came_as_it_left_shows_its_rate() -> None:
    rates = expecting()
    send(rates, 2e6, 2e6)
    assert rates.take() == pytest.approx(2e6, rel=0.05)
    assert rates.take() == 0, "once"
    assert not rates


def test_a_probe_that_filled_the_path_shows_a_little_less_than_that_takes() -> None:
    rates = expecting(4e6)
    send(rates, 4e6, 1e6)
    assert rates.take() == pytest.approx(UTILISATION * 1e6, rel=0.05)


def test_a_probe_that_was_bunched_up_shows_no_more_than_was_sent() -> None:
    rates = expecting()
    send(rates, 2e6, 20e6)
    assert rates.take() == pytest.approx(2e6, rel=0.05)


def test_media_between_the_packets_of_a_probe_counts() -> None:
    rates = expecting(4e6)
    send(rates, 4e6, 1e6, media_octets=1000)
    assert rates.take() == pytest.approx(UTILISATION * 1e6, rel=0.15)


def test_media_before_and_after_a_probe_does_not() -> None:
    rates = expecting()
    rates.note((9.9, 9.9, 39_800, 39_800, 50_000, 40, 0))
    send(rates, 2e6, 2e6)
    rates.note((11, 11, 44_200, 44_200, 50_000, 40, 0))
    assert rates.take() == pytest.approx(2e6, rel=0.05)


def test_a_probe_that_left_at_once_shows_what_the_path_took_up_to_its_rate() -> None:
    for came_bps, shown_bps in ((1e6, UTILISATION * 1e6), (50e6, 2e6)):
        rates = expecting()
        rates.note((10, 10, 40_200, 40_200 + round(5 * 8000 / came_bps * 4000), 6000, 6, 1))
        assert rates.take() == pytest.approx(shown_bps, rel=0.2)


def test_a_probe_of_which_too_much_is_missing_shows_nothing() -> None:
    rates = expecting()
    send(rates, 2e6, 2e6, missing=2)
    assert rates.take() == 0
    assert rates, "the rest may still come"
    few = expecting(octets=3000)
    send(few, 2e6, 2e6, packets=3)
    assert few.take() == 0


def test_a_probe_that_took_more_than_a_second_shows_nothing() -> None:
    rates = expecting()
    send(rates, 2e6, 30e3)
    assert rates.take() == 0
    assert not rates


def test_probes_that_are_waited_for_are_few() -> None:
    rates = ProbeRate()
    for n in range(1, 50):
        rates.expect(ProbeCluster(n, 2e6, 6000))
    assert len(rates._open) == MAX_OPEN
    send(rates, 2e6, 2e6, cluster=1)
    assert rates.take() == 0, "given up"
    send(rates, 2e6, 2e6, cluster=49)
    assert rates.take() > 0
