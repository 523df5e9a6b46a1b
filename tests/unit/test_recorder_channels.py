"""A file says mono where all its sound is, and stereo from the first packet on that is; decoders believe it."""

from pathlib import Path

import av
import numpy as np
import pytest

from recorder.head import find_channels
from recorder.settings import RecorderSettings
from recorder.track import STEREO_BIT
from tests.support.encoded import OPUS_SAMPLES, opus_packets
from tests.support.files import inspect
from tests.support.journals import audio_packets, make_file, pipeline
from tests.support.media import SAMPLE_RATE_HZ

COUNT = 150
"""Packets of 20 ms: three seconds."""


def mono_packets(count: int) -> list[bytes]:
    """Of a tone."""
    codec = av.CodecContext.create("libopus", "w")
    assert isinstance(codec, av.AudioCodecContext)
    codec.sample_rate, codec.format, codec.layout = SAMPLE_RATE_HZ, "s16", "mono"
    times = np.arange((count + 1) * OPUS_SAMPLES) / SAMPLE_RATE_HZ
    tone = (8_000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)
    encoded: list[bytes] = []
    for number in range(count + 1):
        block = np.ascontiguousarray(tone[number * OPUS_SAMPLES : (number + 1) * OPUS_SAMPLES].reshape(1, -1))
        pcm = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        pcm.sample_rate, pcm.pts = SAMPLE_RATE_HZ, number * OPUS_SAMPLES
        encoded += [bytes(packet) for packet in codec.encode(pcm)]
    return encoded[:count]


def stated(path: Path) -> list[int]:
    """Channels by the track's head, and by its OpusHead."""
    content = path.read_bytes()
    return [content[at] for at in find_channels(path)]


@pytest.mark.parametrize("index_bytes", [RecorderSettings().index_bytes, 64])
@pytest.mark.parametrize(("stereo", "channels"), [(0, 1), (1, 2), (COUNT, 2)])
def test_the_head_says_what_the_sound_is(stereo: int, channels: int, index_bytes: int, tmp_path: Path) -> None:
    """The last packets are stereo; also when the cues had to be written by a second pass."""
    packets = mono_packets(COUNT - stereo) + opus_packets(COUNT)[:stereo]
    assert [bool(packet[0] & STEREO_BIT) for packet in packets].count(True) == stereo
    settings = RecorderSettings(index_bytes=index_bytes)
    _, path = make_file("opus", audio_packets(packets), tmp_path, settings=settings)
    report = inspect(path)
    assert report.sound
    audio = report.stream("audio")
    assert audio.channels == channels
    assert audio.samples == pytest.approx(3 * SAMPLE_RATE_HZ, abs=648)
    assert stated(path) == [channels, channels]


def test_a_growing_file_says_it_as_soon_as_it_is_known(tmp_path: Path) -> None:
    made = pipeline("opus", tmp_path)
    packets = audio_packets(mono_packets(100) + opus_packets(100))
    made.feed(list(packets[:90]))
    assert stated(made.path) == [1, 1]
    made.feed(list(packets[90:]))
    assert stated(made.path) == [2, 2]
    made.finish()
    assert stated(made.path) == [2, 2]
