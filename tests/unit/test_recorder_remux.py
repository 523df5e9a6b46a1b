"""A remuxed file is the same media with a duration and cues."""

from pathlib import Path

import av
import pytest

from recorder.remux import remux, stream_codecs
from recorder.settings import RecorderSettings
from recorder.track_file import TrackFile
from tests.support.encoded import opus_packets, vp8_frames
from tests.support.files import inspect
from tests.support.journals import S, audio_packets, make_file, video_packets
from tests.support.payloads import PAYLOADS


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    """A file whose last quarter is missing."""
    _, path = make_file("vp8", video_packets(vp8_frames(120), PAYLOADS["vp8"]), tmp_path)
    content = path.read_bytes()
    cut = tmp_path / "torn.webm"
    cut.write_bytes(content[: len(content) * 3 // 4])
    return cut


def test_a_torn_file_becomes_one_that_can_be_searched(torn: Path, tmp_path: Path) -> None:
    made = remux(torn, tmp_path / "whole.webm", "webm")
    report = inspect(tmp_path / "whole.webm")
    assert report.sound
    assert made.codecs == ("vp8",)
    assert made.has_video
    assert report.stream("video").packets == made.packets
    assert 60 < made.packets < 120
    assert report.duration_s == pytest.approx(made.duration_ns / S, abs=0.05)


def test_the_same_input_gives_the_same_bytes(torn: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        remux(torn, tmp_path / name, "webm")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_audio_can_be_searched_to_the_second(tmp_path: Path) -> None:
    _, path = make_file("opus", audio_packets(opus_packets(500)), tmp_path, settings=RecorderSettings(index_bytes=64))
    with av.open(str(path)) as container:
        container.seek(7_500_000)
        packet = next(container.demux(audio=0))
        assert packet.pts is not None
        assert 6.4 < float(packet.pts * packet.time_base) <= 7.5


def test_codecs_are_listed_video_first(tmp_path: Path) -> None:
    _, path = make_file("opus", audio_packets(opus_packets(50)), tmp_path)
    assert stream_codecs(path) == ("opus",)


@pytest.mark.parametrize("content", [b"", b"no media", bytes(10_000)])
def test_what_is_no_media_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(av.FFmpegError):
        stream_codecs(path)
    with pytest.raises((av.FFmpegError, ValueError)):
        remux(path, tmp_path / "out", "webm")


def test_the_index_of_three_hours_of_sound_fits_without_a_second_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the index outgrew its space")

    monkeypatch.setattr("recorder.track_file.remux", never)
    file = TrackFile(tmp_path / "sound.webm", "opus", 48_000, RecorderSettings().index_bytes)
    file.open(None)
    for second in range(3 * 3_600):  # one packet for each cluster of a second
        file.write(b"\xfc\xff\xfe", second * 48_000, 960, True)
    file.close()
    with av.open(str(tmp_path / "sound.webm")) as made:
        assert made.duration is not None
        assert made.duration > 10_799_000_000
