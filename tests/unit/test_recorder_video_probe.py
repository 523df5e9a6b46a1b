"""What the report says about pictures: rates, freezes, sizes, and black, of every codec."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.frames import MediaFrame
from recorder.report import VideoFigures
from recorder.video_probe import MAX_PIXELS, VideoProbe
from tests.support.encoded import vp8_of
from tests.support.payloads import PAYLOADS, encode

S = 1_000_000_000
BLACK, GREY = 16, 50
"""Luma; a dark room is not black."""


def frame(data: bytes, key: bool, size: tuple[int, int] | None = None) -> MediaFrame:
    return MediaFrame(0, 0, True, data, key, size, 0, 1, "")


def seen(codec: str, frames: list[tuple[float, MediaFrame]]) -> VideoFigures:
    """Frames by the second at which they are shown."""
    probe = VideoProbe(codec)
    for at_s, placed in frames:
        probe.placed(placed, round(at_s * S))
    return probe.finish()


def steady(seconds: float, begin_s: float = 0.0, rate: int = 30) -> list[tuple[float, MediaFrame]]:
    """Delta frames, which nobody decodes."""
    return [(begin_s + number / rate, frame(b"", False)) for number in range(round(seconds * rate))]


@pytest.mark.parametrize("codec", list(PAYLOADS))
def test_a_black_key_frame_is_known_in_every_codec(codec: str) -> None:
    [black] = encode(codec, 1, luma=BLACK)
    [grey] = encode(codec, 1, luma=GREY)
    [noisy] = encode(codec, 1)
    figures = seen(codec, [(at, frame(data, True)) for at, data in enumerate((grey, black, noisy, black))])
    assert (figures.key_frames, figures.examined, figures.undecodable) == (4, 4, 0)
    assert (figures.black, figures.black_ms) == (2, [1000, 3000])


def test_a_picture_with_something_in_it_is_not_black() -> None:
    """A fiftieth of it is enough."""
    luma = np.full((360, 640), BLACK, np.uint8)
    luma[:90, :90] = 200
    assert seen("vp8", [(0, frame(vp8_of([luma])[0], True))]).black == 0


def test_at_most_one_key_frame_a_second_is_decoded() -> None:
    [black] = encode("vp8", 1, luma=BLACK)
    figures = seen("vp8", [(number / 30, frame(black, True)) for number in range(90)])
    assert (figures.frames, figures.key_frames, figures.examined) == (90, 90, 3)


def test_frames_are_counted_by_ten_seconds() -> None:
    figures = seen("vp8", steady(15) + steady(10, 35, rate=10))
    assert figures.frames_by_10_s == [300, 150, 0, 50, 50]
    assert figures.frames == 550


def test_a_freeze_is_more_than_half_a_second_between_frames() -> None:
    figures = seen("vp8", steady(1) + steady(1, 1.4) + steady(1, 5.0) + steady(1, 6.6))
    listed = [(freeze.file_ms, freeze.duration_ms) for freeze in figures.freezes.listed]
    assert listed == [(2367, 2633), (5967, 633)]
    assert (figures.freezes.count, figures.freezes.total_ms, figures.freezes.longest_ms) == (2, 3266, 2633)


def test_sizes_are_listed_when_they_change() -> None:
    sizes = [(0, (640, 360)), (4, (640, 360)), (8, (1280, 720)), (9, None), (12, (640, 360))]
    figures = seen("vp8", [(at, frame(b"?", True, size)) for at, size in sizes])
    assert [(one.file_ms, one.width, one.height) for one in figures.sizes] == [
        (0, 640, 360),
        (8000, 1280, 720),
        (12000, 640, 360),
    ]


def test_a_picture_that_is_too_large_is_left_alone() -> None:
    huge = (8192, MAX_PIXELS // 8192 + 1)
    figures = seen("vp8", [(0, frame(encode("vp8", 1)[0], True, huge))])
    assert (figures.key_frames, figures.examined, figures.undecodable) == (1, 0, 0)


@pytest.mark.parametrize("codec", list(PAYLOADS))
def test_a_picture_that_lies_about_its_size_is_refused(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the header parser read is not what the decoder reads."""
    monkeypatch.setattr("recorder.video_probe.MAX_PIXELS", 320 * 240 - 1)
    figures = seen(codec, [(0, frame(encode(codec, 1)[0], True, (16, 16)))])
    assert (figures.examined, figures.undecodable) == (0, 1)


@pytest.mark.parametrize("codec", list(PAYLOADS))
def test_after_garbage_the_next_key_frame_is_examined(codec: str) -> None:
    [black] = encode(codec, 1, luma=BLACK)
    figures = seen(codec, [(0, frame(black[:9], True)), (1, frame(b"\xff" * 50, True)), (2, frame(black, True))])
    assert figures.key_frames == 3
    assert figures.examined + figures.undecodable == 3
    assert figures.black_ms[-1] == 2000


@pytest.mark.parametrize("codec", list(PAYLOADS))
@given(data=st.binary(min_size=1, max_size=300))
def test_a_key_frame_of_anything_is_examined_or_refused(codec: str, data: bytes) -> None:
    figures = seen(codec, [(0, frame(data, True))])
    assert figures.examined + figures.undecodable == 1


def test_nothing_is_seen_in_nothing() -> None:
    assert seen("vp8", []) == VideoFigures()
