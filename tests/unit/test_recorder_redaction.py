"""A file without a range: nothing of the range is in it in any form, everything else is where it was."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.events import OffRecordMarked
from recorder.manifest import Segment
from recorder.off_record import DRIFT_NS, PACKET_NS, concerns, redacted_name
from recorder.redaction import FRAME_NS, Cut, PictureCutter, SoundCutter, cuts_of, redact
from recorder.remux import remux
from tests.support import counter
from tests.support.encoded import opus_packets, vp8_frames
from tests.support.files import inspect
from tests.support.journals import S, audio_packets, make_file, video_packets
from tests.support.media import SAMPLE_RATE_HZ
from tests.support.payloads import PAYLOADS, encode

MS = S // 1000
Sound = npt.NDArray[np.float32]
"""Shape (2, samples)."""


def marked(start_ns: int, stop_ns: int, id: str = "off_a") -> OffRecordMarked:
    return OffRecordMarked(off_record_id=id, start_ns=start_ns, stop_ns=stop_ns, marked_by="", marked_ns=stop_ns)


def decoded(path: Path, decoder: str = "opus") -> Sound:
    """All samples, by a decoder that is not told anything that the file does not say."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        context = av.CodecContext.create(decoder, "r")
        assert isinstance(context, av.AudioCodecContext)
        context.extradata = stream.codec_context.extradata
        context.sample_rate, context.layout = SAMPLE_RATE_HZ, "stereo"
        resampler = av.AudioResampler("fltp", "stereo", SAMPLE_RATE_HZ)
        parts = []
        for packet in container.demux(stream):
            for frame in context.decode(packet):
                parts += [part.to_ndarray() for part in resampler.resample(frame)]
        return np.concatenate(parts, axis=1)


def packets(path: Path, kind: str) -> list[tuple[int, bytes]]:
    """Time in the file in milliseconds, and data."""
    with av.open(str(path)) as container:
        [stream] = [one for one in container.streams if one.type == kind]
        return [
            (round(packet.pts * packet.time_base * 1000), bytes(packet))
            for packet in container.demux(stream)
            if packet.pts is not None and packet.time_base is not None
        ]


# --- sound


@pytest.mark.parametrize("decoder", ["opus", "libopus"])
@pytest.mark.parametrize("fec", [False, True], ids=["music", "speech with in-band FEC"])
def test_inside_a_range_sound_is_silent_and_every_other_sample_stays_where_it_was(
    tmp_path: Path, fec: bool, decoder: str
) -> None:
    segment, whole = make_file("opus", audio_packets(opus_packets(300, fec=fec)), tmp_path)
    range_ = marked(segment.start_ns + 2 * S, segment.start_ns + 3 * S)
    target = tmp_path / "redacted.webm"
    [left_out] = redact(whole, target, "webm", [range_], segment)
    before, after = decoded(whole, decoder), decoded(target, decoder)
    assert after.shape == before.shape
    inside = slice(2 * SAMPLE_RATE_HZ, 3 * SAMPLE_RATE_HZ)
    assert np.abs(before[:, inside]).max() > 0.05
    assert np.abs(after[:, inside]).max() == 0
    first = int((left_out.from_ns - segment.start_ns) * SAMPLE_RATE_HZ / S) - 960
    assert np.array_equal(after[:, :first], before[:, :first])
    # a decoder needs a moment until it is where it would have been
    settled = int((left_out.to_ns - segment.start_ns) * SAMPLE_RATE_HZ / S) + SAMPLE_RATE_HZ
    assert np.abs(after[:, settled:] - before[:, settled:]).max() < 1e-3
    assert inspect(target).sound


def test_what_was_said_is_in_no_form_in_the_file(tmp_path: Path) -> None:
    segment, whole = make_file("opus", audio_packets(opus_packets(300)), tmp_path)
    target = tmp_path / "redacted.webm"
    range_ = marked(segment.start_ns + 2 * S, segment.start_ns + 3 * S)
    redact(whole, target, "webm", [range_], segment)
    content = target.read_bytes()
    before = packets(whole, "audio")
    assert [at for at, _ in packets(target, "audio")] == [at for at, _ in before]
    for at_ms, data in before:
        if at_ms + 20 > 2000 - 50 - 20 and at_ms < 3000 + 50 + 20:
            assert data not in content
        if at_ms < 1900 or at_ms > 3100:
            assert data in content


def test_the_same_file_and_ranges_give_the_same_bytes_and_others_another_name(tmp_path: Path) -> None:
    segment, whole = make_file("opus", audio_packets(opus_packets(100)), tmp_path)
    for name in ("one", "two"):
        redact(whole, tmp_path / name, "webm", [marked(segment.start_ns + S, segment.start_ns + S + 1)], segment)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert redacted_name("seg", ["a", "b"], "webm") == redacted_name("seg", ["b", "a"], "webm")
    assert len({redacted_name("seg", ids, "webm") for ids in (["a"], ["b"], ["a", "b"], ["ab"])}) == 4


def test_a_range_over_the_whole_of_a_sound_leaves_silence(tmp_path: Path) -> None:
    segment, whole = make_file("opus", audio_packets(opus_packets(100)), tmp_path)
    target = tmp_path / "redacted.webm"
    redact(whole, target, "webm", [marked(0, 100 * S)], segment)
    after = decoded(target)
    assert after.shape == decoded(whole).shape
    assert np.abs(after).max() == 0


# --- pictures


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264", "av1"])
def test_pictures_are_missing_from_the_range_to_the_next_key_frame(codec: str, tmp_path: Path) -> None:
    segment, whole = make_file(codec, video_packets(encode(codec, 150), PAYLOADS[codec]), tmp_path)
    format_name = "matroska" if codec == "h264" else "webm"
    target = tmp_path / "redacted"
    [left_out] = redact(
        whole, target, format_name, [marked(segment.start_ns + 2 * S, segment.start_ns + 5 * S // 2)], segment
    )
    before, after = packets(whole, "video"), packets(target, "video")
    missing = [frame for frame in before if frame not in after]
    assert [frame for frame in before if frame in after] == after
    at_ms = [at for at, _ in missing]
    assert 1860 <= at_ms[0] <= 1950
    assert at_ms[-1] == 2967, "the frame before the key frame at 3 s"
    assert at_ms[-1] - at_ms[0] == pytest.approx(33 * (len(missing) - 1), abs=len(missing))
    content = target.read_bytes()
    assert all(data not in content for _, data in missing)
    assert inspect(target).sound
    assert left_out.from_ns - segment.start_ns == pytest.approx(at_ms[0] * MS, abs=MS)
    assert left_out.to_ns - segment.start_ns == pytest.approx(3 * S, abs=MS)


def test_every_picture_that_is_left_is_the_one_that_was_shown_then(tmp_path: Path) -> None:
    segment, whole = make_file("vp8", video_packets(vp8_frames(180), PAYLOADS["vp8"]), tmp_path)
    target = tmp_path / "redacted.webm"
    redact(whole, target, "webm", [marked(segment.start_ns + 2 * S, segment.start_ns + 3 * S)], segment)
    shown = counter.read_file(target)
    assert [reading.number for reading in shown] == [*range(58), *range(120, 180)]
    assert all(reading.time_s == pytest.approx(reading.number / 30, abs=0.001) for reading in shown)


def test_without_a_key_frame_behind_the_range_nothing_more_is_shown(tmp_path: Path) -> None:
    segment, whole = make_file("vp8", video_packets(vp8_frames(60), PAYLOADS["vp8"]), tmp_path)
    target = tmp_path / "redacted.webm"
    redact(whole, target, "webm", [marked(segment.start_ns + S, segment.start_ns + S + 1)], segment)
    assert [reading.number for reading in counter.read_file(target)] == list(range(28))
    with pytest.raises(ValueError, match="no packets"):
        redact(whole, target, "webm", [marked(segment.start_ns, segment.start_ns + 1)], segment)


# --- a local copy: picture and sound in one file


def captured(path: Path, sound_codec: str) -> None:
    """As a browser captures it: 4 s of VP8, and sound in Opus or uncompressed."""
    with av.open(str(path), "w", format="matroska") as container:
        video = container.add_stream("libvpx", rate=30, options={"deadline": "realtime", "cpu-used": "8"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt, video.gop_size = 160, 120, "yuv420p", 15
        audio = container.add_stream(sound_codec, rate=SAMPLE_RATE_HZ)
        assert isinstance(audio, av.AudioStream)
        audio.layout = "stereo"
        audio.format = "flt" if sound_codec == "pcm_f32le" else "s16"
        noise = np.random.default_rng(3).uniform(-0.5, 0.5, (1, 2 * 1600 * 120)).astype(np.float32)
        for number in range(120):
            picture = av.VideoFrame(160, 120, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 30)
            container.mux(video.encode(picture))
            block = noise[:, number * 3200 : (number + 1) * 3200]
            data = block if sound_codec == "pcm_f32le" else (block * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), format=audio.format.name, layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, number * 1600, Fraction(1, SAMPLE_RATE_HZ)
            container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


@pytest.mark.parametrize(("sound_codec", "decoder"), [("libopus", "opus"), ("pcm_f32le", "pcm_f32le")])
def test_both_streams_of_a_local_copy_lose_the_range(sound_codec: str, decoder: str, tmp_path: Path) -> None:
    joined, whole, target = (tmp_path / name for name in ("joined", "whole.mkv", "redacted.mkv"))
    captured(joined, sound_codec)
    remux(joined, whole, "matroska")
    segment = Segment(segment_id="seg", copy="local", state="stored", start_ns=7 * S, start_bound_ns=10 * MS)
    left_out = redact(whole, target, "matroska", [marked(8 * S, 9 * S)], segment)
    before, after = decoded(whole, decoder), decoded(target, decoder)
    assert after.shape == before.shape
    inside = slice(SAMPLE_RATE_HZ, 2 * SAMPLE_RATE_HZ)
    assert np.abs(before[:, inside]).max() > 0.1
    assert np.abs(after[:, inside]).max() == 0
    assert np.abs(after[:, : SAMPLE_RATE_HZ * 8 // 10] - before[:, : SAMPLE_RATE_HZ * 8 // 10]).max() == 0
    at_ms = [at for at, _ in packets(target, "video")]
    assert not [at for at in at_ms if 980 <= at <= 2020]
    assert {0, 900, 2500, 3967} <= set(at_ms)
    assert len(left_out) == 2
    assert inspect(target).sound


# --- the cores


def test_nothing_is_taken_that_lies_far_from_the_range() -> None:
    segment = Segment(segment_id="seg", copy="server", state="stored", start_ns=10 * S, start_bound_ns=50 * MS)
    [cut] = cuts_of([marked(20 * S, 21 * S)], segment)
    assert cut.begin_ns == pytest.approx(10 * S - 50 * MS, abs=5 * MS)
    assert cut.end_ns == pytest.approx(11 * S + 50 * MS, abs=5 * MS)
    [late] = cuts_of([marked(7_210 * S, 7_211 * S)], segment)
    assert late.begin_ns == 7_200 * S - 50 * MS - DRIFT_NS - MS, "two hours later its clock may have drifted"


def test_ranges_that_touch_are_one() -> None:
    segment = Segment(segment_id="seg", copy="server", state="stored", start_ns=0, start_bound_ns=0)
    cuts = cuts_of([marked(5 * S, 6 * S), marked(S, 2 * S), marked(2 * S, 3 * S), marked(S, 4 * S)], segment)
    assert [(cut.begin_ns // S, cut.end_ns // S) for cut in cuts] == [(0, 4), (4, 6)]


@given(
    start=st.integers(0, 10 * S),
    bound=st.integers(0, S),
    begin=st.integers(0, 100 * S),
    length=st.integers(1, 20 * S),
    duration=st.sampled_from([S // 400, S // 50, PACKET_NS]),
    at=st.integers(0, 120 * S),
)
def test_whatever_is_taken_from_a_file_the_file_is_known_to_hold_it(
    start: int, bound: int, begin: int, length: int, duration: int, at: int
) -> None:
    """`concerns` hides the whole file wherever a redaction would change it."""
    segment = Segment(segment_id="seg", copy="server", state="stored", start_ns=start, start_bound_ns=bound)
    range_ = marked(begin, begin + length)
    sound, picture = SoundCutter("pcm_s16le", cuts_of([range_], segment)), PictureCutter(cuts_of([range_], segment))
    changed = sound.take(b"x", at, duration) != b"x"
    if changed or not picture.take(at, True):
        assert concerns(range_, start, bound + 2 * MS, at + duration)
    if begin - bound < start + at + duration and start + at < begin + length + bound:
        assert changed


@given(
    cuts=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=3),
    keys=st.sets(st.integers(0, 99)),
)
def test_no_picture_stays_that_refers_to_one_that_is_gone(cuts: list[tuple[int, int]], keys: set[int]) -> None:
    """Frames of 40 ms, 0..99."""
    cutter = PictureCutter([Cut(begin * FRAME_NS, (begin + length) * FRAME_NS) for begin, length in cuts])
    stays = [cutter.take(number * FRAME_NS, number in keys or number == 0) for number in range(100)]
    for number in range(1, 100):
        if stays[number] and not stays[number - 1]:
            assert number in keys
        if any(begin <= number <= begin + length for begin, length in cuts):
            assert not stays[number]
    gone = {number for number, kept in enumerate(stays) if not kept}
    told = {n for cut in cutter.left_out for n in range(cut.begin_ns // FRAME_NS, cut.end_ns // FRAME_NS)}
    assert told == gone


@pytest.mark.parametrize("codec", ["opus", "vorbis", "pcm_u8"])
def test_what_no_silence_is_known_of_is_left_out(codec: str) -> None:
    cutter = SoundCutter(codec, [Cut(0, S)])
    assert cutter.take(b"", 0, 20 * MS) is None
    assert cutter.take(b"\x18", 5 * S, 20 * MS) == b"\x18"
