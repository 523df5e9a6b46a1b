"""The estimator's facade: what it says before, without and against transport-wide feedback, and its bounds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sfu.congestion.estimator import DECAY, MAX_BPS, MIN_BPS, SILENCE_S, BandwidthEstimator
from sfu.congestion.feedback import TransportFeedback
from sfu.congestion.rate_control import RateState


def received(estimator: BandwidthEstimator, now: float, octets: int = 1000, count: int = 5) -> None:
    """A run that is sent, arrives and is reported."""
    first = estimator.sent.note(count, octets * count, now)
    ticks = [int(now * 4000) & 0xFF] * count
    estimator.feedback(
        TransportFeedback(first, count, 0, int(now * 4000) >> 8 & 0xFFFFFF, ((0, ticks),), True), now + 0.05
    )


def test_before_anything_is_known_the_start_rate_holds() -> None:
    estimator = BandwidthEstimator(10.0, 500_000)
    assert estimator.target_bps == 500_000
    assert estimator.state is RateState.START
    assert estimator.round_trip_s is None
    assert (estimator.loss_fraction, estimator.acknowledged_bps, estimator.queue_s) == (0, 0, 0)


def test_nothing_is_probed_before_anything_is_sent() -> None:
    estimator = BandwidthEstimator(10.0)
    estimator.useful_bps = 5e6
    assert estimator.tick(10.05) is None
    estimator.sent.note(1, 1000, 10.06)
    probe = estimator.tick(10.1)
    assert probe is not None
    assert probe.rate_bps == 1_800_000


def test_feedback_tells_round_trip_rate_and_state() -> None:
    estimator = BandwidthEstimator(10.0)
    for n in range(100):
        received(estimator, 10 + n * 0.1)
    assert abs((estimator.round_trip_s or 0) - 0.05) < 1e-6
    assert abs(estimator.acknowledged_bps - 400e3) < 10e3
    assert estimator.state is RateState.INCREASE
    assert estimator.loss_fraction == 0


def test_a_remb_bounds_the_target_and_is_bounded_itself() -> None:
    estimator = BandwidthEstimator(10.0)
    for n in range(50):
        received(estimator, 10 + n * 0.1)
    estimator.remb(200e3, 15)
    assert estimator.target_bps == 200e3
    estimator.remb(0, 15.1)
    assert estimator.target_bps == MIN_BPS
    estimator.remb(1e15, 15.2)
    assert 500e3 < estimator.target_bps < 1e6, "feedback still decides"


def test_what_bounds_the_target_is_named() -> None:
    estimator = BandwidthEstimator(10.0)
    assert estimator.bound == "delay"
    for n in range(50):
        received(estimator, 10 + n * 0.1)
    assert estimator.bound == "delay"
    estimator.remb(200e3, 15)
    assert estimator.bound == "remb"
    estimator.remb(100e6, 15.1)
    assert estimator.bound == "delay"
    reports_only = BandwidthEstimator(10.0)
    reports_only.remb(2e6, 10.1)
    assert (reports_only.bound, reports_only.target_bps) == ("remb", 2e6)
    for second in range(11, 15):
        reports_only.loss(0.5, second)
    assert (reports_only.bound, reports_only.target_bps < 2e6) == ("loss", True)


def test_a_path_has_no_limit_before_it_shows_one() -> None:
    estimator = BandwidthEstimator(10.0)
    for n in range(50):
        received(estimator, 10 + n * 0.1)
    limits = [estimator.limit_bps]
    target_bps = estimator.target_bps
    for shown_bps in (target_bps, 0.6 * target_bps, 0.4 * target_bps):
        estimator._shown_bps = shown_bps
        limits.append(estimator.limit_bps)
    assert limits == [None, target_bps, target_bps, None]


def test_loss_is_a_limit_too() -> None:
    estimator = BandwidthEstimator(10.0)
    for second in range(11, 15):
        estimator.loss(0.5, second)
    assert estimator.bound == "loss"
    assert estimator.limit_bps == estimator.target_bps


def test_probes_and_those_that_showed_something_are_counted() -> None:
    estimator = BandwidthEstimator(10.0)
    estimator.useful_bps = 5e6
    estimator.sent.note(1, 1000, 10.0)
    probe = estimator.tick(10.1)
    assert probe is not None
    assert (estimator.probes, estimator.probes_answered) == (1, 0)
    first = estimator.sent.note(6, probe.octets, 10.1, probe.id)
    at = int(10.1 * 4000)
    report = TransportFeedback(first, 6, 0, at >> 8 & 0xFFFFFF, ((0, [(at & 0xFF) + n for n in range(6)]),), True)
    estimator.feedback(report, 10.15)
    assert (estimator.probes, estimator.probes_answered) == (1, 1)


def test_without_feedback_a_remb_is_followed_up_and_down() -> None:
    estimator = BandwidthEstimator(10.0)
    for bps in (2e6, 300e3, 5e6):
        estimator.remb(bps, 11)
        assert estimator.target_bps == bps
    estimator.remb(1e15, 12)
    assert estimator.target_bps == MAX_BPS


def test_without_feedback_loss_bounds_what_a_remb_says() -> None:
    estimator = BandwidthEstimator(10.0)
    estimator.remb(2e6, 10)
    for n in range(1, 6):
        estimator.loss(0.3, 10 + n)
    assert estimator.target_bps < 1.2e6
    assert estimator.loss_fraction == 0.3


def test_with_receiver_reports_alone_the_rate_follows_what_is_sent_and_lost() -> None:
    estimator = BandwidthEstimator(10.0)
    for n in range(1, 41):
        estimator.sent.note(50, 60_000, 10 + n)
        estimator.loss(0.0, 10 + n)
    grown_bps = estimator.target_bps
    assert 600e3 < grown_bps <= 1.5 * 480e3 + 10_000
    for n in range(41, 46):
        estimator.sent.note(50, 60_000, 10 + n)
        estimator.loss(0.4, 10 + n)
    assert estimator.target_bps < 0.7 * grown_bps


def test_without_feedback_nothing_is_probed_and_nothing_decays() -> None:
    estimator = BandwidthEstimator(10.0)
    estimator.useful_bps = 5e6
    estimator.remb(1e6, 10)
    for n in range(200):
        estimator.sent.note(1, 1000, 10 + n * 0.05)
        assert estimator.tick(10 + n * 0.05) is None
    assert estimator.target_bps == 1e6


def test_loss_reports_are_ignored_where_feedback_comes() -> None:
    estimator = BandwidthEstimator(10.0)
    for n in range(50):
        received(estimator, 10 + n * 0.1)
        estimator.loss(0.9, 10 + n * 0.1)
    assert estimator.loss_fraction == 0


def test_silence_of_the_receiver_lets_the_target_decay_to_its_minimum() -> None:
    estimator = BandwidthEstimator(10.0)
    for n in range(50):
        received(estimator, 10 + n * 0.1)
    before_bps = estimator.target_bps
    now, steps = 15.0, []
    while now < 60:
        estimator.sent.note(1, 1000, now)
        estimator.tick(now)
        if now < 15 + SILENCE_S:
            assert estimator.target_bps == before_bps
        if not steps or estimator.target_bps != steps[-1]:
            steps.append(estimator.target_bps)
        now += 0.05
    assert steps[1] == DECAY * before_bps
    assert steps[-1] == MIN_BPS


def test_silence_while_nothing_is_sent_changes_nothing() -> None:
    estimator = BandwidthEstimator(10.0)
    for n in range(50):
        received(estimator, 10 + n * 0.1)
    before_bps = estimator.target_bps
    for n in range(2000):
        estimator.tick(15 + n * 0.05)
    received(estimator, 115.0)
    estimator.tick(115.1)
    assert estimator.target_bps >= before_bps


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["note", "feedback", "remb", "loss", "round_trip", "tick"]),
            st.integers(0, 70_000),
            st.integers(1, 300),
            st.integers(0, 0xFFFFFF),
            st.lists(st.integers(-40_000, 40_000), max_size=30),
            st.floats(0, 5),
        ),
        max_size=60,
    )
)
def test_whatever_comes_the_target_keeps_its_bounds_and_nothing_raises(
    events: list[tuple[str, int, int, int, list[int], float]],
) -> None:
    estimator = BandwidthEstimator(0.0)
    estimator.useful_bps = 3e6
    now = 0.0
    for what, number, count, reference, ticks, wait in events:
        now += wait
        if what == "note":
            estimator.sent.note(count % 40 + 1, number + 1, now)
        elif what == "feedback":
            spans = ((number % count, ticks),) if ticks else ()
            covered = number % count + len(ticks) + count
            feedback = TransportFeedback(number & 0xFFFF, covered, 0, reference, spans, ticks == sorted(ticks))
            estimator.feedback(feedback, now)
        elif what == "remb":
            estimator.remb(number * 1e9, now)
        elif what == "loss":
            estimator.loss(number / 65_535, now)
        elif what == "round_trip":
            estimator.round_trip(wait)
        else:
            estimator.tick(now)
        assert MIN_BPS <= estimator.target_bps <= MAX_BPS
