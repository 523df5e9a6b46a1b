"""The probes beside the pipeline: the same figures however the journal is read, and never a byte of the file."""

from pathlib import Path

import pytest

from recorder.audio_probe import AudioProbe
from recorder.journal import JournalPacket
from recorder.manifest import Segment
from recorder.report import SegmentFigures
from recorder.segment_probe import SegmentProbe
from recorder.settings import RecorderSettings
from recorder.track import TrackPipeline
from recorder.video_probe import VideoProbe
from tests.support.encoded import opus_packets
from tests.support.journals import (
    MS,
    S,
    audio_packets,
    file_header,
    make_file,
    moved,
    repaired,
    track_header,
    video_packets,
)
from tests.support.payloads import PAYLOADS, encode

CODECS = [*PAYLOADS, "opus"]


def damaged(codec: str) -> list[JournalPacket]:
    """Some packets never come, the rest late and in disorder."""
    if codec == "opus":
        return repaired(audio_packets(opus_packets(300)), 0.05, 3, never=True)
    return repaired(video_packets(encode(codec, 90), PAYLOADS[codec]), 0.003, 3, never=True)


def probed(
    codec: str, packets: list[JournalPacket], folder: Path, step: int = 50
) -> tuple[Segment, Path, SegmentFigures]:
    folder.mkdir(exist_ok=True)
    track = track_header(codec)
    probe = SegmentProbe(track)
    pipeline = TrackPipeline(file_header(track), track, folder, RecorderSettings(), probe)
    for at in range(0, len(packets), step):
        pipeline.feed(list(packets[at : at + step]))
    return pipeline.finish(), pipeline.path, probe.finish()


@pytest.mark.parametrize("codec", CODECS)
def test_the_file_is_the_same_with_and_without_probes(codec: str, tmp_path: Path) -> None:
    packets = damaged(codec)
    plain, without = make_file(codec, packets, tmp_path / "plain")
    seen, observed, figures = probed(codec, packets, tmp_path / "probed")
    assert observed.read_bytes() == without.read_bytes()
    assert seen == plain
    assert (figures.audio is None) == (codec != "opus")
    assert (figures.video is None) == (codec == "opus")


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_journal_gives_the_same_figures_however_it_is_read(codec: str, tmp_path: Path) -> None:
    packets = damaged(codec)
    *_, one = probed(codec, packets, tmp_path / "one", step=1)
    *_, two = probed(codec, packets, tmp_path / "two", step=997)
    assert one == two
    assert one.decoder.startswith("FFmpeg ")


def test_what_is_concealed_is_added_up_by_reason(tmp_path: Path) -> None:
    voice = audio_packets(opus_packets(300))
    lost = [packet for number, packet in enumerate(voice) if not 100 <= number < 105]
    stopped = lost[:150] + moved(lost[150:], 2_500 * MS)
    segment, _, figures = probed("opus", stopped, tmp_path)
    assert figures.gaps_ms == {"clock": 2_500, "lost": 100}
    assert sum(gap.duration_ns for gap in segment.gaps) == 2_600 * MS
    assert figures.audio is not None
    assert (figures.audio.packets, figures.audio.undecodable) == (295, 0)
    assert figures.audio.samples == 2 * 295 * 960


def test_gaps_beyond_those_that_are_listed_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.track.MAX_GAPS", 2)
    kept = [packet for number, packet in enumerate(audio_packets(opus_packets(100))) if number % 10 != 5]
    segment, _, figures = probed("opus", kept, tmp_path)
    assert (len(segment.gaps), segment.gaps_omitted) == (2, 8)
    assert figures.gaps_ms == {"lost": 200}


@pytest.mark.pain("18")
def test_a_lost_picture_is_a_freeze_at_its_place_in_the_file(tmp_path: Path) -> None:
    frames = encode("vp8", 120, key_every=60)
    packets = video_packets(frames, PAYLOADS["vp8"])
    times = sorted({packet.arrival_ns // (10 * MS) for packet in packets})
    lost = next(packet for packet in packets if packet.arrival_ns // (10 * MS) == times[10])
    *_, figures = probed("vp8", [packet for packet in packets if packet is not lost], tmp_path)
    assert figures.video is not None
    [freeze] = figures.video.freezes.listed
    assert freeze.file_ms == pytest.approx(300, abs=2)
    assert freeze.duration_ms == pytest.approx(1_700, abs=2)
    assert figures.gaps_ms == {"lost": pytest.approx(1_700, abs=2)}
    assert (figures.video.frames, figures.video.key_frames) == (70, 2)
    assert [(size.file_ms, size.width, size.height) for size in figures.video.sizes] == [(0, 320, 240)]


@pytest.mark.parametrize(("codec", "probe"), [("opus", AudioProbe), ("vp8", VideoProbe)])
@pytest.mark.parametrize("method", ["placed", "finish"])
def test_a_probe_that_fails_costs_the_report_a_reason_and_the_file_nothing(
    codec: str, probe: type, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = damaged(codec)
    _, plain = make_file(codec, packets, tmp_path / "plain")

    def fail(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(probe, method, fail)
    segment, path, figures = probed(codec, packets, tmp_path / "probed")
    assert path.read_bytes() == plain.read_bytes()
    assert segment.problem == ""
    where = "0.0 s into the file" if method == "placed" else "at its end"
    assert figures.problem == f"MemoryError {where}: no room"
    assert figures.gaps_ms


def test_a_probe_that_fails_in_a_gap_costs_the_file_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AudioProbe, "gap", lambda _: 1 / 0)
    *_, figures = probed("opus", damaged("opus"), tmp_path)
    assert figures.problem.startswith("ZeroDivisionError")


def test_a_codec_without_a_decoder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("recorder.video_probe").video_probe._DECODERS, "vp8", "no such decoder")
    segment, _, figures = probed("vp8", video_packets(encode("vp8", 30), PAYLOADS["vp8"]), tmp_path)
    assert segment.duration_ns > S // 2
    assert figures.problem.startswith("no decoder: ")
    assert figures.video is None
