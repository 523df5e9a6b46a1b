"""Real encoded video of every codec and its RTP payloads, without a browser (known content: `tests.support.encoded`).

The packetizers are small and written from the payload formats, not from the code under test. They send what browsers
send: VP9 non-flexible with picture ids, H264 with STAP-A for parameter sets and FU-A for slices, AV1 with one OBU
element per packet and W = 1.
"""

import os
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np

from tests.support.media import FPS

SMALL = 400
"""Payload bytes: small, so that small pictures still make frames of several packets."""

ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "vp8": ("libvpx", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    "h264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "annexb=1:repeat-headers=1"}),
    "av1": ("libsvtav1", {"preset": "9", "crf": "45", "svtav1-params": "pred-struct=1:lookahead=0:lp=1"}),
}


def encode(
    codec: str, count: int, *, width: int = 320, height: int = 240, key_every: int = 30, luma: int | None = None
) -> list[bytes]:
    """`count` frames of moving noise, or of one grey of this luma (16 black, 235 white), in presentation order."""
    try:
        return _encode(codec, count, width, height, key_every, luma)
    finally:
        _leave_real_time()


def _leave_real_time() -> None:
    """SVT-AV1, run by root, makes the process that uses it a real-time one (SCHED_FIFO 99), and with it all that it
    starts afterwards: browsers would starve the machine."""
    for thread in os.listdir("/proc/self/task"):
        if os.sched_getscheduler(int(thread)) != os.SCHED_OTHER:
            os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))


def _encode(codec: str, count: int, width: int, height: int, key_every: int, luma: int | None) -> list[bytes]:
    os.environ["SVT_LOG"] = "0"  # it writes to standard error by itself
    name, options = ENCODERS[codec]
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base = Fraction(1, FPS)
    if codec != "av1":
        context.bit_rate = 800_000
    context.gop_size = key_every
    context.options = options
    noise = np.random.default_rng(7).integers(0, 255, (height * 3 // 2, width), np.uint8)
    grey = np.full_like(noise, 128)
    grey[:height] = luma or 0
    encoded: list[bytes] = []
    for number in range(count):
        image = grey if luma is not None else np.roll(noise, number * 3, axis=1) // 3 + 80
        picture = av.VideoFrame.from_ndarray(image, format="yuv420p")
        picture.pts = number
        picture.time_base = context.time_base
        encoded += [bytes(packet) for packet in context.encode(picture)]
    encoded += [bytes(packet) for packet in context.encode(None)]
    assert len(encoded) == count
    return encoded


def vp9_payloads(frame: bytes, picture_id: int, size: int = SMALL) -> Iterator[bytes]:
    """RFC 9628 4.2: I, L (one layer, TL0PICIDX), not flexible; scalability structure with the size on key frames."""
    key = frame[0] & 0x04 == 0
    for offset in range(0, len(frame), size):
        begins, ends = offset == 0, offset + size >= len(frame)
        flags = 0xA0 | (0 if key else 0x40) | begins << 3 | ends << 2
        structure = b""
        if key and begins:
            flags |= 0x02
            structure = bytes((0x18, 1, 64, 0, 240, 1, 0x14, 1))
        head = bytes((flags,)) + (0x8000 | picture_id & 0x7FFF).to_bytes(2, "big") + bytes((0, picture_id & 0xFF))
        yield head + structure + frame[offset : offset + size]


def h264_payloads(access_unit: bytes, picture_id: int = 0, size: int = SMALL) -> Iterator[bytes]:
    """RFC 6184: parameter sets together as STAP-A, what is larger than `size` as FU-A, the rest as single NAL units."""
    units = [unit.rstrip(b"\0") for unit in access_unit.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]
    sets = [unit for unit in units if unit[0] & 31 in (7, 8)]
    if sets:
        yield b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in sets)
    for unit in units:
        if unit in sets:
            continue
        if len(unit) <= size:
            yield unit
            continue
        for offset in range(1, len(unit), size):
            flags = (0x80 if offset == 1 else 0) | (0x40 if offset + size >= len(unit) else 0)
            yield bytes((unit[0] & 0xE0 | 28, flags | unit[0] & 31)) + unit[offset : offset + size]


def obus(unit: bytes) -> Iterator[bytes]:
    """The OBUs of a low-overhead stream, each without its size field (AV1 5.3)."""
    at = 0
    while at < len(unit):
        header = 2 if unit[at] & 4 else 1
        value = shift = 0
        cursor = at + header
        while True:
            byte = unit[cursor]
            value |= (byte & 0x7F) << shift
            shift += 7
            cursor += 1
            if not byte & 0x80:
                break
        yield bytes((unit[at] & ~2,)) + unit[at + 1 : at + header] + unit[cursor : cursor + value]
        at = cursor + value


def av1_payloads(unit: bytes, picture_id: int = 0, size: int = SMALL) -> Iterator[bytes]:
    """One element a packet (W = 1); N on the first packet of a unit that carries a sequence header."""
    kept = [obu for obu in obus(unit) if obu[0] >> 3 & 15 != 2]
    new = any(obu[0] >> 3 & 15 == 1 for obu in kept)
    first = True
    for obu in kept:
        for offset in range(0, len(obu), size):
            flags = 0x10 | (0x80 if offset else 0) | (0x40 if offset + size < len(obu) else 0)
            yield bytes((flags | (0x08 if first and new else 0),)) + obu[offset : offset + size]
            first = False


def vp8_payloads(frame: bytes, picture_id: int, size: int = SMALL) -> Iterator[bytes]:
    """RFC 7741 4.2: X, I, 15-bit picture id."""
    for offset in range(0, len(frame), size):
        start = 0x10 if offset == 0 else 0
        head = bytes((0x80 | start, 0x80)) + (0x8000 | picture_id & 0x7FFF).to_bytes(2, "big")
        yield head + frame[offset : offset + size]


PAYLOADS: dict[str, Callable[[bytes, int], Iterator[bytes]]] = {
    "vp8": vp8_payloads,
    "vp9": vp9_payloads,
    "h264": h264_payloads,
    "av1": av1_payloads,
}


def red(newest: bytes, *earlier: bytes, payload_type: int = 111) -> bytes:
    """Sound as RED (RFC 2198 3): the newest packet and `earlier` ones, the oldest first, 20 ms apart."""
    heads = b""
    for place, block in enumerate(earlier):
        offset = 960 * (len(earlier) - place)
        heads += struct.pack("!I", 1 << 31 | payload_type << 24 | (offset & 0x3FFF) << 10 | len(block))
    return heads + bytes((payload_type,)) + b"".join(earlier) + newest
