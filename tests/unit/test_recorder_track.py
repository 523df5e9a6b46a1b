"""A track's file: whole, in order, on the session clock, and the same whenever it is made."""

import random
from pathlib import Path

import av
import pytest

from recorder import track
from recorder.journal import (
    JournalDropped,
    JournalEnd,
    JournalPacket,
    JournalPicture,
    JournalReception,
    JournalReport,
    Record,
)
from recorder.manifest import PacketCounts, Picture, Reception, software
from recorder.settings import RecorderSettings
from sfu import interfaces as sfu_interfaces
from tests.support import counter
from tests.support.encoded import opus_packets, vp8_frames
from tests.support.files import inspect
from tests.support.journals import MS, ZERO_NS, S, audio_packets, make_file, moved, repaired, video_packets
from tests.support.payloads import PAYLOADS, encode

CODECS = list(PAYLOADS)


@pytest.fixture(scope="module")
def camera() -> list[JournalPacket]:
    """4 s of frames that carry their number."""
    return video_packets(vp8_frames(120), PAYLOADS["vp8"])


@pytest.fixture(scope="module")
def voice() -> list[JournalPacket]:
    """6 s."""
    return audio_packets(opus_packets(300))


def accounted(counts: PacketCounts | None) -> bool:
    assert counts is not None
    damaged = counts.malformed + counts.incomplete + counts.cut_short + counts.awaiting_key
    unplaced = counts.duplicate + counts.late + counts.stray + counts.empty + counts.overlapping
    return counts.received == counts.written + damaged + unplaced


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_becomes_a_file_that_decodes_frame_by_frame(codec: str, tmp_path: Path) -> None:
    segment, path = make_file(codec, video_packets(encode(codec, 60), PAYLOADS[codec]), tmp_path)
    report = inspect(path)
    assert report.sound, report
    assert path.suffix == (".mkv" if codec == "h264" else ".webm")
    video = report.stream("video")
    assert (video.codec, video.frames, video.keyframes) == (codec, 60, 2)
    assert video.sizes == {(320, 240): 60}
    assert segment.start_ns == pytest.approx(S, abs=MS)
    assert segment.duration_ns / 1e9 == pytest.approx(2, abs=0.001)
    assert report.duration_s == pytest.approx(segment.duration_ns / 1e9, abs=0.002)
    assert segment.gaps == []
    assert accounted(segment.packets)


@pytest.mark.pain("11")
@pytest.mark.parametrize("codec", CODECS)
def test_a_picture_that_changes_its_size_at_a_key_frame_stays_in_the_file(codec: str, tmp_path: Path) -> None:
    """As over a change of the simulcast layer. H264 takes its new parameter sets from the stream."""
    frames = encode(codec, 20) + encode(codec, 20, width=160, height=120) + encode(codec, 20)
    segment, path = make_file(codec, video_packets(frames, PAYLOADS[codec]), tmp_path)
    report = inspect(path)
    assert report.sound, report
    video = report.stream("video")
    assert (video.frames, video.keyframes) == (60, 3)
    assert video.sizes == {(320, 240): 40, (160, 120): 20}
    assert segment.gaps == []


def test_opus_becomes_a_file_whose_samples_count_the_time(voice: list[JournalPacket], tmp_path: Path) -> None:
    segment, path = make_file("opus", voice, tmp_path)
    report = inspect(path)
    assert report.sound, report
    audio = report.stream("audio")
    assert (audio.codec, audio.packets, audio.channels) == ("opus", 300, 2)
    assert audio.samples == pytest.approx(6 * 48_000, abs=648)
    assert segment.duration_ns == 6 * S
    assert report.duration_s == pytest.approx(6, abs=0.02)


@pytest.mark.pain("19")
@pytest.mark.parametrize("seed", range(5))
def test_no_frame_is_missing_when_every_lost_packet_is_repaired_late(
    camera: list[JournalPacket], seed: int, tmp_path: Path
) -> None:
    segment, path = make_file("vp8", repaired(camera, 0.05, seed), tmp_path)
    assert [reading.number for reading in counter.read_file(path)] == list(range(120))
    assert segment.gaps == []
    assert segment.corrections == []
    assert accounted(segment.packets)


@pytest.mark.parametrize("seed", range(5))
def test_no_audio_packet_is_missing_when_every_lost_packet_is_repaired_late(
    voice: list[JournalPacket], seed: int, tmp_path: Path
) -> None:
    segment, path = make_file("opus", repaired(voice, 0.05, seed), tmp_path)
    assert inspect(path).stream("audio").packets == 300
    assert segment.packets is not None
    assert (segment.packets.written, segment.packets.concealed, segment.packets.lost) == (300, 0, 0)


def test_repair_and_order_of_arrival_leave_no_trace_in_the_file(camera: list[JournalPacket], tmp_path: Path) -> None:
    _, plain = make_file("vp8", camera, tmp_path / "plain")
    _, late = make_file("vp8", repaired(camera, 0.05, 1), tmp_path / "late")
    assert plain.read_bytes() == late.read_bytes()


@pytest.mark.parametrize("codec", [*CODECS, "opus"])
def test_the_same_journal_gives_the_same_bytes_however_it_is_read(codec: str, tmp_path: Path) -> None:
    if codec == "opus":
        packets = repaired(audio_packets(opus_packets(200)), 0.1, 3, never=True)
    else:
        packets = repaired(video_packets(encode(codec, 60), PAYLOADS[codec]), 0.003, 3, never=True)
    first, one = make_file(codec, packets, tmp_path / "one", step=1)
    second, two = make_file(codec, packets, tmp_path / "two", step=997)
    assert one.read_bytes() == two.read_bytes()
    assert first == second


def test_lost_audio_is_concealed_and_listed(voice: list[JournalPacket], tmp_path: Path) -> None:
    hole = [packet for number, packet in enumerate(voice) if not 100 <= number < 105 and number != 200]
    segment, path = make_file("opus", hole, tmp_path)
    report = inspect(path)
    assert report.sound
    assert report.stream("audio").samples == pytest.approx(6 * 48_000, abs=648)
    assert [(gap.at_ns - segment.start_ns, gap.duration_ns, gap.reason) for gap in segment.gaps] == [
        (2 * S, 100 * MS, "lost"),
        (4 * S, 20 * MS, "lost"),
    ]
    assert segment.packets is not None
    assert (segment.packets.lost, segment.packets.concealed) == (6, 6)


def test_video_that_the_sender_gave_up_is_listed_as_unsent(camera: list[JournalPacket], tmp_path: Path) -> None:
    times = sorted({packet.timestamp for packet in camera}, key=lambda time: (time - 0xFFFF_0000) & 0xFFFFFFFF)
    unsent = [packet for packet in camera if packet.timestamp in times[58:60]][1:]
    kept = [packet for packet in camera if packet not in unsent]
    renumbered = [packet._replace(sequence=camera[0].sequence + n) for n, packet in enumerate(kept)]
    segment, path = make_file("vp8", renumbered, tmp_path)
    assert [reading.number for reading in counter.read_file(path)] == [*range(58), *range(60, 120)]
    (gap,) = segment.gaps
    assert gap.reason == "unsent"
    assert gap.at_ns - segment.start_ns == pytest.approx(57 * S / 30, abs=MS)
    assert gap.duration_ns == pytest.approx(3 * S / 30, abs=MS)
    assert segment.packets is not None
    assert (segment.packets.lost, segment.packets.cut_short) == (0, 1)
    assert accounted(segment.packets)


def test_a_file_that_was_late_at_first_begins_when_it_should(voice: list[JournalPacket], tmp_path: Path) -> None:
    hole = [packet for number, packet in enumerate(voice) if number != 200]
    late = [p._replace(arrival_ns=max(p.arrival_ns + 4 * MS, voice[0].arrival_ns + 1_500 * MS)) for p in hole]
    plain, one = make_file("opus", hole, tmp_path / "plain")
    slow, two = make_file("opus", late, tmp_path / "late")
    assert one.read_bytes() == two.read_bytes()
    assert slow.start_ns - plain.start_ns == pytest.approx(4 * MS, abs=MS)
    assert [slow_gap.at_ns - gap.at_ns for slow_gap, gap in zip(slow.gaps, plain.gaps, strict=True)] == [
        slow.start_ns - plain.start_ns
    ]


@pytest.mark.pain("19")
def test_lost_video_waits_for_a_key_frame_and_is_listed(camera: list[JournalPacket], tmp_path: Path) -> None:
    times = sorted({packet.timestamp for packet in camera}, key=lambda time: (time - 0xFFFF_0000) & 0xFFFFFFFF)
    lost = next(packet for packet in camera if packet.timestamp == times[10])
    segment, path = make_file("vp8", [packet for packet in camera if packet is not lost], tmp_path)
    report = inspect(path)
    assert report.sound
    assert [reading.number for reading in counter.read_file(path)] == [*range(10), *range(60, 120)]
    (gap,) = segment.gaps
    assert gap.reason == "lost"
    assert gap.at_ns - segment.start_ns == pytest.approx(9 * S / 30, abs=MS)
    assert gap.duration_ns == pytest.approx(51 * S / 30, abs=MS)
    assert accounted(segment.packets)


def test_a_journal_that_begins_between_key_frames_begins_with_the_next_key_frame(
    camera: list[JournalPacket], tmp_path: Path
) -> None:
    late = [packet for packet in camera if packet.arrival_ns > ZERO_NS + S + 500 * MS]
    segment, path = make_file("vp8", late, tmp_path)
    assert [reading.number for reading in counter.read_file(path)] == list(range(60, 120))
    assert segment.start_ns == pytest.approx(3 * S, abs=MS)
    assert segment.gaps == []


@pytest.mark.pain("4")
def test_a_stopped_rtp_clock_is_bridged_by_arrival_times(voice: list[JournalPacket], tmp_path: Path) -> None:
    """`replaceTrack(null)` for 2.5 s: RTP time and sequence numbers go on as if nothing had been."""
    segment, path = make_file("opus", voice[:150] + moved(voice[150:], 2_500 * MS), tmp_path)
    report = inspect(path)
    assert report.sound
    assert report.stream("audio").samples == pytest.approx(8.5 * 48_000, abs=648)
    assert segment.duration_ns == 8_500 * MS
    (gap,) = segment.gaps
    assert (gap.at_ns - segment.start_ns, gap.duration_ns, gap.reason) == (3 * S, 2_500 * MS, "clock")
    (correction,) = segment.corrections
    assert correction.applied_ns == 2_500 * MS


def test_a_pause_of_any_length_is_filled_to_2_5_ms(voice: list[JournalPacket], tmp_path: Path) -> None:
    segment, path = make_file("opus", voice[:150] + moved(voice[150:], 1_013 * MS), tmp_path)
    audio = inspect(path).stream("audio")
    assert audio.decode_errors == 0
    assert audio.samples == pytest.approx(7.0125 * 48_000, abs=648)
    assert segment.duration_ns == pytest.approx(7_012.5 * MS)


def test_a_network_that_stalls_for_two_seconds_moves_nothing(voice: list[JournalPacket], tmp_path: Path) -> None:
    """Packets 100 to 200 come all at once, up to 2 s late."""
    freed = voice[200].arrival_ns
    stalled = [
        packet._replace(arrival_ns=max(packet.arrival_ns, freed)) if number >= 100 else packet
        for number, packet in enumerate(voice)
    ]
    segment, path = make_file("opus", stalled, tmp_path)
    assert segment.corrections == []
    assert segment.gaps == []
    assert inspect(path).stream("audio").packets == 300


def test_a_pause_of_the_camera_is_listed(camera: list[JournalPacket], tmp_path: Path) -> None:
    begin = ZERO_NS + S
    kept = [packet for packet in camera if not begin + 2 * S + 20 * MS < packet.arrival_ns]
    later = [
        packet._replace(timestamp=(packet.timestamp + 90_000 * 3) & 0xFFFFFFFF)
        for packet in moved([packet for packet in camera if packet not in kept], 3 * S)
    ]
    segment, _ = make_file("vp8", kept + later, tmp_path)
    (gap,) = segment.gaps
    assert gap.reason == "paused"
    assert gap.duration_ns == pytest.approx(3 * S + S / 30, abs=MS)


def test_duplicates_and_padding_change_nothing(camera: list[JournalPacket], tmp_path: Path) -> None:
    _, plain = make_file("vp8", camera, tmp_path / "plain")
    twice = [packet for packet in camera for _ in range(2)]
    segment, doubled = make_file("vp8", twice, tmp_path / "twice")
    assert plain.read_bytes() == doubled.read_bytes()
    assert segment.packets is not None
    assert segment.packets.duplicate == len(camera)
    assert accounted(segment.packets)


def test_an_empty_packet_is_counted_and_breaks_no_frame(camera: list[JournalPacket], tmp_path: Path) -> None:
    padded = []
    for number, packet in enumerate(camera):
        padded.append(packet._replace(sequence=packet.sequence + number // 100))
        if number % 100 == 99:
            padded.append(padded[-1]._replace(sequence=padded[-1].sequence + 1, payload=b"", marker=False))
    segment, path = make_file("vp8", padded, tmp_path)
    assert [reading.number for reading in counter.read_file(path)] == list(range(120))
    assert segment.packets is not None
    assert segment.packets.empty == len(camera) // 100


@pytest.mark.parametrize("codec", [*CODECS, "opus"])
def test_garbage_makes_no_file_and_no_exception(codec: str, tmp_path: Path) -> None:
    chance = random.Random(5)
    garbage = [
        JournalPacket(ZERO_NS + n * MS, n, chance.getrandbits(32), chance.random() < 0.3, chance.randbytes(n % 300))
        for n in range(2_000)
    ]
    segment, _ = make_file(codec, garbage, tmp_path)
    assert segment.packets is not None
    assert segment.packets.received == 2_000
    assert accounted(segment.packets)


def test_a_track_without_a_frame_says_so(tmp_path: Path) -> None:
    segment, path = make_file("vp8", [], tmp_path)
    assert (segment.state, segment.problem) == ("failed", "no frame could be decoded")
    assert not path.exists()


@pytest.mark.parametrize(("named", "unread"), [(300, 0), (303, 3), (298, 2)])
def test_the_number_that_the_journals_end_names_is_compared(
    named: int, unread: int, voice: list[JournalPacket], tmp_path: Path
) -> None:
    segment, _ = make_file("opus", [*voice, JournalEnd(voice[-1].arrival_ns, named)], tmp_path)
    assert segment.packets is not None
    assert (segment.packets.received, segment.packets.unread) == (300, unread)
    assert accounted(segment.packets)


def test_spatial_layers_are_counted(tmp_path: Path) -> None:
    """A second layer of each picture, which is 7 bytes of nothing here."""
    packets = []
    for packet in video_packets(encode("vp9", 5), PAYLOADS["vp9"]):
        packets.append(packet._replace(sequence=2 * packet.sequence, marker=False))
        if packet.marker:
            upper = bytes((packet.payload[0] & ~0x02 | 0x0C,)) + packet.payload[1:3] + bytes((1 << 1 | 1, 0)) + bytes(7)
            packets.append(packet._replace(sequence=2 * packet.sequence + 1, payload=upper))
        else:
            packets.append(packet._replace(sequence=2 * packet.sequence + 1, payload=b""))
    segment, _ = make_file("vp9", packets, tmp_path / "layers")
    assert segment.spatial_layers == 2
    assert make_file("vp9", video_packets(encode("vp9", 5), PAYLOADS["vp9"]), tmp_path / "one")[0].spatial_layers == 0


def test_what_the_node_dropped_is_counted(voice: list[JournalPacket], tmp_path: Path) -> None:
    records = [*voice[:100], JournalDropped(voice[104].arrival_ns, 5), *voice[105:]]
    segment, _ = make_file("opus", records, tmp_path)
    assert segment.packets is not None
    assert (segment.packets.dropped, segment.packets.lost) == (5, 5)


def test_a_sender_report_moves_the_journals_clock(voice: list[JournalPacket], tmp_path: Path) -> None:
    """A gap at the end of what was sent: the reports that go on coming let the rest out."""
    records = [*voice[:50], *voice[51:60]]
    report = JournalReport(voice[60].arrival_ns + 4 * S, 0, 0)
    segment, _ = make_file("opus", [*records, report], tmp_path)
    assert segment.packets is not None
    assert segment.packets.written == 59


def test_a_file_that_outgrows_its_reserved_index_gets_cues_all_the_same(
    voice: list[JournalPacket], tmp_path: Path
) -> None:
    settings = RecorderSettings(index_bytes=64)
    _, path = make_file("opus", voice, tmp_path, settings=settings)
    report = inspect(path)
    assert report.sound
    assert report.stream("audio").packets == 300
    with av.open(str(path)) as container:
        container.seek(4_000_000)
        packet = next(container.demux(audio=0))
        assert packet.pts is not None
        assert 2.5 < float(packet.pts * packet.time_base) <= 4.0


def test_a_file_can_be_read_while_it_is_made(camera: list[JournalPacket], tmp_path: Path) -> None:
    """All but the last cluster and what waits for the timeline is on disk."""
    from tests.support.journals import pipeline

    made = pipeline("vp8", tmp_path)
    made.feed(list(camera))
    report = inspect(made.path)
    assert report.stream("video").frames > 30
    made.finish()


# --- what is told beside the packets


def test_sizes_and_layers_of_the_picture_are_listed_with_the_largest(
    camera: list[JournalPacket], tmp_path: Path
) -> None:
    pictures: list[Record] = [
        JournalPicture(ZERO_NS + S, 65_500, 640, 360, "m"),
        JournalPicture(ZERO_NS + 2 * S, 65_600, 1280, 720, "h"),
        JournalPicture(ZERO_NS + 3 * S, 65_700, 360, 640, "m"),
    ]
    segment, _ = make_file("vp8", [*camera[:10], *pictures, *camera[10:]], tmp_path)
    assert segment.pictures == [
        Picture(S, 640, 360, "m"),
        Picture(2 * S, 1280, 720, "h"),
        Picture(3 * S, 360, 640, "m"),
    ]
    assert (segment.width, segment.height, segment.pictures_omitted) == (1280, 720, 0)
    assert segment.made_by == software()


def test_changes_of_the_picture_are_bounded_and_the_rest_is_counted(
    camera: list[JournalPacket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track, "MAX_PICTURES", 3)
    pictures: list[Record] = [JournalPicture(ZERO_NS + S, 65_500, 160 * n, 360, "") for n in range(1, 9)]
    segment, _ = make_file("vp8", [*camera, *pictures], tmp_path)
    assert (len(segment.pictures), segment.pictures_omitted) == (3, 5)
    assert (segment.width, segment.height) == (1280, 360), "also of one that is not listed"


def test_how_the_stream_came_is_that_of_the_end(voice: list[JournalPacket], tmp_path: Path) -> None:
    told: list[Record] = [
        JournalReception(ZERO_NS + S, sfu_interfaces.Reception(0, 10, 0, 0, 0, 0, 0)),
        JournalReception(ZERO_NS + 6 * S, sfu_interfaces.Reception(41_500, 300, 6, 5, 14, 3, 20)),
    ]
    segment, _ = make_file("opus", [*voice, *told], tmp_path)
    assert segment.reception == Reception(
        round_trip_ms=41.5, received=300, repaired=6, reordered=5, missed=14, given_up=3, asked_for=20
    )
    assert make_file("opus", voice, tmp_path)[0].reception is None
    assert (segment.width, segment.pictures) == (0, [])
