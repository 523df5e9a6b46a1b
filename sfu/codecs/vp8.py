"""VP8 payload format (RFC 7741): descriptor, key frames, joining the packets of a frame.

Every function takes any bytes; the parsers raise only PayloadError, the tests never raise.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sfu.codecs.payload import CodedFrame, PayloadError

START_CODE = b"\x9d\x01\x2a"
"""After the 3-byte frame tag of a key frame (RFC 6386 9.1)."""


class Descriptor(NamedTuple):
    """The payload descriptor (RFC 7741 4.2). `size` in bytes."""

    size: int
    begins_frame: bool
    """S bit, of partition 0."""
    picture_id: int | None
    picture_id_bits: int
    """7, 15, or 0 without one."""


def parse(payload: bytes) -> Descriptor:
    """Read the descriptor; raises PayloadError when it is cut."""
    try:
        first = payload[0]
        size = 1
        picture_id = None
        picture_id_bits = 0
        if first & 0x80:
            extended = payload[1]
            size = 2
            if extended & 0x80:
                if payload[size] & 0x80:
                    picture_id = (payload[size] & 0x7F) << 8 | payload[size + 1]
                    picture_id_bits = 15
                    size += 2
                else:
                    picture_id = payload[size]
                    picture_id_bits = 7
                    size += 1
            if extended & 0x40:
                size += 1
            if extended & 0x30:
                size += 1
    except IndexError:
        raise PayloadError("VP8 descriptor ends early") from None
    if size > len(payload):
        raise PayloadError("VP8 descriptor ends early")
    return Descriptor(size, first & 0x17 == 0x10, picture_id, picture_id_bits)


def keyframe(payload: bytes) -> bool:
    """This payload begins a key frame. Never raises. Hot while a subscription waits: no objects are made."""
    length = len(payload)
    if length < 2 or payload[0] & 0x17 != 0x10:
        return False
    at = 1
    if payload[0] & 0x80:
        extended = payload[1]
        at = 2
        if extended & 0x80:
            if length <= at:
                return False
            at += 2 if payload[at] & 0x80 else 1
        if extended & 0x40:
            at += 1
        if extended & 0x30:
            at += 1
    return length > at and not payload[at] & 1


def frame(payloads: Sequence[bytes]) -> CodedFrame:
    """Join all payloads of one frame, in order and without a gap."""
    parts = []
    for number, payload in enumerate(payloads):
        descriptor = parse(payload)
        if number == 0 and not descriptor.begins_frame:
            raise PayloadError("VP8 frame without its beginning")
        parts.append(payload[descriptor.size :])
    data = b"".join(parts)
    if len(data) < 3:
        raise PayloadError("VP8 frame without a frame tag")
    if data[0] & 1:
        return CodedFrame(data, False, None)
    if len(data) < 10 or data[3:6] != START_CODE:
        raise PayloadError("VP8 key frame without its start code")
    width = int.from_bytes(data[6:8], "little") & 0x3FFF
    height = int.from_bytes(data[8:10], "little") & 0x3FFF
    if not width or not height:
        raise PayloadError("VP8 key frame without a size")
    return CodedFrame(data, True, (width, height))


def picture_id(payload: bytes) -> tuple[int, int] | None:
    """Picture id and its modulus; None without one. Raises PayloadError when the descriptor is cut."""
    descriptor = parse(payload)
    return None if descriptor.picture_id is None else (descriptor.picture_id, 1 << descriptor.picture_id_bits)
