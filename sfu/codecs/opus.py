"""Opus payload format (RFC 7587, RFC 6716 3): a packet's duration, and what stands in for one that is missing."""

from sfu.codecs.payload import PayloadError

CLOCK_RATE_HZ = 48_000
"""RTP clock of Opus, whatever its bandwidth (RFC 7587 4.1)."""
MAX_DURATION_TICKS = 5_760
"""120 ms (RFC 6716 3.4, R5)."""


def frame_ticks(payload: bytes) -> int:
    """Duration of each frame of the packet, in 48 kHz ticks, by its TOC byte."""
    if not payload:
        raise PayloadError("empty Opus packet")
    config = payload[0] >> 3
    if config < 12:
        return (480, 960, 1920, 2880)[config & 3]
    if config < 16:
        return (480, 960)[config & 1]
    return (120, 240, 480, 960)[config & 3]


def duration_ticks(payload: bytes) -> int:
    """Duration of the packet in 48 kHz ticks, 120..5760."""
    each = frame_ticks(payload)
    code = payload[0] & 3
    if code == 0:
        count = 1
    elif code < 3:
        count = 2
    elif len(payload) < 2:
        raise PayloadError("Opus packet without its frame count")
    else:
        count = payload[1] & 63
    total = each * count
    if not 0 < total <= MAX_DURATION_TICKS:
        raise PayloadError("Opus packet of an impossible duration")
    return total


def concealment(payload: bytes) -> bytes:
    """One packet of one empty frame with the same TOC: a decoder conceals it (RFC 6716 3.1, 4.4). 1 byte."""
    if not payload:
        raise PayloadError("empty Opus packet")
    return bytes((payload[0] & 0xFC,))


def silence(payload: bytes) -> bytes:
    """A packet of digital silence with the duration and channels of this one: unlike concealment, which goes on with
    what was heard before for tens of milliseconds. Frames of full-band CELT whose silence flag is set (RFC 6716 4.3).
    """
    ticks = duration_ticks(payload)
    each = next(each for each in (960, 480, 240, 120) if ticks % each == 0)
    toc = (28 + (120, 240, 480, 960).index(each)) << 3 | payload[0] & 4
    count = ticks // each
    if count == 1:
        return bytes((toc, 0xFF, 0xFE))
    return bytes((toc | 3, count)) + b"\xff\xfe" * count


def keyframe(payload: bytes) -> bool:
    """Every packet can be decoded from. Never raises."""
    return len(payload) > 0
