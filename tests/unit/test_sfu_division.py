"""What a viewer's network carries is divided among its pictures while they flow, in virtual time."""

import pytest

from sfu.congestion.rate_control import RateState
from sfu.division import Division
from sfu.interfaces import DeliveryState
from tests.support.layered_camera import Camera, Watching

OCTETS = {"l": 500, "m": 2000, "h": 6000}
"""Of a frame: about 135, 495 and 1455 kbit/s on the wire."""
WHOLE, REDUCED, PAUSED = DeliveryState.WHOLE, DeliveryState.REDUCED, DeliveryState.PAUSED


class Estimate:
    """What a division asks of an estimator, as a test says it."""

    target_bps = 100e6
    state = RateState.HOLD
    useful_bps = 0.0
    queue_s = 0.3


class Viewed:
    """One viewer of some cameras, whose network carries what a test says."""

    def __init__(self, count: int, rids: str = "lmh", height: int | None = 720) -> None:
        self.cameras = [Camera(rids, f"p{n}") for n in range(count)]
        self.watching: list[Watching] = []
        for camera in self.cameras:
            camera.octets = OCTETS
            self.watching.append(camera.viewer(height))
        self.estimator = Estimate()
        self.told: list[tuple[str, DeliveryState]] = []
        self.division = Division(lambda track_id, state: self.told.append((track_id, state)))
        self.speaker: str | None = None

    def carries(self, bps: float, state: RateState = RateState.HOLD) -> None:
        self.estimator.target_bps, self.estimator.state = bps, state

    def divide(self) -> None:
        viewed = [(c.track, w.subscription) for c, w in zip(self.cameras, self.watching, strict=True)]
        self.division.divide(viewed, self.estimator, self.speaker, self.cameras[0].now)  # type: ignore[arg-type]

    def is_short(self) -> bool:
        return self.division.is_short(self.estimator)  # type: ignore[arg-type]

    def run(self, seconds: float) -> None:
        for number in range(round(seconds * 30)):
            for camera in self.cameras:
                camera.frame()
            if number % 8 == 0:
                for camera in self.cameras:
                    camera.look()
                self.divide()

    def fresh(self) -> list[str]:
        """Layers that came since the last call, each once, in order; per camera."""
        return ["".join(dict.fromkeys(watching.fresh())) for watching in self.watching]

    def settled(self, seconds: float = 3.0) -> list[str]:
        self.run(seconds)
        self.fresh()
        self.run(1.0)
        return self.fresh()


def test_with_enough_each_picture_is_whole_and_nothing_is_said() -> None:
    viewed = Viewed(2)
    assert viewed.settled() == ["h", "h"]
    assert viewed.told == []


@pytest.mark.parametrize(("bps", "expected"), [(1.7e6, ["m", "m"]), (500e3, ["l", "l"]), (150e3, ["l", ""])])
def test_what_does_not_fit_comes_smaller_or_not_at_all(bps: float, expected: list[str]) -> None:
    viewed = Viewed(2)
    viewed.run(2.0)
    viewed.carries(bps)
    assert viewed.settled() == expected
    viewed.carries(100e6)
    assert viewed.settled() == ["h", "h"]
    states = dict(viewed.told)
    assert set(states.values()) == {WHOLE}


def test_the_page_is_told_once_for_each_change_and_again_when_it_may_have_missed_it() -> None:
    viewed = Viewed(2)
    viewed.run(2.0)
    viewed.carries(150e3)
    viewed.run(3.0)
    last = dict(viewed.told)
    assert last == {"t_p0": REDUCED, "t_p1": PAUSED}
    count = len(viewed.told)
    viewed.run(3.0)
    assert len(viewed.told) == count
    viewed.division.repeat()
    assert dict(viewed.told[count:]) == last


def test_who_speaks_is_seen_best() -> None:
    viewed = Viewed(3)
    viewed.speaker = "p1"
    viewed.carries(1.9e6)
    assert viewed.settled() == ["l", "h", "l"]
    viewed.speaker = "p2"
    viewed.carries(2.1e6)
    *others, speaker = viewed.settled()
    assert speaker == "h"
    assert "h" not in others


def test_a_picture_that_gets_smaller_ends_at_once_where_the_network_is_overloaded() -> None:
    viewed = Viewed(1)
    viewed.run(3.0)
    viewed.fresh()
    viewed.carries(300e3)
    viewed.divide()
    (watching,) = viewed.watching
    assert watching.subscription.encoding is None, "no more of the large one"
    viewed.run(1.0)
    assert viewed.fresh() == ["l"]


def test_a_little_too_little_ends_nothing_before_the_smaller_layer_is_there() -> None:
    viewed = Viewed(1)
    viewed.run(3.0)
    viewed.carries(1.3e6)
    viewed.divide()
    (watching,) = viewed.watching
    assert watching.subscription.encoding is viewed.cameras[0].layers["h"]
    assert viewed.settled() == ["m"]


def test_a_dip_of_the_estimate_pauses_nothing() -> None:
    viewed = Viewed(1)
    viewed.run(3.0)
    for _ in range(5):
        viewed.carries(50e3)
        viewed.run(0.6)
        viewed.carries(100e6)
        viewed.run(1.0)
    assert PAUSED not in [state for _, state in viewed.told]
    viewed.carries(50e3)
    viewed.run(2.0)
    assert viewed.told[-1] == ("t_p0", PAUSED)


def test_an_estimate_that_falls_is_not_left_waiting() -> None:
    viewed = Viewed(1)
    viewed.run(2.0)
    assert not viewed.is_short()
    viewed.estimator.target_bps = 1e6
    assert viewed.is_short()
    viewed.carries(1e6)
    viewed.divide()
    assert not viewed.is_short()


def test_before_the_network_has_shown_a_limit_the_smallest_of_each_is_sent() -> None:
    viewed = Viewed(3, rids="h")
    viewed.carries(600e3, RateState.START)
    assert viewed.settled() == ["h", "h", "h"]


def test_a_picture_that_nobody_looks_at_costs_nothing() -> None:
    viewed = Viewed(2)
    viewed.run(2.0)
    viewed.cameras[0].track.show(viewed.watching[0].subscription, 0)
    viewed.carries(1.8e6)
    assert viewed.settled() == ["", "h"]
    assert PAUSED not in dict(viewed.told).values(), "it is not the network that keeps it away"


def test_the_estimator_hears_what_would_be_useful() -> None:
    viewed = Viewed(2)
    viewed.carries(500e3)
    viewed.settled()
    whole_bps = sum(layer.meter.bps for camera in viewed.cameras for layer in [camera.layers["h"]])
    assert whole_bps < viewed.estimator.useful_bps < 1.5 * whole_bps


def test_a_track_that_ends_while_it_is_paused_leaves_nothing_behind() -> None:
    viewed = Viewed(2)
    viewed.run(2.0)
    viewed.carries(150e3)
    viewed.run(3.0)
    viewed.cameras.pop()
    viewed.watching.pop()
    viewed.run(1.0)
    before = len(viewed.told)
    viewed.division.repeat()
    assert {track_id for track_id, _ in viewed.told[before:]} <= {"t_p0"}
