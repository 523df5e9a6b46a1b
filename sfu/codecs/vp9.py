"""VP9 payload format (RFC 9628): descriptor, key frames, joining the packets of a picture.

All spatial layers of a picture are joined in order, as a decoder takes them. Every function takes any bytes; the
parsers raise only PayloadError, the tests never raise.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sfu.codecs.bits import BitReader
from sfu.codecs.payload import CodedFrame, PayloadError
from sfu.codecs.temporal import BASE, TOP, Place, plain

SYNC_CODE = 0x498342
"""frame_sync_code (VP9 bitstream specification 7.2)."""
MAX_REFERENCES = 3
"""RFC 9628 4.2: at most three reference indices follow the layer indices in flexible mode."""


class Descriptor(NamedTuple):
    """The payload descriptor (RFC 9628 4.2)."""

    size: int
    begins_layer: bool
    """B bit."""
    ends_layer: bool
    """E bit."""
    predicted: bool
    """P bit: depends on an earlier picture."""
    temporal_id: int
    switches_up: bool
    """U bit: later pictures of higher temporal layers refer to none of theirs before this one."""
    spatial_id: int
    depends_on_lower: bool
    """D bit: this spatial layer refers to the one below it."""
    tl0: int | None
    """TL0PICIDX, in non-flexible mode."""
    picture_id: int | None
    picture_id_bits: int
    sizes: tuple[tuple[int, int], ...]
    """Width and height of each spatial layer, where a scalability structure states them."""


def parse(payload: bytes) -> Descriptor:
    """Read the descriptor; raises PayloadError when it is cut or breaks the format."""
    try:
        return _parse(payload)
    except IndexError:
        raise PayloadError("VP9 descriptor ends early") from None


def _parse(payload: bytes) -> Descriptor:
    first = payload[0]
    at = 1
    picture_id = tl0 = None
    picture_id_bits = layers = 0
    sizes: tuple[tuple[int, int], ...] = ()
    if first & 0x80:
        if payload[at] & 0x80:
            picture_id = (payload[at] & 0x7F) << 8 | payload[at + 1]
            picture_id_bits = 15
            at += 2
        else:
            picture_id = payload[at]
            picture_id_bits = 7
            at += 1
    if first & 0x20:
        layers = payload[at]
        at += 1
        if not first & 0x10:
            tl0 = payload[at]
            at += 1
    if first & 0x50 == 0x50:
        for number in range(MAX_REFERENCES + 1):
            if number == MAX_REFERENCES:
                raise PayloadError("VP9 descriptor with too many references")
            more = payload[at] & 1
            at += 1
            if not more:
                break
    if first & 0x02:
        at, sizes = _scalability(payload, at)
    if at > len(payload):
        raise PayloadError("VP9 descriptor ends early")
    return Descriptor(
        size=at,
        begins_layer=bool(first & 0x08),
        ends_layer=bool(first & 0x04),
        predicted=bool(first & 0x40),
        temporal_id=layers >> 5,
        switches_up=bool(layers & 0x10),
        spatial_id=layers >> 1 & 7,
        depends_on_lower=bool(layers & 1),
        tl0=tl0,
        picture_id=picture_id,
        picture_id_bits=picture_id_bits,
        sizes=sizes,
    )


def _scalability(payload: bytes, at: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    """The scalability structure (RFC 9628 4.2.1) that begins at `at`: where it ends, and what sizes it states."""
    structure = payload[at]
    at += 1
    sizes: list[tuple[int, int]] = []
    if structure & 0x10:
        for _ in range((structure >> 5) + 1):
            sizes.append((payload[at] << 8 | payload[at + 1], payload[at + 2] << 8 | payload[at + 3]))
            at += 4
    if structure & 0x08:
        pictures = payload[at]
        at += 1
        for _ in range(pictures):
            at += 1 + (payload[at] >> 2 & 3)
    return at, tuple(sizes)


def place(payload: bytes) -> Place:
    """Where the picture of this payload stands among the temporal layers, BASE where it does not say. Never raises.
    Hot."""
    if len(payload) < 4 or not payload[0] & 0x20:
        return BASE
    at = 1
    if payload[0] & 0x80:
        at = 3 if payload[1] & 0x80 else 2
    return _PLACES[payload[at] >> 4]


_PLACES = tuple(
    Place(layer, layer, TOP) if switches_up else plain(layer) for layer in range(8) for switches_up in (False, True)
)
"""By TID and U."""


def keyframe(payload: bytes) -> bool:
    """This payload begins the lowest spatial layer of a picture without prediction. Never raises."""
    if not payload or payload[0] & 0x48 != 0x08:
        return False
    try:
        descriptor = _parse(payload)
    except (IndexError, PayloadError):
        return False
    return descriptor.spatial_id == 0 and len(payload) > descriptor.size


def frame(payloads: Sequence[bytes]) -> CodedFrame:
    """Join all payloads of one picture, in order and without a gap."""
    parts = []
    layers = 1
    layer_open = key = False
    for number, payload in enumerate(payloads):
        descriptor = parse(payload)
        if descriptor.begins_layer == layer_open:
            raise PayloadError("VP9 layer without its beginning or end")
        layer_open = not descriptor.ends_layer
        if number == 0:
            key = not descriptor.predicted and descriptor.spatial_id == 0
        layers = max(layers, descriptor.spatial_id + 1)
        parts.append(payload[descriptor.size :])
    data = b"".join(parts)
    if layer_open or not data:
        raise PayloadError("VP9 picture without its end")
    return CodedFrame(data, key, key_size(data) if key else None, layers)


def key_size(data: bytes) -> tuple[int, int]:
    """Size from the uncompressed header of a key frame (VP9 bitstream specification 6.2)."""
    header = BitReader(data, 32)
    if header.bits(2) != 2:
        raise PayloadError("VP9 frame marker missing")
    profile = header.bits(1) | header.bits(1) << 1
    if profile == 3 and header.flag():
        raise PayloadError("VP9 profile unknown")
    if header.flag() or header.flag():
        raise PayloadError("VP9 frame is no key frame")
    header.bits(2)
    if header.bits(24) != SYNC_CODE:
        raise PayloadError("VP9 sync code missing")
    if profile >= 2:
        header.flag()
    srgb = header.bits(3) == 7
    if not srgb:
        header.flag()
    if profile & 1:
        header.bits(1 if srgb else 3)
    return header.bits(16) + 1, header.bits(16) + 1


def first_size(payload: bytes) -> tuple[int, int] | None:
    """Width and height of the key frame that this payload begins; None: it begins none, or does not say them. Never
    raises."""
    if not keyframe(payload):
        return None
    try:
        descriptor = _parse(payload)
        return descriptor.sizes[-1] if descriptor.sizes else key_size(payload[descriptor.size :])
    except (IndexError, PayloadError):
        return None


def picture_id(payload: bytes) -> tuple[int, int] | None:
    """Picture id and its modulus; None without one. Raises PayloadError when the descriptor is cut."""
    descriptor = parse(payload)
    return None if descriptor.picture_id is None else (descriptor.picture_id, 1 << descriptor.picture_id_bits)
