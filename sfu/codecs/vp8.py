"""VP8 payload format (RFC 7741): descriptor, key frames, joining the packets of a frame.

Every function takes any bytes; the parsers raise only PayloadError, the tests never raise.
"""

from collections.abc import Sequence

from sfu.codecs.payload import CodedFrame, PayloadError
from sfu.codecs.vp8_descriptor import describe, descriptor_size

START_CODE = b"\x9d\x01\x2a"
"""After the 3-byte frame tag of a key frame (RFC 6386 9.1)."""


def keyframe(payload: bytes) -> bool:
    """This payload begins a key frame. Never raises. Hot: most packets do not begin a frame, and that is seen first."""
    if not payload or payload[0] & 0x17 != 0x10:  # S bit, of partition 0
        return False
    try:
        at = descriptor_size(payload)
    except PayloadError:
        return False
    return len(payload) > at and not payload[at] & 1


def first_size(payload: bytes) -> tuple[int, int] | None:
    """Width and height of the key frame that this payload begins; None: it begins none, or is cut. Never raises."""
    if not keyframe(payload):
        return None
    at = descriptor_size(payload)
    return _size(payload[at : at + 10])


def _size(head: bytes) -> tuple[int, int] | None:
    """Of a key frame's first 10 bytes (RFC 6386 9.1)."""
    if len(head) < 10 or head[3:6] != START_CODE:
        return None
    width = int.from_bytes(head[6:8], "little") & 0x3FFF
    height = int.from_bytes(head[8:10], "little") & 0x3FFF
    return (width, height) if width and height else None


def frame(payloads: Sequence[bytes]) -> CodedFrame:
    """Join all payloads of one frame, in order and without a gap."""
    parts = []
    for number, payload in enumerate(payloads):
        at = descriptor_size(payload)
        if number == 0 and payload[0] & 0x17 != 0x10:
            raise PayloadError("VP8 frame without its beginning")
        parts.append(payload[at:])
    data = b"".join(parts)
    if len(data) < 3:
        raise PayloadError("VP8 frame without a frame tag")
    if data[0] & 1:
        return CodedFrame(data, False, None)
    size = _size(data[:10])
    if size is None:
        raise PayloadError("VP8 key frame without its start code or size")
    return CodedFrame(data, True, size)


def picture_id(payload: bytes) -> tuple[int, int] | None:
    """Picture id and its modulus; None without one. Raises PayloadError when the descriptor is cut."""
    descriptor_size(payload)
    descriptor = describe(payload)
    return (descriptor.picture_id, descriptor.picture_mask + 1) if descriptor.picture_mask else None
