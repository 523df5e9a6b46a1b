"""Real encoded media without a browser: VP8 frames that carry the frame counter, and Opus packets.

For raw peers whose recordings are to be opened and read back. RTP payloads of a frame come from `vp8_payloads`.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

from tests.support.media import FPS, SAMPLE_RATE_HZ, Luma, background, frame, sound

OPUS_SAMPLES = 960
"""20 ms."""
MAX_PAYLOAD_BYTES = 1150
"""As browsers choose it: with all headers below 1200."""


def vp8_frames(count: int, *, keyframe_every: int = 60) -> list[bytes]:
    """`count` frames from number 0 on, 640x360 at 30 fps."""
    texture = background()
    return vp8_of([frame(number, texture) for number in range(count)], keyframe_every=keyframe_every)


def vp8_of(lumas: Sequence[Luma], *, keyframe_every: int = 60) -> list[bytes]:
    """Frames of these luma planes, all of one shape (height, width), without colour, at 30 fps."""
    height, width = lumas[0].shape
    codec = av.CodecContext.create("libvpx", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base = Fraction(1, FPS)
    codec.thread_count = 1  # more of them wait for each other, and cost fifteen times as much
    codec.bit_rate = 1_500_000
    codec.gop_size = keyframe_every
    codec.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"}
    chroma = np.full((height // 2, width), 128, np.uint8)
    encoded: list[bytes] = []
    for number, luma in enumerate(lumas):
        picture = av.VideoFrame.from_ndarray(np.vstack([luma, chroma]), format="yuv420p")
        picture.pts = number
        picture.time_base = codec.time_base
        encoded += [bytes(packet) for packet in codec.encode(picture)]
    encoded += [bytes(packet) for packet in codec.encode(None)]
    assert len(encoded) == len(lumas)
    return encoded


def opus_packets(count: int, *, fec: bool = False) -> list[bytes]:
    """`count` packets of 20 ms, stereo, of the known sound. `fec`: as for speech on a lossy path, with in-band FEC."""
    samples = sound()
    places = np.arange(count) * OPUS_SAMPLES % (len(samples) - OPUS_SAMPLES)
    return opus_of(np.concatenate([samples[place : place + OPUS_SAMPLES] for place in places]), fec=fec)


def opus_of(samples: npt.NDArray[np.int16], *, fec: bool = False, bit_rate: int = 64_000) -> list[bytes]:
    """Packets of 20 ms of 16-bit stereo, shape (samples, 2); what does not fill a packet is left out."""
    count = len(samples) // OPUS_SAMPLES
    codec = av.CodecContext.create("libopus", "w")
    assert isinstance(codec, av.AudioCodecContext)
    codec.sample_rate, codec.format, codec.layout = SAMPLE_RATE_HZ, "s16", "stereo"
    codec.bit_rate = 32_000 if fec else bit_rate
    if fec:
        codec.options = {"application": "voip", "fec": "1", "packet_loss": "20"}
    encoded: list[bytes] = []
    for number in range(count):
        begin = number * OPUS_SAMPLES
        block = np.ascontiguousarray(samples[begin : begin + OPUS_SAMPLES].reshape(1, -1))
        pcm = av.AudioFrame.from_ndarray(block, format="s16", layout="stereo")
        pcm.sample_rate, pcm.pts = SAMPLE_RATE_HZ, number * OPUS_SAMPLES
        encoded += [bytes(packet) for packet in codec.encode(pcm)]
    encoded += [bytes(packet) for packet in codec.encode(None)]
    return encoded[:count]


def vp8_payloads(vp8_frame: bytes, picture_id: int) -> Iterator[bytes]:
    """RTP payloads of a frame (RFC 7741 4.2) with the descriptor that browsers send: X, I, 15-bit picture id."""
    for offset in range(0, len(vp8_frame), MAX_PAYLOAD_BYTES):
        start = 0x10 if offset == 0 else 0
        head = bytes([0x80 | start, 0x80]) + (0x8000 | picture_id & 0x7FFF).to_bytes(2, "big")
        yield head + vp8_frame[offset : offset + MAX_PAYLOAD_BYTES]
