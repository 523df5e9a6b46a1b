"""Known people in the real program: what their files show was captured when the manifest says. See `bench.sync`."""

import asyncio

import pytest

from bench import captured, sync
from tests.support.plans import Pause, Person, Plan

PLAN = Plan(
    "far, late, muted, with loss",
    (
        Person(delay_s=0.05, loss=0.03, microphone_s=2.5, pauses=(Pause(5.0, 6.5, "stopped"),)),
        Person(delay_s=0.15, loss=0.03, joins_s=2.0, camera_s=3.5),
    ),
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> sync.Result:
    (found,) = asyncio.run(sync.measure(tmp_path_factory.mktemp("sync"), [PLAN]))
    return found


@pytest.mark.pain("2")
@pytest.mark.pain("6")
def test_sound_and_picture_of_each_fit_to_twenty_milliseconds(result: sync.Result) -> None:
    assert result.worst.av <= sync.BAR_MS, sync.row(result)


@pytest.mark.pain("1")
def test_people_fit_each_other_to_twenty_milliseconds(result: sync.Result) -> None:
    assert result.worst.between <= sync.BAR_MS, sync.row(result)


@pytest.mark.pain("1")
def test_everything_is_within_the_bound_that_the_manifest_gives(result: sync.Result) -> None:
    assert result.worst.beyond == 0, sync.row(result)


def test_nearly_every_second_of_sound_and_picture_was_compared(result: sync.Result) -> None:
    for found, wanted in (result.seen, result.heard):
        assert 0.8 * wanted < found <= wanted, sync.row(result)
        assert wanted > 3


@pytest.mark.parametrize(
    ("time_s", "session_s", "bound_s"),
    [(-1.0, 9.0, 0.001), (15.0, 25.5, 0.002), (30.0, 41.0, 0.002), (40.0, 51.0, 0.002)],
)
def test_a_map_is_read_along_straight_lines_and_goes_on_beyond_its_end(
    time_s: float, session_s: float, bound_s: float
) -> None:
    points = [(0, 10_000_000_000, 1_000_000), (30_000_000_000, 41_000_000_000, 2_000_000)]
    segment = {"map": [dict(zip(("file_ns", "session_ns", "bound_ns"), point, strict=True)) for point in points]}
    assert captured.session_time(segment, time_s) == pytest.approx((session_s, bound_s))


def test_without_a_map_the_start_is_all_there_is() -> None:
    segment = {"start_ns": 2_000_000_000, "start_bound_ns": 50_000_000}
    assert captured.session_time(segment, 3.0) == pytest.approx((5.0, 0.05))
