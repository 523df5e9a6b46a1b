"""The instrument that judges files finds fault with nothing that is whole."""

from pathlib import Path

from tests.support.files import inspect

VECTORS = Path(__file__).parents[1] / "vectors"


def test_valid_frames_that_ffmpeg_refuses_in_slice_threads_are_sound() -> None:
    """As Chromium encoded them, byte for byte; libvpx decodes them too."""
    report = inspect(VECTORS / "vp8_refused_in_slices.webm")
    assert report.sound
    assert report.stream("video").frames == 9
