"""Durations of Opus packets by their TOC, and the packets that stand in for missing ones."""

import av
import numpy as np
import pytest

from sfu.codecs import PayloadError, opus
from tests.support.encoded import opus_packets


@pytest.mark.parametrize(
    ("packet", "ticks"),
    [
        (b"\xfc\xff\xfe", 960),  # CELT 20 ms, one frame
        (b"\xe0", 120),  # CELT 2.5 ms
        (b"\x18", 2_880),  # SILK 60 ms
        (b"\x60", 480),  # hybrid 10 ms
        (b"\xfd\x00\x00", 1_920),  # two frames
        (b"\xfb\x03", 2_880),  # three frames
        (b"\xfb\x86", 5_760),  # six frames, the most there can be
    ],
)
def test_durations_are_read_from_the_first_bytes(packet: bytes, ticks: int) -> None:
    assert opus.duration_ticks(packet) == ticks


@pytest.mark.parametrize("packet", [b"", b"\xfb", b"\xfb\x00", b"\xfb\x07", b"\x1b\x03"])
def test_impossible_packets_are_refused(packet: bytes) -> None:
    with pytest.raises(PayloadError):
        opus.duration_ticks(packet)


@pytest.mark.parametrize("decoder", ["opus", "libopus"])
def test_concealment_decodes_to_the_duration_that_its_toc_says(decoder: str) -> None:
    context = av.CodecContext.create(decoder, "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = 48_000, "stereo"
    voice = opus_packets(20)
    hidden = opus.concealment(voice[10])
    assert len(hidden) == 1
    samples = 0
    for packet in [*voice[:10], hidden, bytes((0xE4,)), *voice[11:]]:
        samples += sum(frame.samples for frame in context.decode(av.Packet(packet)))
    assert samples in (20 * 960 + 120, 20 * 960 + 120 - 312)


@pytest.mark.parametrize("decoder", ["opus", "libopus"])
def test_silence_decodes_to_zeros_of_the_same_duration(decoder: str) -> None:
    for toc in range(0, 256, 4):
        for tail in (b"", b"\x01", b"\x02", b"\x03"):
            packet = bytes((toc | (3 if tail else 0),)) + tail
            try:
                ticks = opus.duration_ticks(packet)
            except PayloadError:
                continue
            context = av.CodecContext.create(decoder, "r")
            assert isinstance(context, av.AudioCodecContext)
            context.sample_rate, context.layout = 48_000, "stereo"
            silent = opus.silence(packet)
            assert opus.duration_ticks(silent) == ticks
            assert silent[0] & 4 == packet[0] & 4
            [frame] = context.decode(av.Packet(silent))
            assert frame.samples == ticks
            assert not np.any(frame.to_ndarray())
