"""Reads the frame number that `tests.support.media` drew, from decoded frames of any size.

Guarantees: a frame is read as a number or as unreadable (None), never as a wrong number: each bit is compared with
its inverted copy, and the difference must exceed MIN_CONTRAST for all twelve.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from tests.support.files import single_threaded
from tests.support.media import BLOCK, COUNTER_BITS, FRAMES, HEIGHT, LEFT, PITCH, TOP, TOP_INVERTED, WIDTH, Luma

MIN_CONTRAST = 60
"""Of 219 between white and black: below it the frame is smeared."""
MARGIN = 14
"""Pixels at 640x360 left out around a block: codecs smear edges."""


@dataclass(frozen=True, slots=True)
class Reading:
    time_s: float
    """Presentation time in the file."""
    number: int | None
    """0..599, or None when unreadable."""


def read_number(luma: Luma) -> int | None:
    """The number in a luma plane of shape (height, width), 16:9."""
    height, width = luma.shape
    sx, sy = width / WIDTH, height / HEIGHT
    value = 0
    for bit in range(COUNTER_BITS):
        x = LEFT + bit * PITCH
        columns = slice(int((x + MARGIN) * sx), int((x + BLOCK - MARGIN) * sx) + 1)
        upper = luma[_rows(TOP, sy), columns].mean()
        lower = luma[_rows(TOP_INVERTED, sy), columns].mean()
        if abs(upper - lower) < MIN_CONTRAST:
            return None
        if upper > lower:
            value |= 1 << bit
    return value if value < FRAMES else None


def read_file(path: Path) -> list[Reading]:
    """Every video frame of a file, in order of presentation."""
    readings = []
    with av.open(str(path)) as container:
        single_threaded(container.streams.video[0])
        for decoded in container.decode(video=0):
            luma = decoded.to_ndarray(format="gray").astype(np.uint8, copy=False)
            readings.append(Reading(float(decoded.time or 0.0), read_number(luma)))
    return readings


def steps(readings: Sequence[Reading]) -> list[int]:
    """How far the source went on from frame to frame, 0..599; 0 is a repeat, more than 1 a skip."""
    numbers = [reading.number for reading in readings if reading.number is not None]
    return [(after - before) % FRAMES for before, after in itertools.pairwise(numbers)]


def _rows(top: int, scale: float) -> slice:
    return slice(int((top + MARGIN) * scale), int((top + BLOCK - MARGIN) * scale) + 1)
