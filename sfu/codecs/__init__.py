"""Payload formats of the codecs that are forwarded and recorded: pure functions over one RTP payload or one frame's.

Codec names are those of `TrackInfo.codec`: `opus`, `vp8`, `vp9`, `h264`, `av1`.
"""

from collections.abc import Callable

from sfu.codecs import av1, h264, opus, vp8, vp9
from sfu.codecs.payload import CodedFrame, PayloadError

__all__ = ["CodedFrame", "PayloadError", "first_size", "keyframe"]

_KEYFRAME: dict[str, Callable[[bytes], bool]] = {
    "opus": opus.keyframe,
    "vp8": vp8.keyframe,
    "vp9": vp9.keyframe,
    "h264": h264.keyframe,
    "av1": av1.keyframe,
}


def keyframe(codec: str) -> Callable[[bytes], bool]:
    """The test "this RTP payload begins a key frame" of a codec. The test never raises; an unknown codec: KeyError."""
    return _KEYFRAME[codec]


_FIRST_SIZE: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "vp8": vp8.first_size,
    "vp9": vp9.first_size,
    "h264": h264.first_size,
    "av1": av1.first_size,
}


def first_size(codec: str) -> Callable[[bytes], tuple[int, int] | None] | None:
    """What reads width and height from the RTP payload that begins a key frame (None: it does not say them), and never
    raises. None: the codec has no pictures."""
    return _FIRST_SIZE.get(codec)
