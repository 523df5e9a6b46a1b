"""The VP8 payload descriptor as one integer, so that its running numbers are rewritten by arithmetic (RFC 7741 4.2).

A subscription that changes its source must go on with picture id and TL0PICIDX without a jump. What is the same for
all copies of a packet is computed once here; a copy costs one expression. Other codecs' packets have a descriptor of no
bytes, which says their place among the temporal layers and nothing else.
"""

import struct
from functools import lru_cache

import msgspec

from sfu.codecs.payload import PayloadError
from sfu.codecs.temporal import BASE, TOP, Place, plain

_CHROMIUM = struct.Struct("!HH")
"""Flags, and the picture id of 15 bits behind its own flag: the form without layers."""

_CHROMIUM_LAYERS = struct.Struct("!HHBB")
"""The same, TL0PICIDX, TID with Y and KEYIDX: the form with temporal layers."""


class Descriptor(msgspec.Struct, frozen=True, gc=False):
    """`fixed` has the bits of the descriptor with both numbers zeroed; each number goes in by mask and shift."""

    size_bytes: int
    fixed: int
    picture_id: int
    picture_mask: int
    """0x7F or 0x7FFF."""
    picture_shift: int
    tl0: int
    tl0_mask: int
    """0xFF, or 0 where the descriptor has no TL0PICIDX."""
    tl0_shift: int
    place: Place = BASE
    """Among the temporal layers. A key frame's is that of any other frame of the lowest layer."""

    def rewritten(self, picture_offset: int, tl0_offset: int) -> bytes:
        """The descriptor with both numbers moved; the packet path has this expression inline."""
        return (
            self.fixed
            | ((self.picture_id + picture_offset) & self.picture_mask) << self.picture_shift
            | ((self.tl0 + tl0_offset) & self.tl0_mask) << self.tl0_shift
        ).to_bytes(self.size_bytes, "big")


def descriptor_size(payload: bytes) -> int:
    """Bytes of the descriptor in front of a VP8 payload. Raises PayloadError when it is cut."""
    try:
        size = 1
        if payload[0] & 0x80:
            extended = payload[1]
            size = 2
            if extended & 0x80:
                size += 2 if payload[2] & 0x80 else 1
            size += (extended >> 6 & 1) + (extended & 0x30 != 0)
    except IndexError:
        raise PayloadError("VP8 descriptor ends early") from None
    if size > len(payload):
        raise PayloadError("VP8 descriptor ends early")
    return size


def describe(payload: bytes) -> Descriptor:
    """Descriptor of a VP8 payload. Without a picture id, or cut short: one of no bytes, so nothing is rewritten."""
    if len(payload) < 4:
        return NOTHING
    flags, number = _CHROMIUM.unpack_from(payload)
    if flags & 0x80F0 == 0x8080 and number & 0x8000:  # every packet of a browser that sends no layers: hot
        return Descriptor(4, flags << 16 | 0x8000, number & 0x7FFF, 0x7FFF, 0, 0, 0, 0)
    if flags & 0x80F0 == 0x80E0 and number & 0x8000 and len(payload) > 5:  # ... and of one that does
        _, _, level, layer = _CHROMIUM_LAYERS.unpack_from(payload)
        fixed = flags << 32 | 0x8000_0000 | layer
        return Descriptor(6, fixed, number & 0x7FFF, 0x7FFF, 16, level, 0xFF, 8, _PLACES[layer >> 5])
    if flags & 0x8080 != 0x8080:
        return NOTHING
    try:
        size = descriptor_size(payload)
    except PayloadError:
        return NOTHING
    picture_mask, picture_end = (0x7FFF, 4) if payload[2] & 0x80 else (0x7F, 3)
    tl0_mask = 0xFF if payload[1] & 0x40 else 0
    number = int.from_bytes(payload[:size], "big")
    picture_shift = 8 * (size - picture_end)
    tl0_shift = picture_shift - 8 if tl0_mask else 0
    picture_id = number >> picture_shift & picture_mask
    tl0 = number >> tl0_shift & tl0_mask
    fixed = number ^ picture_id << picture_shift ^ tl0 << tl0_shift
    place = _PLACES[payload[size - 1] >> 5] if payload[1] & 0x20 else BASE
    return Descriptor(size, fixed, picture_id, picture_mask, picture_shift, tl0, tl0_mask, tl0_shift, place)


NOTHING = Descriptor(0, 0, 0, 0, 0, 0, 0, 0)

_PLACES = tuple(
    Place(layer, layer - 1, layer) if sync and layer else plain(layer) for layer in range(4) for sync in (False, True)
)
"""By TID and Y: a frame above the lowest layer with Y refers to the lowest alone (RFC 7741 4.2), so who has the layers
below its own can begin to take it."""


@lru_cache(maxsize=4 * TOP * TOP)
def unchanged(place: Place) -> Descriptor:
    """For a payload of which nothing is rewritten: its place alone."""
    return Descriptor(0, 0, 0, 0, 0, 0, 0, 0, place)
