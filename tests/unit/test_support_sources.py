"""The known sources are what they claim, and their frame number survives encoding."""

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sfu.voice import STEP_S, Voice
from tests.support import counter, encoded, files, media


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    """60 frames of the known camera as VP8; two of them at least are key frames."""
    return encoded.vp8_frames(60, keyframe_every=30)


@pytest.fixture(scope="module")
def vp8_file(frames: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vp8_file_of(frames, tmp_path_factory.mktemp("media") / "camera.webm")


def vp8_file_of(frames: list[bytes], path: Path) -> Path:
    """WebM with these frames, one every 33 ms."""
    with av.open(str(path), "w", format="webm") as out:
        stream = out.add_mux_stream("vp8", rate=30, width=media.WIDTH, height=media.HEIGHT)
        for number, frame in enumerate(frames):
            packet = av.Packet(frame)
            packet.stream, packet.pts, packet.dts = stream, number * 33, number * 33
            packet.time_base = Fraction(1, 1000)
            packet.is_keyframe = not frame[0] & 1
            out.mux(packet)
    return path


@pytest.mark.parametrize("number", [0, 1, 2, 255, 341, 599])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_drawn_number_is_read_at_full_and_half_size(number: int, scale: int) -> None:
    luma = media.frame(number, media.background())[::scale, ::scale]
    assert counter.read_number(luma) == number


def test_a_frame_without_contrast_is_unreadable_and_not_a_number() -> None:
    assert counter.read_number(np.full((360, 640), 90, np.uint8)) is None


def test_a_frame_with_one_smeared_block_is_unreadable() -> None:
    luma = media.frame(77, media.background())
    luma[: media.TOP_INVERTED + media.BLOCK, media.LEFT : media.LEFT + media.BLOCK] = 128
    assert counter.read_number(luma) is None


def test_a_number_beyond_the_source_is_unreadable() -> None:
    luma = media.background()
    media.draw_counter(luma, media.FRAMES)
    assert counter.read_number(luma) is None


def test_every_frame_of_a_vp8_file_is_read_in_order(vp8_file: Path) -> None:
    readings = counter.read_file(vp8_file)
    assert [reading.number for reading in readings] == list(range(60))
    assert counter.steps(readings) == [1] * 59


def test_steps_tell_repeats_and_skips_across_the_end_of_the_source() -> None:
    readings = [counter.Reading(0.0, number) for number in (597, 598, 598, 0, None, 1)]
    assert counter.steps(readings) == [1, 0, 2, 1]


def test_a_vp8_file_is_reported_as_it_was_made(vp8_file: Path) -> None:
    report = files.inspect(vp8_file)
    video = report.stream("video")
    assert report.sound
    assert (video.codec, video.packets, video.frames) == ("vp8", 60, 60)
    assert video.sizes == {(640, 360): 60}
    assert video.keyframes >= 2
    assert video.span_s == pytest.approx(59 * 0.033, abs=0.002)


def without_start_code(frame: bytes) -> bytes:
    """A key frame whose head (RFC 6386 9.1) says nothing: a damaged byte of a picture may well decode to something."""
    assert frame[3:6] == b"\x9d\x01\x2a"
    return frame[:3] + bytes(3) + frame[6:]


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_with_a_damaged_key_frame_is_not_sound(which: int, frames: list[bytes], tmp_path: Path) -> None:
    number = [n for n, frame in enumerate(frames) if not frame[0] & 1][which]
    damaged = [*frames[:number], without_start_code(frames[number]), *frames[number + 1 :]]
    report = files.inspect(vp8_file_of(damaged, tmp_path / "damaged.webm"))
    assert report.stream("video").decode_errors >= 1
    assert not report.sound


def test_a_file_with_a_frame_that_is_cut_in_its_head_is_not_sound(frames: list[bytes], tmp_path: Path) -> None:
    cut = [*frames[:40], frames[40][:2], *frames[41:]]
    report = files.inspect(vp8_file_of(cut, tmp_path / "cut.webm"))
    assert report.stream("video").decode_errors >= 1
    assert not report.sound


def test_opus_packets_decode_to_20_ms_each() -> None:
    codec = av.CodecContext.create("opus", "r")
    assert isinstance(codec, av.AudioCodecContext)
    samples = sum(frame.samples for packet in encoded.opus_packets(50) for frame in codec.decode(av.Packet(packet)))
    assert samples == 50 * encoded.OPUS_SAMPLES


def test_vp8_payloads_carry_the_whole_frame_and_mark_its_start_once() -> None:
    frame = bytes(range(256)) * 12
    payloads = list(encoded.vp8_payloads(frame, 0x1234))
    assert b"".join(payload[4:] for payload in payloads) == frame
    assert [payload[0] for payload in payloads] == [0x90, 0x80, 0x80]
    assert all(payload[1:4] == b"\x80\x92\x34" for payload in payloads)


def test_the_camera_file_holds_its_600_frames() -> None:
    path = media.camera()
    frame_bytes = len(b"FRAME\n") + media.WIDTH * media.HEIGHT * 3 // 2
    with path.open("rb") as file:
        head = file.readline()
        file.seek(len(head) + 345 * frame_bytes + len(b"FRAME\n"))
        luma = np.frombuffer(file.read(media.WIDTH * media.HEIGHT), np.uint8).reshape(media.HEIGHT, media.WIDTH)
    assert path.stat().st_size == len(head) + media.FRAMES * frame_bytes
    assert counter.read_number(luma) == 345


def test_the_microphone_file_is_stereo_at_48_khz_and_never_repeats() -> None:
    with wave.open(str(media.microphone())) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getnframes()) == (48_000, 2, 20 * 48_000)
    left = media.sound()[:, 0].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(left, 2 * len(left))) ** 2
    similarity = np.fft.irfft(spectrum)[: len(left)]
    elsewhere = similarity[media.SAMPLE_RATE_HZ // 100 :]
    assert np.abs(elsewhere).max() < 0.2 * similarity[0]


def test_the_voice_speaks_most_of_the_time_and_never_pauses_for_a_second_but_at_its_end() -> None:
    with wave.open(str(media.voice())) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getnframes()) == (48_000, 2, 20 * 48_000)
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)[:, 0] / 32768
    power = (samples.reshape(-1, round(STEP_S * media.SAMPLE_RATE_HZ)) ** 2).mean(axis=1)
    levels = np.clip(np.round(-10 * np.log10(power + 1e-13)), 0, 127).astype(int)
    voice, spoken = Voice(), []
    for step, level in enumerate(levels):
        voice.step(int(level), step * STEP_S)
        spoken.append(voice.speaks)
    assert np.mean(spoken) > 0.6
    pauses = np.diff(np.flatnonzero(spoken)) * STEP_S
    assert pauses.max() < 1.0
    assert 15 <= np.min(levels[spoken]) <= 30
