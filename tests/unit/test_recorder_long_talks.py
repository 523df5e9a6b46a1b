"""What hurts in long talks: many mutes, loss, late begins. Files keep the time of the session and the same length."""

import tracemalloc
from pathlib import Path

import pytest

from recorder.journal import JournalEnd, JournalPacket
from tests.support.encoded import OPUS_SAMPLES, opus_packets, vp8_frames
from tests.support.files import inspect
from tests.support.journals import MS, ZERO_NS, S, audio_packets, make_file, moved, pipeline, repaired, video_packets
from tests.support.payloads import PAYLOADS, encode

FIT_NS = 20 * MS
MUTES = 50
LOSSES = (0.0, 0.02, 0.05, 0.1)


def talk(spoken_s: float, mutes: int, muted_ns: int, *, clock_stops: bool) -> list[JournalPacket]:
    """Sound that is muted again and again. `clock_stops`: as when a track is taken away, its RTP clock stands still."""
    packets = audio_packets(opus_packets(round(spoken_s * 50) * (mutes + 1)))
    each = round(spoken_s * 50)
    muted = []
    for number, packet in enumerate(packets):
        before = number // each
        timestamp = packet.timestamp + (0 if clock_stops else before * muted_ns * 48_000 // S)
        muted += moved([packet._replace(timestamp=timestamp)], before * muted_ns)
    return muted


@pytest.mark.pain("5")
@pytest.mark.parametrize("clock_stops", [False, True])
def test_fifty_mutes_move_nothing(tmp_path: Path, clock_stops: bool) -> None:
    packets = talk(0.6, MUTES, 1_300 * MS, clock_stops=clock_stops)
    segment, path = make_file("opus", packets, tmp_path)
    took_ns = packets[-1].arrival_ns - packets[0].arrival_ns + 20 * MS
    assert segment.duration_ns == pytest.approx(took_ns, abs=FIT_NS)
    assert len(segment.gaps) == MUTES
    assert sum(gap.duration_ns for gap in segment.gaps) == pytest.approx(MUTES * 1_300 * MS, abs=FIT_NS)
    sound = inspect(path).stream("audio")
    assert sound.samples / 48_000 == pytest.approx(took_ns / S, abs=0.02), "nothing is stretched, and silence is there"
    arrived_s = [(packet.arrival_ns - packets[0].arrival_ns) / S for packet in packets]
    for at_s in arrived_s[::29]:
        assert min(abs(at_s - pts_s) for pts_s in sound.pts_s) < 0.01, "every packet is where it came"


@pytest.mark.pain("7")
def test_sound_that_stood_still_is_as_long_as_the_picture_beside_it(tmp_path: Path) -> None:
    packets = talk(1.0, 4, 2_000 * MS, clock_stops=True)
    took_ns = packets[-1].arrival_ns - packets[0].arrival_ns
    pictures = video_packets(vp8_frames(took_ns * 30 // S + 1), PAYLOADS["vp8"])
    sound, _ = make_file("opus", packets, tmp_path / "sound")
    picture, _ = make_file("vp8", pictures, tmp_path / "picture")
    assert sound.start_ns == pytest.approx(picture.start_ns, abs=FIT_NS)
    ends = [segment.start_ns + segment.duration_ns for segment in (sound, picture)]
    assert ends[0] == pytest.approx(ends[1], abs=FIT_NS + S // 30)


@pytest.mark.pain("8")
def test_where_a_file_begins_is_in_the_manifest_and_not_in_the_file_or_its_name(tmp_path: Path) -> None:
    made = [
        make_file("opus", audio_packets(opus_packets(100), at_ns=at_ns), tmp_path / str(at_ns))
        for at_ns in (S, 8_300 * MS)
    ]
    (first, path), (later, later_path) = made
    assert later.start_ns - first.start_ns == 7_300 * MS
    assert path.name == later_path.name == f"{first.segment_id}.webm"
    assert path.read_bytes() == later_path.read_bytes()
    assert inspect(later_path).stream("audio").pts_s[0] == 0


@pytest.mark.pain("9")
@pytest.mark.parametrize("codec", ["opus", "vp8"])
def test_a_file_is_as_long_whatever_was_lost(tmp_path: Path, codec: str) -> None:
    if codec == "opus":
        whole = audio_packets(opus_packets(500))
    else:
        whole = video_packets(encode("vp8", 300, width=64, height=48, key_every=5), PAYLOADS["vp8"])
    lengths = []
    for loss in LOSSES:
        # A beginning that was lost is no hole, and of sound no end that was lost either.
        lossy = [*whole[:20], *repaired(whole[20:-1], loss, 3, never=True), whole[-1]]
        end = JournalEnd(whole[-1].arrival_ns + 20 * MS, len(lossy))
        segment, _ = make_file(codec, [*lossy, end], tmp_path / str(loss))
        assert segment.packets is not None
        assert (segment.packets.lost > 0) == (loss > 0)
        lengths.append(segment.duration_ns)
    assert max(lengths) - min(lengths) <= FIT_NS


@pytest.mark.pain("22")
def test_what_is_held_of_a_track_does_not_grow_with_it(tmp_path: Path) -> None:
    """Ten times as long costs no more memory, with a twentieth of the packets repaired late."""
    loop = opus_packets(500)
    made = pipeline("opus", tmp_path)
    held = []
    tracemalloc.start()
    try:
        for number in range(20):
            begin = number * len(loop)
            packets = [
                packet._replace(sequence=packet.sequence + begin, timestamp=(begin + place) * OPUS_SAMPLES & 0xFFFFFFFF)
                for place, packet in enumerate(audio_packets(loop, at_ns=S + number * len(loop) * 20 * MS))
            ]
            made.feed(list(repaired(packets, 0.05, number)))
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(held[10:]) < max(held[:2]) + 100_000, held
    segment = made.finish()
    assert inspect(made.path).stream("audio").monotonic
    assert segment.packets is not None
    assert segment.packets.written == 20 * len(loop)
    assert segment.duration_ns == pytest.approx(20 * len(loop) * 20 * MS, abs=FIT_NS)


@pytest.mark.pain("21")
@pytest.mark.parametrize("at_ns", [0, S])
def test_no_time_of_a_segment_is_negative_and_one_without_a_frame_has_failed(tmp_path: Path, at_ns: int) -> None:
    packets = audio_packets(opus_packets(50), at_ns=at_ns)
    told, _ = make_file("opus", packets, tmp_path / "file")
    empty, _ = make_file("opus", [packet._replace(payload=b"") for packet in packets], tmp_path / "none")
    assert (empty.state, empty.start_ns, empty.duration_ns) == ("failed", 0, 0)
    assert empty.problem
    assert min(told.start_ns, told.duration_ns) >= 0
    assert packets[0].arrival_ns == ZERO_NS + at_ns
