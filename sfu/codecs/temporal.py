"""Where a frame stands among the temporal layers of its stream, whatever the codec calls it.

A viewer who has every frame of the layers up to k can go down at any frame, and up where the sender says so.
"""

from typing import NamedTuple

TOP = 7
"""No layer is above it: all three forms (RFC 7741, RFC 9628, AV1 RTP A.8) number them with at most three bits."""


class Place(NamedTuple):
    """Of one frame."""

    layer: int
    """Its temporal layer, 0..TOP."""
    needs: int
    """Who has every layer up to this one can decode the frame; -1: anybody can."""
    reaches: int
    """... and from this frame on every layer up to this one. Not above `needs`: the frame lets nobody up."""


BASE = Place(0, -1, TOP)
"""Of a stream without temporal layers, and of a key frame."""


def plain(layer: int) -> Place:
    """Of a frame that lets nobody up."""
    return Place(layer, layer, layer)
