"""What the report says about sound, against signals whose figures are known and against FFmpeg's own meter."""

import math
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.audio_probe import AudioProbe
from recorder.report import AudioFigures
from sfu.codecs import PayloadError, opus
from tests.support.encoded import opus_of
from tests.support.media import SAMPLE_RATE_HZ

PACKET_NS = 20_000_000
Wave = npt.NDArray[np.float64]


def stereo(wave: Wave) -> npt.NDArray[np.int16]:
    limited = np.clip(wave, -1, 1) * 32767
    return np.stack([limited, limited], axis=1).astype("<i2")


def sine(seconds: float, amplitude: float, frequency_hz: float = 997) -> Wave:
    times = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wave: Wave = amplitude * np.sin(2 * np.pi * frequency_hz * times)
    return wave


def noise(seconds: float, rms: float, seed: int = 3) -> Wave:
    return rms * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE_HZ))


def quiet(seconds: float) -> Wave:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ))


def heard(packets: list[bytes], gaps: dict[int, int] | None = None, channels: int = 2) -> AudioFigures:
    """Of packets one behind the other, with so many packets missing before the one of this number."""
    probe = AudioProbe(channels)
    at_ns = 0
    for number, packet in enumerate(packets):
        if missing := (gaps or {}).get(number):
            probe.gap()
            at_ns += missing * PACKET_NS
        probe.placed(packet, at_ns)
        at_ns += PACKET_NS
    return probe.finish()


def of(wave: Wave, **changes: int) -> AudioFigures:
    return heard(opus_of(stereo(wave), bit_rate=128_000), **changes)


def ffmpeg_loudness(packets: list[bytes]) -> float:
    """What `ebur128` itself says of the decoded packets, frame by frame."""
    decoder = av.CodecContext.create("libopus", "r")
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        format="flt", sample_rate=SAMPLE_RATE_HZ, layout="stereo", time_base=Fraction(1, SAMPLE_RATE_HZ)
    )
    meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    said = ""
    at = 0
    resample = av.AudioResampler(format="flt", layout="stereo", rate=SAMPLE_RATE_HZ)
    for packet in packets:
        for decoded in decoder.decode(av.Packet(packet)):  # type: ignore[attr-defined]
            for frame in resample.resample(decoded):
                frame.pts, frame.time_base = at, Fraction(1, SAMPLE_RATE_HZ)
                at += frame.samples
                graph.push(frame)
                while True:
                    try:
                        said = graph.pull().metadata.get("lavfi.r128.I", said)  # type: ignore[union-attr]
                    except av.BlockingIOError:
                        break
    return float(said)


@pytest.mark.parametrize("lufs", [-20.0, -14.0, -35.0])
def test_a_sine_has_the_loudness_that_it_was_made_with(lufs: float) -> None:
    """997 Hz on both channels: as loud as its level in dBFS (BS.1770: two channels add 3 dB, an RMS takes them)."""
    packets = opus_of(stereo(sine(10, 10 ** (lufs / 20))), bit_rate=128_000)
    figures = heard(packets)
    assert figures.integrated_lufs == pytest.approx(lufs, abs=0.1)
    assert figures.integrated_lufs == pytest.approx(ffmpeg_loudness(packets), abs=0.1)
    assert figures.sample_peak_dbfs == pytest.approx(lufs, abs=0.5)
    assert figures.samples == 2 * 10 * SAMPLE_RATE_HZ


def test_loudness_of_speech_with_pauses_is_what_ffmpeg_says() -> None:
    """The gates matter here."""
    wave = np.concatenate([part for seed in range(6) for part in (noise(1.3, 0.05, seed), noise(0.9, 0.0003, seed))])
    packets = opus_of(stereo(wave), bit_rate=128_000)
    assert heard(packets).integrated_lufs == pytest.approx(ffmpeg_loudness(packets), abs=0.1)


def test_the_gap_between_two_sounds_is_no_silence_to_the_meter() -> None:
    packets = opus_of(stereo(sine(10, 0.1)), bit_rate=128_000)
    assert heard(packets, {250: 500}).integrated_lufs == heard(packets).integrated_lufs


def test_clipped_sound_is_counted_and_placed() -> None:
    """Two seconds that were far too loud, from the third on."""
    figures = of(np.concatenate([sine(3, 0.3), sine(2, 4.0), sine(3, 0.3)]))
    assert figures.clipped_samples > 0.1 * figures.samples / 4
    assert (figures.clipped.count, figures.clipped.listed[0].file_ms) == (1, 3000)
    assert figures.clipped.total_ms == pytest.approx(2000, abs=100)
    assert figures.sample_peak_dbfs is not None
    assert figures.sample_peak_dbfs >= 0


def test_loud_sound_that_fits_is_not_clipped() -> None:
    figures = of(sine(3, 0.8))
    assert (figures.clipped_samples, figures.clipped.count) == (0, 0)


@pytest.mark.parametrize("dbfs", [-45.0, -60.0])
def test_the_noise_floor_is_what_is_left_in_the_pauses(dbfs: float) -> None:
    rms = 10 ** (dbfs / 20)
    speech = np.concatenate([part for seed in range(8) for part in (noise(1.5, 0.1, seed), noise(1, rms, seed))])
    figures = of(speech)
    assert figures.noise_floor_dbfs == pytest.approx(dbfs, abs=1.5)


def test_digital_silence_is_measured_and_is_no_noise_floor() -> None:
    figures = of(np.concatenate([noise(3, 0.01), quiet(5), noise(3, 0.01)]))
    assert figures.digital_silence_ms == pytest.approx(5000, abs=200)
    assert figures.noise_floor_dbfs == pytest.approx(-40, abs=1)


def test_only_long_silence_is_listed() -> None:
    """8 s are a pause, 12 s are silence; a faint hum below -60 dBFS is silence too, but not of digits."""
    parts = [noise(2, 0.05), quiet(8), noise(2, 0.05), sine(12, 0.0005, 100), noise(2, 0.05)]
    figures = of(np.concatenate(parts))
    assert figures.silence.count == 1
    [silence] = figures.silence.listed
    assert silence.file_ms == pytest.approx(12_000, abs=200)
    assert silence.duration_ms == pytest.approx(12_000, abs=200)
    assert figures.digital_silence_ms == pytest.approx(8_000, abs=300)


def test_silence_goes_on_over_a_gap_and_ends_before_one() -> None:
    packets = opus_of(stereo(np.concatenate([quiet(6), quiet(6), noise(2, 0.05)])))
    over = heard(packets, {300: 100})
    assert [(one.file_ms, one.duration_ms) for one in over.silence.listed] == [(0, pytest.approx(14_000, abs=100))]
    before = heard(opus_of(stereo(np.concatenate([quiet(12), noise(2, 0.05)]))), {600: 500})
    assert [(one.file_ms, one.duration_ms) for one in before.silence.listed] == [(0, pytest.approx(12_000, abs=100))]


def test_what_comes_after_a_gap_is_placed_after_it() -> None:
    wave = np.concatenate([sine(1.01, 0.3), sine(1, 4.0)])
    figures = heard(opus_of(stereo(wave), bit_rate=128_000), {50: 250})
    assert figures.clipped.listed[0].file_ms == pytest.approx(6_000, abs=100)


def test_a_track_of_zeros_has_neither_peak_nor_loudness_nor_floor() -> None:
    figures = of(quiet(11))
    assert (figures.integrated_lufs, figures.sample_peak_dbfs, figures.noise_floor_dbfs) == (None, None, None)
    assert figures.silence.total_ms == pytest.approx(11_000, abs=1)


def test_nothing_is_found_in_nothing() -> None:
    assert heard([]) == AudioFigures()
    short = heard(opus_of(stereo(sine(0.06, 0.1))))
    assert (short.packets, short.samples, short.integrated_lufs) == (3, 2 * 2880, None)


def test_a_mono_stream_is_heard_as_one_channel() -> None:
    figures = heard(opus_of(stereo(sine(5, 0.1))), channels=1)
    assert figures.samples == 5 * SAMPLE_RATE_HZ
    assert figures.integrated_lufs == pytest.approx(-23, abs=0.3)


def test_packets_that_the_decoder_refuses_are_counted_and_the_rest_is_heard() -> None:
    packets = opus_of(stereo(sine(6, 0.1)), bit_rate=128_000)
    broken = [b"\xff\x41" if number % 50 == 7 else packet for number, packet in enumerate(packets)]
    figures = heard(broken)
    assert (figures.packets, figures.undecodable) == (300, 6)
    assert figures.integrated_lufs == pytest.approx(-20, abs=0.3)


def _placeable(data: bytes) -> bool:
    """The pipeline places nothing else."""
    try:
        opus.duration_ticks(data)
    except PayloadError:
        return False
    return True


@given(st.lists(st.binary(min_size=1, max_size=200).filter(_placeable), max_size=20))
def test_whatever_is_placed_is_examined_to_its_end(packets: list[bytes]) -> None:
    figures = heard(packets)
    assert figures.packets == len(packets)
    for value in (figures.integrated_lufs, figures.sample_peak_dbfs, figures.noise_floor_dbfs):
        assert value is None or math.isfinite(value)
