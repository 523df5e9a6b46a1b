"""Rates from what arrives, and what follows from them: throughput, rate control, loss bound, queues, draining."""

import pytest

from sfu.congestion.detector import Usage
from sfu.congestion.drain import MAX_S, NO_LIMIT, Drain
from sfu.congestion.loss import LossBound
from sfu.congestion.queueing import WINDOW_S, QueueDelay
from sfu.congestion.rate_control import BACKOFF, HEADROOM, HEADROOM_BPS, RateControl, RateState
from sfu.congestion.throughput import Throughput

# --- throughput


def feed(throughput: Throughput, bps: float, seconds: float, begin: float = 0.0, every_s: float = 0.1) -> float:
    """Reports of what came at `bps`; returns when the last one was."""
    steps = round(seconds / every_s)
    for n in range(1, steps + 1):
        throughput.update(round(bps * every_s / 8), begin + n * every_s)
    return begin + steps * every_s


def test_the_rate_is_unknown_at_first_and_then_that_of_what_came() -> None:
    throughput = Throughput()
    feed(throughput, 1e6, 0.5)
    assert throughput.bps == 0
    feed(throughput, 1e6, 0.5, begin=0.5)
    assert throughput.bps == pytest.approx(1e6, rel=0.01)


@pytest.mark.parametrize(("before", "after"), [(3e6, 300e3), (300e3, 3e6), (1e6, 1.5e6)])
def test_a_change_of_the_rate_is_known_after_two_seconds(before: float, after: float) -> None:
    throughput = Throughput()
    end = feed(throughput, before, 5)
    feed(throughput, after, 2, end)
    assert throughput.bps == pytest.approx(after, rel=0.25)


def test_a_single_odd_sample_moves_it_little() -> None:
    throughput = Throughput()
    end = feed(throughput, 1e6, 5)
    throughput.update(40_000, end + 0.16)
    assert throughput.bps < 1.5e6


def test_bursts_count_whole() -> None:
    throughput = Throughput()
    for n in range(200):
        throughput.update(4000, n // 4 * 0.1333 + n % 4 * 0.001)
    assert throughput.bps == pytest.approx(16_000 * 8 / 0.1333, rel=0.05)


def test_a_pause_and_an_interruption_are_no_low_rate() -> None:
    throughput = Throughput()
    end = feed(throughput, 1e6, 5)
    end = feed(throughput, 1e6, 1, end + 10)
    assert throughput.bps == pytest.approx(1e6, rel=0.01)
    throughput.interrupt()
    feed(throughput, 1e6, 1, end + 1.5)
    assert throughput.bps == pytest.approx(1e6, rel=0.01)


def test_time_that_steps_back_does_no_harm() -> None:
    throughput = Throughput()
    end = feed(throughput, 1e6, 5)
    throughput.update(1000, end - 3)
    throughput.update(1000, end)
    feed(throughput, 1e6, 1, end)
    assert throughput.bps == pytest.approx(1e6, rel=0.05)


# --- rate control


def control(
    rate: RateControl, usage: Usage, arriving_bps: float, now: float, *, stuck: bool = False, hold: bool = False
) -> float:
    rate.update(usage, arriving_bps, 0.05, stuck=stuck, hold=hold, now=now)
    return rate.target_bps


def test_nothing_moves_before_anything_arrives() -> None:
    rate = RateControl(600e3)
    assert control(rate, Usage.NORMAL, 0, 1.0) == 600e3
    assert rate.state is RateState.START


def test_it_grows_by_8_percent_a_second_up_to_half_more_than_arrives() -> None:
    rate = RateControl(600e3)
    for n in range(11):
        control(rate, Usage.NORMAL, 600e3, n * 0.1)
    assert rate.target_bps == pytest.approx(648e3, rel=0.01)
    assert rate.state is RateState.INCREASE
    for n in range(11, 300):
        control(rate, Usage.NORMAL, 600e3, n * 0.1)
    assert rate.target_bps == HEADROOM * 600e3 + HEADROOM_BPS
    assert control(rate, Usage.NORMAL, 100e3, 31.0) == HEADROOM * 600e3 + HEADROOM_BPS, "never down for that"


def test_a_long_silence_is_no_time_of_growth() -> None:
    rate = RateControl(600e3)
    control(rate, Usage.NORMAL, 600e3, 0.0)
    assert control(rate, Usage.NORMAL, 600e3, 100.0) == pytest.approx(648e3, rel=0.01)


def test_it_backs_off_to_85_percent_of_what_passes() -> None:
    rate = RateControl(3e6)
    control(rate, Usage.NORMAL, 3e6, 0.0)
    assert control(rate, Usage.OVERUSE, 1e6, 0.1, stuck=True) == BACKOFF * 1e6
    assert rate.state is RateState.DECREASE
    assert control(rate, Usage.UNDERUSE, 1e6, 0.2) == BACKOFF * 1e6
    assert rate.state is RateState.HOLD


def test_if_all_that_is_sent_arrives_it_only_backs_off_by_that_factor() -> None:
    rate = RateControl(3e6)
    assert control(rate, Usage.OVERUSE, 50e3, 0.1) == BACKOFF * 3e6
    assert control(rate, Usage.OVERUSE, 2.9e6, 1.0) == BACKOFF * 2.9e6
    assert control(rate, Usage.OVERUSE, 2.9e6, 2.0) == BACKOFF * 2.9e6, "and not below that"


def test_a_step_down_waits_for_the_one_before_to_be_seen() -> None:
    rate = RateControl(1e6)
    control(rate, Usage.OVERUSE, 1e6, 0.1)
    assert control(rate, Usage.OVERUSE, 0.9e6, 0.12) == BACKOFF * 1e6
    assert control(rate, Usage.OVERUSE, 0.9e6, 0.2) == BACKOFF * 0.9e6
    assert control(rate, Usage.OVERUSE, 0.1e6, 0.21, stuck=True) == BACKOFF * 0.1e6, "but not if far less passes"


def test_it_never_rises_in_a_step_down() -> None:
    rate = RateControl(300e3)
    assert control(rate, Usage.OVERUSE, 1e6, 0.1, stuck=True) == 300e3


def test_near_a_known_capacity_it_grows_slowly_and_beyond_it_fast_again() -> None:
    rate = RateControl(1e6)
    control(rate, Usage.OVERUSE, 1e6, 0.0, stuck=True)
    for n in range(1, 11):
        control(rate, Usage.NORMAL, 0.9e6, n * 0.1)
    assert 0.86e6 < rate.target_bps < 0.89e6
    assert rate.capacity.bps == 1e6
    for n in range(11, 21):
        control(rate, Usage.NORMAL, 1.5e6, n * 0.1)
    assert rate.capacity.bps == 0
    assert rate.target_bps > 0.92e6


def test_while_a_queue_is_there_it_holds() -> None:
    rate = RateControl(1e6)
    control(rate, Usage.NORMAL, 1e6, 0.0)
    before = control(rate, Usage.NORMAL, 1e6, 0.1)
    assert control(rate, Usage.NORMAL, 1e6, 1.0, hold=True) == before
    assert rate.state is RateState.HOLD


def test_a_probe_raises_and_only_lowers_at_the_start() -> None:
    rate = RateControl(600e3)
    rate.probed(400e3)
    assert rate.target_bps == 400e3
    control(rate, Usage.NORMAL, 400e3, 1.0)
    rate.probed(2e6)
    assert rate.target_bps == 2e6
    rate.probed(1e6)
    assert rate.target_bps == 2e6


# --- loss


def lose(
    bound: LossBound, fraction: float, target_bps: float, arriving_bps: float, begin: float, seconds: int
) -> float:
    """200 packets a second; the target follows the bound."""
    for n in range(1, seconds + 1):
        lost = round(200 * fraction)
        if bound.note(200 - lost, lost, begin + n):
            bound.update(min(target_bps, bound.bps), arriving_bps, begin + n)
    return min(target_bps, bound.bps)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.02, 0.05, 0.1])
def test_loss_up_to_10_percent_is_no_bound(fraction: float) -> None:
    bound = LossBound()
    assert lose(bound, fraction, 1e6, 1e6, 0, 60) == 1e6
    assert bound.fraction == pytest.approx(fraction, abs=0.003)


def test_more_loss_pulls_the_bound_down_as_long_as_as_much_arrives() -> None:
    bound = LossBound()
    assert lose(bound, 0.3, 1e6, 300e3, 0, 3) < 0.7e6
    assert lose(bound, 0.3, 1e6, 300e3, 3, 10) < 0.3e6


def test_loss_that_less_does_not_cure_is_left_at_half() -> None:
    bound = LossBound()
    target = 1e6
    for n in range(60):
        target = lose(bound, 0.2, 1e6, 0.8 * target, n, 1)
    assert 0.35e6 < target < 0.65e6


def test_what_becomes_worse_begins_anew() -> None:
    bound = LossBound()
    target = 1e6
    for n in range(30):
        target = lose(bound, 0.2, 1e6, 0.8 * target, n, 1)
    assert lose(bound, 0.5, 1e6, 200e3, 30, 30) < 0.6 * target


def test_the_bound_recovers_fast_without_loss_and_slowly_with_some() -> None:
    clean, lossy = LossBound(), LossBound()
    for bound, after in ((clean, 0.0), (lossy, 0.05)):
        low = lose(bound, 0.3, 1e6, 300e3, 0, 5)
        high = lose(bound, after, 1e6, 300e3, 5, 5)
        assert high == pytest.approx(low * (1.08 if after == 0 else 1.03) ** 5, rel=0.01)


def test_a_probe_lifts_the_bound_unless_loss_is_heavy() -> None:
    bound = LossBound()
    low = lose(bound, 0.3, 1e6, 300e3, 0, 5)
    bound.raise_to(2e6)
    assert bound.bps == low
    lose(bound, 0.0, 1e6, 300e3, 5, 1)
    bound.raise_to(2e6)
    assert bound.bps == 2e6


def test_few_packets_say_nothing() -> None:
    bound = LossBound()
    assert not bound.note(0, 15, 1.0)
    assert not bound.note(0, 4, 5.0)
    assert bound.note(0, 1, 5.1)


# --- queues


def test_a_queue_is_what_stands_above_the_lowest_delay() -> None:
    queue = QueueDelay()
    assert queue.standing_s == 0
    for n in range(20):
        queue.note(7.0, n * 0.1)
    assert queue.standing_s == 0
    for n in range(20, 23):
        queue.note(7.1, n * 0.1)
    assert queue.standing_s == pytest.approx(0.1)
    assert queue.stands


def test_one_report_without_delay_says_that_there_is_none() -> None:
    queue = QueueDelay()
    for n, delay in enumerate([7.0, 7.1, 7.2, 7.3, 7.0]):
        queue.note(delay, n * 0.1)
    assert queue.standing_s == 0


def test_noise_is_no_queue_but_a_queue_above_the_noise_is() -> None:
    queue = QueueDelay()
    for n in range(100):
        queue.note(7.0 + 0.02 * (n % 2), n * 0.1)
    for n in range(100, 103):
        queue.note(7.03, n * 0.1)
    assert not queue.stands
    for n in range(103, 106):
        queue.note(7.2, n * 0.1)
    assert queue.stands


def test_a_path_that_became_longer_is_known_after_two_windows() -> None:
    queue = QueueDelay()
    queue.note(7.0, 0.0)
    at = 0.0
    while at < 2 * WINDOW_S + 0.5:
        at += 0.1
        queue.note(7.2, at)
    assert queue.standing_s == pytest.approx(0)


def test_a_long_queue_is_drained_and_a_short_one_is_not() -> None:
    drain = Drain()
    drain.update(0.06, 1e6, True, 0.0)
    assert not drain.active
    drain.update(0.5, 1e6, True, 0.1)
    assert drain.bps == pytest.approx(0.75e6)
    drain.update(5.0, 1e6, True, 0.2)
    assert drain.bps == 0.5e6
    drain.update(0.06, 1e6, True, 0.3)
    assert drain.active, "to its end"
    drain.update(0.01, 1e6, True, 0.4)
    assert drain.bps == NO_LIMIT


def test_a_queue_of_others_is_not_drained_for_ever() -> None:
    drain = Drain()
    drain.update(0.5, 1e6, False, 0.0)
    assert not drain.active, "this sender does not fill the path"
    drain.update(0.5, 1e6, True, 0.1)
    assert drain.active
    drain.update(0.5, 1e6, True, 0.2 + MAX_S)
    assert not drain.active
