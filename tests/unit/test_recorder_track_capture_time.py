"""From packets and sender reports to capture times, through the pipeline: to the sample and to the frame."""

from pathlib import Path

import av
import numpy as np
import pytest

from recorder.journal import JournalPacket
from recorder.manifest import Segment
from recorder.track_map import placed_alone
from tests.support.encoded import opus_of, opus_packets, vp8_frames
from tests.support.journals import MS, S, audio_packets, pipeline, told, video_packets
from tests.support.payloads import PAYLOADS

CLICK = 100_000
"""Sample number."""


def made(codec: str, packets: list[JournalPacket], folder: Path, **path: int) -> tuple[Segment, Path]:
    folder.mkdir(exist_ok=True)
    track = pipeline(codec, folder)
    track.feed(list(told(packets, 48_000 if codec == "opus" else 90_000, **path)))
    segment = track.finish()
    return placed_alone(segment, track.clock_facts()), track.path


def click_heard_s(path: Path) -> float:
    """When a player plays the loudest sample, counted from the beginning of the file."""
    loudest, at_s = 0.0, 0.0
    with av.open(str(path)) as file:
        for frame in file.decode(audio=0):
            samples = np.abs(frame.to_ndarray()[0])
            place = int(samples.argmax())
            if samples[place] > loudest:
                assert frame.pts is not None
                assert frame.time_base is not None
                loudest, at_s = float(samples[place]), float(frame.pts * frame.time_base) + place / 48_000
    return at_s


@pytest.mark.parametrize("delay_ms", [1, 50])
def test_a_sample_is_heard_when_the_map_says_that_it_was_captured(delay_ms: int, tmp_path: Path) -> None:
    """Containers count in milliseconds. Without the encoder's pre-skip it would be 6.5 ms off."""
    samples = np.zeros((200_000, 2), np.int16)
    samples[CLICK] = 30_000
    packets = audio_packets(opus_of(samples, bit_rate=128_000))
    segment, path = made("opus", packets, tmp_path, delay_ms=delay_ms, round_trip_ms=2 * delay_ms)
    captured_ns = S + CLICK * S // 48_000
    heard_ns = segment.start_ns + round(click_heard_s(path) * S)
    assert heard_ns == pytest.approx(captured_ns, abs=1.5 * MS)
    assert segment.start_bound_ns >= delay_ms * MS


@pytest.mark.parametrize(("delay_ms", "pipeline_ms"), [(1, 0), (50, 40), (150, 90)])
def test_a_picture_has_the_time_of_its_capture_whatever_the_way_and_the_encoder_took(
    delay_ms: int, pipeline_ms: int, tmp_path: Path
) -> None:
    packets = video_packets(vp8_frames(90), PAYLOADS["vp8"])
    segment, _ = made("vp8", packets, tmp_path, delay_ms=delay_ms, round_trip_ms=2 * delay_ms, pipeline_ms=pipeline_ms)
    assert segment.start_ns == pytest.approx(S, abs=MS // 10)
    assert segment.map_basis == "own"
    assert delay_ms * MS < segment.start_bound_ns < (delay_ms + 20) * MS


def test_a_clock_that_stood_still_is_mapped_on_both_sides(tmp_path: Path) -> None:
    """Sound stops for 2.5 s and its RTP clock with it, as in `replaceTrack(null)`."""
    packets = audio_packets(opus_packets(400))
    records = told(packets, 48_000, delay_ms=5, round_trip_ms=10)
    stopped_ns = packets[200].arrival_ns
    paused = [
        record._replace(arrival_ns=record.arrival_ns + 2_500 * MS) if record.arrival_ns >= stopped_ns else record
        for record in records
        if isinstance(record, JournalPacket)
    ]
    track = pipeline("opus", tmp_path)
    track.feed(list(paused))
    segment = placed_alone(track.finish(), track.clock_facts())
    assert [point.file_ns for point in segment.map] == pytest.approx([0, 4 * S, 6.5 * S, 10.5 * S], abs=3 * MS)
    ahead_ms = [(point.session_ns - point.file_ns) / MS for point in segment.map]
    assert ahead_ms == pytest.approx([1_000.0 - 6.5] * 4, abs=6.0)
    assert len(segment.corrections) == 1


def test_what_is_recorded_does_not_depend_on_what_reports_say(tmp_path: Path) -> None:
    packets = audio_packets(opus_packets(100))
    _, plain = made("opus", packets, tmp_path / "a", delay_ms=0)
    _, other = made("opus", packets, tmp_path / "b", delay_ms=0, round_trip_ms=40)
    assert plain.read_bytes() == other.read_bytes()
