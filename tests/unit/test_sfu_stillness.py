"""A recorded camera whose frames get small is asked for a key frame, and not more often than promised. Virtual time."""

import random

import pytest

from sfu.stillness import INTERVAL_S, WINDOW_S, Stillness

LOOK_S = 0.25


class Camera:
    """30 frames a second; sends a key frame for every request."""

    def __init__(self) -> None:
        self.now = 50.0
        self.asked: list[float] = []
        self.key_bytes = 30_000
        self._octets = self._frames = self._keys = 0
        self._stillness = Stillness()

    def send(self, seconds: float, frame_bytes: int, fps: float = 30) -> None:
        end = self.now + seconds
        while self.now < end - 1e-9:
            frames = max(1, round(fps * LOOK_S))
            self._frames += frames
            self._octets += frames * frame_bytes
            self.now += LOOK_S
            if self._stillness.look(self._octets, self._frames, self._keys, self.now):
                self.asked.append(self.now)
                self._keys += 1
                self._octets += self.key_bytes


def test_a_lively_camera_is_never_asked() -> None:
    camera, chance = Camera(), random.Random(1)
    for _ in range(600):
        camera.send(1, chance.randint(2000, 7000))
    assert camera.asked == []


@pytest.mark.parametrize("small", [20, 200, 600])
def test_frames_that_get_small_are_looked_at_at_once_and_every_ten_seconds(small: int) -> None:
    camera = Camera()
    camera.send(20, 4000)
    began = camera.now
    camera.send(25, small)
    assert camera.asked[0] - began <= WINDOW_S + 2 * LOOK_S
    assert [after - before for before, after in zip(camera.asked, camera.asked[1:], strict=False)] == [INTERVAL_S] * 2


def test_when_they_are_large_again_once_more() -> None:
    camera = Camera()
    camera.send(20, 4000)
    camera.send(15, 50)
    before = len(camera.asked)
    camera.send(60, 4000)
    assert len(camera.asked) == before + 1


def test_what_the_network_holds_back_is_not_asked() -> None:
    camera = Camera()
    camera.send(20, 4000)
    began = len(camera.asked)
    stillness = Stillness()
    for step in range(400):
        assert not stillness.look(100 * (step // 4), step // 4, 0, step * LOOK_S)
    assert len(camera.asked) == began


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_it_is_never_asked_more_often_than_promised(seed: int) -> None:
    camera, chance = Camera(), random.Random(seed)
    for _ in range(300):
        frame_bytes = chance.choice([10, 100, 800, 4000, 20_000])
        camera.send(chance.choice([0.25, 1, 3, 12]), frame_bytes, chance.choice([5, 30]))
    gaps = [after - before for before, after in zip(camera.asked, camera.asked[1:], strict=False)]
    assert gaps
    assert min(gaps) >= INTERVAL_S
