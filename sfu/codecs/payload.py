"""What all payload formats share: the one error they raise, and the coded frame that they make of whole packets."""

from typing import NamedTuple


class PayloadError(ValueError):
    """A payload that its format does not allow. The only exception that a payload parser lets out."""


class CodedFrame(NamedTuple):
    """One frame as a file holds it."""

    data: bytes
    """VP8, VP9: the frame. H264: Annex B. AV1: OBUs with size fields, without temporal delimiters."""
    key: bool
    """Decodable without any earlier frame."""
    size: tuple[int, int] | None
    """Width and height in pixels, of key frames."""
    spatial_layers: int = 1
