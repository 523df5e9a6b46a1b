"""The estimator on a modelled network, in virtual time: conditions, media, run, check."""

from dataclasses import replace

import pytest

from tests.support.network_model import Conditions, GilbertElliott, Network
from tests.support.viewer_model import Media, Viewer

NEAR = Conditions(delay_s=0.025)
PLENTY = 20e6
"""Media of more than any path here takes."""

seeds = pytest.mark.parametrize("seed", [1, 2, 3])


def viewer(down: Conditions, video_bps: float, *, seed: int = 1, up: Conditions = NEAR, **options: float) -> Viewer:
    return Viewer(Network(), down, up, Media(video_bps), seed=seed, **options)  # type: ignore[arg-type]


def path(capacity_bps: float, **more: object) -> Conditions:
    return replace(NEAR, capacity_bps=capacity_bps, **more)  # type: ignore[arg-type]


# --- a steady path


@seeds
@pytest.mark.parametrize("loss", [0.0, 0.01, 0.02])
@pytest.mark.parametrize("capacity_bps", [500e3, 1e6, 3e6])
def test_the_estimate_is_within_15_percent_of_the_path_whatever_it_loses(
    capacity_bps: float, loss: float, seed: int
) -> None:
    run = viewer(path(capacity_bps, loss=loss), PLENTY, seed=seed).run(20)
    assert 0.85 * capacity_bps <= run.mean_bps(10, 20) <= 1.15 * capacity_bps
    for sample in run.between(10, 20):
        assert 0.7 * capacity_bps <= sample.target_bps <= 1.2 * capacity_bps, sample
        assert sample.queue_s < 0.15, sample


@pytest.mark.parametrize("feedback_s", [0.05, 0.1, 0.2])
def test_it_does_not_depend_on_how_often_reports_come(feedback_s: float) -> None:
    run = viewer(path(1e6), PLENTY, feedback_s=feedback_s).run(20)
    assert 0.85e6 <= run.mean_bps(10, 20) <= 1.15e6


@seeds
@pytest.mark.parametrize("round_trip_s", [0.01, 0.05, 0.2])
def test_it_does_not_depend_on_how_long_the_path_is(round_trip_s: float, seed: int) -> None:
    half = Conditions(capacity_bps=2e6, delay_s=round_trip_s / 2)
    run = viewer(half, PLENTY, up=Conditions(delay_s=round_trip_s / 2), seed=seed).run(30)
    assert 0.85 * 2e6 <= run.mean_bps(10, 30) <= 1.15 * 2e6
    assert round_trip_s <= (run.estimator.round_trip_s or 0) <= round_trip_s + 0.15


# --- the start


@seeds
@pytest.mark.parametrize("video_bps", [1e6, 2.5e6, 5e6, 8e6])
def test_on_a_fast_path_what_is_useful_is_reached_within_two_seconds(video_bps: float, seed: int) -> None:
    run = viewer(path(10e6), video_bps, seed=seed).run(5)
    assert run.first(lambda sample: sample.target_bps >= video_bps) < 2
    assert all(sample.target_bps >= video_bps for sample in run.between(2, 5)), "and kept"


@seeds
def test_a_start_above_what_the_path_takes_ends_soon(seed: int) -> None:
    run = viewer(path(200e3), PLENTY, seed=seed).run(20)
    assert run.first(lambda sample: sample.target_bps < 230e3) < 2
    assert all(sample.queue_s < 0.2 for sample in run.between(5, 20))
    assert 0.8 * 200e3 <= run.mean_bps(10, 20) <= 1.15 * 200e3


def test_nothing_is_probed_beyond_what_is_useful() -> None:
    run = viewer(path(10e6), 1e6).run(20)
    assert max(probe.rate_bps for _, probe in run.probes) < 1.3e6
    assert all(sample.sent_bps < 3e6 for sample in run.samples)
    idle = viewer(path(10e6), 1e6, useful_bps=0.0).run(20)
    assert idle.probes == []


# --- a path that changes


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("video_bps", [2.6e6, PLENTY])
@pytest.mark.parametrize("queue", [{"queue_s": 0.3}, {"queue_s": 1.0}, {"queue_bytes": 60_000}])
def test_a_cut_to_a_tenth_is_followed_within_3_seconds_and_its_end_within_10(
    queue: dict[str, float], video_bps: float, seed: int
) -> None:
    run = viewer(path(3e6, **queue), video_bps, seed=seed)
    run.down_link.plan((15, path(300e3, **queue)), (45, path(3e6, **queue)))
    run.run(60)
    assert run.first(lambda sample: sample.target_bps <= 1.15 * 300e3, 15) < 18
    assert run.first(lambda sample: sample.queue_s < 0.1, 16) < 21
    assert all(sample.target_bps <= 1.15 * 300e3 for sample in run.between(18, 45))
    assert run.mean_bps(25, 45) >= 0.75 * 300e3
    assert all(sample.queue_s < 0.2 for sample in run.between(22, 45))
    assert run.first(lambda sample: sample.target_bps >= 2.5e6, 45) < 55


@seeds
def test_half_the_capacity_is_followed_both_ways(seed: int) -> None:
    run = viewer(path(2e6), PLENTY, seed=seed)
    run.down_link.plan((10, path(1e6)), (25, path(2e6)))
    run.run(45)
    assert run.first(lambda sample: sample.target_bps < 1.05e6, 10) < 12
    assert 0.85e6 <= run.mean_bps(15, 25) <= 1.15e6
    assert 0.85 * 2e6 <= run.mean_bps(35, 45) <= 1.15 * 2e6


def test_a_path_that_becomes_longer_is_not_taken_for_a_queue_for_ever() -> None:
    run = viewer(path(3e6), PLENTY)
    run.down_link.plan((10, path(3e6, delay_s=0.225)))
    run.run(45)
    assert run.mean_bps(35, 45) >= 0.8 * 3e6


# --- loss


@seeds
@pytest.mark.parametrize("loss", [0.05, 0.10])
def test_random_loss_of_5_and_10_percent_leaves_the_estimate_where_it_is(loss: float, seed: int) -> None:
    run = viewer(path(2e6, loss=loss), PLENTY, seed=seed).run(30)
    assert run.mean_bps(10, 30) >= (0.8 if loss < 0.1 else 0.6) * 2e6
    assert loss - 0.05 < run.estimator.loss_fraction < loss + 0.05


@seeds
def test_loss_of_20_percent_pulls_the_estimate_down_but_not_for_ever(seed: int) -> None:
    run = viewer(path(20e6, loss=0.2), 2.5e6, seed=seed)
    run.down_link.plan((0, path(20e6)), (15, path(20e6, loss=0.2)))
    run.run(45)
    before_bps = run.mean_bps(10, 15)
    assert run.first(lambda sample: sample.target_bps < 0.85 * before_bps, 15) < 20
    assert run.mean_bps(30, 45) >= 1e6, "about half of what was sent: less would cure nothing"


def test_loss_without_any_queue_is_congestion_if_less_makes_no_difference_to_what_arrives() -> None:
    run = viewer(path(3e6), PLENTY)
    run.down_link.plan((15, path(500e3, queue_bytes=6000)))
    run.run(40)
    assert run.first(lambda sample: sample.target_bps < 800e3, 15) < 22
    assert 300e3 <= run.mean_bps(30, 40) <= 700e3


@seeds
def test_bursts_of_loss_do_not_collapse_it(seed: int) -> None:
    run = viewer(path(2e6, loss=GilbertElliott(worsen=0.02, recover=0.1)), PLENTY, seed=seed).run(40)
    assert 0.1 < run.down_link.counters.lost / run.down_link.counters.sent < 0.25
    assert run.mean_bps(10, 40) >= 0.4 * 2e6


# --- noise


@seeds
@pytest.mark.parametrize("reordering", [True, False])
@pytest.mark.parametrize("jitter_s", [0.03, 0.1])
def test_jitter_and_reordering_do_not_collapse_it(jitter_s: float, reordering: bool, seed: int) -> None:
    noisy = path(3e6, jitter_s=jitter_s, reordering=reordering, overtaken=0.05, duplicated=0.05)
    run = viewer(noisy, 1.5e6, seed=seed).run(40)
    assert min(sample.target_bps for sample in run.between(5, 40)) >= 250e3
    assert run.mean_bps(10, 40) >= 500e3
    assert run.estimator.loss_fraction < 0.02, "what is late is not lost"


@seeds
def test_in_jitter_a_cut_is_seen_all_the_same(seed: int) -> None:
    noise = {"jitter_s": 0.03, "reordering": True}
    run = viewer(path(3e6, **noise), 2.6e6, seed=seed)
    run.down_link.plan((15, path(300e3, **noise)))
    run.run(45)
    assert run.first(lambda sample: sample.target_bps < 400e3, 15) < 18
    assert run.mean_bps(25, 45) <= 1.15 * 300e3


# --- a sender that has little to send


@seeds
@pytest.mark.parametrize("jitter_s", [0.0, 0.05])
def test_a_sender_of_audio_alone_keeps_its_estimate_and_ramps_up_quickly(jitter_s: float, seed: int) -> None:
    run = viewer(path(5e6, jitter_s=jitter_s), 0.0, useful_bps=64e3, seed=seed)
    run.run(30)
    assert all(sample.target_bps >= (400e3 if jitter_s else 600e3) for sample in run.samples)
    assert run.probes == []
    run.media.video_bps, run.useful_bps = 2e6, None
    run.run(40)
    assert run.first(lambda sample: sample.target_bps >= 2e6, 30) < (37 if jitter_s else 32)


@seeds
def test_what_is_sent_bounds_the_growth_without_probes(seed: int) -> None:
    run = viewer(path(20e6), 1e6, useful_bps=0.0, seed=seed).run(30)
    assert 1e6 < run.mean_bps(20, 30) <= 1.8e6


@seeds
def test_after_a_pause_of_the_video_the_estimate_is_still_there(seed: int) -> None:
    run = viewer(path(5e6), 2e6, seed=seed).run(10)
    before_bps = run.estimator.target_bps
    run.media.video_bps = 0
    run.run(40)
    assert run.estimator.target_bps >= 0.9 * before_bps
    run.media.video_bps = 2e6
    run.run(50)
    assert all(sample.target_bps >= 2e6 for sample in run.between(40, 50))


# --- reports that do not come


def test_reports_lost_for_a_second_change_nothing() -> None:
    run = viewer(path(3e6), 2.5e6)
    run.up_link.plan((10, Conditions(delay_s=0.025, loss=1.0)), (11, NEAR))
    run.run(30)
    assert all(sample.target_bps >= 2.5e6 for sample in run.between(9, 30))


def test_lossy_reports_change_nothing() -> None:
    run = viewer(path(1e6), PLENTY, up=replace(NEAR, loss=0.2, jitter_s=0.05, reordering=True, duplicated=0.1)).run(30)
    assert 0.8e6 <= run.mean_bps(10, 30) <= 1.15e6
    assert run.estimator.loss_fraction < 0.02


def test_without_reports_the_estimate_decays_and_comes_back_with_them() -> None:
    run = viewer(path(3e6), 2.5e6)
    run.up_link.plan((10, Conditions(delay_s=0.025, loss=1.0)), (16, NEAR))
    run.run(40)
    before_bps = run.mean_bps(9, 10)
    assert all(sample.target_bps >= 0.99 * before_bps for sample in run.between(10, 12))
    assert 0.2 * before_bps < run.between(15.9, 16)[0].target_bps < 0.6 * before_bps
    assert run.first(lambda sample: sample.target_bps >= 2.5e6, 16) < 26


@pytest.mark.parametrize("seconds", [5, 30])
def test_an_outage_of_the_path_is_survived(seconds: int) -> None:
    run = viewer(path(3e6), 2.5e6)
    run.down_link.plan((10, Conditions(loss=1.0)), (10 + seconds, path(3e6)))
    run.run(30 + seconds)
    assert run.between(9 + seconds, 10 + seconds)[-1].target_bps < 0.6 * run.mean_bps(9, 10)
    assert run.first(lambda sample: sample.target_bps >= 2.5e6, 10 + seconds) < 20 + seconds


def test_the_same_seed_gives_the_same_run() -> None:
    conditions = path(1e6, loss=0.02, jitter_s=0.02, reordering=True, duplicated=0.02)
    one, other = (viewer(conditions, PLENTY, seed=5).run(10) for _ in range(2))
    assert one.samples == other.samples
    assert one.samples != viewer(conditions, PLENTY, seed=6).run(10).samples
