"""The last picture of a file lasts until its track ended, and a screen may stand still."""

from pathlib import Path

import av
import pytest

from recorder.journal import JournalEnd, JournalPacket, JournalReport, Record
from recorder.manifest import Segment
from recorder.segment_probe import SegmentProbe
from recorder.settings import RecorderSettings
from recorder.track import FRAME_NS, TrackPipeline
from tests.support.files import inspect
from tests.support.journals import (
    MS,
    ZERO_NS,
    S,
    file_header,
    make_file,
    moved,
    repaired,
    track_header,
    video_packets,
)
from tests.support.payloads import PAYLOADS, encode

FRAMES = 60
MINUTES = 7 * 60 * S


@pytest.fixture(scope="module")
def screen() -> list[JournalPacket]:
    """2 s at 30 frames per second, beginning 1 s after the session."""
    return video_packets(encode("vp8", FRAMES), PAYLOADS["vp8"])


def gap_to_the_end(segment: Segment) -> bool:
    gap = segment.gaps[-1]
    return abs(gap.at_ns + gap.duration_ns - segment.start_ns - segment.duration_ns) < MS


def end(at_ns: int) -> JournalEnd:
    """`at_ns`: since the session began."""
    return JournalEnd(ZERO_NS + at_ns, 0)


@pytest.mark.parametrize("codec", list(PAYLOADS))
def test_a_static_screen_keeps_its_last_minutes(codec: str, tmp_path: Path) -> None:
    packets = video_packets(encode(codec, FRAMES), PAYLOADS[codec])
    segment, path = make_file(codec, [*packets, end(S + MINUTES)], tmp_path, kind="screen")
    assert segment.duration_ns == pytest.approx(MINUTES, abs=MS)
    last_ns = segment.start_ns + (FRAMES - 1) * S // 30
    assert [(gap.reason, gap.at_ns) for gap in segment.gaps] == [("static", pytest.approx(last_ns, abs=MS))]
    assert gap_to_the_end(segment)
    report = inspect(path)
    assert report.sound
    assert report.stream("video").frames == FRAMES
    assert report.duration_s == pytest.approx(segment.duration_ns / S, abs=0.002)


def test_a_screen_that_stands_still_in_the_middle_is_static(screen: list[JournalPacket], tmp_path: Path) -> None:
    """30 s without a frame, in RTP time as well."""
    half = [packet.timestamp for packet in screen].index(screen[len(screen) // 2].timestamp)
    later = [
        packet._replace(timestamp=(packet.timestamp + 30 * 90_000) & 0xFFFFFFFF)
        for packet in moved(screen[half:], 30 * S)
    ]
    records = [*screen[:half], *later]
    still, _ = make_file("vp8", records, tmp_path / "screen", kind="screen")
    camera, _ = make_file("vp8", records, tmp_path / "camera", kind="camera")
    (static,), (paused,) = still.gaps, camera.gaps
    assert (static.reason, paused.reason) == ("static", "paused")
    assert static.duration_ns == paused.duration_ns == pytest.approx(30 * S, abs=40 * MS)


def test_a_screen_of_which_a_frame_comes_every_second_lists_nothing(
    screen: list[JournalPacket], tmp_path: Path
) -> None:
    """As Chromium sends one that stands still, give or take."""
    slow = []
    for packet in screen:
        number = (packet.timestamp - screen[0].timestamp & 0xFFFFFFFF) // 3_000
        late = number * (S + 40 * MS - S // 30)
        slow.append(
            packet._replace(
                arrival_ns=packet.arrival_ns + late,
                timestamp=(packet.timestamp + late * 90_000 // S) & 0xFFFFFFFF,
            )
        )
    segment, _ = make_file("vp8", [*slow, end(63 * S)], tmp_path, kind="screen")
    assert segment.gaps == []
    assert segment.duration_ns == pytest.approx(62 * S, abs=MS)


def test_a_picture_that_goes_on_until_the_end_lasts_as_long_and_is_no_gap(
    screen: list[JournalPacket], tmp_path: Path
) -> None:
    segment, _ = make_file("vp8", [*screen, end(3 * S - 13 * MS)], tmp_path)
    assert segment.duration_ns == pytest.approx(2 * S - 13 * MS, abs=MS)
    assert segment.gaps == []


@pytest.mark.parametrize("missing_end", [(), (JournalEnd(ZERO_NS, 0),)])
def test_without_a_usable_end_it_lasts_as_long_as_the_one_before(
    missing_end: tuple[Record, ...], screen: list[JournalPacket], tmp_path: Path
) -> None:
    segment, _ = make_file("vp8", [*screen, *missing_end], tmp_path)
    assert segment.duration_ns == pytest.approx(2 * S, abs=MS)


def test_in_a_torn_journal_it_lasts_until_the_last_sender_report(screen: list[JournalPacket], tmp_path: Path) -> None:
    segment, _ = make_file("vp8", [*screen, JournalReport(ZERO_NS + 61 * S, 0, 0)], tmp_path, kind="screen")
    assert segment.duration_ns == pytest.approx(60 * S, abs=MS)


def test_a_single_picture_without_an_end_lasts_a_frame(screen: list[JournalPacket], tmp_path: Path) -> None:
    one = [packet for packet in screen if packet.timestamp == screen[0].timestamp]
    segment, path = make_file("vp8", one, tmp_path)
    assert segment.duration_ns == pytest.approx(FRAME_NS, abs=MS)
    assert inspect(path).duration_s == pytest.approx(FRAME_NS / S, abs=0.002)


def test_what_is_lost_at_the_end_is_called_that(screen: list[JournalPacket], tmp_path: Path) -> None:
    """No key frame came after it."""
    lost = screen[len(screen) * 3 // 4]
    segment, _ = make_file("vp8", [*[p for p in screen if p is not lost], end(3 * S)], tmp_path, kind="screen")
    assert [gap.reason for gap in segment.gaps] == ["lost"]
    assert gap_to_the_end(segment)
    assert segment.duration_ns == pytest.approx(2 * S, abs=2 * MS)


def test_a_frame_that_the_end_cut_off_is_not_called_lost(screen: list[JournalPacket], tmp_path: Path) -> None:
    segment, _ = make_file("vp8", [*screen[:-1], end(3 * S)], tmp_path)
    assert segment.gaps == []
    assert segment.packets is not None
    assert segment.packets.incomplete > 0


@pytest.mark.parametrize("seed", range(3))
def test_repairs_do_not_move_the_end(seed: int, screen: list[JournalPacket], tmp_path: Path) -> None:
    """Not even when the last frames are what came late."""
    plain, _ = make_file("vp8", [*screen, end(10 * S)], tmp_path / "plain")
    late, _ = make_file("vp8", [*screen[:50], *repaired(screen[50:], 0.2, seed), end(10 * S)], tmp_path / "late")
    assert (late.start_ns, late.duration_ns) == (plain.start_ns, pytest.approx(plain.duration_ns, abs=MS))


def test_the_report_calls_a_camera_frozen_that_gave_nothing_at_the_end(
    screen: list[JournalPacket], tmp_path: Path
) -> None:
    track = track_header("vp8")
    probe = SegmentProbe(track)
    pipeline = TrackPipeline(file_header(track), track, tmp_path, RecorderSettings(), probe)
    pipeline.feed([*screen, end(23 * S)])
    segment = pipeline.finish()
    figures = probe.finish()
    assert figures.gaps_ms == {"paused": round(segment.gaps[0].duration_ns / 1e6)}
    assert figures.video is not None
    assert figures.video.freezes.total_ms == pytest.approx(20_033, abs=2)


def test_the_file_says_how_long_its_last_picture_lasts(screen: list[JournalPacket], tmp_path: Path) -> None:
    _, path = make_file("vp8", [*screen, end(13 * S)], tmp_path)
    with av.open(str(path)) as container:
        times = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
        assert container.duration is not None
        assert times[-1] == pytest.approx(1_967, abs=1)
        assert container.duration / av.time_base == pytest.approx(12, abs=0.002)
